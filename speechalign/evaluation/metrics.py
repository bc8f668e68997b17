"""Metrics as sums: what a segment counts, and the score of summed counts.

Every corpus metric here is a function of counts that add up over segments. So they are counted
once a segment, and any part of a corpus and any draw of a bootstrap is a product of matrices.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from importlib.metadata import version

import jiwer
import numpy as np
from numpy.typing import NDArray
from sacrebleu.metrics.base import Metric as SacrebleuMetric
from sacrebleu.metrics.bleu import BLEU
from sacrebleu.metrics.chrf import CHRF

from speechalign.errors import UserError
from speechalign.evaluation.normalize import Normalizer

Counts = NDArray[np.float64]
ORDER = 4  # longest n-gram of BLEU
BETA = 2  # of chrF: recall counts so much more than precision


class CorpusScore(ABC):
    """The score of a corpus as a function of counts that add up over its segments.

    Attributes:
        name: Short and lower case, as in files.
        higher_is_better: Which way is up.
        width: Counts of a segment.
    """

    name: str
    higher_is_better = True
    width: int

    @property
    @abstractmethod
    def signature(self) -> str:
        """What it takes to reproduce a score."""

    @abstractmethod
    def score(self, counts: Counts) -> Counts:
        """Score summed counts, `[..., width]`, on 0-100 (error rates may be higher)."""


class Metric(CorpusScore):
    """One metric with all its settings, which counts texts itself."""

    @abstractmethod
    def count(self, hypotheses: Sequence[str], references: Sequence[str]) -> Counts:
        """Count each of N segments: N rows of `width` counts."""

    def of(self, hypotheses: Sequence[str], references: Sequence[str]) -> float:
        """Score a corpus.

        Args:
            hypotheses: One answer a segment.
            references: One reference a segment, in the same order.

        Raises:
            UserError: If the lists differ in length, are empty or hold anything but text.
        """
        check_texts(hypotheses, references)
        return float(self.score(self.count(hypotheses, references).sum(axis=0)))


class _Sacrebleu(Metric):
    """Counts segments as sacrebleu does."""

    def __init__(self, metric: SacrebleuMetric) -> None:
        self._metric = metric
        self._metric.num_refs = 1  # of the signature  # pyright: ignore[reportAttributeAccessIssue]

    @property
    def signature(self) -> str:
        """What sacrebleu prints."""
        return str(self._metric.get_signature())

    def count(self, hypotheses: Sequence[str], references: Sequence[str]) -> Counts:
        """Count segments; n-grams of a reference that comes again are not counted anew."""
        metric, known = self._metric, {}
        counts = np.zeros((len(hypotheses), self.width))
        for row, (hypothesis, reference) in enumerate(zip(hypotheses, references, strict=True)):
            if reference not in known:
                prepared = metric._preprocess_segment(reference)
                known[reference] = metric._extract_reference_info([prepared])
            prepared = metric._preprocess_segment(hypothesis)
            counts[row] = metric._compute_segment_statistics(prepared, known[reference])
        return counts


class Bleu(_Sacrebleu):
    """Corpus BLEU (Papineni et al. 2002; Post 2018) by sacrebleu.

    Args:
        tokenizer: One of sacrebleu's.
        lowercase: Score without case.
        name: In files.
    """

    width = 2 + 2 * ORDER

    def __init__(self, tokenizer: str, lowercase: bool = False, name: str = "bleu") -> None:
        self.name = name
        super().__init__(BLEU(tokenize=tokenizer, lowercase=lowercase, force=True))

    def score(self, counts: Counts) -> Counts:
        """Score summed counts: exponential smoothing and brevity penalty as sacrebleu."""
        lengths, references = counts[..., 0], counts[..., 1]
        matches, totals = counts[..., 2 : 2 + ORDER], counts[..., 2 + ORDER :]
        zeros = (matches == 0).cumsum(axis=-1)  # the k-th order without a match counts 1 / 2^k
        smoothed = np.where(matches == 0, 0.5**zeros, matches)
        scored = np.logical_and((totals > 0).all(axis=-1), (matches > 0).any(axis=-1))
        known = scored[..., None]
        precisions = np.where(known, smoothed / np.where(totals > 0, totals, 1), 1)
        penalty = np.minimum(0, 1 - references / np.where(lengths > 0, lengths, 1))
        return 100 * np.where(scored, np.exp(np.log(precisions).mean(axis=-1) + penalty), 0)


class Chrf(_Sacrebleu):
    """chrF++ (Popović 2017) by sacrebleu: characters up to 6, words up to 2, no tokenizer."""

    name = "chrf"
    width = 3 * (6 + 2)

    def __init__(self) -> None:
        super().__init__(CHRF(word_order=2))

    def score(self, counts: Counts) -> Counts:
        """Score summed counts: F2 of the precision and recall averaged over the orders."""
        said, expected, matched = counts[..., 0::3], counts[..., 1::3], counts[..., 2::3]
        both = np.logical_and(said > 0, expected > 0)
        orders = np.maximum(both.sum(axis=-1), 1)
        precision = np.where(both, matched / np.maximum(said, 1e-9), 0).sum(axis=-1) / orders
        recall = np.where(both, matched / np.maximum(expected, 1e-9), 0).sum(axis=-1) / orders
        weighted = BETA**2 * precision + recall
        top = (1 + BETA**2) * precision * recall
        return 100 * np.where(weighted > 0, top / np.where(weighted > 0, weighted, 1), 0)


class ErrorRate(Metric):
    """Word or character error rate by jiwer, in percent, of normalised text.

    Substitutions, deletions and insertions over the units of the references. An empty reference
    adds what is said to the errors and nothing to the units.

    Args:
        characters: Whether characters are counted (CER) in place of words (WER).
        normalizer: What is done to both texts before.
    """

    higher_is_better = False
    width = 2

    def __init__(self, characters: bool, normalizer: Normalizer) -> None:
        self._characters, self._normalizer = characters, normalizer
        self.name = "cer" if characters else "wer"

    @property
    def signature(self) -> str:
        """Unit, normaliser and version."""
        unit = "character" if self._characters else "word"
        return f"unit:{unit}|norm:{self._normalizer.name}|jiwer:{version('jiwer')}"

    def count(self, hypotheses: Sequence[str], references: Sequence[str]) -> Counts:
        """Count errors and reference units of each segment."""
        said, expected = (
            [self._normalizer(text).strip() for text in texts] for texts in (hypotheses, references)
        )
        units = [self._units(text) for text in expected]
        counts = np.array([[0, len(unit)] for unit in units], dtype=float).reshape(-1, 2)
        written = [row for row, unit in enumerate(units) if unit]
        for row, unit in enumerate(units):
            if not unit:  # jiwer refuses an empty reference
                counts[row, 0] = len(self._units(said[row]))
        if written:
            compare = jiwer.process_characters if self._characters else jiwer.process_words
            found = compare([expected[row] for row in written], [said[row] for row in written])
            for row, chunks in zip(written, found.alignments, strict=True):
                counts[row, 0] = sum(
                    max(c.ref_end_idx - c.ref_start_idx, c.hyp_end_idx - c.hyp_start_idx)
                    for c in chunks
                    if c.type != "equal"
                )
        return counts

    def _units(self, text: str) -> Sequence[str]:
        return text if self._characters else text.split()

    def score(self, counts: Counts) -> Counts:
        """Score summed counts; without any reference it is 0 where nothing was said, else 100."""
        errors, units = counts[..., 0], counts[..., 1]
        empty = np.where(errors > 0, 100.0, 0.0)
        return np.where(units > 0, 100 * errors / np.where(units > 0, units, 1), empty)


class SegmentMean(CorpusScore):
    """The mean of what another program gave each segment, as COMET does; counts are sum and number.

    Args:
        name: In files.
        signature: Of the program.
    """

    width = 2

    def __init__(self, name: str, signature: str) -> None:
        self.name, self._signature = name, signature

    @property
    def signature(self) -> str:
        """What the program tells of itself."""
        return self._signature

    def score(self, counts: Counts) -> Counts:
        """Divide summed scores by their number."""
        return counts[..., 0] / np.maximum(counts[..., 1], 1)


def check_texts(hypotheses: Sequence[str], references: Sequence[str]) -> None:
    """Refuse what sacrebleu would score without a word: it zips lists of different lengths.

    Raises:
        UserError: If the lists do not belong together.
    """
    if isinstance(hypotheses, str) or isinstance(references, str):
        raise UserError("A single text was given: give a list of hypotheses and one of references.")
    if len(hypotheses) != len(references):
        raise UserError(
            f"There are {len(hypotheses)} hypotheses for {len(references)} references: "
            "give one reference for each."
        )
    if not hypotheses:
        raise UserError("There is nothing to score: give at least one hypothesis and reference.")
    for kind, texts in (("Hypothesis", hypotheses), ("Reference", references)):
        for place, text in enumerate(texts):
            if not isinstance(text, str):
                raise UserError(f"{kind} {place} is {text!r}, not text: give '' for an empty one.")
