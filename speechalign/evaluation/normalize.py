"""How text is made alike before it is compared: one Unicode form, and Whisper's for recognition."""

import unicodedata
import warnings
from collections.abc import Callable
from functools import cache
from typing import NamedTuple

from speechalign.errors import UserError
from speechalign.languages import language

# written without spaces between words: Whisper's paper counts their characters
UNSPACED = frozenset({"cmn", "yue", "jpn", "tha", "lao", "khm", "mya"})


class Normalizer(NamedTuple):
    """A function of text with a name for signatures."""

    name: str
    function: Callable[[str], str]

    def __call__(self, text: str) -> str:
        """Normalise a text."""
        return self.function(text)


def clean(text: str) -> str:
    """Write a text in NFC and on one line, with single spaces; nothing else is changed."""
    return " ".join(unicodedata.normalize("NFC", text).split())


@cache
def whisper_normalizer(code: str, characters: bool = False) -> Normalizer:
    """Give the normaliser of Whisper (Radford et al. 2022, appendix C) for a language.

    English: case, punctuation, numbers, contractions, titles and spelling. All else: case and
    punctuation. Languages written without spaces are parted into characters where words are
    counted, and lose all spaces where characters are.

    Raises:
        UserError: If it is English, and openai-whisper with its list of spellings is missing.
    """
    entry = language(code)
    if entry.code == "eng":
        try:
            from whisper.normalizers import EnglishTextNormalizer
        except ImportError as error:
            raise UserError(
                "Word error rates in English need Whisper's normaliser: run "
                "`pip install 'speechalign[asr]'`."
            ) from error
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ResourceWarning)  # it leaves its list of spellings open
            return Normalizer("whisper-english", EnglishTextNormalizer())
    from transformers.models.whisper.english_normalizer import BasicTextNormalizer

    if entry.code not in UNSPACED:
        return Normalizer("whisper-basic", BasicTextNormalizer())
    if not characters:
        return Normalizer("whisper-basic-parted", BasicTextNormalizer(split_letters=True))
    basic = BasicTextNormalizer()
    return Normalizer("whisper-basic-unspaced", lambda text: "".join(basic(text).split()))
