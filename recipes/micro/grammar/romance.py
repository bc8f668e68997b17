"""The Romance clause: subject, verb, object, recipient, place; agreement by gender and number."""

from typing import ClassVar

from recipes.micro.grammar.language import Grammar
from recipes.micro.grammar.syntax import Clause, NounPhrase, Place


class Romance(Grammar):
    """Orders and inflects; contraction and elision are left to a language's sandhi rules."""

    articles: tuple[str, str, str, str]  # masculine, feminine, plurals of both; before sandhi
    indefinite: tuple[str, str]
    prepositions: ClassVar[dict[str, str]]
    to: str
    of: str
    negation: tuple[str, str]  # before and after the finite verb
    asking: ClassVar[dict[str, str]]  # also "yesno"
    inverts: frozenset[str] = frozenset()  # the kinds of question with the verb before the subject
    splits: frozenset[str] = frozenset()  # those where it goes before the infinitive too
    doubling: tuple[str, ...] = ()  # the pronouns that repeat a recipient: singular, plural
    had: tuple[str, ...] = ()  # "to have", where the past is made with it

    def clause(self, clause: Clause, kind: str) -> list[str]:
        """Word a main clause or question."""
        subject = "" if kind == "who" else self.phrase(clause.subject)
        plural = clause.subject.plural and kind != "who"
        front = self.word(clause.time) if kind == "statement" else self.asking[kind]
        rest = self.rest(clause._replace(object=None) if kind == "what" else clause)
        before, after = self.finite(clause, plural), self.nonfinite(clause)
        if kind not in self.inverts:
            return [front, subject, *before, after, *rest]
        if kind in self.splits:
            return [front, *before, subject, after, *rest]
        return [front, *before, after, subject, *rest]

    def finite(self, clause: Clause, plural: bool) -> list[str]:
        """Word the finite verb with its negation and pronoun."""
        before, after = self.negation if clause.negative else ("", "")
        return [before, self.pronoun(clause), self.agreeing(clause, plural), after]

    def agreeing(self, clause: Clause, plural: bool) -> str:
        """Return the verb form that agrees with the subject."""
        if clause.complement:
            return self.forms("be")[plural]
        if clause.modal or not clause.past:
            return self.forms(clause.modal or clause.verb)[1 + plural]
        return self.had[plural] if self.had else self.forms(clause.verb)[3 + plural]

    def nonfinite(self, clause: Clause) -> str:
        """Return the infinitive after a modal verb, or the participle after "to have"."""
        if clause.modal:
            return self.word(clause.verb)
        return self.forms(clause.verb)[3] if clause.past and self.had else ""

    def pronoun(self, clause: Clause) -> str:
        """Return the pronoun that doubles the recipient, where the language wants one."""
        return self.doubling[clause.recipient.plural] if clause.recipient and self.doubling else ""

    def rest(self, clause: Clause) -> list[str]:
        """Word what follows the verb."""
        words = [self.thing(clause)]
        if clause.recipient is not None:
            words += [self.to, self.phrase(clause.recipient)]
        joint = f" {self.conjunctions['and']} "
        words.append(joint.join(self.agree(name, clause.subject) for name in clause.complement))
        if clause.place is not None:
            words.append(self.place(clause.place))
        return words

    def thing(self, clause: Clause) -> str:
        """Word the direct object."""
        return self.phrase(clause.object) if clause.object else ""

    def place(self, place: Place) -> str:
        """Word where something happens."""
        return f"{self.prepositions[place.preposition]} {self.phrase(place.phrase)}"

    def feminine(self, noun: str) -> bool:
        """Tell the gender of a noun."""
        return self.word(noun) == "f"

    def noun(self, noun: str, plural: bool) -> str:
        """Return a noun; the plural adds -s where the lexicon gives none."""
        _, singular, *others = self.forms(noun)
        return (others[0] if others else singular + "s") if plural else singular

    def agree(self, adjective: str, phrase: NounPhrase) -> str:
        """Return the form of an adjective that agrees with a noun phrase."""
        return self.inflect(adjective)[2 * phrase.plural + self.feminine(phrase.noun)]

    def inflect(self, adjective: str) -> tuple[str, ...]:
        """Return masculine, feminine and their plurals; regular ones are made from the first."""
        masculine, *others = self.forms(adjective)
        if others:
            return masculine, *others
        feminine = masculine[:-1] + "a" if masculine.endswith("o") else masculine
        return masculine, feminine, masculine + "s", feminine + "s"

    def number(self, name: str, noun: str) -> str:
        """Return a number, which agrees where the lexicon has a feminine."""
        return self.forms(name)[-1 if self.feminine(noun) else 0]

    def phrase(self, phrase: NounPhrase) -> str:
        """Word a noun phrase: the adjective follows unless the language says otherwise."""
        feminine = self.feminine(phrase.noun)
        if phrase.determiner == "the":
            determiner = self.articles[2 * phrase.plural + feminine]
        elif phrase.plural:
            determiner = self.number(phrase.determiner, phrase.noun)
        else:
            determiner = self.indefinite[feminine]
        words = [determiner, *self.attributed(phrase)]
        if phrase.owner:
            words += [self.of, self.articles[self.feminine(phrase.owner)]]
            words.append(self.noun(phrase.owner, plural=False))
        return " ".join(words)

    def attributed(self, phrase: NounPhrase) -> list[str]:
        """Word the noun with its adjective behind it."""
        noun = self.noun(phrase.noun, phrase.plural)
        return [noun, self.agree(phrase.adjective, phrase)] if phrase.adjective else [noun]
