"""`speechalign compare`: finished runs beside one another."""

import json
import re

import pytest

from speechalign.cli import main
from speechalign.evaluation.predictions import write_predictions
from tests.evaluation.test_significance import answers, noisy, sentences


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Two runs each of a worse and a better system."""
    import numpy as np

    root, draw = tmp_path_factory.mktemp("runs"), np.random.default_rng(0)
    references = sentences(draw, 60)
    for name, rate in (("base", 0.3), ("ours", 0.1)):
        for seed in (0, 1):
            rows = [
                row
                for source in ("deu", "amh")
                for row in answers(noisy(draw, references, rate), references, source)
            ]
            file = root / f"{name}{seed}.jsonl"
            write_predictions(file, rows)
            folder = f"--output-dir={root / f'{name}{seed}'}"
            assert main(["evaluate", folder, f"--predictions={file}", "--draws=20"]) == 0
    return root


def test_runs_are_compared(runs, tmp_path, capsys):
    capsys.readouterr()
    told = [",".join(str(runs / f"{name}{seed}") for seed in (0, 1)) for name in ("base", "ours")]
    told[1] = f"ours, better={told[1]}"
    assert main(["compare", *told, f"--output-dir={tmp_path}", "--draws=200"]) == 0
    out = capsys.readouterr().out
    assert "ours, better, 2 runs: German → English" in out
    found = json.loads((tmp_path / "comparison.json").read_text())
    assert found["baseline"] == "base0"
    (system,) = found["systems"]
    assert system["pairs"]["deu-eng"]["bleu"]["value"] > 0
    assert len(system["pairs"]["deu-eng"]["bleu"]["scores"]) == 2
    assert set(system["averages"]) == {"high_resource", "low_resource", "all"}
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    (data,) = re.findall(r'<script id="data" type="application/json">(.*?)</script>', page, re.S)
    view = json.loads(data)
    assert [run["name"] for run in view["runs"]] == ["base0", "ours, better"]
    assert view["sentences"][0]["change"] > 0
    assert view["sentences"][0]["system"] == "ours, better"
    assert r"\toprule" in (tmp_path / "table.tex").read_text()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["{0}"], "Name two runs or more"),
        (["{0}", "{1}", "--draws=0"], "--draws is 0"),
        (["{0}", "nowhere"], "nowhere is no finished run"),
        (["{0}", "a="], "names no folder"),
        (["{0}", ","], "names no folder"),
        (["{0}", "{1}", "--seed=-1"], "--seed is -1"),
        (["{0},{1}", "{2}"], "1 and 2 runs"),
        (["{0}", "{1}", "--preset=x"], "no preset 'x'"),
    ],
)
def test_what_cannot_be_compared_is_one_line(runs, options, message, tmp_path, capsys):
    places = [str(runs / name) for name in ("base0", "base1", "ours0")]
    told = [option.format(*places) for option in options]
    assert main(["compare", *told, f"--output-dir={tmp_path}"]) == 2
    assert message in capsys.readouterr().err
