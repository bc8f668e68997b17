"""Predictions of any system, joined with what was asked."""

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from speechalign.commands.asked import corpus_at, read_pairs, sheets, spoken, written
from speechalign.commands.evaluation_folder import WORK
from speechalign.commands.finished import maker_of
from speechalign.errors import Caution, UserError
from speechalign.evaluation.formats import (
    Hypothesis,
    is_complete,
    read_complete,
    read_hypotheses,
    with_references,
)
from speechalign.evaluation.predictions import (
    PREDICTIONS,
    Pair,
    Prediction,
    check_unique,
    read_lines,
)
from speechalign.plurals import so_many

if TYPE_CHECKING:  # it loads torch, for which no --help waits
    from speechalign.data.records import Utterance


class Joined(NamedTuple):
    """Predictions beside what was expected."""

    rows: list[Prediction]
    left_out: dict[str, int]  # by pair of languages: recordings without a reference, where told
    maker: dict[str, Any] | None = None  # `name`, `system` and `data` of the run that made them


def predictions_at(
    place: str, references: str | None, data: str | None, split: str, pairs: str | None
) -> Joined:
    """Read a system's predictions, and from a file of references or a corpus what they lack.

    Args:
        place: A file, a folder of files of answers, or the folder of a run of ours.
        references: A file of them.
        data: The corpus.
        split: Of it.
        pairs: Of languages, as the user wrote them.

    Raises:
        UserError: If they cannot be read, or what was expected cannot be told.
    """
    file = file_at(place)
    if references is not None and not Path(references).is_file():
        raise UserError(f"There is no file of references at {references}: check --references.")
    if file.is_file() and is_complete(file):
        if references or data:
            raise UserError(f"{place} tells its own references: leave out --references and --data.")
        rows = read_complete(file)
        check_unique(rows, place)
        chosen, maker = rows if pairs is None else of_pairs(rows, pairs), maker_of(file)
        left_out = (maker or {"system": {}})["system"].get("left_out", {})
        kept = {"-".join(row.pair) for row in chosen}
        return Joined(chosen, {p: n for p, n in left_out.items() if p in kept}, maker)
    if references and data:
        raise UserError("Give --references or --data, not both: each tells what was expected.")
    hypotheses = read_hypotheses(file)
    if references is not None:
        (pair,) = one_pair(pairs, [], [])
        return Joined(with_references(hypotheses, read_lines(Path(references)), pair), {})
    if data is None:
        raise UserError(f"{place} is text alone: say what was asked by --references, or by --data.")
    return with_corpus(hypotheses, data, split, pairs)


def file_at(place: str) -> Path:
    """Find the predictions: a file, a folder of files of answers, or the file of a run of ours.

    Raises:
        UserError: If there are none, or the run was stopped.
    """
    file = Path(place)
    if not file.exists():
        raise UserError(f"There are no predictions at {place}: check --predictions.")
    if (file / PREDICTIONS).is_file():
        file /= PREDICTIONS
    if (file / WORK).is_dir():
        raise UserError(
            f"{place} is a run of `evaluate` that was stopped: run it to its end first."
        )
    return file


def of_pairs(rows: Sequence[Prediction], pairs: str) -> list[Prediction]:
    """Choose the predictions of some pairs of languages.

    Raises:
        UserError: If there are none.
    """
    sources, targets = (sorted({row.pair[side] for row in rows}) for side in (0, 1))
    wanted = set(read_pairs(pairs, sources, targets))
    chosen = [row for row in rows if row.pair in wanted]
    if not chosen:
        raise UserError(f"There are no predictions of --pairs {pairs!r}.")
    return chosen


def one_pair(pairs: str | None, sources: Sequence[str], targets: Sequence[str]) -> list[Pair]:
    """Read the one pair of languages that texts alone are of.

    Raises:
        UserError: If it is not told, or there are several.
    """
    if pairs is None:
        raise UserError("Say from which language into which by --pairs, as --pairs 'deu->eng'.")
    found = read_pairs(pairs, sources, targets)
    if len(found) != 1:
        raise UserError(
            f"--pairs {pairs!r} are {len(found)} pairs of languages: texts alone are of one."
        )
    return found


def with_corpus(
    hypotheses: Sequence[Hypothesis], data: str, split: str, pairs: str | None
) -> Joined:
    """Join texts with a corpus: by ids, by the names of audio files, or in its order.

    A recording without an answer counts as answered by nothing, and is told. One without a
    reference is left out, answered or not.

    Raises:
        UserError: If an answer is of no recording, or of two, or there are not as many.
    """
    from speechalign.data.prompts import PromptTemplates
    from speechalign.models.decode import Generated
    from speechalign.training.answering import SILENCE, prediction

    corpus = corpus_at(data, split).with_missing()
    prompts = PromptTemplates()
    asked = one_pair(pairs, spoken(corpus, split), written(corpus, split))
    (sheet,) = sheets(corpus, split, asked, "st", prompts, float("inf"))
    examples = [example for example, *_ in sheet.items]
    expected = {example.utterance.id for example in examples}
    recordings = corpus.utterances(sheet.pair[0], split)
    answers = matched(hypotheses, recordings, expected, "-".join(sheet.pair))
    rows = []
    for example in examples:
        text = answers.get(example.utterance.id)
        if text is None:
            rows.append(prediction(prompts, example, SILENCE, "missing"))
        else:
            rows.append(prediction(prompts, example, Generated(text, ended=True)))
    missing = sum(row.failure == "missing" for row in rows)
    if missing:
        warnings.warn(
            f"No prediction of {missing} of {so_many(len(rows), 'recording')}: that counts as an"
            " empty one.",
            Caution,
            stacklevel=2,
        )
    return Joined(rows, {"-".join(sheet.pair): sheet.left_out})


def matched(
    hypotheses: Sequence[Hypothesis],
    recordings: "Sequence[Utterance]",
    expected: set[str],
    pair: str,
) -> dict[str, str]:
    """Find the recording of each answer: texts by the recordings' ids.

    Args:
        hypotheses: The answers; those without ids are of the recordings in their order, either of
            all or of those that have a reference.
        recordings: Of the corpus, in its order.
        expected: Ids of those that have a reference.
        pair: Of languages, for messages.

    Raises:
        UserError: If one is of no recording, or of two, or there are not as many.
    """
    if not all(one.key for one in hypotheses):
        every = [recording.id for recording in recordings]
        known = [name for name in every if name in expected]
        ids = every if len(hypotheses) == len(every) else known
        if len(hypotheses) != len(ids):
            more = f", or {len(every)} with those without a reference"
            raise UserError(
                f"Expected {so_many(len(known), 'prediction')} of {pair}, one a recording"
                f"{more if len(every) > len(known) else ''}; there are {len(hypotheses)}: give one"
                " line for each, or ids."
            )
        return dict(zip(ids, (one.text for one in hypotheses), strict=True))
    names = {recording.id: recording.id for recording in recordings}
    stems: dict[str, list[str]] = {}
    for recording in recordings:
        stems.setdefault(Path(recording.place).stem, []).append(recording.id)
    names |= {stem: found[0] for stem, found in stems.items() if len(found) == 1}
    answers: dict[str, str] = {}
    for one in hypotheses:
        name = names.get(one.key)
        if name is None:
            raise UserError(f"{one.where}: the corpus has no recording {one.key!r}.")
        if name in answers:
            raise UserError(f"{one.where}: {one.key!r} was answered before.")
        answers[name] = one.text
    return answers
