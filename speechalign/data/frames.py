"""Frames of the frozen encoder, kept on disk: what never changes is computed once."""

import hashlib
import json
import os
import shutil
import warnings
import zlib
from collections.abc import Iterable, Sequence
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal, NamedTuple

import torch
from jaxtyping import Float
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from speechalign.data.archive import ArchiveMember, default_cache_dir
from speechalign.data.records import Utterance
from speechalign.errors import Caution, UserError
from speechalign.files import digest, remove_leftovers, replacing, write_text

CHUNK = 256  # recordings that are encoded and written together


class FrameForm(NamedTuple):
    """What is kept of frames."""

    frames: Literal["valid", "all"] = "valid"  # or all of the encoder's window
    dtype: Literal["float32", "bfloat16"] | None = None  # by default as the encoder gives them


class Place(NamedTuple):
    """Where the frames of a recording are."""

    file: Path
    valid: int  # frames that hold speech; what follows is padding
    checksum: int


class FrameCache:
    """Frames by recording, in files of a few hundred recordings each that are mapped into memory.

    Frames are found by what they depend on beside the encoder: the content of the audio and the
    part of it (`content`). So every training on any part of a corpus, moved or not, uses what an
    earlier one kept, and a recording that changed is not found. A file's content is read once, and
    remembered by its size and time of change (`identity`).

    Each file appears whole or not at all, so processes may write at the same time and be killed at
    any. One that is cut short counts as absent. Frames are checked when they are first read; a
    file with damaged ones is removed, and its recordings are encoded anew.
    """

    def __init__(self, folder: Path):
        """Look into a folder; one folder holds the frames of one encoder in one form."""
        self.folder = folder
        self._content: dict[str, str] = {}  # of a recording, by its identity
        self._place: dict[str, Place] = {}  # by content
        self._checked: set[str] = set()
        self._open: dict[Path, Any] = {}
        self.refresh()

    @property
    def padded(self) -> bool:
        """Whether there are frames of padding too; the folder is named so."""
        return self.folder.name.startswith("all-")

    def refresh(self) -> None:
        """Take note of what is there by now."""
        for file in self.folder.glob("*.json"):
            with suppress(OSError, ValueError):  # one that is cut short, or removed by now
                self._content |= json.loads(file.read_text())
        for file in by_age(self.folder.glob("*.safetensors")):
            try:
                with safe_open(file, "pt") as frames:
                    facts = json.loads(frames.metadata()["facts"])
            except (OSError, SafetensorError, ValueError, TypeError, KeyError):
                continue
            found = {name: Place(file, *fact) for name, fact in facts["frames"].items()}
            self._place = found | self._place  # first come, first kept: a resumed run hears it too
            self._content |= facts["content"]

    def missing(self, utterances: Iterable[Utterance]) -> list[Utterance]:
        """List the recordings whose frames are not here; reads audio that was not seen before.

        Raises:
            UserError: If a recording cannot be read.
        """
        seen, absent = {}, []
        for utterance in utterances:
            name = identity(utterance)
            if name not in self._content:
                self._content[name] = seen[name] = content(utterance)
            if self._content[name] not in self._place:
                absent.append(utterance)
        known = {name: made for name, made in seen.items() if made in self._place}
        if known:  # of the others the file of their frames will tell
            with suppress(OSError):  # then the audio is read once more another time
                write_text(self.folder / f"{digest(''.join(known))}.json", json.dumps(known))
        return absent

    def write(
        self,
        utterances: Sequence[Utterance],
        frames: Sequence[Float[Tensor, "_ D"]],
        valid: Sequence[int],
    ) -> None:
        """Store the frames of some recordings in a file of their own.

        Args:
            utterances: The recordings.
            frames: Of each.
            valid: How many of these hold speech.

        Raises:
            OSError: If they cannot be written.
        """
        contents = {identity(u): self._content.get(identity(u)) or content(u) for u in utterances}
        tensors, facts = {}, {}
        for utterance, one, count in zip(utterances, frames, valid, strict=True):
            name = contents[identity(utterance)]
            tensors[name] = one.contiguous()
            facts[name] = (count, checksum(tensors[name]))
        told = json.dumps({"frames": facts, "content": contents})
        # other digits of the same recordings, of another machine, have another name: a file that
        # somebody reads is never replaced
        file = self.folder / f"{digest(told)}.safetensors"
        remove_leftovers(self.folder)
        try:
            with replacing(file) as scratch:
                save_file(tensors, scratch, metadata={"facts": told})
        except SafetensorError as error:
            raise OSError(f"{file}: {error}") from error

    def get(self, utterance: Utterance) -> tuple[Float[Tensor, "T D"], int] | None:
        """Give the frames of a recording and how many hold speech, or None if they are not here."""
        name = self._content.get(identity(utterance), "")
        place = self._place.get(name)
        if place is None:
            return None
        try:
            if place.file not in self._open:
                self._open[place.file] = safe_open(place.file, "pt")
            frames = self._open[place.file].get_tensor(name)
        except (OSError, SafetensorError):  # removed, or written anew with others
            return None
        if name not in self._checked and checksum(frames) != place.checksum:
            self._remove(place.file)
            return None
        self._checked.add(name)
        return frames, place.valid

    def _remove(self, file: Path) -> None:
        warnings.warn(f"{file}: damaged, its recordings are encoded anew.", Caution, stacklevel=2)
        file.unlink(missing_ok=True)
        self._open.pop(file, None)
        self._place = {name: place for name, place in self._place.items() if place.file != file}

    def __getstate__(self) -> dict[str, Any]:
        """Leave open files behind on the way to another process."""
        return self.__dict__ | {"_open": {}}


def frames_folder(cache: bool | str) -> Path | None:
    """Where frames are to be kept: a folder by its name, or `default_cache_dir()`; or nowhere."""
    if isinstance(cache, str):
        return Path(cache).expanduser()
    return default_cache_dir() / "frames" if cache else None


def kept_frames(
    cache: FrameCache | None, utterances: Sequence[Utterance]
) -> list[tuple[Tensor, int]]:
    """Give the frames of each recording, or nothing where some were not kept."""
    found = [cache.get(utterance) for utterance in utterances] if cache else []
    frames = [one for one in found if one is not None]
    return frames if len(frames) == len(found) else []


def chunks(utterances: Iterable[Utterance]) -> list[list[Utterance]]:
    """Part recordings into chunks of similar length, the same in every process."""
    named = sorted({u.id: u for u in utterances}.values(), key=lambda u: (u.duration, u.id))
    return [named[start : start + CHUNK] for start in range(0, len(named), CHUNK)]


def check_space(folder: Path, size: int) -> None:
    """See that so many bytes fit on the disk of a folder, made already or not.

    Raises:
        UserError: If they do not.
    """
    there = next(p for p in (folder, *folder.absolute().parents) if p.is_dir())
    free = shutil.disk_usage(there).free
    if size > free:
        raise UserError(
            f"{folder}: the frames take {size / 1e9:.1f} GB and {free / 1e9:.1f} GB are free: name"
            " another folder with --data.cache DIR, take --data.cache_dtype bfloat16, or do"
            " without, --data.cache false."
        )


def identity(utterance: Utterance) -> str:
    """Digest what tells that a recording is the one seen before, without reading it.

    Its file, and its place in that, and the size and the time of change of it.

    Raises:
        UserError: If the file is gone.
    """
    audio = utterance.audio
    member = isinstance(audio, ArchiveMember)
    try:
        state = (audio.archive if member else audio).stat()
    except OSError as error:
        raise UserError(f"{utterance.id}: {utterance.place}: {error.strerror}.") from error
    file = os.path.abspath(audio.archive if member else audio)  # noqa: PTH100 - a stat less
    within = (audio.offset, audio.size) if member else ()
    part = (utterance.start, utterance.duration)
    return digest(repr((file, state.st_size, state.st_mtime_ns, *part, *within)))


def content(utterance: Utterance) -> str:
    """Digest the audio of a recording.

    Raises:
        UserError: If it cannot be read.
    """
    audio = utterance.audio
    try:
        if isinstance(audio, ArchiveMember):
            whole = hashlib.blake2b(audio.read(), digest_size=16).hexdigest()
        else:
            state = audio.stat()
            whole = file_digest(audio, state.st_size, state.st_mtime_ns)
    except OSError as error:
        raise UserError(f"{utterance.id}: {utterance.place}: {error.strerror}.") from error
    return digest(f"{whole} {utterance.start} {utterance.duration}")


@lru_cache(maxsize=64)  # the many utterances of one long file follow one another
def file_digest(file: Path, size: int, changed: int) -> str:
    """Digest the bytes of a file, which has this size and time of change."""
    del size, changed  # they only tell one state of the file from another
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, lambda: hashlib.blake2b(digest_size=16)).hexdigest()


def by_age(files: Iterable[Path]) -> list[Path]:
    """Sort files by the time they were written; those that are gone by now are left out."""
    ages = []
    for file in files:
        with suppress(OSError):
            ages.append((file.stat().st_mtime_ns, file))
    return [file for _, file in sorted(ages)]


def checksum(frames: Tensor) -> int:
    """Sum up the bytes of a tensor, so that damage is noticed."""
    return zlib.crc32(frames.flatten().view(torch.uint8).numpy().data)
