"""Which recordings to learn from: no leaks from held-out splits, not too long, only so many."""

import random
import unicodedata
from collections.abc import Iterable, Sequence

from lightning.pytorch.utilities import rank_zero_info

from speechalign.data.examples import Item
from speechalign.data.records import Example, Source, Utterance
from speechalign.errors import UserError

HELD_OUT = ("dev", "test")


def leaked_sentences(
    corpus: Source, languages: Iterable[str], train_splits: Sequence[str]
) -> set[str]:
    """Find the sentences that may not be learnt, by id: those that a held-out split has too.

    FLEURS repeats some sentences under other ids, so both the id and the text without case, spaces
    and punctuation are compared. A sentence that is held out in one language is so in all of them:
    what it is translated into would be known. A split that is trained on is not held out.

    Raises:
        UserError: If a split is there but malformed.
    """
    leaked: set[str] = set()
    for language in languages:
        there = set(corpus.splits(language))
        folded: set[str] = set()
        for split in (there & set(HELD_OUT)) - set(train_splits):
            texts = corpus.texts(language, split)
            leaked.update(texts)
            folded.update(map(fold, texts.values()))
        folded.discard("")
        for split in there & set(train_splits):
            texts = corpus.texts(language, split)
            leaked.update(sentence for sentence, text in texts.items() if fold(text) in folded)
    return leaked


def within(utterances: Sequence[Utterance], seconds: float) -> list[Utterance]:
    """Drop utterances that last longer than `seconds`."""
    return [utterance for utterance in utterances if utterance.duration <= seconds]


def estimation_split(corpus: Source, language: str, train_splits: Sequence[str]) -> str:
    """Name the split to estimate a language's bias from: the first to train on, else dev.

    Never test, unless it is trained on.

    Raises:
        UserError: If the corpus has none that may be used.
    """
    there = corpus.splits(language)
    split = next((s for s in (*train_splits, "dev") if s in there), None)
    if split is None:
        raise UserError(f"{language}: no train or dev split to estimate its bias from.")
    return split


def limit_sentences(items: Sequence[Item], limit: int, seed: int) -> list[Item]:
    """Keep all recordings of `limit` sentences, the same sentences in all languages.

    For the same seed a larger limit keeps the sentences of a smaller one.
    """
    sentences = sorted({item[0].utterance.sentence_id for item in items})
    random.Random(f"sentences/{seed}").shuffle(sentences)
    kept = set(sentences[:limit])
    return [item for item in items if item[0].utterance.sentence_id in kept]


def log_dropped(
    where: str,
    found: Sequence[Utterance],
    unseen: Sequence[Utterance],
    short: Sequence[Utterance],
    joined: Sequence[Item],
) -> None:
    """Log what the steps of the selection dropped, if anything.

    Args:
        where: Language and split.
        found: All recordings.
        unseen: Those whose sentence is not among `leaked_sentences`.
        short: Those of `unseen` that are `within` the seconds allowed.
        joined: Those of `short` that can be asked about.
    """
    counts = {
        "whose sentence is held out": len(found) - len(unseen),
        "too long": len(unseen) - len(short),
        "without a text in the target language": len(short) - len(joined),
    }
    reasons = ", ".join(f"{count} {reason}" for reason, count in counts.items() if count)
    if reasons:
        rank_zero_info(f"{where}: left out of {len(found)} recordings: {reasons}.")


def part_too_long(
    where: str, items: Sequence[Item], window: float
) -> tuple[list[Item], list[Example]]:
    """Part what is to be evaluated by the encoder's window, and log how much does not fit.

    Args:
        where: Languages and split.
        items: All of it.
        window: Seconds that the encoder hears.

    Returns:
        Items that fit, and examples that are too long.
    """
    fitting = [item for item in items if item[0].utterance.duration <= window]
    too_long = [item[0] for item in items if item[0].utterance.duration > window]
    if too_long:
        rank_zero_info(
            f"{where}: {len(too_long)} of {len(items)} recordings are longer than the encoder's "
            f"window of {window:.1f} s; a test counts them as empty answers."
        )
    return fitting, too_long


def fold(text: str) -> str:
    """Reduce a text to its letters, marks and digits without case, to compare sentences."""
    folded = unicodedata.normalize("NFKC", text).casefold()
    return "".join(c for c in folded if unicodedata.category(c)[0] in "LMN")
