"""The micro world's parallel text: seeded, disjoint sets of sentences in nine languages.

`python -m recipes.micro.text --count 1000 --seed 0 --split pretrain` prints a table of them.
"""

import argparse
import re
from collections.abc import Collection
from random import Random
from typing import NamedTuple

from recipes.micro.grammar import GRAMMARS
from recipes.micro.grammar.draw import Draw
from recipes.micro.grammar.syntax import Meaning

SPLITS = ("train", "dev", "test", "pretrain")
WORDS = {"pretrain": (4, 9)}  # the length of a sentence in English, by split
WORDS |= dict.fromkeys(("train", "dev", "test"), (4, 8))
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
    count: int, seed: int, split: str = "pretrain", exclude: Collection[str] = ()
) -> list[Sentence]:
    """Draw different sentences of one split.

    Encoder and LLM are pretrained on all patterns; what the adapter learns and is tested on, the
    other splits, keeps to simple and short sentences, of which a few hundred are enough to learn.
    Splits share no combination of content words, so a sentence of `test` is new in every other
    split. Two seeds may draw the same sentence of the same split: pass the keys of the first as
    `exclude` of the second.

    Args:
        count: How many sentences.
        seed: Decides which; a longer list begins with the shorter one.
        split: One of `SPLITS`.
        exclude: Keys that must not be drawn.
    """
    draw = Draw(Random(f"{split}-{seed}"), simple=split != "pretrain")
    shortest, longest = WORDS[split]
    seen, found = set(exclude), []
    while len(found) < count:
        meaning = draw.meaning()
        if meaning.key in seen or meaning.split() != split:
            continue
        length = len(GRAMMARS["eng"].sentence(meaning).split())
        if not shortest <= length <= longest:
            continue
        seen.add(meaning.key)
        found.append(realize(meaning))
    return found


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
