"""Whether a text is in the language that it should be in."""

import unicodedata
from functools import cache
from typing import Any

from speechalign.languages import language

# Below it a text is taken for another language. Of 5,400 sentences of FLORES-200 in 18 languages,
# each identified among all, the least probability of the right one was 0.087.
LEAST = 0.05
OWN_SCRIPT = 0.2  # of the letters, at least: Chinese may quote a long title in English
SHORT = 12  # letters: what is shorter is judged by its script alone
# py3langid calls them otherwise, and cannot tell them from their neighbours
NEIGHBOURS = {
    "nob": ("no", "nn", "da"),
    "cmn": ("zh", "wuu", "yue"),
    "yue": ("yue", "zh", "wuu"),
    "ckb": ("ku", "sdh"),
}
SCRIPTS = {  # of FLORES-200's codes, as Unicode names its letters
    "Arab": ("ARABIC",),
    "Armn": ("ARMENIAN",),
    "Beng": ("BENGALI",),
    "Cyrl": ("CYRILLIC",),
    "Deva": ("DEVANAGARI",),
    "Ethi": ("ETHIOPIC",),
    "Geor": ("GEORGIAN",),
    "Grek": ("GREEK",),
    "Gujr": ("GUJARATI",),
    "Guru": ("GURMUKHI",),
    "Hang": ("HANGUL", "CJK"),
    "Hans": ("CJK",),
    "Hant": ("CJK",),
    "Hebr": ("HEBREW",),
    "Jpan": ("CJK", "HIRAGANA", "KATAKANA", "KATAKANA-HIRAGANA"),
    "Khmr": ("KHMER",),
    "Knda": ("KANNADA",),
    "Laoo": ("LAO",),
    "Latn": ("LATIN", "MODIFIER"),
    "Mlym": ("MALAYALAM",),
    "Mymr": ("MYANMAR",),
    "Orya": ("ORIYA",),
    "Taml": ("TAMIL",),
    "Telu": ("TELUGU",),
    "Thai": ("THAI",),
}


def off_target(text: str, code: str) -> bool:
    """Tell whether a text is in another language than it should be in.

    So it is if hardly any of its letters are of the right script, or if py3langid, which knows most
    of FLEURS' languages, gives the right one a probability under `LEAST`. A text without letters is
    in no other language.
    """
    letters = [character for character in text if character.isalpha()]
    if not letters:
        return False
    own = SCRIPTS[language(code).flores.split("_")[1]]
    if sum(script(letter) in own for letter in letters) < OWN_SCRIPT * len(letters):
        return True
    labels = known_labels(code)
    if len(letters) < SHORT or not labels:
        return False
    found = dict(identifier().rank(text))
    return sum(found[label] for label in labels) < LEAST


@cache
def script(letter: str) -> str:
    """Name the script of a letter as Unicode does."""
    return unicodedata.name(letter, "").split(" ")[0]


@cache
def known_labels(code: str) -> tuple[str, ...]:
    """What py3langid calls a language, or nothing."""
    entry = language(code)
    wanted = NEIGHBOURS.get(entry.code, (entry.iso639_1, entry.code))
    return tuple(label for label in wanted if label in identifier().labels)


@cache
def identifier() -> Any:
    """Load py3langid's model, which travels with it."""
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    return LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
