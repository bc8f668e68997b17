"""Answers of any system beside a corpus: which recording each is of, and what is left out."""

import json
from pathlib import Path

import pytest

from speechalign.cli import main
from speechalign.commands.beside_corpus import pair_of
from speechalign.commands.joined import predictions_at
from speechalign.data.fleurs import Fleurs
from speechalign.errors import UserError
from speechalign.evaluation.formats import Hypothesis
from speechalign.evaluation.predictions import read_predictions
from tests.commands.evaluations import evaluate, metrics
from tests.evaluation.test_formats import jsonl


@pytest.fixture
def recordings(untranslated):
    """German recordings, of which one has no reference."""
    return Fleurs(str(untranslated)).utterances("deu", "test")


@pytest.mark.parametrize("folders", [True, False])
def test_answers_may_be_to_several_languages(few, tmp_path, folders):
    said = [one for code in ("deu", "nld") for one in Fleurs(str(few)).utterances(code, "test")]
    for one in said if folders else []:
        file = tmp_path / "said" / one.language / f"{Path(one.place).stem}.json"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps({"text": one.id}))
    ids = jsonl(tmp_path / "said.jsonl", [{"id": one.id, "text": one.id} for one in said])
    place = str(tmp_path / "said" if folders else ids)
    rows, left_out, _ = predictions_at(place, None, str(few), "test", "*->eng")
    assert left_out == {"deu-eng": 0, "nld-eng": 0}
    assert len(rows) == 12
    assert [row.prediction for row in rows] == [row.id for row in rows]
    with pytest.raises(UserError, match="one target language"):
        predictions_at(place, None, str(few), "test", "deu->eng,deu->nld")
    if folders:
        rows, *_ = predictions_at(place, None, str(few), "test", "deu->eng")
        assert {row.src_lang for row in rows} == {"deu"}


def test_an_answer_that_may_be_of_two_languages_is_told(few, tmp_path):
    names = {(code, "eng"): {"a": f"{code}/a"} for code in ("deu", "nld")}
    with pytest.raises(UserError, match="x: 'a' is a recording in deu and nld: give each"):
        pair_of(Hypothesis("a", "", "x"), names)
    assert pair_of(Hypothesis("a", "", "x", "nld"), names) == ("nld", "eng")


def llm_srt(corpus, recordings):
    """What LLM-SRT would write about recordings: no ids, and references of its own."""
    english = corpus.texts("eng", "test")
    return [
        {"gt": f"{one.text}<|deu|><|eng|>{english[one.sentence_id].lower()}",
         "response": f"{one.text}<|deu|><|eng|>{one.id}", "prompt": "<|deu|><|eng|>"}
        for one in recordings
    ]  # fmt: skip


def test_answers_without_ids_are_compared_by_the_order_of_a_corpus(evaluated, few, tmp_path):
    corpus = Fleurs(str(few))
    recordings = list(corpus.utterances("deu", "test"))
    file = jsonl(tmp_path / "peer.jsonl", llm_srt(corpus, recordings))
    peer = tmp_path / "peer"
    assert evaluate(peer, f"--predictions={file}", f"--data={few}") == 0
    rows = read_predictions(peer / "predictions.jsonl")
    assert [row.prediction for row in rows] == [row.id for row in rows]
    assert rows[0].transcript == recordings[0].text
    told = ["compare", str(evaluated), str(peer), f"--output-dir={tmp_path}", "--draws=20"]
    assert main(told) == 0
    jsonl(file, llm_srt(corpus, recordings[::-1]))
    with pytest.raises(UserError, match=r"\d of 6 references of deu-eng are those of .* order"):
        predictions_at(str(file), None, str(few), "test", None)
    jsonl(file, llm_srt(corpus, recordings[1:]))
    with pytest.raises(UserError, match="Expected 6 predictions of deu-eng"):
        predictions_at(str(file), None, str(few), "test", None)


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
