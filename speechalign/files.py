"""Files that appear whole or not at all, their names, and text files read line by line."""

import hashlib
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path

from speechalign.errors import UserError

LEFT_OVER = 24 * 3600  # seconds since the last byte was written


def digest(text: str) -> str:
    """Name something by what it depends on."""
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def file_digest(file: Path) -> str:
    """Name what a file holds, as `digest` names a text."""
    return hashlib.sha256(file.read_bytes()).hexdigest()[:32]


def write_text(file: Path, text: str) -> None:
    """Write UTF-8 text to a file, whose folder is made if absent."""
    write_bytes(file, text.encode())


def write_bytes(file: Path, content: bytes) -> None:
    """Write bytes to a file, whose folder is made if absent."""
    with replacing(file) as scratch:
        scratch.write_bytes(content)


@contextmanager
def replacing(file: Path) -> Iterator[Path]:
    """Give a scratch file that takes the place of `file` if nothing fails; make its folder.

    Its name is of this call alone: machines that share a disk may have equal process numbers.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=file.parent, prefix=f".{file.name}.", suffix=".part")
    os.close(handle)
    scratch = Path(name)
    try:
        yield scratch
        scratch.chmod(0o644)
        scratch.replace(file)
    finally:  # after a full disk, or with a folder in the file's place
        scratch.unlink(missing_ok=True)


@contextmanager
def replacing_folder(folder: Path) -> Iterator[Path]:
    """Give a scratch folder that takes the place of `folder`, with all in it, if nothing fails."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    around = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}.", suffix=".part"))
    scratch, old = around / "new", around / "old"
    scratch.mkdir()
    try:
        yield scratch
        if folder.exists():
            folder.rename(old)
        try:
            scratch.rename(folder)
        except OSError:
            if old.exists():
                old.rename(folder)
            raise
    finally:
        shutil.rmtree(around, ignore_errors=True)


def remove_leftovers(folder: Path) -> None:
    """Remove the scratch files, `*.part`, that killed processes left.

    Younger ones may be of a process that is still at work.
    """
    for scratch in folder.glob("*.part"):
        with suppress(OSError):  # another process was faster
            if time.time() - scratch.stat().st_mtime > LEFT_OVER:
                scratch.unlink()


def seen_from(folder: Path) -> Callable[[Path], str]:
    """Name files by the way to them from a folder, which may not be there yet.

    Where `..` would lead astray, because it follows a link to somewhere else, links of folders are
    resolved. That of a file is not: its name may say what it is.

    Returns:
        The name of a file.
    """

    @cache
    def way(place: Path) -> Path:
        plain = Path(os.path.relpath(place, folder))
        if os.path.realpath(folder / plain) == os.path.realpath(place):
            return plain
        there = next(one for one in (place, *place.parents) if one.is_dir())
        real = os.path.relpath(os.path.realpath(there), os.path.realpath(folder))
        return real / place.relative_to(there)  # the rest lies in an archive

    return lambda file: (way(file.absolute().parent) / file.name).as_posix()


def decoded(line: bytes, place: str) -> str:
    """Read a line as UTF-8; `place` names it in the error.

    Raises:
        UserError: If it is not.
    """
    try:
        return line.decode()
    except UnicodeDecodeError as error:
        raise UserError(
            f"{place}: not UTF-8 at byte {error.start + 1} of the line; mend it, or fetch the file"
            " again."
        ) from error
