"""Reads the vocabulary: one row a word, with its classes of use and its forms in every language."""

from functools import cache
from pathlib import Path
from typing import NamedTuple

LANGUAGES = ("eng", "deu", "fra", "ita", "spa", "swe", "nld", "por", "nob")
TABLE = Path(__file__).with_name("lexicon.tsv")


class Word(NamedTuple):
    """One row of the vocabulary; forms are separated by `/` and in an order set by the language."""

    id: str
    kind: str  # noun, adjective, verb, time, number, modal, copula
    tags: tuple[str, ...]  # a noun's classes; the nouns an adjective suits; a verb's "a > b > c"
    forms: dict[str, tuple[str, ...]]  # by language


@cache
def words() -> dict[str, Word]:
    """Return the vocabulary by id, in the order of the table."""
    header, *rows = TABLE.read_text(encoding="utf-8").splitlines()
    languages = header.split("\t")[3:]
    lexicon = {}
    for row in rows:
        name, kind, tags, *cells = row.split("\t")
        forms = {code: tuple(cell.split("/")) for code, cell in zip(languages, cells, strict=True)}
        lexicon[name] = Word(name, kind, tuple(tags.split()), forms)
    return lexicon


@cache
def of_kind(kind: str) -> tuple[Word, ...]:
    """Return the words of one kind, e.g. `verb`."""
    return tuple(word for word in words().values() if word.kind == kind)


def forms(name: str, language: str) -> tuple[str, ...]:
    """Return the forms of the word `name` in one language."""
    return words()[name].forms[language]


def suits(noun: Word, tags: tuple[str, ...]) -> bool:
    """Tell whether a list of classes and nouns covers `noun`."""
    return noun.id in tags or any(tag in tags for tag in noun.tags)
