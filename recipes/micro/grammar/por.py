"""Portuguese of Brazil: the contractions no, da, ao, à."""

from typing import ClassVar

from recipes.micro.grammar.romance import Romance


class Portuguese(Romance):
    """Adjectives follow the noun; questions keep the order of statements."""

    code = "por"
    articles = ("o", "a", "os", "as")
    indefinite = ("um", "uma")
    to = "a"
    of = "de"
    negation = ("não", "")
    conjunctions: ClassVar = {"and": "e", "but": ", mas", "because": "porque"}
    asking: ClassVar = {
        "yesno": "",
        "who": "quem",
        "what": "o que",
        "where": "onde",
        "why": "por que",
    }
    prepositions: ClassVar = {
        "in": "em",
        "on": "sobre",
        "under": "debaixo de",
        "behind": "atrás de",
        "front": "na frente de",
        "beside": "ao lado de",
    }
    sandhi = (
        (r"\bem (?=(?:os?|as?)\b)", "n"),
        (r"\bde (?=(?:os?|as?)\b)", "d"),
        (r"\ba (?=os?\b)", "a"),
        (r"\ba a(?=s?\b)", "à"),
    )
