"""Answers of any system beside a corpus: which recording each is of, and what was expected."""

import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from speechalign.commands.asked import (
    check_pairs,
    corpus_at,
    read_pairs,
    sheets,
    spoken,
    written,
)
from speechalign.errors import Caution, UserError
from speechalign.evaluation.formats import Hypothesis
from speechalign.evaluation.normalize import clean
from speechalign.evaluation.predictions import Pair, Prediction, by_pair
from speechalign.plurals import so_many

if TYPE_CHECKING:  # they load torch, for which no --help waits
    from speechalign.data.records import Example, Utterance

Rows = tuple[list[Prediction], dict[str, int]]  # and recordings left out, by pair of languages


class Part(NamedTuple):
    """What a corpus has of one pair of languages."""

    pair: Pair
    recordings: "Sequence[Utterance]"  # all, in its order
    examples: "list[Example]"  # those with a reference

    @property
    def name(self) -> str:
        """The pair, as in messages and `metrics.json`."""
        return "-".join(self.pair)

    @property
    def left_out(self) -> int:
        """Recordings without a reference."""
        return len(self.recordings) - len(self.examples)

    def names(self) -> dict[str, str]:
        """Ids of recordings by what answers may call them: ids and names of audio files."""
        stems: dict[str, list[str]] = {}
        for recording in self.recordings:
            stems.setdefault(Path(recording.place).stem, []).append(recording.id)
        ids = {recording.id: recording.id for recording in self.recordings}
        return {stem: found[0] for stem, found in stems.items() if len(found) == 1} | ids

    def in_order(self, answers: int) -> list[str]:
        """Ids of what so many answers without ids are of: all recordings, or with a reference.

        Raises:
            UserError: If they are as many as neither.
        """
        every = [recording.id for recording in self.recordings]
        known = [example.utterance.id for example in self.examples]
        ids = every if answers == len(every) else known
        if answers != len(ids):
            more = f", or {len(every)} with those without a reference" * (self.left_out > 0)
            raise UserError(
                f"Expected {so_many(len(known), 'prediction')} of {self.name}, one a recording"
                f"{more}; there are {answers}: give one line for each, or ids."
            )
        return ids


def parts_of(data: str, split: str, pairs: Sequence[Pair]) -> list[Part]:
    """Look up pairs of languages in a corpus.

    Raises:
        UserError: If it does not have them.
    """
    from speechalign.data.prompts import PromptTemplates

    corpus = corpus_at(data, split).with_missing()
    check_pairs(corpus, split, pairs)
    return [
        Part(
            sheet.pair,
            corpus.utterances(sheet.pair[0], split),
            [example for example, *_ in sheet.items],
        )
        for sheet in sheets(corpus, split, pairs, "st", PromptTemplates(), float("inf"))
    ]


def with_corpus(hypotheses: Sequence[Hypothesis], data: str, split: str, pairs: str | None) -> Rows:
    """Join texts with a corpus: by ids, by the names of audio files, or in its order.

    A recording without an answer counts as answered by nothing, and is told. One without a
    reference is left out, answered or not.

    Raises:
        UserError: If an answer is of no recording, or of two, or there are not as many.
    """
    if pairs is None:
        raise UserError("Say from which language into which by --pairs, as --pairs 'deu->eng'.")
    corpus = corpus_at(data, split).with_missing()
    told = sorted({one.source for one in hypotheses if one.source is not None})
    asked = read_pairs(pairs, told or spoken(corpus, split), written(corpus, split))
    if len({source for source, _ in asked}) < len(asked):
        raise UserError(f"--pairs {pairs!r}: texts alone are of one target language for a source.")
    parts = parts_of(data, split, asked)
    answers = in_parts(hypotheses, parts)
    rows = [row for part in parts for row in answered(part, answers[part.pair])]
    missing = sum(row.failure == "missing" for row in rows)
    if missing:
        warnings.warn(
            f"No prediction of {missing} of {so_many(len(rows), 'recording')}: that counts as an"
            " empty one.",
            Caution,
            stacklevel=2,
        )
    return rows, {part.name: part.left_out for part in parts}


def in_parts(hypotheses: Sequence[Hypothesis], parts: Sequence[Part]) -> dict[Pair, dict[str, str]]:
    """Find the recording of each answer: texts by the recordings' ids, in each pair of languages.

    Answers in other languages than are asked about, of folders that tell them, are passed over.

    Raises:
        UserError: If one is of no recording, or of two, or there are not as many.
    """
    if not all(one.key for one in hypotheses):
        if len(parts) > 1:
            raise UserError(f"Lines are of one pair of languages: --pairs are {len(parts)}.")
        (part,) = parts
        texts = (one.text for one in hypotheses)
        return {part.pair: dict(zip(part.in_order(len(hypotheses)), texts, strict=True))}
    names = {part.pair: part.names() for part in parts}
    answers: dict[Pair, dict[str, str]] = {part.pair: {} for part in parts}
    sources = {part.pair[0] for part in parts}
    for one in hypotheses:
        if one.source is not None and one.source not in sources:
            continue
        pair = pair_of(one, names)
        name = names[pair][one.key]
        if name in answers[pair]:
            raise UserError(f"{one.where}: {one.key!r} was answered before.")
        answers[pair][name] = one.text
    return answers


def pair_of(one: Hypothesis, names: Mapping[Pair, Mapping[str, str]]) -> Pair:
    """Tell in which pair of languages an answer is.

    Raises:
        UserError: If it is of no recording, or of several languages'.
    """
    possible = [
        pair for pair, known in names.items() if one.key in known and one.source in {None, pair[0]}
    ]
    if not possible:
        raise UserError(f"{one.where}: the corpus has no recording {one.key!r}.")
    if len(possible) > 1:
        raise UserError(
            f"{one.where}: {one.key!r} is a recording in {' and '.join(s for s, _ in possible)}: "
            "give each language a folder of its own, called by its code."
        )
    return possible[0]


def answered(part: Part, answers: Mapping[str, str]) -> list[Prediction]:
    """Put answers, by id, beside what was expected."""
    from speechalign.data.prompts import PromptTemplates
    from speechalign.models.decode import Generated
    from speechalign.training.answering import SILENCE, prediction

    prompts, rows = PromptTemplates(), []
    for example in part.examples:
        text = answers.get(example.utterance.id)
        if text is None:
            rows.append(prediction(prompts, example, SILENCE, "missing"))
        else:
            rows.append(prediction(prompts, example, Generated(text, ended=True)))
    return rows


def identified(rows: Sequence[Prediction], data: str, split: str) -> Rows:
    """Give predictions that tell their own references the ids of a corpus, in its order.

    So they can be compared with those of other systems. What the corpus expects is what counts.

    Raises:
        UserError: If they are not as many as its recordings, or not in its order.
    """
    told = {pair: [row for row in rows if row.pair == pair] for pair in by_pair(rows)}
    found, left_out = [], {}
    for part in parts_of(data, split, list(told)):
        mine = told[part.pair]
        own = dict(zip(part.in_order(len(mine)), mine, strict=True))
        expected = answered(part, {name: row.prediction for name, row in own.items()})
        alike = sum(same(own[row.id].reference, row.reference) for row in expected)
        if 2 * alike < len(expected):
            raise UserError(
                f"{alike} of {so_many(len(expected), 'reference')} of {part.name} are those of"
                f" {data}: the predictions are of other recordings, or in another order."
            )
        found += [
            row._replace(transcript=own[row.id].transcript, failure=own[row.id].failure)
            for row in expected
        ]
        left_out[part.name] = part.left_out
    return found, left_out


def same(one: str, other: str) -> bool:
    """Whether two texts have the same letters and digits, whatever their case."""
    letters = ("".join(filter(str.isalnum, clean(text).casefold())) for text in (one, other))
    return len(set(letters)) == 1
