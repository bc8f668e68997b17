"""What every language's grammar shares: from a meaning to a written sentence."""

import re
from abc import ABC, abstractmethod
from typing import ClassVar

from recipes.micro.grammar.lexicon import forms
from recipes.micro.grammar.syntax import Clause, Meaning


class Grammar(ABC):
    """Words one language; a subclass holds its rules, the lexicon its forms."""

    code: str
    conjunctions: ClassVar[dict[str, str]]  # with the comma that goes before them
    sandhi: tuple[tuple[str, str], ...] = ()  # regular expressions, applied in order
    question_marks = ("", "?")

    def sentence(self, meaning: Meaning) -> str:
        """Word a meaning, with capital letter and final mark."""
        words = self.clause(meaning.clause, meaning.kind)
        if meaning.conjunction is not None and meaning.second is not None:
            words.append(self.conjunctions[meaning.conjunction])
            if meaning.conjunction == "because":
                words += self.subordinate(meaning.second)
            else:
                words += self.clause(meaning.second, "statement")
        text = " ".join(word for word in words if word).replace(" ,", ",")
        for pattern, replacement in self.sandhi:
            text = re.sub(pattern, replacement, text)
        opening, closing = ("", ".") if meaning.kind == "statement" else self.question_marks
        return opening + text[0].upper() + text[1:] + closing

    @abstractmethod
    def clause(self, clause: Clause, kind: str) -> list[str]:
        """Word a main clause or question."""

    def subordinate(self, clause: Clause) -> list[str]:
        """Word a clause after "because"; languages with their own order override this."""
        return self.clause(clause, "statement")

    def forms(self, name: str) -> tuple[str, ...]:
        """Return the forms of a word in this language."""
        return forms(name, self.code)

    def word(self, name: str | None) -> str:
        """Return the only form of an invariable word, or nothing for none."""
        return self.forms(name)[0] if name else ""
