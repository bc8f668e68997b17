"""`speechalign inspect --manifest`: the languages of a corpus at each stage, and layers ranked."""

import json
import re
from math import nan
from pathlib import Path

import pytest
import yaml

from speechalign.cli import main
from speechalign.commands.inspect_corpus import (
    COLUMNS,
    matrix,
    mean,
    ranked,
    summary,
    write_schedule,
)
from speechalign.commands.training import command_line
from speechalign.data.fleurs import Fleurs
from speechalign.data.manifest import entries, write_manifest
from speechalign.errors import UserError

MICRO = "assets:micro/fleurs"


def inspected(tmp_path: Path, *arguments: str):
    page = tmp_path / "page.html"
    told = ["--languages=deu,fr,nld", "--sentences=6", f"--output={page}", *arguments]
    assert main(["inspect", *told]) == 0
    text = page.read_text(encoding="utf-8")
    assert not re.search(r"(src|href|url)\s*[=(]|https?:", text)  # it opens offline
    (data,) = re.findall(r'<script id="data" type="application/json">(.*?)</script>', text, re.S)
    return json.loads(data)


def test_a_corpus_is_compared_and_its_layers_ranked(tmp_path, capsys):
    schedule = tmp_path / "probe.yaml"
    numbers = tmp_path / "numbers.json"
    options = [f"--probe-layers={schedule}", f"--numbers={numbers}"]
    view = inspected(tmp_path, "--manifest", MICRO, *options)
    assert json.loads(numbers.read_text(encoding="utf-8")) == view
    assert [one["code"] for one in view["languages"]] == ["deu", "fra", "nld"]
    assert [one["role"] for one in view["languages"]] == ["trained", "trained", "zero-shot"]
    assert {one["sentences"] for one in view["languages"]} == {6}
    names = [one["stage"] for one in view["stages"]]
    assert names[:5] == ["encoder", "encoder+bias", "qformer.1", "qformer.2", "qformer.3"]
    for one in view["stages"]:
        assert 0 <= one["recall_at_1"] <= one["mrr"] <= 1
        assert (one["margin"] is None) == ("qformer" not in one["stage"])
        assert (one["recall_by_transport"] is None) == ("qformer" not in one["stage"])
        assert 0 <= one["dali"] <= 1
        cells = [
            value for row in view["recall"][one["stage"]] for value in row if value is not None
        ]
        assert sum(cells) / 6 == pytest.approx(one["recall_at_1"])
    assert view["stages"][4]["margin"] > 0  # the last layer tells sentences apart
    assert view["stages"][4]["recall_by_transport"] > 0.5
    printed = {line.split()[0]: line.split()[1:] for line in capsys.readouterr().out.splitlines()}
    for one in view["stages"]:
        shown = [f"{one[name]:.{digits}f}" for name, (_, digits) in COLUMNS.items()
                 if one[name] is not None]  # fmt: skip
        assert printed[one["stage"]] == shown
    layers = yaml.safe_load(schedule.read_text())["model"]["schedule"]["init_args"]["layers"]
    assert len(layers) == 2
    with pytest.raises(SystemExit):
        command_line(
            "fit", ["--config=configs/micro.yaml", f"--config={schedule}", "--print_config"]
        )
    assert f"- {layers[0]}" in capsys.readouterr().out


def test_a_manifest_is_compared_as_its_corpus_is(tmp_path):
    source, file = Fleurs(MICRO), tmp_path / "all.jsonl"
    lines = [e for code in ("deu", "fra", "nld") for e in entries(source, code, "dev", "eng")]
    write_manifest(file, lines)
    one = inspected(tmp_path, f"--manifest={file}")
    other = inspected(tmp_path, "--manifest", MICRO)
    for ours, theirs in zip(one["stages"], other["stages"], strict=True):
        assert ours == pytest.approx(theirs, abs=2e-3)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["none.jsonl"], "none.jsonl"),
        ([MICRO, "--split=night"], "night"),
        ([MICRO, "--split=tset"], "the split 'tset': give --split train, dev or test"),
        ([MICRO, "--languages=deu"], "deu alone: name two or more"),
        ([MICRO, "--sentences=1"], "--sentences is 1"),
        ([MICRO, "--languages=deu,jpn"], "jpn"),
        (
            [MICRO, "--languages=deu,fra", "--sentences=2", "--output=/dev/null/a.html"],
            "give --output another place",
        ),
    ],
)
def test_faults_are_one_line(arguments, told, capsys):
    assert main(["inspect", "--manifest", *arguments]) == 2
    assert told in capsys.readouterr().err.splitlines()[-1]


def test_what_cannot_be_told_is_left_open():
    told = {"there": 1.0, "back": 0.5, "margin": nan}
    assert summary("llm.1", {("a", "b"): told}) == {"stage": "llm.1", "margin": None}
    assert mean([nan, 1.0, 2.0]) == 1.5
    assert matrix(["a", "b"], {("a", "b"): told}) == [[None, 1.0], [0.5, None]]


def test_the_better_half_of_the_layers_is_aligned(tmp_path):
    told = [(0.1, 0.9), (0.3, 0.1), (0.2, 0.2)]
    stages = [
        {"stage": f"qformer.{k}", "margin": margin, "cost": cost}
        for k, (margin, cost) in enumerate(told, start=1)
    ]
    ranking = ranked([{"stage": "encoder", "margin": None, "cost": None}, *stages])
    assert [layer for layer, _ in ranking] == [2, 3, 1]
    assert [contrast for _, contrast in ranking] == pytest.approx([0.75, 0.5, 0.1])
    write_schedule(str(tmp_path / "probe.yaml"), ranking)
    text = (tmp_path / "probe.yaml").read_text()
    assert "layers: [2, 3]" in text
    assert "#   layer 1: 0.100" in text
    assert ranked([{"stage": "qformer.1", "margin": 0.0, "cost": 0.0}]) == [(1, 0.0)]
    with pytest.raises(UserError, match="another place"):
        write_schedule("/dev/null/probe.yaml", ranking)
    with pytest.raises(UserError, match="no layer to rank"):
        ranked(stages[:0])
