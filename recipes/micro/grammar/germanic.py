"""The Germanic main clause: something, the finite verb second, then the rest."""

from abc import abstractmethod
from typing import ClassVar

from recipes.micro.grammar.language import Grammar
from recipes.micro.grammar.syntax import Clause, NounPhrase


class VerbSecond(Grammar):
    """Orders the parts of a clause; a subclass words them."""

    asking: ClassVar[dict[str, str]]  # the question words of "who", "what", "where", "why"

    def clause(self, clause: Clause, kind: str) -> list[str]:
        """Word a main clause or question: front, finite verb, subject if not in front, rest."""
        subject = "" if kind == "who" else self.phrase(clause.subject)
        finite = self.finite(clause, plural=clause.subject.plural and kind != "who")
        asked = clause._replace(object=None) if kind == "what" else clause
        if kind == "statement" and clause.time is None:
            return [subject, finite, *self.rest(asked)]
        front = self.word(clause.time) if kind == "statement" else self.asking.get(kind, "")
        return [front, finite, subject, *self.rest(asked)]

    def finite(self, clause: Clause, plural: bool) -> str:
        """Return the verb form that agrees with the subject, without its particle."""
        if clause.complement:
            return self.forms("be")[plural]
        if clause.modal:
            return self.present(clause.modal)[plural]
        tense = self.past if clause.past else self.present
        return tense(clause.verb)[plural].split()[0]

    def particle(self, clause: Clause) -> str:
        """Return what a verb such as "leta efter" keeps behind the finite form."""
        return " ".join(self.forms(clause.verb)[0].split()[1:])

    def infinitive(self, clause: Clause) -> str:
        """Return the infinitive after a modal verb, without its particle."""
        return self.forms(clause.verb)[0].split()[0] if clause.modal else ""

    def adjectives(self, clause: Clause) -> str:
        """Word the adjectives after "to be"."""
        joint = f" {self.conjunctions['and']} "
        return joint.join(self.predicatives(clause))

    def predicatives(self, clause: Clause) -> list[str]:
        """List the adjectives after "to be"; bare, where the language does not inflect them."""
        return [self.word(name) for name in clause.complement]

    @abstractmethod
    def present(self, verb: str) -> tuple[str, str]:
        """Return the present tense of a verb or modal, singular and plural."""

    @abstractmethod
    def past(self, verb: str) -> tuple[str, str]:
        """Return the simple past of a verb, singular and plural."""

    @abstractmethod
    def rest(self, clause: Clause) -> list[str]:
        """Word what follows the finite verb and the subject."""

    @abstractmethod
    def phrase(self, phrase: NounPhrase) -> str:
        """Word a noun phrase, as a subject."""
