"""`speechalign compare`: finished runs beside one another."""

import json
import re
import shutil

import pytest

from speechalign.cli import main
from speechalign.commands.entries import apart
from speechalign.evaluation.comet import digest, texts_of
from speechalign.evaluation.counted import count
from speechalign.evaluation.predictions import read_predictions, write_predictions
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


def view_in(folder):
    page = (folder / "report.html").read_text(encoding="utf-8")
    (data,) = re.findall(r'<script id="data" type="application/json">(.*?)</script>', page, re.S)
    return json.loads(data)


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
    view = view_in(tmp_path)
    assert [run["name"] for run in view["runs"]] == ["base0", "ours, better"]
    assert view["sentences"][0]["change"] > 0
    assert view["sentences"][0]["system"] == "ours, better"
    assert r"\toprule" in (tmp_path / "table.tex").read_text()


def compared(tmp_path, *told):
    assert main(["compare", *map(str, told), f"--output-dir={tmp_path}", "--draws=50"]) == 0
    return json.loads((tmp_path / "comparison.json").read_text())


def test_what_it_takes_to_find_the_same_is_told(runs, tmp_path):
    found = compared(tmp_path, runs / "base0", runs / "ours0")
    assert found["preset"] == "speechalign"
    assert (found["draws"], found["draws_by_pair"], found["seed"]) == (50, 80, 0)
    assert found["pairs"]["deu-eng"] == {"recordings": 60, "sentences": 60}
    assert [run["folder"] for run in found["runs"]] == [str(runs / n) for n in ("base0", "ours0")]
    assert "sacrebleu" in found["versions"]
    assert any("tok:13a" in line for line in found["signatures"])
    for name, mark in (("table.txt", ""), ("table.tex", "% ")):
        lines = (tmp_path / name).read_text().splitlines()
        assert f"{mark}50 draws (80 for single pairs of languages), seed 0" in lines
        assert any(line.startswith(f"{mark}p (Holm): corrected over the pairs") for line in lines)


def test_runs_are_scored_as_they_were(runs, tmp_path, capsys):
    others = []
    for name in ("base0", "ours0"):
        others.append(tmp_path / name)
        told = [f"--output-dir={others[-1]}", f"--predictions={runs / f'{name}.jsonl'}"]
        assert main(["evaluate", *told, "--preset=potsa", "--draws=20"]) == 0
    found = compared(tmp_path / "out", *others)
    assert found["preset"] == "potsa"
    assert any("case:lc" in line for line in found["signatures"])
    assert main(["compare", str(runs / "base0"), str(others[1])]) == 2
    assert "choose one by --preset" in capsys.readouterr().err
    found = compared(tmp_path / "both", runs / "base0", others[1], "--preset=whisper")
    assert found["preset"] == "whisper"


def test_pairs_that_not_all_runs_have_are_told(runs, tmp_path, capsys):
    german = tmp_path / "german"
    told = [f"--output-dir={german}", f"--predictions={runs / 'ours0.jsonl'}", "--pairs=deu->eng"]
    assert main(["evaluate", *told, "--draws=20"]) == 0
    found = compared(tmp_path, runs / "base0", german)
    assert set(found["systems"][0]["pairs"]) == {"deu-eng"}
    assert [run["left_out"] for run in found["runs"]] == [["amh-eng"], []]
    assert "not in all runs: Amharic → English" in capsys.readouterr().out
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "not in all runs: Amharic" in page


def test_scores_of_comet_are_compared(runs, tmp_path):
    folders = []
    for name, score in (("base0", 0.5), ("ours0", 0.7)):
        folders.append(tmp_path / name)
        shutil.copytree(runs / name, folders[-1])
        for part in count(read_predictions(folders[-1] / "predictions.jsonl")):
            texts = digest(texts_of(part, "transcript"))
            kept = {"signature": "m", "source": "transcript", "texts": texts,
                    "scores": [score] * len(part.rows)}  # fmt: skip
            file = folders[-1] / "comet" / f"{'-'.join(part.pair)}.scores"
            file.parent.mkdir(exist_ok=True)
            file.write_text(json.dumps(kept))
    told = compared(tmp_path / "out", *folders)["systems"][0]["pairs"]["deu-eng"]["comet"]
    assert told["value"] == pytest.approx(20)


def test_a_run_that_lacks_something_is_told(runs, tmp_path, capsys):
    half = tmp_path / "half"
    half.mkdir()

    def refused():
        assert main(["compare", str(runs / "base0"), str(half)]) == 2
        return capsys.readouterr().err

    (half / "metrics.json").write_text("{")
    assert f"{half} is no finished run, it has no predictions.jsonl" in refused()
    (half / "predictions.jsonl").touch()
    assert f"{half} is no finished run, it has no metrics.json that can be read" in refused()
    for content in ("[]", '{"pairs": {}}'):
        (half / "metrics.json").write_text(content)
        assert "has a metrics.json without preset and pairs" in refused()


@pytest.mark.parametrize(
    ("systems", "names"),
    [
        ([(None, "a", "x"), (None, "b", "y")], ["a", "b"]),
        ([(None, "a", "x"), (None, "a", "y")], ["x", "y"]),
        ([("ours", "a", "x"), (None, "a", "y")], ["ours", "a"]),
        ([("ours", "a", "x"), (None, "a", "y"), (None, "a", "z")], ["ours", "y", "z"]),
        ([("a", "b", "x"), (None, "a", "y")], ["a", "y"]),
    ],
)
def test_systems_are_named_as_told_and_apart(systems, names):
    assert apart(systems) == names


def test_the_page_tells_how_to_read_it_and_where_systems_are_from(runs, tmp_path):
    told = [",".join(str(runs / f"{name}{seed}") for seed in (0, 1)) for name in ("base", "ours")]
    compared(tmp_path, *told)
    view = view_in(tmp_path)
    assert view["sources"] == [one.split(",") for one in told]
    assert view["notes"][0] == "50 draws (80 for single pairs of languages), seed 0"
    assert view["notes"][1].startswith("p (Holm): corrected over the pairs of languages")
    assert len(view["comparison"]) == 1


def test_where_a_run_is_from_is_told(runs, tmp_path):
    first, _ = compared(tmp_path, runs / "base0", runs / "ours0")["runs"]
    assert first["system"] == "base0"
    assert first["predictions"] == str(runs / "base0.jsonl")


def test_how_models_answered_is_told_once(runs, tmp_path):
    for name in ("base0", "ours0"):
        shutil.copytree(runs / name, tmp_path / name)
        file = tmp_path / name / "metrics.json"
        told = json.loads(file.read_text())
        told["system"] |= {"task": "st", "decoding": {"beams": 4}, "dtype": "bfloat16"}
        file.write_text(json.dumps(told))
    first, _ = compared(tmp_path / "both", tmp_path / "base0", tmp_path / "ours0")["runs"]
    assert (first["task"], first["decoding"], first["dtype"]) == ("st", {"beams": 4}, "bfloat16")
    lines = (tmp_path / "both" / "table.txt").read_text().splitlines()
    assert lines.count("decoding: task st, beams 4, dtype bfloat16") == 1


def test_metrics_that_are_not_compared_are_told(runs, tmp_path, capsys):
    other = tmp_path / "other"
    shutil.copytree(runs / "ours0", other)
    told = json.loads((other / "metrics.json").read_text())
    told["pairs"]["deu-eng"]["scores"]["comet"] = {"value": 1.0, "signature": "m"}
    (other / "metrics.json").write_text(json.dumps(told))
    found = compared(tmp_path / "out", runs / "base0", other)
    assert found["metrics_left_out"] == ["comet"]
    assert "not compared, though in metrics.json: COMET" in capsys.readouterr().out


def test_the_page_tells_the_versions_that_scored_last(runs, tmp_path):
    old = tmp_path / "old"
    shutil.copytree(runs / "base0", old)
    told = json.loads((old / "metrics.json").read_text())
    (old / "metrics.json").write_text(json.dumps(told | {"versions": {"sacrebleu": "0.0"}}))
    found = compared(tmp_path / "out", old, runs / "ours0")
    assert view_in(tmp_path / "out")["runs"][0]["versions"] == found["versions"]


def test_runs_of_different_recordings_are_named(runs, tmp_path, capsys):
    rows = read_predictions(runs / "ours0.jsonl")
    rows = [
        row._replace(id="new" if row.id == first else row.id, reference=f"{row.reference}!")
        for first in [rows[0].id]
        for row in rows[:-1]
    ]
    file, other = tmp_path / "rows.jsonl", tmp_path / "other"
    write_predictions(file, rows)
    told = [f"--output-dir={other}", f"--predictions={file}", "--pairs=deu->eng", "--draws=20"]
    assert main(["evaluate", *told]) == 0
    assert main(["compare", str(runs / "base0"), str(other), f"--output-dir={tmp_path}"]) == 2
    said = capsys.readouterr().err
    for part in (f"{runs / 'base0'} and {other} have different recordings of deu-eng: ",
                 f"1 recording only in {runs / 'base0'} (",
                 f"1 recording only in {other} (new); 59 recordings with different references (",
                 ", …). Evaluate both on the same data"):  # fmt: skip
        assert part in said


def test_sentences_told_apart_by_one_run_alone(tmp_path, capsys):
    """LLM-SRT's rows tell of what is said; lines beside references know only those."""
    tag = "<|deu|><|eng|>"
    rows = [{"gt": f"{said}{tag}It rains.", "response": f"{said}{tag}It {word}.", "prompt": tag}
            for said, word in (("Es regnet.", "rains"), ("Es giesst.", "pours"))]  # fmt: skip
    (tmp_path / "srt.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (tmp_path / "lines.txt").write_text("It rains.\nIt snows.\n")
    (tmp_path / "references.txt").write_text("It rains.\n" * 2)
    by_srt, by_lines = tmp_path / "srt", tmp_path / "lines"
    lines = [f"--predictions={tmp_path / 'lines.txt'}", "--pairs=deu->eng",
             f"--references={tmp_path / 'references.txt'}"]  # fmt: skip
    for folder, told in ((by_srt, [f"--predictions={tmp_path / 'srt.jsonl'}"]), (by_lines, lines)):
        assert main(["evaluate", f"--output-dir={folder}", *told, "--draws=20"]) == 0
    for first, other, said in ((by_srt, by_lines, 2), (by_lines, by_srt, 1)):
        found = compared(tmp_path / "out", first, other)
        assert found["pairs"]["deu-eng"] == {"recordings": 2, "sentences": said}
        note = f"sentences of {other}: drawn by the sentence_ids of {first}"
        assert note in capsys.readouterr().out.splitlines()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["{0}"], "Name two runs or more"),
        (["{0}", "{1}", "--draws=0"], "--draws is 0"),
        (["{0}", "nowhere"], "nowhere is no finished run, it is no folder"),
        (["{0}", "a="], "names no folder"),
        (["a={0}", "a={1}"], "Two systems are called 'a'"),
        (["{0}", "{0}"], "give each a name of its own, as NAME=FOLDER"),
        (["{0},{0}", "{1},{2}"], "give each run of a system once"),
        (["{0}", "tests"], "tests is no finished run, it has no metrics.json"),
        (["{0}", "{1}", "--output-dir={1}"], "give another --output-dir"),
        (["{0}", ","], "names no folder"),
        (["{0}", "{1}", "--seed=-1"], "--seed is -1"),
        (["{0},{1}", "{2}"], "base0 has 2 runs, ours0 has 1 run: give equally many"),
        (["{0}", "{1}", "--preset=x"], "no preset 'x'"),
    ],
)
def test_what_cannot_be_compared_is_one_line(runs, options, message, tmp_path, capsys):
    places = [str(runs / name) for name in ("base0", "base1", "ours0")]
    told = [option.format(*places) for option in options]
    assert main(["compare", f"--output-dir={tmp_path}", *told]) == 2
    assert message in capsys.readouterr().err
