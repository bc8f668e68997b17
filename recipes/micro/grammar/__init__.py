"""A grammar of short sentences in nine languages: one meaning, one sentence in each."""

from recipes.micro.grammar.deu import German
from recipes.micro.grammar.eng import English
from recipes.micro.grammar.fra import French
from recipes.micro.grammar.ita import Italian
from recipes.micro.grammar.language import Grammar
from recipes.micro.grammar.nld import Dutch
from recipes.micro.grammar.nob import Norwegian
from recipes.micro.grammar.por import Portuguese
from recipes.micro.grammar.spa import Spanish
from recipes.micro.grammar.swe import Swedish

GRAMMARS: dict[str, Grammar] = {
    grammar.code: grammar
    for grammar in (
        English(),
        German(),
        French(),
        Italian(),
        Spanish(),
        Swedish(),
        Dutch(),
        Portuguese(),
        Norwegian(),
    )
}
