"""Single sentences worth a look: the worst of a run, and those that changed most between two."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from speechalign.evaluation.counted import Counted
from speechalign.evaluation.normalize import clean
from speechalign.evaluation.predictions import Prediction
from speechalign.evaluation.presets import Convention, metric_of

ALL_BUT_PERFECT = 100 - 1e-6  # sums of floats may miss 100


class Looked(NamedTuple):
    """One recording with its score in one or two runs; higher is better."""

    row: Prediction
    score: float
    kinds: tuple[str, ...]  # of failure
    other: str | None = None  # what the other run answered
    change: float | None = None  # of the score, from the other run to this


def sentence_scores(part: Counted, convention: Convention) -> np.ndarray:
    """Score each answer by itself: chrF++, or 100 minus the character error rate; higher is better.

    BLEU is not made for single sentences.
    """
    name = "chrf" if "chrf" in part.counts else "cer"
    metric = metric_of(name, part.pair, convention)
    scores = metric.score(part.counts[name])
    return scores if metric.higher_is_better else 100 - scores


def is_perfect(row: Prediction, score: float) -> bool:
    """Whether an answer cannot be better; nothing, where nothing is said, has no score."""
    return score > ALL_BUT_PERFECT or clean(row.prediction) == clean(row.reference)


def worst(parts: Sequence[Counted], convention: Convention, count: int = 12) -> list[Looked]:
    """Give the worst answers of a run, each sentence once and no pair more than its share.

    Perfect ones are none of them, so that there may be fewer.
    """
    share = max(2, -(-count // max(1, len(parts))))
    found = []
    for part in parts:
        scores = sentence_scores(part, convention)
        kinds = {failure.row: failure.kinds for failure in part.failures}
        seen: set[str] = set()
        for at in np.argsort(scores, kind="stable").tolist():
            row = part.rows[at]
            if len(seen) == share:
                break
            if row.sentence_id in seen or is_perfect(row, float(scores[at])):
                continue
            seen.add(row.sentence_id)
            found.append(Looked(row, float(scores[at]), kinds.get(at, ())))
    return sorted(found, key=lambda one: one.score)[:count]


def most_changed(
    system: Sequence[Counted], base: Sequence[Counted], convention: Convention, count: int = 6
) -> list[Looked]:
    """Give the answers that gained most and those that lost most, from a baseline to a system."""
    found = []
    for part in system:
        before = next((one for one in base if one.pair == part.pair), None)
        if before is None:
            continue
        scores = sentence_scores(part, convention)
        known = dict(
            zip(
                (row.id for row in before.rows),
                zip(before.rows, sentence_scores(before, convention), strict=True),
                strict=True,
            )
        )
        kinds = {failure.row: failure.kinds for failure in part.failures}
        for at, row in enumerate(part.rows):
            if row.id in known:
                other, score = known[row.id]
                change = float(scores[at] - score)
                told = (row, float(scores[at]), kinds.get(at, ()), other.prediction, change)
                found.append(Looked(*told))
    found.sort(key=lambda one: (one.change or 0, one.row.id))
    gained = [one for one in found[::-1][:count] if (one.change or 0) > 0]
    lost = [one for one in found[:count] if (one.change or 0) < 0]
    return gained + lost
