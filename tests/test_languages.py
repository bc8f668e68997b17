"""The table against FLEURS' own, Whisper's and sacrebleu's, and how its codes are resolved."""

import contextlib
import csv
import subprocess
import sys
from pathlib import Path

import pytest
import sacrebleu.metrics.bleu
import whisper.tokenizer
from hypothesis import given
from hypothesis import strategies as st

from speechalign.assets import resolve
from speechalign.errors import UserError
from speechalign.languages import LANGUAGES, Language, language


def codes(entry: Language) -> list[str]:
    known = (entry.code, entry.name, entry.fleurs, entry.flores, entry.iso639_1, entry.whisper)
    return [code for code in known if code]


def test_the_languages_are_those_of_fleurs_in_its_order(shared):
    with (shared / "fleurs_languages.tsv").open(encoding="utf-8") as lines:
        rows = list(csv.DictReader(lines, delimiter="\t"))
    assert [entry.row for entry in LANGUAGES] == list(range(102))
    assert [entry.fleurs for entry in LANGUAGES] == [row["fleurs"] for row in rows]
    assert [entry.flores for entry in LANGUAGES] == [row["flores200"] for row in rows]
    theirs = [None if row["whisper_is_proxy"] == "1" else row["whisper_code"] for row in rows]
    assert [entry.whisper for entry in LANGUAGES] == theirs
    splits = ("train", "dev", "test")
    assert [entry.recordings._asdict() for entry in LANGUAGES] == [
        {split: int(row[split]) for split in splits} for row in rows
    ]
    column = "x2en_bleu_test_whisper_large_v3"
    for entry, row in zip(LANGUAGES, rows, strict=True):
        known = row[column] not in ("", "-")
        assert known == (entry.code != "eng")
        assert not known or entry.whisper_bleu == float(row[column])
        assert entry.is_low_resource == (known and float(row[column]) < 10)
    two_letters = [row["fleurs"].split("_")[0] for row in rows]
    for entry, row, short in zip(LANGUAGES, rows, two_letters, strict=True):
        assert language(row["iso639_3"]).iso639_1 == entry.iso639_1 or row["iso639_3"] == "zho"
        if len(short) == 2:
            assert entry.iso639_1 == short
            assert language(short) is entry


@pytest.mark.parametrize("entry", LANGUAGES, ids=lambda entry: entry.code)
def test_each_code_of_a_language_finds_it(entry):
    for code in codes(entry):
        assert language(code) is entry
        assert language(f" {code.upper().replace('_', '-')}\n") is entry


def test_codes_are_unique():
    for field in ("code", "name", "fleurs", "flores"):
        assert len({getattr(entry, field) for entry in LANGUAGES}) == 102
    for field in ("iso639_1", "whisper"):
        given_codes = [getattr(entry, field) for entry in LANGUAGES if getattr(entry, field)]
        assert len(set(given_codes)) == len(given_codes)


def test_no_code_or_alias_of_one_language_means_another():
    owners: dict[str, set[str]] = {}
    with Path(resolve("assets:languages.tsv")).open(encoding="utf-8") as lines:
        for row in csv.DictReader(lines, delimiter="\t", quoting=csv.QUOTE_NONE):
            names = [*row.pop("aliases").split("|"), *(row[k] for k in list(row)[:6])]
            for name in filter(None, names):
                owners.setdefault(name.lower().replace("-", "_"), set()).add(row["code"])
    assert {name: codes for name, codes in owners.items() if len(codes) > 1} == {}


def test_whispers_codes_and_names_are_its_own():
    for entry in LANGUAGES:
        if entry.whisper:
            assert language(whisper.tokenizer.LANGUAGES[entry.whisper]) is entry


def test_bleu_tokenizers_exist_and_follow_the_script():
    assert {e.bleu_tokenizer for e in LANGUAGES} <= set(sacrebleu.metrics.bleu._TOKENIZERS)
    special = {e.code: e.bleu_tokenizer for e in LANGUAGES if e.bleu_tokenizer != "13a"}
    assert special == {
        **dict.fromkeys(("cmn", "yue"), "zh"),
        **dict.fromkeys(("tha", "khm", "lao", "mya"), "char"),
        "jpn": "ja-mecab",
        "kor": "ko-mecab",
    }


@pytest.mark.parametrize(
    ("code", "canonical"),
    [
        ("zho", "cmn"),
        ("zh", "cmn"),
        ("zh-CN", "cmn"),
        ("zh-TW", "cmn"),
        ("zho_Hans", "cmn"),
        ("Chinese", "cmn"),
        ("zho_Hant", "yue"),
        ("yue_Hant", "yue"),
        ("zh-HK", "yue"),
        ("ara", "arb"),
        ("nor", "nob"),
        ("no", "nob"),
        ("nb", "nob"),
        ("msa", "zsm"),
        ("fas", "pes"),
        ("swa", "swh"),
        ("aze", "azj"),
        ("lav", "lvs"),
        ("mon", "khk"),
        ("nep", "npi"),
        ("orm", "gaz"),
        ("ori", "ory"),
        ("pus", "pbt"),
        ("uzb", "uzn"),
        ("ful", "fuv"),
        ("fil", "tgl"),
        ("kur", "ckb"),
        ("jw", "jav"),
        ("jv", "jav"),
        ("ger", "deu"),
        ("en-US", "eng"),
        ("en-GB", "eng"),
        ("es-ES", "spa"),
        ("norwegian bokmal", "nob"),
        ("Māori", "mri"),
    ],
)
def test_ambiguous_codes_are_resolved_as_documented(code, canonical):
    assert language(code).code == canonical


def test_an_unknown_language_names_the_nearest():
    with pytest.raises(
        UserError, match=r"^Unknown language 'germn'. Did you mean 'deu' \(German\)"
    ):
        language("germn")
    with pytest.raises(UserError, match=r"'por' \(Portuguese\)"):
        language("portugese")


@pytest.mark.parametrize("code", ["xx", "", "qqqqq", "zh_Hant", "deu_Cyrl", "xx-US", "nn", "eng\0"])
def test_an_unknown_language_is_refused_in_one_line(code):
    with pytest.raises(UserError) as caught:
        language(code)
    assert "\n" not in str(caught.value)
    assert "de_de" in str(caught.value)


@given(st.text())
def test_any_text_is_a_language_or_a_user_error(text):
    with contextlib.suppress(UserError):  # and nothing else
        assert language(text) in LANGUAGES


def test_the_table_needs_no_torch():
    program = "import sys, speechalign.languages; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
