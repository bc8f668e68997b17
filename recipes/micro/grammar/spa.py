"""Spanish: al and del, the personal a, the doubled recipient, inverted questions."""

from typing import ClassVar

from recipes.micro.grammar.lexicon import words
from recipes.micro.grammar.romance import Romance
from recipes.micro.grammar.syntax import Clause

TRADE = frozenset({"buy", "sell", "show"})


class Spanish(Romance):
    """Adjectives follow the noun; questions put the verb before the subject."""

    code = "spa"
    articles = ("el", "la", "los", "las")
    indefinite = ("un", "una")
    to = "a"
    of = "de"
    negation = ("no", "")
    doubling = ("le", "les")
    inverts = frozenset({"yesno", "what", "where", "why"})
    splits = frozenset({"yesno", "why"})
    conjunctions: ClassVar = {"and": "y", "but": ", pero", "because": "porque"}
    question_marks = ("¿", "?")
    asking: ClassVar = {
        "yesno": "",
        "who": "quién",
        "what": "qué",
        "where": "dónde",
        "why": "por qué",
    }
    prepositions: ClassVar = {
        "in": "en",
        "on": "sobre",
        "under": "debajo de",
        "behind": "detrás de",
        "front": "delante de",
        "beside": "al lado de",
    }
    sandhi = (
        (r"\bla (?=agua\b)", "el "),  # feminine, yet el before a stressed a
        (r"\ba el\b", "al"),
        (r"\bde el\b", "del"),
    )

    def thing(self, clause: Clause) -> str:
        """Word the direct object: "a" marks people, and known animals unless they are goods."""
        if clause.object is None:
            return ""
        tags = words()[clause.object.noun].tags
        known = "animal" in tags and clause.object.determiner == "the"
        marked = "human" in tags or (known and clause.verb not in TRADE)
        return f"{'a ' * marked}{self.phrase(clause.object)}"
