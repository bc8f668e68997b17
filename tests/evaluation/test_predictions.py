"""Predictions are read as they were written."""

import json

import pytest

from speechalign.errors import UserError
from speechalign.evaluation.predictions import (
    Prediction,
    read_lines,
    read_predictions,
    write_predictions,
)

ROWS = [
    Prediction("a", "1", "deu", "eng", "a.wav", 1.5, "one\ntwo\u2028three", None, "ref"),
    Prediction("b", "1", "cmn", "eng", "b.wav", 0.1, "", "你好", "hello"),
]


def test_what_is_written_is_read(tmp_path):
    write_predictions(tmp_path / "predictions.jsonl", ROWS)
    assert read_predictions(tmp_path / "predictions.jsonl") == ROWS


@pytest.mark.parametrize("bad", ["{", "[1]", '{"id": "a"}', '{"idea": "a"}', ""])
def test_a_line_that_is_none_is_named(tmp_path, bad):
    file = tmp_path / "predictions.jsonl"
    write_predictions(file, ROWS)
    file.write_text(file.read_text() + bad + "\n")
    with pytest.raises(UserError, match=r"predictions.jsonl:3 is not a prediction with the fields"):
        read_predictions(file)


@pytest.mark.parametrize(
    "change",
    [
        {"prediction": 3},
        {"duration": "x"},
        {"failure": "weird"},
        {"failure": "no tag, weird"},
        {"failure": 3},
        {"prediction": "\ud800"},
    ],
)
def test_a_field_of_another_kind_is_told(tmp_path, change):
    file = tmp_path / "predictions.jsonl"
    file.write_text(json.dumps(ROWS[0]._asdict() | change) + "\n")
    with pytest.raises(UserError, match=r"predictions.jsonl:1 is not a prediction"):
        read_predictions(file)


def test_two_answers_to_one_question_are_refused(tmp_path):
    file = tmp_path / "predictions.jsonl"
    write_predictions(file, [ROWS[0], ROWS[1], ROWS[0]])
    with pytest.raises(UserError, match="two answers to 'a' from deu into eng"):
        read_predictions(file)
    other = ROWS[0]._replace(tgt_lang="fra")
    write_predictions(file, [ROWS[0], other])
    assert read_predictions(file) == [ROWS[0], other]


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(UserError, match=r"none.jsonl cannot be read"):
        read_predictions(tmp_path / "none.jsonl")


def test_a_file_that_cannot_be_read_is_told_in_plain_words(tmp_path):
    with pytest.raises(UserError, match=r"none\.txt cannot be read \(No such file or directory\)"):
        read_lines(tmp_path / "none.txt")
    (tmp_path / "sound.txt").write_bytes(b"RIFF\xff\xfe")
    with pytest.raises(UserError, match=r"sound\.txt is no text in UTF-8"):
        read_lines(tmp_path / "sound.txt")
