"""Dutch: de and het, the -e of adjectives, the verb at the end after "omdat"."""

from typing import ClassVar

from recipes.micro.grammar.germanic import VerbSecond
from recipes.micro.grammar.syntax import Clause, NounPhrase

PREPOSITIONS = {
    "in": "in",
    "on": "op",
    "under": "onder",
    "behind": "achter",
    "front": "voor",
    "beside": "naast",
}


class Dutch(VerbSecond):
    """Subject, object, "niet", recipient, place, infinitive."""

    code = "nld"
    conjunctions: ClassVar = {"and": "en", "but": ", maar", "because": "omdat"}
    asking: ClassVar = {"who": "wie", "what": "wat", "where": "waar", "why": "waarom"}

    def subordinate(self, clause: Clause) -> list[str]:
        """Word a clause after "omdat": the finite verb goes last."""
        subject = self.phrase(clause.subject)
        return [subject, *self.rest(clause), self.finite(clause, clause.subject.plural)]

    def rest(self, clause: Clause) -> list[str]:
        """Word what stands between the finite verb and the end."""
        words = []
        if clause.object is not None:
            words.append(self.phrase(clause.object))
        if clause.negative:
            words.append("niet")
        if clause.recipient is not None:
            words += ["aan", self.phrase(clause.recipient)]
        if clause.place is not None:
            words.append(PREPOSITIONS[clause.place.preposition])
            words.append(self.phrase(clause.place.phrase))
        return [*words, self.adjectives(clause), self.infinitive(clause)]

    def present(self, verb: str) -> tuple[str, str]:
        """Return the third person; its plural is the infinitive."""
        infinitive, singular, *_ = self.forms(verb)
        return singular, infinitive

    def past(self, verb: str) -> tuple[str, str]:
        """Return the simple past: "kocht, kochten"."""
        _, _, singular, plural = self.forms(verb)
        return singular, plural

    def phrase(self, phrase: NounPhrase) -> str:
        """Word a noun phrase; adjectives are bare only in "een klein huis"."""
        article, singular, *plural = self.forms(phrase.noun)
        if phrase.plural:
            determiner = "de" if phrase.determiner == "the" else self.word(phrase.determiner)
        else:
            determiner = article if phrase.determiner == "the" else "een"
        words = [determiner]
        if phrase.adjective:
            bare = determiner == "een" and article == "het"
            words.append(self.forms(phrase.adjective)[0 if bare else 1])
        words.append(plural[0] if phrase.plural else singular)
        if phrase.owner:
            article, owner, *_ = self.forms(phrase.owner)
            words += ["van", article, owner]
        return " ".join(words)
