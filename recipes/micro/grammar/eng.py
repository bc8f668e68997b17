"""English: do-support, the -s of the third person, a and an."""

from typing import ClassVar

from recipes.micro.grammar.language import Grammar
from recipes.micro.grammar.syntax import Clause, NounPhrase, Place

PREPOSITIONS = {"front": "in front of", "beside": "next to"}
ASKING = {"yesno": "", "what": "what", "where": "where", "why": "why"}
AUXILIARIES = {"can": "can", "must": "must"}


class English(Grammar):
    """Subject, verb, object, recipient, place."""

    code = "eng"
    conjunctions: ClassVar = {"and": "and", "but": ", but", "because": "because"}
    sandhi = ((r"\b([Aa]) (?=[aeiou])", r"\1n "), ("can not", "cannot"))

    def clause(self, clause: Clause, kind: str) -> list[str]:
        """Word a main clause or question."""
        if kind in {"statement", "who"}:
            subject = "who" if kind == "who" else self.phrase(clause.subject)
            plural = clause.subject.plural and kind != "who"
            words = [self.word(clause.time), subject, *self.predicate(clause, plural)]
        else:
            auxiliary, rest = self.question(clause)
            words = [ASKING[kind], auxiliary, self.phrase(clause.subject), *rest]
        return words + self.complements(clause, kind)

    def predicate(self, clause: Clause, plural: bool) -> list[str]:
        """Word the verb of a statement with its auxiliaries and "not"."""
        if clause.complement:
            return [self.forms("be")[plural], "not" if clause.negative else ""]
        base, third, past = self.forms(clause.verb)
        if clause.modal in AUXILIARIES:
            return [AUXILIARIES[clause.modal], "not" if clause.negative else "", base]
        if clause.negative:
            auxiliary, rest = self.question(clause, plural)
            return [auxiliary, *rest]
        if clause.modal == "want":
            return [self.forms("want")[not plural], base]
        return [past if clause.past else base if plural else third]

    def question(self, clause: Clause, plural: bool | None = None) -> tuple[str, list[str]]:
        """Split the verb into the auxiliary before the subject and what follows it."""
        base = self.forms(clause.verb)[0]
        negation = ["not"] if clause.negative else []
        if clause.modal in AUXILIARIES:
            return AUXILIARIES[clause.modal], [*negation, base]
        plural = clause.subject.plural if plural is None else plural
        auxiliary = "did" if clause.past else "do" if plural else "does"
        wish = [self.forms("want")[0]] if clause.modal else []
        return auxiliary, [*negation, *wish, base]

    def complements(self, clause: Clause, kind: str) -> list[str]:
        """Word what follows the verb."""
        words = []
        if clause.object is not None and kind != "what":
            words.append(self.phrase(clause.object))
        if clause.recipient is not None:
            words += ["to", self.phrase(clause.recipient)]
        words.append(" and ".join(self.word(adjective) for adjective in clause.complement))
        if clause.place is not None:
            words.append(self.place(clause.place))
        return words

    def place(self, place: Place) -> str:
        """Word where something happens."""
        preposition = PREPOSITIONS.get(place.preposition, place.preposition)
        return f"{preposition} {self.phrase(place.phrase)}"

    def phrase(self, phrase: NounPhrase) -> str:
        """Word a noun phrase, e.g. "the teacher's old dog"."""
        singular, plural = (*self.forms(phrase.noun), self.word(phrase.noun) + "s")[:2]
        determiner = phrase.determiner
        if determiner.isdigit():
            determiner = self.word(determiner)
        if phrase.owner:
            determiner = f"the {self.word(phrase.owner)}'s"
        parts = (determiner, self.word(phrase.adjective), plural if phrase.plural else singular)
        return " ".join(part for part in parts if part)
