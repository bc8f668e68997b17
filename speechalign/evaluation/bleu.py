"""Corpus BLEU and chrF++ by sacrebleu, each number with the signature that makes it comparable."""

from collections.abc import Sequence
from typing import NamedTuple

from sacrebleu.metrics.bleu import BLEU
from sacrebleu.metrics.chrf import CHRF

from speechalign.errors import UserError
from speechalign.languages import language


class Score(NamedTuple):
    """A score and what it takes to reproduce it."""

    value: float  # 0 to 100
    signature: str  # sacrebleu's: tokenizer, case, smoothing, version
    # Segments. The name hides tuple.count, which nobody needs of a score.
    count: int  # pyright: ignore[reportIncompatibleMethodOverride]


def bleu(hypotheses: Sequence[str], references: Sequence[str], target: str) -> Score:
    """Score detokenised text with corpus BLEU (Papineni et al. 2002; Post 2018), cased.

    The tokenizer is that of the target language: `zh` for Mandarin and Cantonese, `ja-mecab`,
    `ko-mecab`, `char` for Thai, Khmer, Lao and Burmese, `13a` for all else. An empty hypothesis
    counts as a sentence without words.

    Args:
        hypotheses: One answer a segment.
        references: One reference a segment, in the same order.
        target: Any code of the language both are in.

    Raises:
        UserError: If the lists differ in length, are empty or hold anything but text, if the
            language is unknown, or if the tokenizer's package is not installed.
    """
    _check(hypotheses, references)
    tokenizer = language(target).bleu_tokenizer
    try:
        metric = BLEU(tokenize=tokenizer)
    except (ImportError, RuntimeError) as error:
        raise UserError(
            f"BLEU in {language(target).name} needs the tokenizer {tokenizer!r}, which is not "
            "installed: run `pip install 'sacrebleu[ja,ko]'`."
        ) from error
    value = metric.corpus_score(list(hypotheses), [list(references)]).score
    return Score(value, str(metric.get_signature()), len(hypotheses))


def chrf(hypotheses: Sequence[str], references: Sequence[str]) -> Score:
    """Score text with chrF++ (Popović 2017): characters up to 6, words up to 2, no tokenizer.

    Args:
        hypotheses: One answer a segment.
        references: One reference a segment, in the same order.

    Raises:
        UserError: If the lists differ in length, are empty or hold anything but text.
    """
    _check(hypotheses, references)
    metric = CHRF(word_order=2)
    value = metric.corpus_score(list(hypotheses), [list(references)]).score
    return Score(value, str(metric.get_signature()), len(hypotheses))


def mean_score(scores: Sequence[Score]) -> float:
    """Average scores of one metric over languages, each language weighing the same.

    Raises:
        UserError: If there are none, or if signatures differ: BLEU over different tokenizers has no
            meaningful average.
    """
    signatures = sorted({score.signature for score in scores})
    if not signatures:
        raise UserError("There are no scores to average: evaluate at least one language.")
    if len(signatures) > 1:
        raise UserError(
            f"Scores with different signatures cannot be averaged ({' and '.join(signatures)}): "
            "average each kind by itself, or use chrF++."
        )
    return sum(score.value for score in scores) / len(scores)


def _check(hypotheses: Sequence[str], references: Sequence[str]) -> None:
    """Refuse what sacrebleu would score without a word: it zips lists of different lengths."""
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
