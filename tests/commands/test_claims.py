"""A folder is of one evaluation; what differs is told in the words of the command line."""

import pytest

from speechalign.commands.claims import ORDER, check_claim, claim, differences, read_order
from speechalign.errors import UserError
from speechalign.evaluation.predictions import PREDICTIONS

DECODING = {"beams": 4, "max_new_tokens": 150}


def test_a_folder_is_of_one_evaluation(tmp_path):
    folder = tmp_path / "run"
    claim(folder, {"data": "x", "decoding": DECODING})
    claim(folder, {"data": "x", "decoding": DECODING})
    check_claim(folder, {"data": "x"})  # as far as is told
    with pytest.raises(UserError, match=r"differs in --beams \(4, now 2\): give another"):
        claim(folder, {"data": "x", "decoding": DECODING | {"beams": 2}})
    (folder / ORDER).unlink()
    (folder / PREDICTIONS).touch()
    with pytest.raises(UserError, match="predictions of another system"):
        check_claim(folder, {})


def test_an_order_that_cannot_be_read_is_told(tmp_path):
    assert read_order(tmp_path / ORDER) is None
    for content in ("{", "[1]"):
        (tmp_path / ORDER).write_text(content)
        with pytest.raises(UserError, match=r"decoding.json cannot be read \(.*another --output"):
            read_order(tmp_path / ORDER)


@pytest.mark.parametrize(
    ("before", "now", "told"),
    [
        ({"split": "dev"}, {"split": "test"}, ["--split (dev, now test)"]),
        ({"data": "x"}, {"data": "y" * 101}, ["--data"]),
        (
            {"pairs": ["deu-eng"], "questions": "a", "left_out": {"deu-eng": 0}},
            {"pairs": ["nld-eng", "pol-eng"], "questions": "b", "left_out": {}},
            ["--pairs (deu-eng, now nld-eng, pol-eng)"],
        ),
        ({"questions": "a"}, {"questions": "b"}, ["the recordings or references in --data"]),
        (
            {"decoding": DECODING},
            {"decoding": {"beams": 1, "max_new_tokens": 50}},
            ["--beams (4, now 1)", "the decoding stored with the model"],
        ),
        ({"sha256": "a"}, {"sha256": "b"}, ["the weights at --checkpoint"]),
        ({"bias": None}, {"bias": "b"}, ["the weights at --bias"]),
        ({"split": "dev", "more": 1}, {"split": "dev"}, []),
    ],
)
def test_what_differs_is_told_as_it_is_typed(before, now, told):
    assert list(differences(before, now)) == told
