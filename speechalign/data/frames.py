"""Frames of the frozen encoder, kept on disk: what never changes is computed once."""

import hashlib
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from jaxtyping import Float
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from speechalign.data.archive import ArchiveMember, default_cache_dir
from speechalign.data.records import Utterance

CHUNK = 256  # recordings that are encoded and written together


class FrameCache:
    """Frames by recording, in files of a few hundred recordings each that are mapped into memory.

    Frames are found by what they depend on beside the encoder (`identity`), so that every training
    on any part of a corpus uses what an earlier one kept, and a recording that changed is not
    found. A file appears whole or not at all, and one that is damaged counts as absent.
    """

    def __init__(self, folder: Path):
        """Look into a folder; one folder holds the frames of one encoder."""
        self.folder = folder
        self._place: dict[str, Path] = {}  # of a recording, by its identity
        self._open: dict[Path, Any] = {}
        self.refresh()

    def refresh(self) -> None:
        """Take note of what is there by now."""
        files = [(file.stat().st_mtime_ns, file) for file in self.folder.glob("*.safetensors")]
        for _, file in sorted(files):
            try:
                with safe_open(file, "pt") as frames:
                    found = dict.fromkeys(frames.keys(), file)
            except SafetensorError:
                continue
            self._place = found | self._place  # first come, first kept: a resumed run hears it too

    def missing(self, utterances: Iterable[Utterance]) -> list[Utterance]:
        """List the recordings whose frames are not here."""
        return [utterance for utterance in utterances if identity(utterance) not in self._place]

    def write(
        self, utterances: Sequence[Utterance], frames: Sequence[Float[Tensor, "_ D"]]
    ) -> None:
        """Store the frames of some recordings in a file of their own.

        Raises:
            OSError: If they cannot be written.
        """
        names = [identity(utterance) for utterance in utterances]
        file = (
            self.folder / f"{hashlib.sha256(''.join(names).encode()).hexdigest()[:32]}.safetensors"
        )
        scratch = file.with_suffix(f".{os.getpid()}.part")
        self.folder.mkdir(parents=True, exist_ok=True)
        try:
            save_file(dict(zip(names, map(Tensor.contiguous, frames), strict=True)), scratch)
            scratch.replace(file)
        except SafetensorError as error:
            raise OSError(f"{file}: {error}") from error
        finally:
            scratch.unlink(missing_ok=True)

    def get(self, utterance: Utterance) -> Float[Tensor, "T D"] | None:
        """Give the frames of a recording, or None if they are not here."""
        name = identity(utterance)
        file = self._place.get(name)
        if file is None:
            return None
        if file not in self._open:
            self._open[file] = safe_open(file, "pt")
        return self._open[file].get_tensor(name)

    def __getstate__(self) -> dict[str, Any]:
        """Leave open files behind on the way to another process."""
        return self.__dict__ | {"_open": {}}


def frames_folder(cache: bool | str) -> Path | None:
    """Where frames are to be kept: a folder by its name, or `default_cache_dir()`; or nowhere."""
    if isinstance(cache, str):
        return Path(cache).expanduser()
    return default_cache_dir() / "frames" if cache else None


def kept_frames(cache: FrameCache | None, utterances: Sequence[Utterance]) -> list[Tensor]:
    """Give the frames of each recording, or nothing where some were not kept."""
    found = [cache.get(utterance) for utterance in utterances] if cache else []
    frames = [one for one in found if one is not None]
    return frames if len(frames) == len(found) else []


def chunks(utterances: Iterable[Utterance]) -> list[list[Utterance]]:
    """Part recordings into chunks of similar length, the same in every process."""
    named = sorted({u.id: u for u in utterances}.values(), key=lambda u: (u.duration, u.id))
    return [named[start : start + CHUNK] for start in range(0, len(named), CHUNK)]


def identity(utterance: Utterance) -> str:
    """Digest what the frames of a recording depend on, beside the encoder.

    Its place in its file, and the size and the time of change of that.
    """
    audio = utterance.audio
    member = isinstance(audio, ArchiveMember)
    state = (audio.archive if member else audio).stat()
    within = (audio.offset, audio.size) if member else ()
    facts = (utterance.id, state.st_size, state.st_mtime_ns, utterance.start, utterance.duration)
    return hashlib.sha256(repr((*facts, *within)).encode()).hexdigest()[:32]
