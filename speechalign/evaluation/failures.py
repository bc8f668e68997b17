"""What went wrong with an answer, told without looking at its score."""

import re
from collections import Counter
from collections.abc import Iterable
from functools import cache
from typing import NamedTuple
from unicodedata import category

from rapidfuzz.distance import Indel

from speechalign.evaluation.identify import off_target
from speechalign.evaluation.normalize import clean
from speechalign.evaluation.predictions import MAKING, Prediction

# what an answer tells itself
TELLING = {
    "empty": "no text",
    "looping": "the same again and again",
    "copied": "the source text, not a translation",
    "off-target": "another language",
}
KINDS = {**MAKING, **TELLING}
LONGEST = 300  # characters of what is looked for again: a long sentence
ALIKE = 0.9  # of 1: a copy
NEAR = 0.7  # of 1: as near to a reference as no text in another language is


class Failure(NamedTuple):
    """One failed answer."""

    row: int  # of the predictions that were looked at
    kinds: tuple[str, ...]  # of `KINDS`


def find_failures(rows: Iterable[Prediction]) -> list[Failure]:
    """Look at each answer; those in order are left out."""
    found = (Failure(row, kinds_of(prediction)) for row, prediction in enumerate(rows))
    return [failure for failure in found if failure.kinds]


def kinds_of(row: Prediction) -> tuple[str, ...]:
    """Name what is wrong with one answer; the strict score takes it for an empty one then."""
    kinds = row.failures
    said = clean(row.prediction)
    if not said:  # which is right where nothing is to be said
        return tuple(kinds or (["empty"] if clean(row.reference) else []))
    if loops(said) and not loops(clean(row.reference)):
        kinds.append("looping")
    near = likeness(said, row.reference)
    if row.src_lang != row.tgt_lang and ALIKE <= likeness(said, row.src_text or "") > near:
        kinds.append("copied")
    elif near < NEAR and off_target(said, row.tgt_lang):
        kinds += [] if off_target(row.reference, row.tgt_lang) else ["off-target"]
    return tuple(kinds)


def loops(text: str) -> bool:
    """Whether something with a letter in it stands four times in a row, whatever its marks."""
    bare = "".join(character for character in text if category(character)[0] != "P")
    folded = f"{' '.join(bare.casefold().split())} "
    fours = Counter(zip(folded, folded[1:], folded[2:], folded[3:], strict=False))
    if max(fours.values(), default=0) < 3:  # what stands four times has some four letters thrice
        return False
    return any(
        any(character.isalpha() for character in found["chunk"])
        for found in loop(min(LONGEST, len(folded) // 4)).finditer(folded)
    )


@cache
def loop(longest: int) -> re.Pattern[str]:
    """Compile what finds so many characters, or fewer, four times in a row."""
    return re.compile(f"(?P<chunk>.{{2,{max(2, longest)}}}?)(?P=chunk){{3,}}")


def likeness(one: str, other: str) -> float:
    """How alike two texts are, whatever their case: 1 for the same, 0 where one is empty."""
    if not one or not other:
        return 0.0
    return Indel.normalized_similarity(clean(one).casefold(), clean(other).casefold())
