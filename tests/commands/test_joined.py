"""Answers of any system beside a corpus: which recording each is of, and what is left out."""

import json

import pytest

from speechalign.commands.joined import predictions_at
from speechalign.data.fleurs import Fleurs
from speechalign.errors import UserError
from tests.commands.evaluations import evaluate, metrics


@pytest.fixture
def recordings(untranslated):
    """German recordings, of which one has no reference."""
    return Fleurs(str(untranslated)).utterances("deu", "test")


def joined(file, corpus):
    return predictions_at(str(file), None, str(corpus), "test", "deu->eng")


def test_answers_to_recordings_without_a_reference_are_left_out_and_told(
    untranslated, recordings, tmp_path, capsys
):
    file = tmp_path / "said.jsonl"
    told = [{"id": one.id, "text": one.id} for one in recordings]
    file.write_text("".join(json.dumps(one) + "\n" for one in told))
    options = (f"--predictions={file}", f"--data={untranslated}", "--pairs=deu->eng")
    assert evaluate(tmp_path / "run", *options) == 0
    found = metrics(tmp_path / "run")
    assert found["pairs"]["deu-eng"]["recordings"] == len(recordings) - 1
    assert found["system"]["left_out"] == {"deu-eng": 1}
    assert "Left out, for want of a reference: 1 recording\n" in capsys.readouterr().out


def test_lines_are_of_all_recordings_or_of_those_with_a_reference(
    untranslated, recordings, tmp_path
):
    file, english = tmp_path / "said.txt", Fleurs(str(untranslated)).texts("eng", "test")
    for asked in (recordings, [one for one in recordings if one.sentence_id in english]):
        file.write_text("".join(f"{one.id}\n" for one in asked))
        rows, left_out, _ = joined(file, untranslated)
        assert len(rows) == len(recordings) - 1
        assert [row.prediction for row in rows] == [row.id for row in rows]
        assert left_out == {"deu-eng": 1}
    file.write_text("x\n")
    with pytest.raises(UserError, match=r"Expected 5 predictions .* or 6 with.* there are 1"):
        joined(file, untranslated)
