"""How sure a score and a difference are: bootstrap and randomisation over sentences.

Recordings of one sentence, and a sentence in several languages, succeed or fail together. So what
is drawn again and again, with replacement, are sentences with all that belongs to them (Koehn 2004
draws segments, which is the same where each has one recording and one language). Several runs of a
system, paired by their seeds, are few: the error of their mean is that of Student's t.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from scipy.special import ndtr, stdtrit

from speechalign.errors import UserError
from speechalign.evaluation.counted import Counted, count
from speechalign.evaluation.metrics import CorpusScore, Counts
from speechalign.evaluation.predictions import Pair, Prediction
from speechalign.evaluation.presets import Convention
from speechalign.plurals import so_many

DRAWS = 1000
OUTSIDE = 0.05  # share of what is drawn that lies outside of an interval, before it is widened
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
    # two-sided: how often one as large comes of exchanged answers; None with several runs, among
    # which exchanged answers tell nothing of how runs differ
    p_randomization: float | None
    scores: tuple[float, ...]  # of the system's runs
    baseline: tuple[float, ...]  # of the baseline's

    @property
    def p(self) -> float:
        """The p-value to go by."""
        return self.p_bootstrap if self.p_randomization is None else self.p_randomization

    def __str__(self) -> str:
        """Write it as in a table."""
        return str(self.interval)


class Tally(NamedTuple):
    """One run by one metric: counts of P pairs of languages and S sentences."""

    metric: CorpusScore
    pairs: list[Pair]
    sentences: list[str]
    counts: Counts  # P x S x width
    asked: dict[tuple[str, ...], str]  # the sentence of each recording, by what was asked

    def scores(self, weights: Counts) -> Counts:
        """Average over source languages, each weighing the same: a score a draw.

        Args:
            weights: How often each sentence counts, a row a draw.
        """
        sources = [source for source, _ in self.pairs]
        share = [1 / sources.count(source) for source in sources]
        each = [self.metric.score(weights @ part) for part in self.counts]
        return np.average(each, axis=0, weights=share)


def tally(parts: Sequence[Counted], name: str, strict: bool = False) -> Tally:
    """Add up what was counted, by pair and sentence.

    Args:
        parts: Counted pairs of languages, at least one.
        name: Of the metric.
        strict: Take failed answers for empty ones.

    Raises:
        UserError: If the pairs have no such metric, or count by different tokenizers.
    """
    if not parts or any(name not in part.counts for part in parts):
        raise UserError(f"Not all of what is compared has the metric {name}.")
    metrics = [part.metrics[name] for part in parts]
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
    asked = {row.question: row.sentence_id for part in parts for row in part.rows}
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
    rows = [row for row in predictions if row.src_lang in sources]
    missing = sorted(set(sources) - {row.src_lang for row in rows})
    if missing or not rows:
        raise UserError(f"There are no predictions from {', '.join(missing) or 'any language'}.")
    return tally(count(rows, convention), name)


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


def interval(value: float, drawn: Counts, sentences: int) -> Interval:
    """Take the middle of what was drawn, as much of it as holds the true value in 95 %.

    Of few sentences the middle 95 % are too narrow, by √((n-1)/n) and by as much as a normal
    quantile lies below Student's: 2.9 % at 60. So more is taken (the expanded percentile interval
    of Hesterberg 2015, doi:10.1080/00031305.2015.1089789).

    Args:
        value: On the sentences as they are.
        drawn: On each draw of them.
        sentences: How many are drawn from.
    """
    n = max(sentences, 2)
    tail = ndtr(np.sqrt(n / (n - 1)) * stdtrit(n - 1, OUTSIDE / 2))
    low, high = np.quantile(drawn, (tail, 1 - tail))
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
        UserError: If the runs are not as many, or did not answer the same recordings, of the same
            sentences, or if nothing is drawn.
    """
    check_comparable(system, baseline, draws)
    pairs = list(zip(system, baseline, strict=True))
    scores = [tuple(measured(run) for run in side) for side in (system, baseline)]
    each = np.subtract(scores[0], scores[1])
    value = float(each.mean())
    sentences = len(system[0].sentences)
    drawn = np.concatenate([
        np.mean([one.scores(weights) - other.scores(weights) for one, other in pairs], axis=0)
        for weights in blocks(sentences, draws, seed)
    ])
    p_randomization = None
    if len(pairs) > 1:
        spread = np.random.default_rng([seed, 1]).standard_t(len(pairs) - 1, size=draws)
        drawn = drawn + spread * each.std(ddof=1) / np.sqrt(len(pairs))
    else:
        exchanged = exchange(*pairs[0], draws, np.random.default_rng([seed, 2]))
        as_large = np.sum(np.abs(exchanged) >= abs(value) - 1e-9)
        p_randomization = float((1 + as_large) / (draws + 1))
    beyond = 1 + min(np.sum(drawn <= 0), np.sum(drawn >= 0))
    p_bootstrap = min(1.0, 2 * float(beyond) / (draws + 1))
    between = interval(value, drawn, sentences)
    return Difference(between, p_bootstrap, p_randomization, scores[0], scores[1])


def exchange(one: Tally, other: Tally, draws: int, draw: np.random.Generator) -> Counts:
    """Exchange two runs' answers to a random half of the sentences (Riezler & Maxwell 2005).

    Returns:
        Differences, one a draw.
    """
    sentences = len(one.sentences)
    step = max(1, AT_ONCE // sentences)
    both = one._replace(counts=np.concatenate([one.counts, other.counts], axis=1))
    found = []
    for start in range(0, draws, step):
        kept = draw.integers(0, 2, size=(min(step, draws - start), sentences)).astype(float)
        swapped = np.concatenate([kept, 1 - kept], axis=1)
        found.append(both.scores(swapped) - both.scores(1 - swapped))
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
            f"{so_many(len(system), 'run')} against {len(baseline)}: compare equally many, paired "
            "by their seeds."
        )
    asked = system[0].asked
    if any(run.asked.keys() != asked.keys() for run in [*system, *baseline]):
        raise UserError("The runs answered different recordings: compare runs on the same data.")
    if any(run.asked != asked for run in [*system, *baseline]):
        raise UserError(
            "The runs have different sentence_ids for the same recordings: give all of them those"
            " of one run."
        )


def holm(p_values: Sequence[float]) -> list[float]:
    """Correct p-values of several tests (Holm 1979): the chance that any of them errs is held."""
    order = np.argsort(p_values, kind="stable")
    corrected, least = [0.0] * len(p_values), 0.0
    for rank, place in enumerate(order.tolist()):
        least = max(least, min(1.0, (len(p_values) - rank) * p_values[place]))
        corrected[place] = least
    return corrected
