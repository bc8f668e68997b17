"""How sure a score and a difference are: bootstrap and randomisation over sentences.

Recordings of one sentence, and a sentence in several languages, succeed or fail together. So what
is drawn again and again, with replacement, are sentences with all that belongs to them (Koehn 2004
draws segments, which is the same where each has one recording and one language), and with several
runs of a system also the runs, paired by their seeds.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from speechalign.errors import UserError
from speechalign.evaluation.counted import Counted, count_pair
from speechalign.evaluation.metrics import Counts, Metric
from speechalign.evaluation.predictions import Pair, Prediction, by_pair
from speechalign.evaluation.presets import Convention, metric_of

DRAWS = 1000
LEVEL = (0.025, 0.975)  # of an interval
AT_ONCE = 1 << 24  # weights in memory


class Interval(NamedTuple):
    """A score or a difference, and between what it lies with 95 % confidence."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        """Write a difference as in a table."""
        return f"{self.value:+.1f} [{self.low:+.1f}, {self.high:+.1f}]"


class Difference(NamedTuple):
    """By how much a system is above a baseline, and how likely that is without a reason."""

    interval: Interval
    p_bootstrap: float  # two-sided: how often resampled differences are beyond 0, twice
    p_randomization: float  # two-sided: how often one as large comes of exchanged answers

    def __str__(self) -> str:
        """Write it as in a table."""
        return str(self.interval)


class Tally(NamedTuple):
    """One run by one metric: counts of P pairs of languages and S sentences."""

    metric: Metric
    pairs: list[Pair]
    sentences: list[str]
    counts: Counts  # P x S x width
    asked: frozenset[tuple[str, ...]]  # recordings with their languages and references

    def scores(self, weights: Counts) -> Counts:
        """Average the scores of the pairs, with sentences counted so often: a score a draw."""
        return np.mean([self.metric.score(weights @ part) for part in self.counts], axis=0)


def tally(
    parts: Sequence[Counted], name: str, convention: Convention, strict: bool = False
) -> Tally:
    """Add up what was counted, by pair and sentence.

    Args:
        parts: Counted pairs of languages, at least one.
        name: Of the metric.
        convention: That they were counted by.
        strict: Take failed answers for empty ones.

    Raises:
        UserError: If the pairs have no such metric, or count by different tokenizers.
    """
    if not parts or any(name not in part.counts for part in parts):
        raise UserError(f"Not all of what is compared has the metric {name}.")
    metrics = [metric_of(name, part.pair, convention) for part in parts]
    signatures = sorted({metric.signature for metric in metrics})
    if len(signatures) > 1:
        raise UserError(
            f"Scores with different signatures have no common average ({' and '.join(signatures)})."
        )
    sentences = sorted({sentence for part in parts for sentence in part.sentences})
    place = {sentence: number for number, sentence in enumerate(sentences)}
    counts = np.zeros((len(parts), len(sentences), metrics[0].width))
    for at, part in enumerate(parts):
        where = [place[sentence] for sentence in part.sentences]
        np.add.at(counts[at], where, (part.strict if strict else part.counts)[name])
    asked = frozenset((row.id, *row.pair, row.reference) for part in parts for row in part.rows)
    return Tally(metrics[0], [part.pair for part in parts], sentences, counts, asked)


def tally_of(
    predictions: Sequence[Prediction],
    sources: Sequence[str],
    name: str = "bleu",
    convention: Convention | None = None,
) -> Tally:
    """Count the answers of a run from some languages, each weighing the same.

    Raises:
        UserError: If one of them was not answered in, or they have no common metric of that name.
    """
    chosen = convention or Convention()
    parts = by_pair(row for row in predictions if row.src_lang in sources)
    missing = sorted(set(sources) - {source for source, _ in parts})
    if missing or not parts:
        raise UserError(f"There are no predictions from {', '.join(missing) or 'any language'}.")
    return tally([count_pair(pair, rows, chosen) for pair, rows in parts.items()], name, chosen)


def blocks(sentences: int, draws: int, seed: int) -> Iterator[Counts]:
    """Draw sentences again and again: the times of each, so many rows at once as memory takes."""
    draw = np.random.default_rng(seed)
    step = max(1, AT_ONCE // sentences)
    even = np.full(sentences, 1 / sentences)
    for start in range(0, draws, step):
        yield draw.multinomial(sentences, even, size=min(step, draws - start)).astype(float)


def bootstrap(one: Tally, draws: int = DRAWS, seed: int = 0) -> Counts:
    """Score a run on so many draws of its sentences."""
    return np.concatenate([one.scores(w) for w in blocks(len(one.sentences), draws, seed)])


def measured(one: Tally) -> float:
    """The score on the sentences as they are."""
    return float(one.scores(np.ones((1, len(one.sentences))))[0])


def interval(value: float, drawn: Counts) -> Interval:
    """Take the middle 95 % of what was drawn."""
    low, high = np.quantile(drawn, LEVEL)
    return Interval(value, float(low), float(high))


def compare(
    system: Sequence[Tally], baseline: Sequence[Tally], draws: int = DRAWS, seed: int = 0
) -> Difference:
    """Tell by how much a system is above a baseline, over runs that are paired by place.

    Args:
        system: Its runs, one a seed.
        baseline: Those of the baseline, with the same seeds in the same order.
        draws: How often sentences and runs are drawn again, and answers exchanged.
        seed: Of the draws.

    Raises:
        UserError: If the runs are not as many, or did not answer the same recordings, or if
            nothing is drawn.
    """
    check_comparable(system, baseline, draws)
    sentences, runs = len(system[0].sentences), len(system)
    pairs = list(zip(system, baseline, strict=True))
    value = float(np.mean([measured(one) - measured(other) for one, other in pairs]))
    drawn = [
        np.stack([one.scores(weights) - other.scores(weights) for one, other in pairs], axis=1)
        for weights in blocks(sentences, draws, seed)
    ]
    draw = np.random.default_rng([seed, 1])
    times = draw.multinomial(runs, np.full(runs, 1 / runs), size=draws)
    differences = (np.concatenate(drawn) * times).sum(axis=1) / runs
    beyond = 1 + min(np.sum(differences <= 0), np.sum(differences >= 0))
    exchanged = exchange(pairs, draws, np.random.default_rng([seed, 2]))
    as_large = np.sum(np.abs(exchanged) >= abs(value) - 1e-9)
    return Difference(
        interval(value, differences),
        min(1.0, 2 * float(beyond) / (draws + 1)),
        float((1 + as_large) / (draws + 1)),
    )


def exchange(pairs: Sequence[tuple[Tally, Tally]], draws: int, draw: np.random.Generator) -> Counts:
    """Exchange the two systems' answers to a random half of the sentences (Riezler & Maxwell 2005).

    Returns:
        Differences, one a draw.
    """
    sentences = len(pairs[0][0].sentences)
    step = max(1, AT_ONCE // sentences)
    found = []
    for start in range(0, draws, step):
        kept = draw.integers(0, 2, size=(min(step, draws - start), sentences)).astype(float)
        each = []
        for one, other in pairs:
            both = one._replace(counts=np.concatenate([one.counts, other.counts], axis=1))
            swapped = np.concatenate([kept, 1 - kept], axis=1)
            each.append(both.scores(swapped) - both.scores(1 - swapped))
        found.append(np.mean(each, axis=0))
    return np.concatenate(found)


def check_comparable(system: Sequence[Tally], baseline: Sequence[Tally], draws: int) -> None:
    """Refuse what a comparison would make a wrong number of.

    Raises:
        UserError: If runs are not paired, or did not answer the same, or nothing is drawn.
    """
    if draws < 1:
        raise UserError(f"draws is {draws}: give 1 or more.")
    if len(system) != len(baseline) or not system:
        raise UserError(
            f"There are {len(system)} runs against {len(baseline)}: compare equally many, paired "
            "by their seeds."
        )
    if any(run.asked != system[0].asked for run in [*system, *baseline]):
        raise UserError("The runs answered different recordings: compare runs on the same data.")


def holm(p_values: Sequence[float]) -> list[float]:
    """Correct p-values of several tests (Holm 1979): the chance that any of them errs is held."""
    order = np.argsort(p_values, kind="stable")
    corrected, least = [0.0] * len(p_values), 0.0
    for rank, place in enumerate(order.tolist()):
        least = max(least, min(1.0, (len(p_values) - rank) * p_values[place]))
        corrected[place] = least
    return corrected
