"""Tar archives read in place: where each member lies, without unpacking it to a folder.

A gzipped archive cannot be read from the middle, so it is decompressed once into the cache.
"""

import gzip
import os
import shutil
import tarfile
import tempfile
import zlib
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from speechalign.errors import UserError
from speechalign.files import digest, remove_leftovers

GZIP_MAGIC = b"\x1f\x8b"


class DamagedArchiveError(UserError):
    """An archive that is cut short or broken, as a download may be; another copy may be whole."""


class ArchiveMember(NamedTuple):
    """One file inside an uncompressed tar archive."""

    archive: Path
    name: str
    offset: int  # bytes from the start of the archive
    size: int  # bytes
    source: Path  # the archive that people know; `archive` may be its decompressed copy

    def read(self) -> bytes:
        """Read the content of the file.

        Raises:
            UserError: If the archive is gone or shorter than when it was indexed.
        """
        try:
            with self.archive.open("rb") as file:
                file.seek(self.offset)
                content = file.read(self.size)
        except OSError as error:
            raise UserError(f"{self.archive}: cannot be read ({error.strerror}).") from error
        if len(content) != self.size:
            raise UserError(f"{self.archive}: changed since it was opened, {self.name} is cut off.")
        return content


def default_cache_dir() -> Path:
    """Give the folder for derived files: `$SPEECHALIGN_CACHE`, else `~/.cache/speechalign`."""
    return Path(os.environ.get("SPEECHALIGN_CACHE") or Path.home() / ".cache" / "speechalign")


def open_archive(path: Path, cache_dir: Path | None = None) -> dict[str, ArchiveMember]:
    """Index the files of a tar archive, gzipped or not.

    A gzipped archive (told by its first bytes) is first decompressed to `<cache_dir>/archives/`,
    under a name made of its path, size and time of change, so that a changed archive is read anew.
    Old copies are not deleted. Several processes may do this at once: each writes its own
    temporary file and moves it into place in one step.

    Args:
        path: The archive.
        cache_dir: Where decompressed copies are kept; by default `default_cache_dir()`.

    Returns:
        Members by name, without a leading `./`. If a name occurs twice the later file counts, as
        it would after unpacking.

    Raises:
        UserError: If the archive is missing, truncated, damaged or unsafe: with links, devices,
            absolute names or `..`.
    """
    path = Path(path)
    try:
        with path.open("rb") as file:
            gzipped = file.read(2) == GZIP_MAGIC
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror}).") from error
    if not gzipped:
        return _index(path, path)
    folder = Path(cache_dir or default_cache_dir()) / "archives"
    copy = folder / f"{_fingerprint(path)}.tar"
    return _index(copy, path) if copy.exists() else _decompress(path, copy)


def list_members(path: Path) -> set[str]:
    """Name the files of a tar archive, gzipped or not, and write nothing.

    A gzipped archive is read through once to its very end, where its checksum is.

    Raises:
        DamagedArchiveError: If it is truncated, damaged or no tar archive.
        UserError: If it is missing or unsafe, as for `open_archive`.
    """
    try:
        with path.open("rb") as file:
            gzipped = file.read(2) == GZIP_MAGIC
            file.seek(0)
            plain = gzip.GzipFile(fileobj=file) if gzipped else file
            with tarfile.open(fileobj=plain, mode="r|" if gzipped else "r:") as archive:
                names = {str(PurePosixPath(m.name)) for m in archive if _is_file(m, path)}
            while gzipped and plain.read(1 << 20):
                pass
    except FileNotFoundError as error:
        raise UserError(f"{path}: no such file.") from error
    except (EOFError, zlib.error, tarfile.TarError, OSError) as error:
        raise DamagedArchiveError(
            f"{path}: damaged, or not a tar archive ({error}); fetch it again."
        ) from error
    return names


def _fingerprint(path: Path) -> str:
    state = path.stat()
    key = f"{path.resolve()}\n{state.st_size}\n{state.st_mtime_ns}"
    return digest(key)


def _decompress(path: Path, copy: Path) -> dict[str, ArchiveMember]:
    """Write `copy`, complete and checked, or leave nothing behind."""
    try:
        copy.parent.mkdir(parents=True, exist_ok=True)
        remove_leftovers(copy.parent)
        handle, name = tempfile.mkstemp(dir=copy.parent, suffix=".part")
    except OSError as error:
        raise UserError(
            f"{copy.parent}: cannot be written ({error.strerror}); {path} is decompressed there."
            " Choose another folder with SPEECHALIGN_CACHE."
        ) from error
    part = Path(name)
    try:
        with os.fdopen(handle, "wb") as plain, gzip.open(path) as compressed:
            shutil.copyfileobj(compressed, plain, 1 << 20)
            plain.flush()
            os.fsync(handle)
        members = _index(part, path)
        part.replace(copy)
    except (EOFError, zlib.error, OSError) as error:
        raise UserError(
            f"{path}: cannot be decompressed into {copy.parent} ({error}); a damaged or partly"
            " downloaded archive must be fetched again."
        ) from error
    finally:
        part.unlink(missing_ok=True)
    return {name: member._replace(archive=copy) for name, member in members.items()}


def _index(plain: Path, shown: Path) -> dict[str, ArchiveMember]:
    """List the members of the uncompressed archive `plain`; errors speak of `shown`."""
    try:
        with tarfile.open(plain, "r:") as archive:
            files = [member for member in archive if _is_file(member, shown)]
    except tarfile.TarError as error:
        raise UserError(
            f"{shown}: damaged or not a tar archive ({error}); fetch it again."
        ) from error
    names = [str(PurePosixPath(member.name)) for member in files]
    return {
        name: ArchiveMember(plain, name, member.offset_data, member.size, shown)
        for name, member in zip(names, files, strict=True)
    }


def _is_file(member: tarfile.TarInfo, shown: Path) -> bool:
    """Tell files from folders, and refuse whatever is neither or points outside the archive."""
    name = PurePosixPath(member.name)
    if name.is_absolute() or ".." in name.parts:
        raise UserError(
            f"{shown}: member {member.name!r} points outside the archive; pack it anew."
        )
    if member.isdir():
        return False
    if not member.isfile() or member.issparse():
        raise UserError(
            f"{shown}: member {member.name!r} is a link or a device; pack plain files instead."
        )
    return True
