"""Norwegian (Bokmål)."""

from typing import ClassVar

from recipes.micro.grammar.scandinavian import Scandinavian


class Norwegian(Scandinavian):
    """The words that Norwegian adds to the Scandinavian rules."""

    code = "nob"
    negation = "ikke"
    indefinite: ClassVar = {"c": "en", "n": "et"}
    on_not_in = frozenset({"kitchen", "school", "hotel"})
    conjunctions: ClassVar = {"and": "og", "but": ", men", "because": "fordi"}
    asking: ClassVar = {"who": "hvem", "what": "hva", "where": "hvor", "why": "hvorfor"}
    prepositions: ClassVar = {
        "in": "i",
        "on": "på",
        "under": "under",
        "behind": "bak",
        "front": "foran",
        "beside": "ved siden av",
    }
