"""The one table of languages: FLEURS, FLORES, ISO 639 and Whisper codes, names, BLEU tokenizers.

The table is `assets/languages.tsv`, which also counts FLEURS' recordings. A code that could mean
several languages is resolved there:

- A macro-language means the variety FLEURS recorded: `ara` Standard Arabic (`arb`), `nor` and `no`
  Bokmål (`nob`), `msa` Standard Malay (`zsm`), `kur` Central Kurdish (`ckb`), and so on.
- `zho`, `zh` and "Chinese" mean Mandarin (`cmn`); Cantonese is always `yue`.
- FLORES' `zho_Hant` means Cantonese, because FLEURS takes its Cantonese sentences from that file;
  so do `yue_Hant` and `zh-HK` (Common Voice's Cantonese).
- A region FLEURS does not have is dropped: `en-GB` is English, `zh-TW` Mandarin.
- Whisper's code is absent where Whisper lacks the language, even if a relative's could stand in.
"""

import csv
import difflib
import re
import unicodedata
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from speechalign.assets import resolve
from speechalign.errors import UserError

LOW_RESOURCE = 10.0  # BLEU of Whisper large-v3
UNSPACED = ("cmn", "jpn", "yue")  # no space, not even between sentences
REGIONAL = re.compile(r"([a-z]{2,3})_([a-z]{2}|[0-9]{3})")


class Recordings(NamedTuple):
    """How many recordings of one language FLEURS has in each split."""

    train: int
    dev: int
    test: int


@dataclass(frozen=True)
class Language:
    """One language of FLEURS (Conneau et al. 2022) and what other systems call it."""

    row: int  # place in LANGUAGES, which is FLEURS' order
    code: str  # canonical: ISO 639-3 of the variety, e.g. `deu`, `arb`, `cmn`, `yue`
    name: str  # English
    fleurs: str  # locale, e.g. `de_de`
    flores: str  # FLORES-200, e.g. `deu_Latn`
    iso639_1: str | None
    whisper: str | None  # `yue` from large-v3 on
    bleu_tokenizer: str  # sacrebleu's, for text in this language
    whisper_bleu: float  # Whisper large-v3 into English, FLEURS test (fleurs-slu); NaN: English
    recordings: Recordings  # in FLEURS

    @property
    def is_low_resource(self) -> bool:
        """Whether Whisper large-v3 hardly understands it, for want of speech to learn from."""
        return self.whisper_bleu < LOW_RESOURCE

    @property
    def joint(self) -> str:
        """What stands between two sentences."""
        return "" if self.code in UNSPACED else " "


def language(code: str) -> Language:
    """Look up a language by any of its codes or its English name.

    Case does not matter, nor do accents, and `-`, `_` and space are equal: `deu`, `de`, `de_de`,
    `de-DE`, `deu_Latn` and `German` are one language.

    Raises:
        UserError: If nothing is called that; the message has the nearest languages.
    """
    key = _fold(code)
    regional = REGIONAL.fullmatch(key)
    found = _BY_KEY.get(key) or (_BY_KEY.get(regional[1]) if regional else None)
    if found is None:
        raise UserError(f"Unknown language {code!r}. {_hint(key)}")
    return found


def names(codes: list[str]) -> str:
    """List languages for people: `German (deu), French (fra)`."""
    return ", ".join(f"{language(code).name} ({language(code).code})" for code in codes)


def _hint(key: str) -> str:
    near = (_BY_KEY[k] for k in difflib.get_close_matches(key, _BY_KEY, n=8, cutoff=0.65))
    named = list(dict.fromkeys(f"{entry.code!r} ({entry.name})" for entry in near))[:3]
    meant = f"Did you mean {' or '.join(named)}? " if named else ""
    return f"{meant}Give an ISO 639 code ('deu', 'de'), a FLEURS locale ('de_de') or a name."


def _fold(code: str) -> str:
    letters = unicodedata.normalize("NFKD", code.strip()).casefold()
    letters = "".join(c for c in letters if not unicodedata.combining(c))
    return re.sub(r"[-_\s]+", "_", letters)


def _read_table() -> tuple[tuple[Language, ...], dict[str, Language]]:
    """Read the table and index it by every code and name, folded."""
    languages, by_key = [], {}
    with Path(resolve("assets:languages.tsv")).open(encoding="utf-8", newline="") as lines:
        for row, fields in enumerate(csv.DictReader(lines, delimiter="\t", quoting=csv.QUOTE_NONE)):
            aliases = fields.pop("aliases").split("|")
            iso639_1, whisper = fields.pop("iso639_1") or None, fields.pop("whisper") or None
            bleu = float(fields.pop("whisper_bleu") or "nan")
            counts = Recordings(*(int(fields.pop(split)) for split in Recordings._fields))
            codes = {"iso639_1": iso639_1, "whisper": whisper}
            entry = Language(row, whisper_bleu=bleu, recordings=counts, **codes, **fields)
            languages.append(entry)
            keys = (entry.code, entry.name, entry.fleurs, entry.flores, iso639_1, whisper, *aliases)
            by_key.update((_fold(key), entry) for key in keys if key)
    return tuple(languages), by_key


LANGUAGES, _BY_KEY = _read_table()
