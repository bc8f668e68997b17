"""Utterances joined with what is to be answered: the examples of a training or an evaluation.

Every source utterance meets the target language's text of the same sentence id. An example is made
when it is asked for: a corpus of 400,000 recordings is chosen from in a second, and workers that
read it do not hold a copy of each.
"""

from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from itertools import accumulate
from typing import NamedTuple, overload

import numpy as np
from numpy.typing import NDArray
from typing_extensions import override

from speechalign.data.prompts import PromptTemplates, Task
from speechalign.data.records import Example, Utterance, columns

Item = tuple[Example, ...]  # what may be asked about one recording, one example a task


class Asking(NamedTuple):
    """What is asked about recordings, and in which words."""

    tasks: tuple[Task, ...]
    target: str  # canonical code of the target language; that of asr is the source
    prompts: PromptTemplates


class Part(NamedTuple):
    """Recordings of one language and split, of which those in `rows` are asked about."""

    utterances: Sequence[Utterance]
    rows: NDArray[np.int64]
    references: Mapping[str, str]  # text in the target language by sentence id
    asking: Asking

    def item(self, row: int) -> Item:
        """Make the examples of one recording, one a task that it can be asked about."""
        utterance = self.utterances[row]
        reference = self.references.get(utterance.sentence_id)
        _, target, prompts = self.asking
        return tuple(
            Example(
                utterance=utterance,
                task=task,
                target=utterance.language if task == "asr" else target,
                prompt=prompts.prompt(task, utterance.language, target),
                answer=prompts.answer(task, utterance.text, reference or ""),
            )
            for task in self.asking.tasks
            if can_ask(task, utterance.text != "", reference is not None)
        )


class Items(Sequence[Item]):
    """Parts, one after another."""

    def __init__(self, parts: Sequence[Part] = ()):
        self.parts = tuple(parts)
        self._ends = list(accumulate(len(part.rows) for part in self.parts))

    @override
    def __len__(self) -> int:
        return self._ends[-1] if self._ends else 0

    @overload
    def __getitem__(self, at: int) -> Item: ...
    @overload
    def __getitem__(self, at: slice) -> list[Item]: ...
    @override
    def __getitem__(self, at: int | slice) -> Item | list[Item]:
        if isinstance(at, slice):
            return [self[place] for place in range(len(self))[at]]
        at = range(len(self))[at]  # refuses what is beyond, and counts from the end
        place = bisect_right(self._ends, at)
        part = self.parts[place]
        return part.item(int(part.rows[at - self._ends[place] + len(part.rows)]))

    @override
    def __iter__(self) -> Iterator[Item]:
        return (part.item(int(row)) for part in self.parts for row in part.rows)

    def __add__(self, other: "Items") -> "Items":
        """Append other items."""
        return Items((*self.parts, *other.parts))

    @cached_property
    def sentences(self) -> list[str]:
        """The sentence id of each item."""
        told = [(columns(part.utterances).sentence_ids, part.rows) for part in self.parts]
        return [sentences[row] for sentences, rows in told for row in rows.tolist()]

    @cached_property
    def durations(self) -> NDArray[np.float64]:
        """The seconds of each item's recording."""
        told = [columns(part.utterances).durations[part.rows] for part in self.parts]
        return np.concatenate([np.empty(0), *told])

    @cached_property
    def languages(self) -> list[str]:
        """The language spoken in each item."""
        codes = [(part.utterances[:1], len(part.rows)) for part in self.parts]
        return [first.language for found, count in codes for first in found for _ in range(count)]

    def where(self, kept: NDArray[np.bool_]) -> "Items":
        """Choose items; `kept` says for each whether it is."""
        cuts = np.split(kept, self._ends[:-1]) if self.parts else []
        return Items([
            part._replace(rows=part.rows[cut]) for part, cut in zip(self.parts, cuts, strict=True)
        ])


def can_ask(task: Task, written: bool, translated: bool) -> bool:
    """Whether a task can be asked of a recording with a text or a translation."""
    return (written or task == "st") and (translated or task == "asr")


def join(
    utterances: Sequence[Utterance],
    references: Mapping[str, str],
    asking: Asking,
    kept: NDArray[np.bool_] | None = None,
) -> Items:
    """Ask about recordings; those that nothing can be asked about are left out.

    Args:
        utterances: Of one source language; asr and srt need their text.
        references: Text in the target language by sentence id; st and srt need it.
        asking: What is asked.
        kept: Which of the utterances may be asked about; by default all.
    """
    told = columns(utterances)
    possible = {
        (written, translated): any(can_ask(task, written, translated) for task in asking.tasks)
        for written in (False, True)
        for translated in (False, True)
    }
    can = [
        possible[written, sentence in references]
        for sentence, written in zip(told.sentence_ids, told.written, strict=True)
    ]
    rows = np.flatnonzero(np.array(can, dtype=bool) & (True if kept is None else kept))
    return Items([Part(utterances, rows, references, asking)])
