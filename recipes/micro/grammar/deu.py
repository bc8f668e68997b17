"""German: three cases and a genitive of owners, weak and mixed adjectives, the verb at the end."""

from typing import ClassVar

from recipes.micro.grammar.germanic import VerbSecond
from recipes.micro.grammar.syntax import Clause, NounPhrase

PREPOSITIONS = {
    "in": "in",
    "on": "auf",
    "under": "unter",
    "behind": "hinter",
    "front": "vor",
    "beside": "neben",
}
# masculine, feminine, neuter, plural
DEFINITE = {
    "nominative": ("der", "die", "das", "die"),
    "accusative": ("den", "die", "das", "die"),
    "dative": ("dem", "der", "dem", "den"),
    "genitive": ("des", "der", "des", "der"),
}
INDEFINITE = {
    "nominative": ("ein", "eine", "ein", ""),
    "accusative": ("einen", "eine", "ein", ""),
    "dative": ("einem", "einer", "einem", ""),
}
WEAK = {  # after the definite article
    "nominative": ("e", "e", "e", "en"),
    "accusative": ("en", "e", "e", "en"),
    "dative": ("en", "en", "en", "en"),
}
MIXED = {  # after the indefinite article; the plural is strong, after a bare number
    "nominative": ("er", "e", "es", "e"),
    "accusative": ("en", "e", "es", "e"),
    "dative": ("en", "en", "en", "en"),
}


class German(VerbSecond):
    """Subject, recipient, object, "nicht", place, infinitive."""

    code = "deu"
    conjunctions: ClassVar = {"and": "und", "but": ", aber", "because": ", weil"}
    asking: ClassVar = {"who": "wer", "what": "was", "where": "wo", "why": "warum"}
    sandhi = ((r"\bin dem\b", "im"),)

    def subordinate(self, clause: Clause) -> list[str]:
        """Word a clause after "weil": the finite verb goes last."""
        subject = self.phrase(clause.subject)
        return [subject, *self.rest(clause), self.finite(clause, clause.subject.plural)]

    def rest(self, clause: Clause) -> list[str]:
        """Word what stands between the finite verb and the end."""
        words = []
        if clause.recipient is not None:
            words.append(self.phrase(clause.recipient, "dative"))
        if clause.object is not None:
            words.append(self.phrase(clause.object, "accusative"))
        if clause.negative:
            words.append("nicht")
        if clause.place is not None:
            words.append(PREPOSITIONS[clause.place.preposition])
            words.append(self.phrase(clause.place.phrase, "dative"))
        return [*words, self.adjectives(clause), self.infinitive(clause)]

    def present(self, verb: str) -> tuple[str, str]:
        """Return the third person; its plural is the infinitive."""
        infinitive, singular, *_ = self.forms(verb)
        return singular, infinitive

    def past(self, verb: str) -> tuple[str, str]:
        """Return the Präteritum: "kaufte, kauften", "sah, sahen"."""
        singular = self.forms(verb)[2]
        return singular, singular + ("n" if singular.endswith("e") else "en")

    def phrase(self, phrase: NounPhrase, case: str = "nominative") -> str:
        """Word a noun phrase in a case; an owner follows in the genitive."""
        column = 3 if phrase.plural else "mfn".index(self.gender(phrase.noun))
        if phrase.determiner == "the":
            determiner, endings = DEFINITE[case][column], WEAK
        else:
            indefinite = self.word(phrase.determiner) if phrase.plural else INDEFINITE[case][column]
            determiner, endings = indefinite, MIXED
        words = [determiner]
        if phrase.adjective:
            words.append(self.forms(phrase.adjective)[-1] + endings[case][column])
        words.append(self.noun(phrase.noun, case, phrase.plural))
        if phrase.owner:
            article = DEFINITE["genitive"]["mfn".index(self.gender(phrase.owner))]
            words += [article, self.noun(phrase.owner, "genitive", plural=False)]
        return " ".join(words)

    def gender(self, noun: str) -> str:
        """Return m, f or n; the lexicon's w is a weak masculine such as "der Junge"."""
        return self.word(noun).replace("w", "m")

    def noun(self, noun: str, case: str, plural: bool) -> str:
        """Return a noun in its case."""
        gender, singular, *others = self.forms(noun)
        if plural:
            form = others[0]
            return form + "n" if case == "dative" and form[-1] not in "ns" else form
        if case == "genitive":
            return others[1]
        return others[1] if gender == "w" and case != "nominative" else singular
