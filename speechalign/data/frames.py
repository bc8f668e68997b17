"""Frames of the frozen encoder, kept on disk: what never changes is computed once."""

import hashlib
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from jaxtyping import Float
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from speechalign.data.archive import ArchiveMember
from speechalign.data.records import Utterance

CHUNK = 256  # recordings in a file


class Chunk(NamedTuple):
    """Recordings that share a file, and the file."""

    file: Path
    utterances: tuple[Utterance, ...]


class FrameCache:
    """Frames by recording, in files of a few hundred recordings each that are mapped into memory.

    A file is named after its recordings (their sizes and times of change too) and appears whole or
    not at all: a killed run goes on, processes share the work, and a recording that changed is
    found missing. Which recordings share a file depends on the recordings alone, so that the same
    numbers come out however often a run was stopped.
    """

    def __init__(self, folder: Path):
        """Look at a folder; one folder holds the frames of one encoder."""
        self.folder = folder
        self._place: dict[str, tuple[Path, str]] = {}  # of a recording, by its id
        self._open: dict[Path, Any] = {}

    def chunks(self, utterances: Iterable[Utterance]) -> list[Chunk]:
        """Part recordings into chunks of similar length, and be ready to give their frames."""
        named = sorted({u.id: u for u in utterances}.values(), key=lambda u: (u.duration, u.id))
        chunks = []
        for start in range(0, len(named), CHUNK):
            part = tuple(named[start : start + CHUNK])
            digest = hashlib.sha256("\n".join(map(identity, part)).encode()).hexdigest()
            chunk = Chunk(self.folder / f"{digest[:32]}.safetensors", part)
            self._place |= {u.id: (chunk.file, str(row)) for row, u in enumerate(part)}
            chunks.append(chunk)
        return chunks

    def write(self, chunk: Chunk, frames: Sequence[Float[Tensor, "_ D"]]) -> None:
        """Store the frames of a chunk's recordings, in their order."""
        self.folder.mkdir(parents=True, exist_ok=True)
        scratch = chunk.file.with_suffix(f".{os.getpid()}.part")
        save_file({str(row): one.contiguous() for row, one in enumerate(frames)}, scratch)
        scratch.replace(chunk.file)

    def get(self, utterance: Utterance) -> Float[Tensor, "T D"] | None:
        """Give the frames of a recording, or None if they are not here."""
        file, key = self._place.get(utterance.id, (self.folder, ""))
        if file not in self._open:
            if not file.is_file():
                return None
            self._open[file] = safe_open(file, "pt")
        return self._open[file].get_tensor(key)

    def __getstate__(self) -> dict[str, Any]:
        """Leave open files behind on the way to another process."""
        return self.__dict__ | {"_open": {}}


def identity(utterance: Utterance) -> str:
    """Write down what the frames of a recording depend on, beside the encoder."""
    audio = utterance.audio
    member = isinstance(audio, ArchiveMember)
    file = audio.archive if member else audio
    state = file.stat()
    within = (audio.offset, audio.size) if member else ()
    facts = (utterance.id, state.st_size, state.st_mtime_ns, utterance.start, utterance.duration)
    return repr((*facts, *within))
