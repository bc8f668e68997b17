"""Manifests of NeMo and of LLM-SRT, as their documentation shows them."""

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile

from speechalign.data.importers import import_manifests
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


def imported(kind: str, file: Path, source: str | None = None) -> list[Entry]:
    """Import into the folder of the manifest."""
    return import_manifests(kind, [file], file.parent / "ours.jsonl", source)


def test_nemo_transcribes_and_translates(folder):
    row = {"audio_filepath": "a.wav", "duration": 3.5, "source_lang": "en", "pnc": "yes"}
    file = written(
        folder,
        row | {"text": "hello", "target_lang": "en", "taskname": "asr"},
        row | {"answer": "hallo", "target_lang": "de", "offset": 1.5},
    )
    audio = str(folder / "a.wav")
    assert imported("nemo", file) == [
        Entry("a.wav", audio, 3.5, "eng", "a.wav", 0.0, "hello"),
        Entry("a.wav@1.5", audio, 3.5, "eng", "a.wav@1.5", 1.5, None, "deu", "hallo"),
    ]


def test_nemo_without_languages_needs_one(folder):
    file = written(folder, {"audio_filepath": "a.wav", "text": "hallo"})
    (entry,) = imported("nemo", file, "German")
    assert (entry.src_lang, entry.src_text, entry.duration) == ("deu", "hallo", 1.0)
    with pytest.raises(UserError, match=r"other.json:1: source_lang must be given"):
        imported("nemo", file)


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
    assert imported("llm-srt", file) == [Entry(*heard, "cmn", "它们有脚。")]


CLIP = {"audio_filepath": "a.wav", "duration": 3.5, "source_lang": "en"}
ASR = CLIP | {"text": "hello", "target_lang": "en"}
ST = CLIP | {"text": "hallo", "target_lang": "de"}


def test_transcript_and_translations_of_a_recording_become_one(folder):
    """Canary has a line for each task."""
    into_french = ST | {"text": "bonjour", "target_lang": "fr"}
    other = ASR | {"offset": 2}
    entries = imported("nemo", written(folder, ST, ASR, into_french, other))
    assert [(e.id, e.src_text, e.tgt_lang, e.tgt_text) for e in entries] == [
        ("a.wav", "hello", "deu", "hallo"),
        ("a.wav", "hello", "fra", "bonjour"),
        ("a.wav@2.0", "hello", None, None),
    ]
    write_manifest(folder / "ours.jsonl", entries)
    corpus = Manifest({"train": [str(folder / "ours.jsonl")]})
    first, _ = corpus.utterances("eng", "train")
    assert first.text == "hello"
    assert corpus.texts("deu", "train") == {"a.wav": "hallo"}


@pytest.mark.parametrize(
    ("rows", "told"),
    [
        ((ASR, ASR), r"3: 'a.wav', into the same language, is in .*other.json:1 too"),
        ((ASR, ASR | {"text": "hi"}), r"3: id 'a.wav' is another recording in .*other.json:1"),
        ((ST, ASR, ASR | {"text": "hi"}), r"4: id 'a.wav' is another recording in .*:1"),
        ((ASR, ST | {"source_lang": "fr"}), r"3: id 'a.wav' is another recording in .*:1"),
    ],
)
def test_lines_that_contradict_each_other_are_told(folder, rows, told):
    first, *others = rows
    with pytest.raises(UserError, match=f"other.json:{told}"):
        imported("nemo", written(folder, first, {**ASR, "offset": 9.0}, *others))


def test_parts_of_a_long_file_are_told_apart(folder):
    offsets = [12345.61, 12345.64, 1 / 3]
    entries = imported("nemo", written(folder, *[ASR | {"offset": at} for at in offsets]))
    assert [float(entry.id.removeprefix("a.wav@")) for entry in entries] == offsets


@pytest.mark.parametrize(
    ("kind", "row"),
    [
        ("nemo", {"audio_filepath": "0.wav", "duration": 1, "source_lang": "de"}),
        ("llm-srt", {"audio": "0.wav", "prompt": "<|deu|>", "duration": 1}),
    ],
)
def test_files_of_one_name_in_two_folders_are_two_recordings(tmp_path, kind, row):
    files = []
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        files.append(written(tmp_path / name, row | {"text": name, "gt": name}))
    output = tmp_path / "ours" / "train.jsonl"
    write_manifest(output, import_manifests(kind, files, output))
    found = Manifest({"train": [str(output)]}).utterances("deu", "train")
    assert [(u.id, u.sentence_id, u.text) for u in found] == [
        (f"../{name}/0.wav", f"../{name}/0.wav", name) for name in ("a", "b")
    ]


def test_what_was_imported_is_a_corpus(folder):
    gt = "Ein Haus.<|deu|><|eng|>A house."
    entries = imported("llm-srt", written(folder, {"audio": "a.wav", "gt": gt}))
    write_manifest(folder / "ours.jsonl", entries)
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
        imported(kind, written(folder, row))
