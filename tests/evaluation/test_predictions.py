"""Predictions are read as they were written."""

import pytest

from speechalign.errors import UserError
from speechalign.evaluation.predictions import Prediction, read_predictions, write_predictions

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


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(UserError, match=r"none.jsonl cannot be read"):
        read_predictions(tmp_path / "none.jsonl")
