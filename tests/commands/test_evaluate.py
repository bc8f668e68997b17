"""`speechalign evaluate` with a model: what it writes, and that Lightning's test says the same."""

import json
import re

import torch

from speechalign import Translator
from speechalign.data.fleurs import Fleurs
from speechalign.evaluation.predictions import read_predictions
from speechalign.models.bias_pack import empty_pack, save_pack
from speechalign.models.moments import moments_of
from tests.commands.evaluations import assert_the_same, evaluate, lightning_run, metrics

MADE = {"predictions.jsonl", "metrics.json", "matrix.csv", "matrix_chrf.csv", "table.txt",
        "table.tex", "report.html", "decoding.json", "comet"}  # fmt: skip


def test_a_model_is_evaluated(evaluated, few, capsys):
    assert {file.name for file in evaluated.iterdir()} == MADE
    told = metrics(evaluated)
    assert set(told["pairs"]) == {"deu-eng", "nld-eng"}
    assert told["pairs"]["deu-eng"]["recordings"] == 6
    assert told["averages"]["trained"]["languages"] == ["deu"]
    assert told["averages"]["zero_shot"]["languages"] == ["nld"]
    assert told["system"]["decoding"]["beams"] == 1
    assert len(told["system"]["sha256"]) == 64
    assert told["data"] == {"corpus": str(few), "split": "test", "revision": None}
    assert told["texts"] == "NFC, single spaces"
    rows = read_predictions(evaluated / "predictions.jsonl")
    assert len(rows) == 12
    assert rows[0].src_text == Fleurs(str(few)).texts("deu", "test")[rows[0].sentence_id]


def test_tables_tell_what_it_takes_to_find_the_same(evaluated, few):
    for name, mark in (("table.txt", ""), ("table.tex", "% ")):
        lines = (evaluated / name).read_text(encoding="utf-8").splitlines()
        assert f"{mark}scored by the preset speechalign" in lines
        assert f"{mark}intervals: 95 % of 20 draws of sentences, seed 0" in lines
        assert f"{mark}corpus: {few}, split test, revision unknown" in lines
        assert any(line.startswith(f"{mark}6 recordings of ") for line in lines)
        assert any(line.startswith(f"{mark}decoding: task st, beams 1") for line in lines)
        (versions,) = (line for line in lines if line.startswith(f"{mark}versions: "))
        assert "sacrebleu 2" in versions


def test_the_page_opens_offline_and_plays(evaluated):
    page = (evaluated / "report.html").read_text(encoding="utf-8")
    (data,) = re.findall(r'<script id="data" type="application/json">(.*?)</script>', page, re.S)
    assert not re.search(r"(src|href|url)\s*[=(]\s*[\"']?https?:", page)
    view = json.loads(data)
    assert view["sentences"][0]["audio"].startswith("data:audio/mpeg;base64,")
    assert view["labels"] == {"bleu": "BLEU", "chrf": "chrF++"}


def test_lightnings_test_gives_the_same(evaluated, few, tmp_path):
    assert_the_same(evaluated, lightning_run(few, tmp_path))


def test_transcripts_and_other_pairs(few, tmp_path):
    assert evaluate(tmp_path, f"--data={few}", "--pairs=deu->deu, nld->deu") == 0
    told = metrics(tmp_path)["pairs"]
    assert set(told) == {"deu-deu", "nld-deu"}
    assert set(told["deu-deu"]["scores"]) == {"wer", "cer"}
    assert "bleu" in told["nld-deu"]["scores"]


def test_alignment_is_told_beside_the_scores(few, tmp_path):
    assert evaluate(tmp_path, f"--data={few}", "--alignment") == 0
    stages = metrics(tmp_path)["alignment"]
    assert "qformer.3" in [one["stage"] for one in stages]
    assert all(0 <= one["recall_at_1"] <= 1 for one in stages)


def test_a_pack_of_biases_is_named_by_its_weights(few, tmp_path):
    encoder = Translator.from_pretrained().model.encoder
    told = moments_of(torch.ones(3, encoder.width)), [f"{n:032x}" for n in range(3)]
    save_pack(empty_pack(encoder, "valid").add("dan", *told), tmp_path / "pack")
    options = (f"--data={few}", "--pairs=deu->eng", f"--bias={tmp_path / 'pack'}")
    assert evaluate(tmp_path / "out", *options) == 0
    assert len(metrics(tmp_path / "out")["system"]["bias"]) == 64


def test_number_formats_are_told_and_asked_of_alignment_too(few, tmp_path, capsys, monkeypatch):
    options = (f"--data={few}", "--pairs=deu->eng,nld->eng", "--dtype=bfloat16")
    loaded, of = [], Translator.from_pretrained.__func__
    monkeypatch.setattr(
        Translator,
        "from_pretrained",
        classmethod(lambda cls, path, **told: (loaded.append(told), of(cls, path, **told))[1]),
    )
    assert evaluate(tmp_path, *options, "--alignment") == 0
    assert [told["dtype"] for told in loaded] == ["bfloat16", "bfloat16"]
    assert metrics(tmp_path)["system"]["dtype"] == "bfloat16"
    assert "dtype bfloat16" in (tmp_path / "table.txt").read_text(encoding="utf-8")
    assert evaluate(tmp_path, *options[:2]) == 2
    assert "differs in --dtype (bfloat16, now None)" in capsys.readouterr().err
