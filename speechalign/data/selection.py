"""Which recordings to learn from: no leaks from held-out splits, not too long, only so many."""

import random
import unicodedata
from collections.abc import Iterable, Sequence

import numpy as np
from lightning_utilities.core.rank_zero import rank_zero_info  # Lightning's, in no time

from speechalign.data.draw import EpochDraw
from speechalign.data.items import Asking, Items, join
from speechalign.data.records import Example, Source, Utterance, Utterances, columns
from speechalign.errors import UserError
from speechalign.plurals import so_many

HELD_OUT = ("dev", "test")
Exam = tuple[Items, list[Example]]  # what is asked, and what is too long to be


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


def items_to_train(
    corpus: Source,
    languages: Sequence[str],
    split: str,
    asking: Asking,
    seconds: float,
    leaked: set[str],
) -> Items:
    """List what may be learnt from one split, and log what may not.

    Args:
        corpus: The corpus.
        languages: Source languages.
        split: The split.
        asking: What is asked.
        seconds: Longer recordings are left out.
        leaked: Sentences that are left out.
    """
    items, references = Items(), references_for(corpus, split, asking)
    for code in languages:
        found = corpus.utterances(code, split)
        told = columns(found)
        unseen = np.array([sentence not in leaked for sentence in told.sentence_ids], dtype=bool)
        short = unseen & (told.durations <= seconds)
        joined = join(found, references, asking, short)
        counts = len(found), int(unseen.sum()), int(short.sum()), len(joined)
        log_dropped(f"{code}/{split}", dropped_of(found), *counts)
        items += joined
    return items


def items_to_ask(corpus: Source, languages: Sequence[str], split: str, asking: Asking) -> Items:
    """List what languages are evaluated on; arguments as for `items_to_train`.

    Raises:
        UserError: If nothing can be asked about one of them.
    """
    items, references = Items(), references_for(corpus, split, asking)
    for code in languages:
        found = corpus.utterances(code, split)
        joined = join(found, references, asking)
        counts = len(found), len(found), len(found), len(joined)
        log_dropped(f"{code}/{split}", dropped_of(found), *counts)
        if not joined:
            raise UserError(f"{code}/{split}: no recording has a text in {asking.target}.")
        items += joined
    return items


def references_for(corpus: Source, split: str, asking: Asking) -> dict[str, str]:
    """Map sentences to what they are translated into, if they are."""
    return {} if set(asking.tasks) == {"asr"} else corpus.texts(asking.target, split)


def draw_utterances(
    corpus: Source, code: str, train_splits: Sequence[str], seconds: float, limit: int, seed: int
) -> list[Utterance]:
    """Draw recordings of a language to estimate its bias from, out of its `estimation_split`.

    A UserError tells if the corpus has no such split.
    """
    found = corpus.utterances(code, estimation_split(corpus, code, train_splits))
    short = np.flatnonzero(columns(found).durations <= seconds).tolist()
    drawn = random.Random(f"bias/{seed}").sample(short, min(limit, len(short)))
    return [found[row] for row in drawn]


def estimation_split(corpus: Source, language: str, train_splits: Sequence[str]) -> str:
    """Name the split to estimate a language's bias from: the first to train on, else dev.

    One that has recordings of the language, and never test, unless it is trained on.

    Raises:
        UserError: If the corpus has none that may be used.
    """
    splits = list(dict.fromkeys((*train_splits, "dev")))
    for split in splits:
        if corpus.has_audio(language, split):
            return split
    raise UserError(f"{language}: no audio of {' or '.join(splits)} to estimate its bias from.")


def limit_sentences(items: Items, limit: int, seed: int) -> Items:
    """Keep all recordings of `limit` sentences, the same sentences in all languages.

    For the same seed a larger limit keeps the sentences of a smaller one.
    """
    sentences = sorted(set(items.sentences))
    random.Random(f"sentences/{seed}").shuffle(sentences)
    kept = set(sentences[:limit])
    return items.where(np.array([sentence in kept for sentence in items.sentences], dtype=bool))


def dropped_of(utterances: Sequence[Utterance]) -> int:
    """Count the recordings that a corpus' report left out before."""
    return utterances.dropped if isinstance(utterances, Utterances) else 0


def log_dropped(
    where: str, reported: int, found: int, unseen: int, short: int, joined: int
) -> None:
    """Log what the steps of the selection dropped, if anything.

    Args:
        where: Language and split.
        reported: Number of recordings that the corpus' report left out.
        found: Number of all others.
        unseen: Of those whose sentence is not among `leaked_sentences`.
        short: Of those of `unseen` that are not too long.
        joined: Of those of `short` that can be asked about.
    """
    counts = {
        "that quality.tsv drops": reported,
        "whose sentence is held out": found - unseen,
        "too long": unseen - short,
        "without a text in the target language": short - joined,
    }
    reasons = ", ".join(f"{count} {reason}" for reason, count in counts.items() if count)
    if reasons:
        rank_zero_info(f"{where}: left out of {so_many(reported + found, 'recording')}: {reasons}.")


def exam(
    corpus: Source, languages: Sequence[str], split: str, asking: Asking, window: float
) -> Exam:
    """List what languages are evaluated on, parted by the seconds that the encoder hears."""
    items = items_to_ask(corpus, languages, split, asking)
    return part_too_long(f"{', '.join(languages)}/{split}", items, window)


def part_too_long(where: str, items: Items, window: float) -> Exam:
    """Part what is to be evaluated by the encoder's window, and log how much does not fit.

    Args:
        where: Languages and split.
        items: All of it.
        window: Seconds that the encoder hears.

    Returns:
        Items that fit, and examples that are too long.
    """
    fits = items.durations <= window
    too_long = [item[0] for item in items.where(~fits)]
    if too_long:
        rank_zero_info(
            f"{where}: {len(too_long)} of {so_many(len(items), 'recording')} longer than the "
            f"encoder's window of {window:.1f} s; a test counts them as empty answers."
        )
    return items.where(fits), too_long


def check_there(items: Items, split: str) -> None:
    """Refuse to evaluate where no recording of a language is there: single ones are counted.

    Raises:
        UserError: If so.
    """
    for part in items.parts:
        told = [part.utterances[row] for row in part.rows[:1].tolist()]
        if told and not any(part.utterances[row].is_there for row in part.rows.tolist()):
            raise UserError(
                f"{told[0].language}/{split}: none of {so_many(len(part.rows), 'recording')} is "
                f"there, not even {told[0].place}: fetch the audio, or correct where it is."
            )


def check_exams(exams: Sequence[Exam], split: str, processes: int) -> None:
    """Refuse what is not there, and more processes than recordings.

    (Lightning skips a process without batches, and others wait for it.)

    Raises:
        UserError: If none of a language's recordings is there, or they are too few.
    """
    for items, _ in exams:
        check_there(items, split)
    most = max(len(items) for items, _ in exams)
    if most < processes:
        raise UserError(
            f"{so_many(most, 'recording')} of {split}, too few for {processes} processes: evaluate "
            f"with --trainer.devices {most}."
        )


def check_seconds(batch_seconds: float | None, pad_to_window: bool) -> None:
    """Refuse batches by seconds where every recording lasts a whole window.

    Raises:
        UserError: If they are asked for.
    """
    if batch_seconds is not None and pad_to_window:
        raise UserError(
            "batch_seconds has no use with attend: window, where every recording is padded to the"
            " whole window: say batch_size alone."
        )


def tell_of_pairs(draw: EpochDraw) -> None:
    """Say so where there is nothing to align."""
    if draw.pairing != "none" and not draw.has_pairs:
        rank_zero_info(
            "No sentence is there in two languages to be paired: there are no parallel pairs, and"
            " training is by cross-entropy alone. Recordings of a manifest that say the same have"
            " one sentence_id."
        )


class Letters(dict[int, str | None]):
    """What `str.translate` keeps: letters, marks and digits."""

    def __missing__(self, point: int) -> str | None:
        """Decide about a character at its first appearance."""
        character = chr(point)
        self[point] = character if unicodedata.category(character)[0] in "LMN" else None
        return self[point]


LETTERS = Letters()


def fold(text: str) -> str:
    """Reduce a text to its letters, marks and digits without case, to compare sentences."""
    return unicodedata.normalize("NFKC", text).casefold().translate(LETTERS)
