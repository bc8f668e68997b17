"""Abstract syntax of the micro world: what a sentence means, before any language words it."""

import hashlib
from collections.abc import Iterator
from typing import NamedTuple


class NounPhrase(NamedTuple):
    """A thing or person, e.g. "the teacher's old dog".

    A number ("2" to "9") as determiner and "a" make the phrase indefinite; an `owner` needs "the".
    """

    noun: str
    determiner: str = "the"  # "the", "a", or a number
    plural: bool = False
    adjective: str | None = None
    owner: str | None = None  # a human noun: definite, singular, bare


class Place(NamedTuple):
    """Where something happens: a preposition with a definite phrase."""

    preposition: str  # "in", "on", "under", "behind", "front" (in front of), "beside" (next to)
    phrase: NounPhrase


class Clause(NamedTuple):
    """One event or state; `complement` holds the adjectives of "to be"."""

    subject: NounPhrase
    verb: str
    object: NounPhrase | None = None
    recipient: NounPhrase | None = None
    place: Place | None = None
    complement: tuple[str, ...] = ()
    time: str | None = None
    past: bool = False
    modal: str | None = None  # "can", "must", "want"
    negative: bool = False


class Meaning(NamedTuple):
    """What one sentence says; a question asks for the part that its kind names.

    The asked part is left out of the wording ("who": the subject, "what": the object).
    """

    clause: Clause
    kind: str = "statement"  # or "yesno", "who", "what", "where", "why"
    conjunction: str | None = None  # "and", "but", "because"
    second: Clause | None = None

    @property
    def key(self) -> str:
        """A name for this meaning: 12 hexadecimal digits, the same on every machine."""
        return _digest(repr(self)).hex()[:12]

    def content(self) -> frozenset[str]:
        """List the content words, the lemmas without grammar: what makes a combination unseen."""
        return frozenset(_content(self))

    def split(self) -> str:
        """Tell which split owns this combination of content words.

        Deciding by the words alone keeps a sentence, its negation and its plural together, so that
        the combinations of dev and test occur in no other split. Test owns 15 %, dev 5 %, train
        20 % and pretrain 60 % of the combinations.
        """
        bucket = int.from_bytes(_digest(" ".join(sorted(self.content())))[:4], "big") % 100
        return next(name for name, limit in _SPLITS.items() if bucket < limit)


_SPLITS = {"test": 15, "dev": 20, "train": 40, "pretrain": 100}  # upper ends, in percent


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()


def phrases(meaning: Meaning) -> Iterator[NounPhrase]:
    """Yield every noun phrase that the sentence words."""
    for clause in (meaning.clause, meaning.second):
        if clause is None:
            continue
        place = clause.place.phrase if clause.place else None
        subject = None if meaning.kind == "who" else clause.subject
        for phrase in (subject, clause.object, clause.recipient, place):
            if phrase is not None:
                yield phrase


def _content(meaning: Meaning) -> Iterator[str]:
    for clause in (meaning.clause, meaning.second):
        if clause is not None:
            yield clause.verb
            yield from clause.complement
    for phrase in phrases(meaning):
        yield from (word for word in (phrase.noun, phrase.adjective, phrase.owner) if word)
