"""Swedish."""

from typing import ClassVar

from recipes.micro.grammar.scandinavian import Scandinavian


class Swedish(Scandinavian):
    """The words that Swedish adds to the Scandinavian rules."""

    code = "swe"
    negation = "inte"
    indefinite: ClassVar = {"c": "en", "n": "ett"}
    on_not_in = frozenset({"hotel"})
    conjunctions: ClassVar = {"and": "och", "but": ", men", "because": "eftersom"}
    asking: ClassVar = {"who": "vem", "what": "vad", "where": "var", "why": "varför"}
    prepositions: ClassVar = {
        "in": "i",
        "on": "på",
        "under": "under",
        "behind": "bakom",
        "front": "framför",
        "beside": "bredvid",
    }
