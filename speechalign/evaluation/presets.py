"""Conventions of scoring: what each system of the field calls BLEU.

| preset | BLEU | seen in |
|---|---|---|
| `speechalign` | the tokenizer of the target language, cased | the default |
| `potsa` | as above, lower case | the development code of POTSA's authors: `zh`, lower case |
| `llm-srt` | `char` into Thai, Japanese, Korean, Chinese, Lao, Burmese, else `13a` | its scorer |
| `seamless` | `char` into Mandarin, Japanese, Thai, Lao and Burmese, else `13a` | SeamlessM4T |
| `whisper` | `13a` into any language | Whisper's paper |
"""

from functools import cache
from pathlib import Path
from typing import NamedTuple

from sacrebleu.tokenizers.tokenizer_spm import SPM_MODELS
from sacrebleu.utils import SACREBLEU_DIR

from speechalign.errors import UserError
from speechalign.evaluation.metrics import Bleu, Chrf, ErrorRate, Metric
from speechalign.evaluation.normalize import whisper_normalizer
from speechalign.evaluation.predictions import Pair
from speechalign.languages import language

TRANSCRIPTS = "transcript_"  # of metrics of what was recognised on the way to a translation
TRANSCRIBED = ("wer", "cer")  # metrics of transcripts
SPM_FILE = Path(SPM_MODELS["flores200"]["url"]).name


class Preset(NamedTuple):
    """How BLEU is counted."""

    by_character: frozenset[str] | None  # languages; None: each language has its own tokenizer
    lowercase: bool = False


PRESETS = {
    "speechalign": Preset(None),
    "potsa": Preset(None, lowercase=True),
    "llm-srt": Preset(frozenset({"tha", "jpn", "kor", "cmn", "yue", "lao", "mya"})),
    "seamless": Preset(frozenset({"cmn", "jpn", "tha", "lao", "mya"})),
    "whisper": Preset(frozenset()),
}
DEFAULT = "speechalign"


class Convention(NamedTuple):
    """What is counted."""

    preset: str = DEFAULT
    with_spbleu: bool = False


def check_preset(name: str) -> None:
    """See that there is such a convention.

    Raises:
        UserError: If there is none.
    """
    if name not in PRESETS:
        raise UserError(f"There is no preset {name!r}: choose one of {', '.join(PRESETS)}.")


def names_for(pair: Pair, convention: Convention) -> list[str]:
    """Name the metrics of a pair of languages: of translations, or of transcripts where equal."""
    if pair[0] == pair[1]:
        return list(TRANSCRIBED)
    return ["bleu", "chrf", *(["spbleu"] if convention.with_spbleu else [])]


def is_of(pair: Pair, name: str) -> bool:
    """Whether a metric is of what was asked in a pair: a transcript, or a translation."""
    return (pair[0] == pair[1]) == (name in TRANSCRIBED)


@cache
def metric_of(name: str, pair: Pair, convention: Convention) -> Metric:
    """Give a metric by its name, as it is counted in a pair of languages.

    Error rates are counted after Whisper's normaliser in every preset; those of what was recognised
    on the way to a translation are of the source language.

    Raises:
        UserError: If a tokenizer or normaliser is not installed.
    """
    source, target = pair
    if name == "bleu":
        return bleu_in(target, PRESETS[convention.preset])
    if name == "chrf":
        return Chrf()
    if name == "spbleu":
        return spbleu()
    spoken, characters = source if name.startswith(TRANSCRIPTS) else target, name.endswith("cer")
    return ErrorRate(characters, whisper_normalizer(spoken, characters))


def bleu_in(target: str, preset: Preset) -> Bleu:
    """Give BLEU of a target language by a convention.

    Raises:
        UserError: If the package of the tokenizer is not installed.
    """
    entry = language(target)
    tokenizer = entry.bleu_tokenizer
    if preset.by_character is not None:
        tokenizer = "char" if entry.code in preset.by_character else "13a"
    try:
        return Bleu(tokenizer, preset.lowercase)
    except (ImportError, RuntimeError) as error:
        raise UserError(
            f"BLEU with the tokenizer {tokenizer!r} needs a package that is not installed: "
            "run `pip install 'sacrebleu[ja,ko]'`."
        ) from error


def has_spbleu() -> bool:
    """Whether the SentencePiece model of spBLEU is there, and whole, where sacrebleu keeps it."""
    if not (Path(SACREBLEU_DIR) / "models" / SPM_FILE).is_file():
        return False
    try:
        spbleu()
    except UserError:
        return False
    return True


def spbleu() -> Bleu:
    """BLEU over the pieces of FLORES-200's SentencePiece model, alike in all languages.

    Raises:
        UserError: If the model is neither there nor can be fetched.
    """
    try:
        return Bleu("flores200", name="spbleu")
    except (OSError, RuntimeError, ImportError, SystemExit) as error:
        raise UserError(
            "spBLEU needs the SentencePiece model of FLORES-200, which sacrebleu fetches once and"
            f" could not, or not to its end: connect once, or put it at"
            f" {Path(SACREBLEU_DIR) / 'models' / SPM_FILE}."
        ) from error
