"""Draws meanings: sensible combinations of the vocabulary in nine patterns of sentence."""

from collections.abc import Callable, Sequence
from functools import cache
from random import Random

from recipes.micro.grammar.lexicon import Word, of_kind, suits, words
from recipes.micro.grammar.syntax import Clause, Meaning, NounPhrase, Place

WITH_PLACE = ("buy", "eat", "drink", "read", "write", "see", "find", "seek", "wash", "draw", "hear")
ON_FURNITURE = ("see", "find", "seek")


@cache
def nouns(tags: tuple[str, ...]) -> tuple[Word, ...]:
    """Return the nouns of these classes."""
    return tuple(noun for noun in of_kind("noun") if suits(noun, tags))


@cache
def adjectives(noun: str, predicative: bool) -> tuple[str, ...]:
    """Return the adjectives that suit a noun, before it or after "to be"."""
    fitting = (word for word in of_kind("adjective") if suits(words()[noun], word.tags))
    return tuple(word.id for word in fitting if not (predicative and "attributive" in word.tags))


@cache
def reach(adjective: str) -> int:
    """Count the nouns an adjective suits; dividing by it makes rare and common ones even."""
    return len(nouns(words()[adjective].tags))


@cache
def frames(parts: int) -> tuple[tuple[str, list[str]], ...]:
    """Return the verbs with so many participants, and the classes of each participant."""
    every = ((verb.id, " ".join(verb.tags).split(" > ")) for verb in of_kind("verb"))
    return tuple((name, frame) for name, frame in every if len(frame) == parts)


class Draw:
    """Chooses words evenly among those that fit; one `Random` decides everything.

    Args:
        random: The source of all chance.
        simple: Keep to the patterns of `SIMPLE`.
    """

    def __init__(self, random: Random, simple: bool = False) -> None:
        self.random = random
        self.patterns = SIMPLE if simple else PATTERNS
        self.used: set[str] = set()

    def meaning(self) -> Meaning:
        """Draw one meaning; patterns come up in proportion to their weights."""
        self.used = set()
        names, weights = zip(*self.patterns, strict=True)
        (pattern,) = self.random.choices(names, weights)
        return pattern(self)

    def chance(self, probability: float) -> bool:
        """Decide yes with a probability."""
        return self.random.random() < probability

    def noun(self, tags: Sequence[str]) -> Word:
        """Choose a noun of these classes that the sentence does not have yet."""
        fresh = [noun for noun in nouns(tuple(tags)) if noun.id not in self.used]
        noun = self.random.choice(fresh)
        self.used.add(noun.id)
        return noun

    def adjective(self, noun: Word, predicative: bool = False) -> str | None:
        """Choose an adjective that suits a noun."""
        fitting = adjectives(noun.id, predicative)
        fresh = [name for name in fitting if name not in self.used]
        if not fresh:
            return None
        (choice,) = self.random.choices(fresh, [1 / reach(name) for name in fresh])
        self.used.add(choice)
        return choice

    def phrase(self, tags: Sequence[str], **odds: float) -> NounPhrase:
        """Draw a noun phrase; `odds` may give those of adjective, number, plural, a and owner."""
        noun = self.noun(tags)
        number, plural, a, owner = (odds.get(k, 0.0) for k in ("number", "plural", "a", "owner"))
        adjective = self.adjective(noun) if self.chance(odds.get("adjective", 0.0)) else None
        phrase = NounPhrase(noun.id, adjective=adjective)
        mass = "mass" in noun.tags
        if not mass and self.chance(number):
            many = self.random.choice(of_kind("number")).id
            return phrase._replace(determiner=many, plural=True)
        if not mass and self.chance(a):
            return phrase._replace(determiner="a")
        if ownable(noun) and self.chance(owner):
            phrase = phrase._replace(owner=self.noun(["human"]).id)
        return phrase._replace(plural=not mass and self.chance(plural))

    def place(self, verb: str, thing: Word | None = None) -> Place:
        """Draw where something happens; small things and sleepers may be on furniture."""
        small = thing is not None and bool({"portable", "kid"} & set(thing.tags))
        if small and (verb in ON_FURNITURE or verb == "sleep") and self.chance(0.5):
            preposition = self.random.choice(("on", "under"))
            return Place(preposition, self.phrase(["on"], adjective=0.25))
        if self.chance(0.35):
            preposition = self.random.choice(("behind", "front", "beside"))
            return Place(preposition, self.phrase(["by", "tree"], adjective=0.25))
        return Place("in", self.phrase(["in"], adjective=0.25))

    def verb(self, parts: int) -> tuple[str, list[list[str]]]:
        """Choose a verb with so many participants; return the classes of each."""
        name, frame = self.random.choice(frames(parts))
        self.used.add(name)
        return name, [classes.split() for classes in frame]

    def time(self, tense: str) -> str:
        """Choose a time adverb that goes with "past", "present" or "modal"."""
        return self.random.choice([word.id for word in of_kind("time") if tense in word.tags])

    def tense(self, clause: Clause, past: float = 0.35, time: float = 0.3) -> Clause:
        """Put a clause in the past (which always names its time) or in the present."""
        if self.chance(past):
            return clause._replace(past=True, time=self.time("past"))
        return clause._replace(time=self.time("present")) if self.chance(time) else clause


def ownable(noun: Word) -> bool:
    """Tell whether somebody can own it."""
    return not {"human", "structure"} & set(noun.tags)


def transitive(draw: Draw) -> Meaning:
    """Draw e.g. "The old teacher sees a red house"."""
    verb, (who, what) = draw.verb(2)
    subject = draw.phrase(who, adjective=0.5, number=0.15, a=0.2, plural=0.15, owner=0.12)
    thing = draw.phrase(what, adjective=0.5, number=0.25, a=0.4, plural=0.2, owner=0.3)
    return Meaning(draw.tense(Clause(subject, verb, thing)))


def transitive_with_place(draw: Draw) -> Meaning:
    """Draw e.g. "The girl finds the key under the table"."""
    verb, (who, what) = draw.verb(2)
    while verb not in WITH_PLACE:
        verb, (who, what) = draw.verb(2)
    subject = draw.phrase(who, adjective=0.2, number=0.1, a=0.15, plural=0.15)
    large = {"building", "structure", "vehicle", "on", "openable"}
    movable = [noun.id for noun in nouns(tuple(what)) if not large & set(noun.tags)]
    thing = draw.phrase(movable, adjective=0.25, number=0.25, a=0.4, plural=0.15)
    place = draw.place(verb, words()[thing.noun])
    return Meaning(draw.tense(Clause(subject, verb, thing, place=place), time=0.15))


def intransitive(draw: Draw) -> Meaning:
    """Draw e.g. "Today three children play in the garden"."""
    verb, (who,) = draw.verb(1)
    subject = draw.phrase(who, adjective=0.4, number=0.25, a=0.2, plural=0.3, owner=0.2)
    place = draw.place(verb, words()[subject.noun])
    return Meaning(draw.tense(Clause(subject, verb, place=place)))


def giving(draw: Draw) -> Meaning:
    """Draw e.g. "The man gives the book to the child"."""
    verb, (who, what, whom) = draw.verb(3)
    subject = draw.phrase(who, adjective=0.15, a=0.1, plural=0.1)
    thing = draw.phrase(what, adjective=0.2, number=0.3, a=0.4, plural=0.2)
    recipient = draw.phrase(whom, adjective=0.15, plural=0.2)
    return Meaning(draw.tense(Clause(subject, verb, thing, recipient), time=0.1))


def negated(draw: Draw) -> Meaning:
    """Draw e.g. "The boy does not drink the cold milk"."""
    if draw.chance(0.25):
        clause = intransitive(draw).clause
        return Meaning(clause._replace(negative=True))
    verb, (who, what) = draw.verb(2)
    subject = draw.phrase(who, adjective=0.3, plural=0.2)
    thing = draw.phrase(what, adjective=0.4, plural=0.25, owner=0.25)
    return Meaning(draw.tense(Clause(subject, verb, thing, negative=True), past=0.3, time=0.1))


def modal(draw: Draw) -> Meaning:
    """Draw e.g. "Tomorrow the farmer must sell two cows"."""
    verb, (who, what) = draw.verb(2)
    subject = draw.phrase(who, adjective=0.3, number=0.1, a=0.15, plural=0.2)
    negative = draw.chance(0.2)
    thing = draw.phrase(what, adjective=0.4, plural=0.2, owner=0.15)
    if not negative and "mass" not in words()[thing.noun].tags and draw.chance(0.4):
        thing = thing._replace(determiner="a", plural=False, owner=None)
    mode = draw.random.choice(("can", "want") if negative else ("can", "must", "want"))
    time = draw.time("modal") if draw.chance(0.3) else None
    return Meaning(Clause(subject, verb, thing, time=time, modal=mode, negative=negative))


def quality(draw: Draw) -> Meaning:
    """Draw e.g. "The teacher's house is big and white"."""
    noun = draw.noun(["human", "animal", "thing", "portable", "building", "room", "structure"])
    owner = draw.noun(["human"]).id if ownable(noun) and draw.chance(0.6) else None
    subject = NounPhrase(noun.id, plural=draw.chance(0.3), owner=owner)
    negative = draw.chance(0.2)
    number = 2 if not negative and draw.chance(0.6) else 1
    chosen = (draw.adjective(noun, predicative=True) for _ in range(number))
    complement = tuple(name for name in chosen if name)
    if len(complement) == 2 and tuple(sorted(complement)) in OPPOSITES:
        complement = complement[:1]
    return Meaning(Clause(subject, "be", complement=complement, negative=negative))


def coordination(draw: Draw) -> Meaning:
    """Draw e.g. "The cat does not eat because the dog sleeps"."""
    conjunction = draw.random.choice(("and", "but", "because"))
    first, second = simple(draw), simple(draw)
    if conjunction == "because" and draw.chance(0.3):
        second = second._replace(negative=True)
    if conjunction == "but" and draw.chance(0.4):
        first = first._replace(negative=True)
    return Meaning(first, conjunction=conjunction, second=second)


def simple(draw: Draw) -> Clause:
    """Draw one half of a coordination: present tense, bare definite phrases."""
    parts = draw.random.choice((1, 1, 2))
    verb, (who, *what) = draw.verb(parts)
    subject = draw.phrase(who, plural=0.2)
    thing = draw.phrase(what[0]) if what else None
    place = draw.place(verb) if thing is None and draw.chance(0.2) else None
    return Clause(subject, verb, thing, place=place)


def question(draw: Draw) -> Meaning:
    """Draw "Does …?", "Who …?", "What …?", "Where …?" or "Why …?"."""
    kind = draw.random.choice(("yesno", "who", "what", "where", "why"))
    verb, (who, *what) = draw.verb(1 if kind == "where" else 2)
    adjective = 0.3 if kind in {"yesno", "why"} else 0.6
    subject = draw.phrase(who, adjective=adjective, plural=0.2)
    thing = draw.phrase(what[0], adjective=adjective, a=0.3, plural=0.2) if what else None
    if kind == "who":
        subject = NounPhrase("man")
    if kind == "what":
        thing = None
    clause = Clause(subject, verb, thing)
    if draw.chance(0.25):
        clause = clause._replace(modal=draw.random.choice(("can", "must", "want")))
    elif draw.chance(0.35):
        clause = clause._replace(past=True)
    definite = thing is not None and thing.determiner == "the"
    if kind == "why" and clause.modal != "must" and definite:
        clause = clause._replace(negative=draw.chance(0.3))
    return Meaning(clause, kind)


OPPOSITES = {
    ("big", "small"),
    ("new", "old"),
    ("old", "young"),
    ("poor", "rich"),
    ("black", "white"),
    ("blue", "red"),
    ("blue", "green"),
    ("blue", "yellow"),
    ("black", "blue"),
    ("black", "green"),
    ("black", "red"),
    ("black", "yellow"),
    ("blue", "white"),
    ("green", "red"),
    ("green", "white"),
    ("green", "yellow"),
    ("red", "white"),
    ("red", "yellow"),
    ("white", "yellow"),
}
PATTERNS: tuple[tuple[Callable[[Draw], Meaning], float], ...] = (
    (transitive, 0.24),
    (transitive_with_place, 0.1),
    (intransitive, 0.12),
    (giving, 0.08),
    (negated, 0.1),
    (modal, 0.1),
    (quality, 0.1),
    (coordination, 0.08),
    (question, 0.08),
)
SIMPLE = PATTERNS[:5]  # one clause that states something, no modal verb
