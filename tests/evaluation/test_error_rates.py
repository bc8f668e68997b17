"""Error rates against jiwer over openai-whisper's normalised text, and Unicode's forms."""

import unicodedata
import warnings

import jiwer
import pytest
from hypothesis import given
from hypothesis import strategies as st
from whisper.normalizers import BasicTextNormalizer, EnglishTextNormalizer

from speechalign.errors import UserError
from speechalign.evaluation.metrics import Bleu, ErrorRate
from speechalign.evaluation.normalize import Normalizer, clean, whisper_normalizer
from speechalign.evaluation.presets import Convention, metric_of, names_for
from speechalign.languages import language

AS_IT_IS = Normalizer("none", lambda text: text)
WORDS = st.lists(st.sampled_from(["a", "b", "c", "dd", "ee"]), min_size=1, max_size=6).map(" ".join)
UNSPACED = ("jpn", "tha", "cmn")


def rate(name, code, preset="speechalign"):
    return metric_of(name, (code, code), Convention(preset))


@pytest.fixture(scope="module")
def english():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)  # it leaves a file open
        return EnglishTextNormalizer()


@pytest.mark.parametrize(
    "name",
    ["arb", "cym", "deu", "eng", "fra", "hin", "ita", "jpn", "kor", "nld", "por", "rus", "spa",
     "swh", "tha", "tur", "vie", "zho_Hans"],
)  # fmt: skip
def test_rates_are_jiwers_over_whispers_normaliser(name, shared, english):
    (path,) = (shared / "text/flores_dev_300").glob(f"{name}*.txt")
    references = path.read_text(encoding="utf-8").splitlines()
    hypotheses = [line.upper()[: len(line) - n % 5] for n, line in enumerate(references)]
    code = language(name).code
    basic = BasicTextNormalizer(split_letters=code in UNSPACED)
    theirs = english if code == "eng" else basic
    said, expected = ([theirs(text) for text in texts] for texts in (hypotheses, references))
    words = rate("wer", code).of(hypotheses, references)
    assert words == pytest.approx(100 * jiwer.wer(expected, said), abs=1e-9)
    if code in UNSPACED:  # the spaces that Whisper puts between characters are none of the text
        said, expected = (["".join(text.split()) for text in texts] for texts in (said, expected))
    characters = rate("cer", code).of(hypotheses, references)
    assert characters == pytest.approx(100 * jiwer.cer(expected, said), abs=1e-9)
    assert min(words, characters) > 0


@given(st.lists(st.tuples(WORDS, WORDS), min_size=1, max_size=6), st.booleans())
def test_sums_of_segments_are_the_rate_of_the_corpus(pairs, characters):
    said, expected = ([pair[side] for pair in pairs] for side in (0, 1))
    official = jiwer.cer if characters else jiwer.wer
    value = ErrorRate(characters, AS_IT_IS).of(said, expected)
    assert value == pytest.approx(100 * official(expected, said), abs=1e-9)


def test_an_empty_reference_counts_what_was_said():
    metric = ErrorRate(False, AS_IT_IS)
    assert metric.of(["one two", "a b"], ["", "a b"]) == 100.0
    assert metric.of(["", "a b"], ["", "a b"]) == 0.0
    assert metric.of(["one"], [""]) == 100.0
    assert metric.of([""], [""]) == 0.0
    assert metric.of([""], ["one two"]) == 100.0


def test_the_signature_tells_unit_and_normaliser():
    told = {code: rate("wer", code).signature for code in ("eng", "deu", "tha")}
    assert told["eng"].startswith("unit:word|norm:whisper-english|jiwer:")
    assert "norm:whisper-basic|" in told["deu"]
    assert "norm:whisper-basic-parted|" in told["tha"]
    assert rate("cer", "deu").signature.startswith("unit:character|norm:whisper-basic|")
    assert rate("cer", "tha").signature.startswith("unit:character|norm:whisper-basic-unspaced|")
    assert rate("cer", "cmn").of(["我们去学校"], ["我们来学校"]) == pytest.approx(20)
    assert names_for(("deu", "deu"), Convention()) == ["wer", "cer"]


def test_english_without_whispers_list_of_spellings_is_one_line(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "whisper.normalizers", None)
    whisper_normalizer.cache_clear()
    with pytest.raises(UserError, match=r"pip install 'speechalign\[asr\]'"):
        whisper_normalizer("eng")
    assert whisper_normalizer("deu")("Ein Haus.").strip() == "ein haus"


@given(st.text())
def test_clean_text_is_one_line_in_one_form(text):
    told = clean(text)
    assert unicodedata.is_normalized("NFC", told)
    assert told == clean(unicodedata.normalize("NFD", told)) == " ".join(told.split())


def test_decomposed_letters_tabs_and_newlines_are_no_errors():
    composed = "Zoë drückt die Tür fünfmal zu, schön laut"
    decomposed = unicodedata.normalize("NFD", composed).replace(" ", "\t\n", 1)
    assert decomposed != composed
    assert Bleu("13a").of([clean(decomposed)], [clean(composed)]) == pytest.approx(100)
