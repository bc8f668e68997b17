"""How sure a difference in BLEU is: paired bootstrap over sentences and training runs.

Recordings of one sentence, and a sentence in several languages, succeed or fail together. So what
is drawn again and again, with replacement, are sentences with all that belongs to them (Koehn 2004
draws segments, which is the same where each has one recording and one language), and with several
runs of a system also the runs, paired by their seeds.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from sacrebleu.metrics.bleu import BLEU

from speechalign.errors import UserError
from speechalign.evaluation.predictions import Prediction
from speechalign.languages import language

ORDER = 4  # longest n-gram of BLEU
Counts = NDArray[np.float64]


class Interval(NamedTuple):
    """A difference, and between what it lies with 95 % confidence."""

    value: float
    low: float
    high: float
    p: float  # two-sided: how often resampled differences are on the other side of 0, twice

    def __str__(self) -> str:
        """Write it as in a table."""
        return f"{self.value:+.1f} [{self.low:+.1f}, {self.high:+.1f}]"


class Run:
    """What the sentences of one run add to the BLEU of each language pair.

    Args:
        predictions: All answers of the run.
        sources: Languages to average over, each weighing the same.

    Raises:
        UserError: If one of them was not answered in, or their BLEU has no common tokenizer.
    """

    def __init__(self, predictions: Sequence[Prediction], sources: Sequence[str]) -> None:
        rows = [row for row in predictions if row.src_lang in sources]
        missing = sorted(set(sources) - {row.src_lang for row in rows})
        if missing or not rows:
            raise UserError(
                f"There are no predictions from {', '.join(missing) or 'any language'}."
            )
        tokenizers = sorted({language(row.tgt_lang).bleu_tokenizer for row in rows})
        if len(tokenizers) > 1:
            raise UserError(
                f"BLEU by different tokenizers ({' and '.join(tokenizers)}) has no common average: "
                "compare languages that are written alike."
            )
        self.sentences = sorted({row.sentence_id for row in rows})
        self.pairs = sorted({(row.src_lang, row.tgt_lang) for row in rows})
        self.references = sorted(
            (row.id, row.src_lang, row.tgt_lang, row.reference) for row in rows
        )
        place = {sentence: number for number, sentence in enumerate(self.sentences)}
        number = {pair: at for at, pair in enumerate(self.pairs)}
        self.counts = np.zeros((len(self.pairs), len(self.sentences), 2 * ORDER + 2))
        metric = BLEU(tokenize=tokenizers[0])
        for row in rows:
            at = number[row.src_lang, row.tgt_lang], place[row.sentence_id]
            self.counts[at] += segment_counts(metric, row.prediction, row.reference)

    def bleu(self, weights: Counts) -> Counts:
        """Average BLEU over the language pairs, with sentences counted so often.

        Args:
            weights: Times of each sentence, one row a draw.
        """
        return np.mean([corpus_bleu(weights @ counts) for counts in self.counts], axis=0)


def segment_counts(metric: BLEU, hypothesis: str, reference: str) -> Counts:
    """Matches and totals of each n-gram order, and the lengths, of one segment."""
    score = metric.corpus_score([hypothesis], [[reference]])
    return np.array([*score.counts, *score.totals, score.sys_len, score.ref_len], dtype=float)


def corpus_bleu(counts: Counts) -> Counts:
    """BLEU of summed counts, one a row: exponential smoothing and brevity penalty as sacrebleu."""
    matches, totals = counts[:, :ORDER], counts[:, ORDER : 2 * ORDER]
    lengths, references = counts[:, -2], counts[:, -1]
    zeros = (matches == 0).cumsum(axis=1)  # the k-th order without a match counts 1 / 2^k matches
    smoothed = np.where(matches == 0, 0.5**zeros, matches)
    scored = np.logical_and((totals > 0).all(axis=1), (matches > 0).any(axis=1))
    precisions = np.where(scored.reshape(-1, 1), smoothed / np.where(totals > 0, totals, 1), 1)
    penalty = np.minimum(0, 1 - references / np.where(lengths > 0, lengths, 1))
    return 100 * np.where(scored, np.exp(np.log(precisions).mean(axis=1) + penalty), 0)


def compare_runs(
    system: Sequence[Run], baseline: Sequence[Run], draws: int = 2000, seed: int = 0
) -> Interval:
    """Tell by how much a system is better than a baseline, over runs that are paired by place.

    Args:
        system: Its runs, one a seed.
        baseline: Those of the baseline, with the same seeds in the same order.
        draws: How often sentences and runs are drawn again.
        seed: Of the draws.

    Raises:
        UserError: If the runs are not as many, or did not answer the same recordings, or if
            nothing is drawn.
    """
    if draws < 1:
        raise UserError(f"draws is {draws}: give 1 or more.")
    if len(system) != len(baseline) or not system:
        raise UserError(
            f"There are {len(system)} runs against {len(baseline)}: compare equally many, paired "
            "by their seeds."
        )
    first = system[0]
    if any(run.references != first.references for run in [*system, *baseline]):
        raise UserError("The runs answered different recordings: compare runs on the same data.")
    draw = np.random.default_rng(seed)
    count, runs = len(first.sentences), len(system)
    weights = draw.multinomial(count, np.full(count, 1 / count), size=draws + 1).astype(float)
    weights[0] = 1  # the first is what was measured
    pairs = zip(system, baseline, strict=True)
    each = np.stack([one.bleu(weights) - other.bleu(weights) for one, other in pairs], axis=1)
    times = draw.multinomial(runs, np.full(runs, 1 / runs), size=draws + 1)
    times[0] = 1
    differences = (each * times).sum(axis=1) / runs
    low, high = np.quantile(differences[1:], [0.025, 0.975])
    beyond = 1 + min(np.sum(differences[1:] <= 0), np.sum(differences[1:] >= 0))
    p = min(1.0, 2 * float(beyond) / (draws + 1))
    return Interval(float(differences[0]), float(low), float(high), p)
