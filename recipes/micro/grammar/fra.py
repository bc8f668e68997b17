"""French: elision, contraction, two places of the adjective, the passé composé."""

from typing import ClassVar

from recipes.micro.grammar.romance import Romance
from recipes.micro.grammar.syntax import NounPhrase

VOWEL = "[aeiouyàâéèêëîïôûœh]"  # every h of the vocabulary is mute
BEFORE_VOWEL = r"(?!huit\b)(?=" + VOWEL + ")"


class French(Romance):
    """Questions keep the order of statements behind "est-ce que"."""

    code = "fra"
    articles = ("le", "la", "les", "les")
    indefinite = ("un", "une")
    to = "à"
    of = "de"
    negation = ("ne", "pas")
    had = ("a", "ont")
    conjunctions: ClassVar = {"and": "et", "but": ", mais", "because": "parce que"}
    question_marks = ("", " ?")
    asking: ClassVar = {
        "yesno": "est-ce que",
        "who": "qui",
        "what": "qu'est-ce que",
        "where": "où est-ce que",
        "why": "pourquoi est-ce que",
    }
    prepositions: ClassVar = {
        "in": "dans",
        "on": "sur",
        "under": "sous",
        "behind": "derrière",
        "front": "devant",
        "beside": "à côté de",
    }
    sandhi = (
        (rf"\bl[ea] {BEFORE_VOWEL}", "l'"),
        (rf"\b(n|qu|d)e {BEFORE_VOWEL}", r"\1'"),
        (r"\bde le\b", "du"),
        (r"\bde les\b", "des"),
        (r"\bà le\b", "au"),
        (r"\bà les\b", "aux"),
    )

    def inflect(self, adjective: str) -> tuple[str, ...]:
        """Return masculine, feminine and their plurals; a fifth form goes before a vowel."""
        masculine, *others = (form.removeprefix("<") for form in self.forms(adjective))
        if len(others) > 1:
            return masculine, *others
        silent = masculine if masculine.endswith("e") else masculine + "e"
        feminine = others[0] if others else silent
        return masculine, feminine, masculine + "s", feminine + "s"

    def attributed(self, phrase: NounPhrase) -> list[str]:
        """Word the noun with its adjective, before it where the lexicon says `<`."""
        noun = self.noun(phrase.noun, phrase.plural)
        if not phrase.adjective:
            return [noun]
        adjective = self.agree(phrase.adjective, phrase)
        if not self.word(phrase.adjective).startswith("<"):
            return [noun, adjective]
        prevocalic = self.inflect(phrase.adjective)[4:]
        vowel = noun[0] in VOWEL[1:-1]
        if prevocalic and vowel and not phrase.plural and not self.feminine(phrase.noun):
            adjective = prevocalic[0]
        return [adjective, noun]
