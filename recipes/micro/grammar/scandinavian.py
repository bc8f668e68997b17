"""Swedish and Norwegian: the definite suffix, double definiteness, the owner in the genitive."""

from typing import ClassVar

from recipes.micro.grammar.germanic import VerbSecond
from recipes.micro.grammar.syntax import Clause, NounPhrase


class Scandinavian(VerbSecond):
    """Subject, negation, infinitive, recipient, object, place."""

    negation: str
    indefinite: ClassVar[dict[str, str]]  # by gender: c (common) or n (neuter)
    prepositions: ClassVar[dict[str, str]]
    on_not_in: frozenset[str] = frozenset()  # places that take "på" for "in"

    def subordinate(self, clause: Clause) -> list[str]:
        """Word a clause after "because": the negation goes before the finite verb."""
        negation = self.negation if clause.negative else ""
        finite = self.finite(clause, clause.subject.plural)
        subject = self.phrase(clause.subject)
        return [subject, negation, finite, *self.rest(clause._replace(negative=False))]

    def rest(self, clause: Clause) -> list[str]:
        """Word what follows the finite verb and the subject."""
        negation = self.negation if clause.negative else ""
        words = [negation, self.infinitive(clause)]
        if not clause.complement:
            words.append(self.particle(clause))
        things = (clause.recipient, clause.object)
        words += [self.phrase(phrase) for phrase in things if phrase is not None]
        words.append(self.adjectives(clause))
        if clause.place is not None:
            preposition, phrase = clause.place
            if preposition == "in" and phrase.noun in self.on_not_in:
                preposition = "on"
            words += [self.prepositions[preposition], self.phrase(phrase)]
        return words

    def present(self, verb: str) -> tuple[str, str]:
        """Return the present tense, the same in every person."""
        form = self.forms(verb)[1]
        return form, form

    def past(self, verb: str) -> tuple[str, str]:
        """Return the past tense, the same in every person."""
        form = self.forms(verb)[2]
        return form, form

    def predicatives(self, clause: Clause) -> list[str]:
        """List the adjectives after "to be", which agree with the subject."""
        gender, plural = self.word(clause.subject.noun), clause.subject.plural
        return [self.agree(name, gender, plural, definite=False) for name in clause.complement]

    def agree(self, adjective: str, gender: str, plural: bool, definite: bool) -> str:
        """Return the form of an adjective; only "liten" tells the definite from the plural."""
        common, neuter, many, *weak = self.forms(adjective)
        if plural:
            return many
        if definite:
            return weak[0] if weak else many
        return neuter if gender == "n" else common

    def phrase(self, phrase: NounPhrase) -> str:
        """Word a noun phrase: "läraren", "den gamla läraren", "lärarens gamla hund"."""
        gender, *nouns = self.forms(phrase.noun)
        definite = phrase.determiner == "the"
        bare = definite and phrase.owner is None  # the suffix is dropped after an owner
        noun = nouns[2 * phrase.plural + bare]
        words = [self.determiner(phrase, gender)]
        if phrase.adjective:
            words.append(self.agree(phrase.adjective, gender, phrase.plural, definite))
        return " ".join(word for word in (*words, noun) if word)

    def determiner(self, phrase: NounPhrase, gender: str) -> str:
        """Return an owner, a number or an article; the definite one only before an adjective."""
        if phrase.owner:
            return self.forms(phrase.owner)[2] + "s"
        if phrase.determiner != "the":
            return self.word(phrase.determiner) if phrase.plural else self.indefinite[gender]
        article = "de" if phrase.plural else "det" if gender == "n" else "den"
        return article if phrase.adjective else ""
