"""The records that flow from a corpus to the model, and the interface of a corpus.

They are NamedTuples because Lightning moves those between devices as they are and refuses frozen
dataclasses.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from speechalign.data.archive import ArchiveMember
from speechalign.data.prompts import Task


class Utterance(NamedTuple):
    """One recording of one sentence."""

    id: str  # unique: locale/split/file
    sentence_id: str  # shared by all recordings of the sentence in all languages
    language: str  # canonical code, `speechalign.languages`
    audio: Path | ArchiveMember
    start: float  # seconds into the file
    duration: float  # seconds
    text: str  # cased and punctuated
    normalized_text: str  # lower case without punctuation
    speaker_gender: str  # male, female or other

    @property
    def place(self) -> str:
        """Its file, as people and manifests name it: in an archive `test.tar.gz/test/a.wav`."""
        audio = self.audio
        return f"{audio.source}/{audio.name}" if isinstance(audio, ArchiveMember) else str(audio)

    @property
    def state(self) -> tuple[str, int | None, float, float]:
        """Its file, the bytes of it, None if it is not there, and which seconds are meant.

        They are others once the audio was replaced.
        """
        audio, size = self.audio, None
        with suppress(OSError):
            size = audio.size if isinstance(audio, ArchiveMember) else audio.stat().st_size
        return self.place, size, self.start, self.duration

    @property
    def is_there(self) -> bool:
        """Whether its file is, be it readable or not."""
        return isinstance(self.audio, ArchiveMember) or self.audio.is_file()


class Example(NamedTuple):
    """One thing to learn or to answer: speech, a prompt and the answer expected."""

    utterance: Utterance
    task: Task
    target: str  # canonical code of the answer's language
    prompt: str
    answer: str


class Columns(NamedTuple):
    """What is chosen by, of many recordings at once."""

    sentence_ids: list[str]
    durations: NDArray[np.float64]  # seconds
    written: list[bool]  # whether there is a text


class Utterances(Sequence[Utterance]):
    """Recordings that are made into records one by one, when they are asked for."""

    dropped = 0  # recordings that are there, but left out because of the corpus' report

    @abstractmethod
    def columns(self) -> Columns:
        """Give what is chosen by, without making a record of each."""


def columns(utterances: Sequence[Utterance]) -> Columns:
    """Give what is chosen by, of any recordings."""
    if isinstance(utterances, Utterances):
        return utterances.columns()
    return Columns(
        [utterance.sentence_id for utterance in utterances],
        np.array([utterance.duration for utterance in utterances], dtype=np.float64),
        [utterance.text != "" for utterance in utterances],
    )


class Source(ABC):
    """A corpus: utterances and texts by language (canonical code) and split."""

    @abstractmethod
    def splits(self, language: str) -> list[str]:
        """List the splits that the corpus has of one language.

        Raises:
            UserError: If the corpus lacks the language.
        """

    def with_missing(self) -> "Source":
        """Give the same corpus with the recordings that it tells of and that are not there.

        An evaluation finds that they cannot be read, and counts them. A corpus that refuses to
        list them otherwise says so by its own version of this.
        """
        return self

    @abstractmethod
    def utterances(self, language: str, split: str) -> Sequence[Utterance]:
        """List the recordings of one language in one split.

        Raises:
            UserError: If the corpus lacks that language or split, or a record is malformed.
        """

    def has_audio(self, language: str, split: str) -> bool:
        """Whether a split has recordings of a language, and not its texts alone.

        A corpus that may have texts alone says so by its own version of this.

        Raises:
            UserError: If the corpus lacks the language.
        """
        return split in self.splits(language)

    def texts(self, language: str, split: str) -> dict[str, str]:
        """Map sentence ids to texts; where recordings of a sentence disagree the first counts.

        A corpus whose texts can be read where the audio is absent, e.g. of the target language,
        says so by its own version of this.

        Raises:
            UserError: If the corpus lacks that language or split, or a record is malformed.
        """
        return {u.sentence_id: u.text for u in reversed(self.utterances(language, split))}
