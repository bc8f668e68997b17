"""The micro world's parallel text: seeded, disjoint sets of sentences in nine languages.

`python -m recipes.micro.text --count 1000 --seed 0 --split pretrain` prints a table of them.
"""

import argparse
import re
from collections import Counter
from collections.abc import Collection, Iterator
from itertools import combinations, islice
from random import Random
from statistics import mean
from typing import Literal, NamedTuple

from recipes.micro.grammar import GRAMMARS
from recipes.micro.grammar.draw import Draw
from recipes.micro.grammar.syntax import Meaning, NounPhrase, phrases

SPLITS = ("train", "dev", "test", "pretrain")
Style = Literal["all", "simple", "plain"]
LENGTHS: dict[Style, tuple[int, int]] = {"all": (4, 9), "simple": (4, 8), "plain": (4, 8)}
PLAIN = 4  # content words of a plain sentence, at most
CHOICE = 16  # candidates for each train sentence
TRAINED = ("deu", "fra", "ita", "spa", "swe")
ZERO_SHOT = ("nld", "por", "nob")
LANGUAGES = tuple(GRAMMARS)


class Sentence(NamedTuple):
    """One meaning in every language."""

    key: str
    texts: dict[str, str]  # by language: as written
    normalized: dict[str, str]  # lower-case, without punctuation


def normalize(text: str) -> str:
    """Lower the case and drop the punctuation, as FLEURS' transcriptions; apostrophes stay."""
    return " ".join(re.sub(r"[.,?¿]", " ", text.lower()).split())


def realize(meaning: Meaning) -> Sentence:
    """Word a meaning in every language."""
    texts = {code: grammar.sentence(meaning) for code, grammar in GRAMMARS.items()}
    return Sentence(meaning.key, texts, {code: normalize(text) for code, text in texts.items()})


def sentences(
    count: int,
    seed: int,
    split: str = "pretrain",
    exclude: Collection[str] = (),
    style: Style | None = None,
) -> list[Sentence]:
    """Draw different sentences of one split.

    Splits share no combination of content words, so a sentence of `test` is new in every other
    split. Two seeds may draw the same sentence of the same split: pass the keys of the first as
    `exclude` of the second.

    Args:
        count: How many sentences.
        seed: Decides which; a longer list begins with the shorter one.
        split: One of `SPLITS`.
        exclude: Keys that must not be drawn.
        style: "all" patterns, the "simple" ones, or those in their "plain" form. By default
            `pretrain` has all, and the other splits are plain, so that the few hundred recordings
            of a language are enough for an adapter to learn from.
    """
    style = style or ("all" if split == "pretrain" else "plain")
    draw = Draw(Random(f"{split}-{seed}"), simple=style != "all")
    taken = set(exclude)

    def candidates() -> Iterator[Meaning]:
        while True:
            meaning = draw.meaning()
            if meaning.split() == split and meaning.key not in taken and fits(meaning, style):
                yield meaning

    chosen = balanced(candidates()) if split == "train" else candidates()
    found = []
    for meaning in islice(chosen, count):
        taken.add(meaning.key)
        found.append(realize(meaning))
    return found


def fits(meaning: Meaning, style: Style) -> bool:
    """Tell whether a sentence is short enough and, if it is to be plain, plain enough.

    Plain means: of few content words, in the present tense, nobody owns anything, and places are
    "in" something.
    """
    shortest, longest = LENGTHS[style]
    if not shortest <= len(english_words(meaning)) <= longest:
        return False
    clause = meaning.clause
    wordy = len(meaning.content()) > PLAIN
    elsewhere = clause.place is not None and clause.place.preposition != "in"
    owned = any(phrase.owner for phrase in phrases(meaning))
    return style != "plain" or not (wordy or clause.past or elsewhere or owned)


def balanced(candidates: Iterator[Meaning]) -> Iterator[Meaning]:
    """Of every few candidates yield the one that says what was said least so far.

    Drawn evenly, "book" would be an object thirty times as often as "teacher", and what an adapter
    never heard together it does not understand. So words count by the part that they play, and
    pairs of them count too.
    """
    uses: Counter[tuple[str, ...]] = Counter()

    def rarity(meaning: Meaning) -> float:
        played = parts(meaning)
        return sum(mean(1 / (1 + uses[key]) for key in combinations(played, n)) for n in (1, 2))

    while True:
        meaning = max(islice(candidates, CHOICE), key=rarity)
        for n in (1, 2):
            uses.update(combinations(parts(meaning), n))
        yield meaning


def parts(meaning: Meaning) -> list[str]:
    """List the words with the part that each plays: "verb see", "object two", "object cow"."""
    found = []
    for clause in filter(None, (meaning.clause, meaning.second)):
        found += [f"verb {clause.verb}", *(f"complement {word}" for word in clause.complement)]
        found += [f"time {clause.time}"] if clause.time else []
        played = {
            "subject": clause.subject,
            "object": clause.object,
            "recipient": clause.recipient,
            "place": clause.place.phrase if clause.place else None,
        }
        for part, phrase in played.items():
            found += [f"{part} {word}" for word in said(phrase)] if phrase else []
    return found


def said(phrase: NounPhrase) -> list[str]:
    """List what a noun phrase says beside "the" and "a"; a plural says another word."""
    counted = phrase.determiner not in {"the", "a"}
    number = phrase.determiner if counted else f"several {phrase.noun}" if phrase.plural else None
    return [word for word in (phrase.noun, phrase.adjective, phrase.owner, number) if word]


def english_words(meaning: Meaning) -> list[str]:
    """Split the English sentence into its words."""
    return normalize(GRAMMARS["eng"].sentence(meaning)).split()


def main() -> None:
    """Print sentences as a tab-separated table."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--count", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--split", choices=SPLITS, default="pretrain")
    arguments = parser.parse_args()
    print("key", *LANGUAGES, sep="\t")
    for sentence in sentences(arguments.count, arguments.seed, arguments.split):
        print(sentence.key, *sentence.texts.values(), sep="\t")


if __name__ == "__main__":
    main()
