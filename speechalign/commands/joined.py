"""Predictions of any system, joined with what was asked."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from speechalign.commands.asked import read_pairs
from speechalign.commands.beside_corpus import identified, with_corpus
from speechalign.commands.evaluation_folder import WORK
from speechalign.commands.finished import maker_of
from speechalign.errors import UserError
from speechalign.evaluation.formats import (
    is_complete,
    names_recordings,
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


class Place(NamedTuple):
    """Where predictions are, and what tells what was expected: see `predictions_at`."""

    predictions: str
    references: str | None
    data: str | None
    split: str
    pairs: str | None


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
        if references or (data and names_recordings(file)):
            raise UserError(f"{place} tells its own references: leave out --references and --data.")
        rows = read_complete(file)
        check_unique(rows, place)
        chosen, maker = rows if pairs is None else of_pairs(rows, pairs), maker_of(file)
        if data:
            return Joined(*identified(chosen, data, split))
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
    return Joined(*with_corpus(hypotheses, data, split, pairs))


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
