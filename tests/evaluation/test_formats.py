"""Predictions of other systems are read as they publish them."""

import json

import pytest

from speechalign.errors import UserError
from speechalign.evaluation.formats import (
    is_complete,
    read_complete,
    read_hypotheses,
    with_references,
)
from speechalign.evaluation.predictions import Prediction, write_predictions

# as in evaluation/*.jsonl of github.com/yxduir/LLM-SRT: these fields and no id
LLM_SRT = [
    {"gt": "Good day.<|eng|><|zho|>你好。", "response": "Good day.<|eng|><|zho|>您好。",
     "source": "eng", "audio_path": "audio", "prompt": "<|eng|><|zho|>"},
    {"gt": "Good day.<|eng|><|zho|>你好。", "response": "您好。", "source": "eng",
     "audio_path": "audio", "prompt": "<|eng|><|zho|>"},
    {"gt": "It rains.<|eng|><|zho|>下雨了。", "response": "", "source": "eng",
     "audio_path": "audio", "prompt": "<|eng|><|zho|>"},
    {"gt": "Es regnet.", "response": "Es regnet", "source": "deu", "prompt": "<|deu|>"},
]  # fmt: skip


def jsonl(file, rows):
    file.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))
    return file


def test_llm_srts_predictions(tmp_path):
    file = jsonl(tmp_path / "pred.jsonl", LLM_SRT)
    assert is_complete(file)
    rows = read_complete(file)
    assert [row.pair for row in rows] == [("eng", "cmn")] * 3 + [("deu", "deu")]
    assert [row.id for row in rows] == ["1", "2", "3", "4"]
    assert [row.prediction for row in rows] == ["您好。", "您好。", "", "Es regnet"]
    assert [row.reference for row in rows] == ["你好。", "你好。", "下雨了。", "Es regnet."]
    assert [row.transcript for row in rows] == ["Good day.", None, None, None]
    assert [row.failure for row in rows] == [None, "no tag", "no tag", None]
    assert rows[0].sentence_id == rows[1].sentence_id != rows[2].sentence_id
    assert rows[0].src_text == "Good day."


def test_llm_srts_rows_without_tags(tmp_path):
    rows = [
        {"gt": "你好。", "response": "<|eng|> 您好。", "prompt": "<|eng|><|zho|>"},
        {"gt": "下雨了。", "response": "下雨了。", "prompt": "<|eng|><|zho|>"},
    ]
    one, two = read_complete(jsonl(tmp_path / "pred.jsonl", rows))
    assert (one.pair, one.reference, one.prediction) == (("eng", "cmn"), "你好。", "您好。")
    assert one.src_text is None
    assert one.sentence_id != two.sentence_id


def test_ours(tmp_path):
    rows = [Prediction("a", "1", "deu", "eng", "", 1.0, "x", None, "y")]
    write_predictions(tmp_path / "predictions.jsonl", rows)
    assert is_complete(tmp_path / "predictions.jsonl")
    assert read_complete(tmp_path / "predictions.jsonl") == rows


def test_whispers_output(tmp_path):
    told = {"text": " Good day.\n It rains. ", "segments": [], "language": "en"}
    (tmp_path / "one.json").write_text(json.dumps(told))
    (tmp_path / "one.txt").write_text("not this\n")
    (tmp_path / "two.txt").write_text("First segment.\nSecond segment.\n")
    (tmp_path / "two.srt").write_text("1\n")
    found = read_hypotheses(tmp_path)
    assert [(one.key, one.text) for one in found] == [
        ("one", "Good day. It rains."),
        ("two", "First segment. Second segment."),
    ]
    assert read_hypotheses(tmp_path / "one.json") == found[:1]


@pytest.mark.parametrize(
    "row",
    [
        {"id": "a", "prediction": "x"},
        {"id": "a", "text": "x"},
        {"id": "a", "prediction": "x", "reference": "y"},
        {"audio_filepath": "clips/a.wav", "pred_text": "x", "text": "said"},  # NeMo's
    ],
)
def test_lines_with_ids(tmp_path, row):
    file = jsonl(tmp_path / "out.jsonl", [row])
    assert not is_complete(file)
    (found,) = read_hypotheses(file)
    assert (found.key, found.text) == ("a", "x")


def test_lines_of_text(tmp_path):
    file = tmp_path / "out.txt"
    file.write_bytes("\ufeffone\u2028two\r\n\nthree".encode())
    found = read_hypotheses(file)
    assert [one.text for one in found] == ["one\u2028two", "", "three"]
    rows = with_references(found, ["a", "b ", "a"], ("deu", "eng"))
    assert [row.sentence_id for row in rows] == ["1", "2", "1"]
    rows = with_references(found, ["a", "", " "], ("deu", "eng"))
    assert [row.sentence_id for row in rows] == ["1", "2", "3"]  # nobody knows of what they are
    with pytest.raises(UserError, match=r"Expected 2 predictions, .* there are 3"):
        with_references(found, ["a", "b"], ("deu", "eng"))


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.jsonl", "{\n", r"a.jsonl:1 is no JSON"),
        ("a.jsonl", "[" * 100_000, r"a.jsonl:1 is no JSON that is read here: too deep"),
        ("a.jsonl", '{"id": "a", "text": "\\ud800"}\n', r"cannot be written as UTF-8"),
        ("a.jsonl", "[1]\n", r"a.jsonl:1 is no JSON object"),
        ("a.jsonl", '{"id": "a"}\n', r"needs an id, .* and a text in one of"),
        ("a.jsonl", '{"text": "a"}\n', r"needs an id"),
        ("a.json", "[]", r"is no JSON object"),
        ("a.json", '{"segments": []}', r"has no `text`"),
    ],
)
def test_what_is_malformed_is_told(tmp_path, name, text, message):
    (tmp_path / name).write_text(text)
    with pytest.raises(UserError, match=message):
        read_hypotheses(tmp_path / name)


def test_a_folder_without_answers_is_told(tmp_path):
    with pytest.raises(UserError, match=r"no \.json or \.txt files"):
        read_hypotheses(tmp_path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"prompt": "translate"}, "does not name languages"),
        ({"prompt": None}, "lacks gt, prompt or response"),
        ({"response": 3}, "lacks gt, prompt or response"),
        ({"prompt": "<|xxx|><|zho|>"}, "Unknown language"),
    ],
)
def test_a_row_that_is_not_llm_srts_is_named(tmp_path, change, message):
    file = jsonl(tmp_path / "pred.jsonl", [LLM_SRT[0], LLM_SRT[1] | change])
    with pytest.raises(UserError, match=message):
        read_complete(file)
