"""Italian: the articles il, lo, l' and their contractions, the passato prossimo."""

from typing import ClassVar

from recipes.micro.grammar.romance import Romance

VOWEL = "[aeiouàèéìòùh]"
IMPURE = "(?:s[bcdfglmnpqrtv]|z|gn|ps|x|y)"  # takes lo, gli, uno
ARTICLE = "(?:(?:il|lo|la|i|gli|le) |l')"


class Italian(Romance):
    """Adjectives follow the noun; "che cosa" and "dove" put the verb before the subject."""

    code = "ita"
    articles = ("il", "la", "i", "le")
    indefinite = ("un", "una")
    to = "a"
    of = "di"
    negation = ("non", "")
    had = ("ha", "hanno")
    inverts = frozenset({"what", "where"})
    conjunctions: ClassVar = {"and": "e", "but": ", ma", "because": "perché"}
    asking: ClassVar = {
        "yesno": "",
        "who": "chi",
        "what": "che cosa",
        "where": "dove",
        "why": "perché",
    }
    prepositions: ClassVar = {
        "in": "in",
        "on": "su",
        "under": "sotto",
        "behind": "dietro",
        "front": "davanti a",
        "beside": "accanto a",
    }
    sandhi = (
        (rf"\b(?:il|la) (?={VOWEL})", "l'"),
        (rf"\bil (?={IMPURE})", "lo "),
        (rf"\bi (?={VOWEL}|{IMPURE})", "gli "),
        (rf"\bun (?={IMPURE})", "uno "),
        (rf"\buna (?={VOWEL})", "un'"),
        (rf"\bdi (?={ARTICLE})", "de+"),
        (rf"\bin (?={ARTICLE})", "ne+"),
        (rf"\b(a|su) (?={ARTICLE})", r"\1+"),
        (r"\+il\b", "l"),
        (r"\+(?=l)", "l"),
        (r"\+", ""),
    )

    def inflect(self, adjective: str) -> tuple[str, ...]:
        """Return masculine, feminine and their plurals; those in -o are regular."""
        given = self.forms(adjective)
        stem = given[0][:-1]
        return given if len(given) > 1 else (stem + "o", stem + "a", stem + "i", stem + "e")
