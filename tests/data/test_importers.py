"""Manifests of NeMo and of LLM-SRT, as their documentation shows them."""

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile

from speechalign.data.importers import IMPORTERS, import_llm_srt, import_nemo
from speechalign.data.manifest import Manifest, write_manifest
from speechalign.data.manifest_lines import Entry
from speechalign.errors import UserError


@pytest.fixture
def folder(tmp_path) -> Path:
    """A second of noise."""
    soundfile.write(tmp_path / "a.wav", np.zeros(16_000), 16_000)
    return tmp_path


def written(folder: Path, *rows: dict) -> Path:
    file = folder / "other.json"
    file.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))
    return file


def test_nemo_transcribes_and_translates(folder):
    row = {"audio_filepath": "a.wav", "duration": 3.5, "source_lang": "en", "pnc": "yes"}
    file = written(
        folder,
        row | {"text": "hello", "target_lang": "en", "taskname": "asr"},
        row | {"answer": "hallo", "target_lang": "de", "offset": 1.5},
    )
    audio = str(folder / "a.wav")
    assert list(import_nemo(file)) == [
        Entry("a.wav", audio, 3.5, "eng", "a.wav", 0.0, "hello"),
        Entry("a.wav@1.5", audio, 3.5, "eng", "a.wav@1.5", 1.5, None, "deu", "hallo"),
    ]


def test_nemo_without_languages_needs_one(folder):
    file = written(folder, {"audio_filepath": "a.wav", "text": "hallo"})
    (entry,) = import_nemo(file, "German")
    assert (entry.src_lang, entry.src_text, entry.duration) == ("deu", "hallo", 1.0)
    with pytest.raises(UserError, match=r"other.json:1: source_lang must be given"):
        list(import_nemo(file))


def test_llm_srt_has_transcript_and_translation_in_one(folder):
    file = written(
        folder,
        {
            "audio": "a.wav",
            "source": "fleurs_eng_cmn",
            "prompt": "<|eng|><|cmn|>",
            "gt": "They have feet.<|eng|><|cmn|>它们有脚。",
        },
        {"audio": "a.wav", "prompt": "<|en|>", "gt": "They have feet."},
    )
    audio = str(folder / "a.wav")
    heard = ("a.wav", audio, 1.0, "eng", "a.wav", 0.0, "They have feet.")
    assert list(import_llm_srt(file)) == [
        Entry(*heard, "cmn", "它们有脚。"),
        Entry(*heard),
    ]


def test_what_was_imported_is_a_corpus(folder):
    gt = "Ein Haus.<|deu|><|eng|>A house."
    imported = import_llm_srt(written(folder, {"audio": "a.wav", "gt": gt}))
    write_manifest(folder / "ours.jsonl", imported)
    corpus = Manifest({"train": [str(folder / "ours.jsonl")]})
    assert [u.audio for u in corpus.utterances("deu", "train")] == [folder / "a.wav"]
    assert corpus.texts("eng", "train") == {"a.wav": "A house."}


@pytest.mark.parametrize(
    ("kind", "row", "told"),
    [
        ("nemo", {"text": "hallo", "source_lang": "de"}, "audio_filepath must be given"),
        ("nemo", {"audio_filepath": "a.wav", "source_lang": "de"}, "text must be given"),
        ("nemo", {"audio_filepath": "b.wav", "source_lang": "de", "text": "x"}, "duration of"),
        ("llm-srt", {"audio": "a.wav"}, "gt must be given"),
        ("llm-srt", {"audio": "a.wav", "gt": "text"}, "neither gt nor prompt tells a language"),
        ("llm-srt", {"audio": "a.wav", "gt": "a<|xx|><|eng|>b"}, "language: "),
    ],
)
def test_what_is_missing_is_named_with_its_line(folder, kind, row, told):
    with pytest.raises(UserError, match=f"other.json:1: .*{told}"):
        list(IMPORTERS[kind](written(folder, row), None))
