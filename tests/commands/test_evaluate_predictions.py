"""`speechalign evaluate --predictions`: the answers of any system are scored."""

import json
import shutil
import sys
from pathlib import Path

import pytest

from speechalign.data.fleurs import Fleurs
from speechalign.errors import Caution
from tests.commands.evaluations import evaluate, metrics
from tests.evaluation.test_comet import SCRIPT
from tests.evaluation.test_formats import LLM_SRT, jsonl


def test_llm_srts_predictions_are_scored(tmp_path, capsys):
    file = jsonl(tmp_path / "llm_srt.jsonl", LLM_SRT)
    assert evaluate(tmp_path / "run", f"--predictions={file}", "--preset=llm-srt") == 0
    told = metrics(tmp_path / "run")["pairs"]
    assert set(told) == {"deu-deu", "eng-cmn"}
    assert "tok:char" in told["eng-cmn"]["scores"]["bleu"]["signature"]
    assert told["eng-cmn"]["failures"] == {"no tag": 2}
    assert told["eng-cmn"]["sentences"] == 2
    chrf = told["eng-cmn"]["scores"]["chrf"]
    assert 0 < chrf["strict"] < chrf["value"]
    assert "spBLEU is left out" in capsys.readouterr().out
    place = f"--predictions={tmp_path / 'run'}"
    assert evaluate(tmp_path / "transcripts", place, "--pairs=deu->deu") == 0
    assert "spBLEU" not in capsys.readouterr().out  # it is of translations


def test_pairs_choose_among_predictions(evaluated, tmp_path, capsys):
    place = f"--predictions={evaluated / 'predictions.jsonl'}"
    assert evaluate(tmp_path, place, "--pairs=deu->*") == 0
    assert set(metrics(tmp_path)["pairs"]) == {"deu-eng"}
    assert evaluate(tmp_path, place, "--pairs=fra->eng") == 2
    assert "no predictions of --pairs 'fra->eng'" in capsys.readouterr().err


def test_whispers_folder_is_joined_by_the_names_of_files(few, tmp_path, capsys):
    whisper = tmp_path / "whisper"
    whisper.mkdir()
    english = Fleurs(str(few)).texts("eng", "test")
    said = {Path(str(u.audio)).stem: english[u.sentence_id]
            for u in Fleurs(str(few)).utterances("deu", "test")}  # fmt: skip
    for stem, text in list(said.items())[:-1]:
        (whisper / f"{stem}.json").write_text(json.dumps({"text": f" {text}", "segments": []}))
    options = [f"--predictions={whisper}", f"--data={few}", "--pairs=deu->eng"]
    with pytest.warns(Caution, match="No prediction of 1 of 6 recordings"):
        assert evaluate(tmp_path / "run", *options) == 0
    told = metrics(tmp_path / "run")["pairs"]["deu-eng"]
    assert told["failures"] == {"missing": 1}
    assert told["recordings"] == 6
    assert 50 < told["scores"]["bleu"]["value"] < 100
    (whisper / "another.json").write_text(json.dumps({"text": "x"}))
    assert evaluate(tmp_path / "run", *options) == 2
    assert "has no recording 'another'" in capsys.readouterr().err


def test_lines_are_scored_against_references_or_a_corpus(few, tmp_path, capsys):
    (tmp_path / "out.txt").write_text("A king sings.\n\n")
    (tmp_path / "ref.txt").write_text("The king sings.\nA cow.\n")
    place = f"--predictions={tmp_path / 'out.txt'}"
    told = [place, f"--references={tmp_path / 'ref.txt'}"]
    assert evaluate(tmp_path / "run", *told, "--pairs=deu->eng") == 0
    assert metrics(tmp_path / "run")["pairs"]["deu-eng"]["failures"] == {"empty": 1}
    assert evaluate(tmp_path / "run", *told) == 2
    assert "from which language into which by --pairs" in capsys.readouterr().err
    assert evaluate(tmp_path / "run", *told, "--pairs=deu->eng,fra->eng") == 2
    assert "are 2 pairs of languages" in capsys.readouterr().err
    assert evaluate(tmp_path / "run", *told, f"--data={few}", "--pairs=deu->eng") == 2
    assert "--references or --data, not both" in capsys.readouterr().err
    assert evaluate(tmp_path / "run", place, f"--data={few}", "--pairs=deu->eng") == 2
    assert "Expected 6 predictions of deu-eng, one a recording" in capsys.readouterr().err
    assert evaluate(tmp_path / "run", place) == 2
    assert "is text alone" in capsys.readouterr().err
    assert evaluate(tmp_path / "run", place, "--references=nowhere.txt", "--pairs=deu->eng") == 2
    told = capsys.readouterr().err
    assert "There is no file of references at nowhere.txt: check --references." in told


@pytest.mark.parametrize("name", ["", "predictions.jsonl"])
@pytest.mark.parametrize("scored", [True, False])
def test_a_run_of_ours_that_is_scored_again_is_the_same_system(
    evaluated, tmp_path, name, scored, capsys
):
    run = tmp_path / "run"
    shutil.copytree(evaluated, run)
    if not scored:  # it was interrupted
        (run / "metrics.json").unlink()
    assert evaluate(tmp_path / "again", f"--predictions={run / name}") == 0
    (told,) = [line for line in capsys.readouterr().out.splitlines() if "Written: " in line]
    files = {file.name for file in (tmp_path / "again").iterdir()}
    assert files == {name.strip("/") for name in told.partition("again/")[2].split(", ")}
    again, first = metrics(tmp_path / "again"), metrics(evaluated)
    for key in ("pairs", "averages", "data"):
        assert again[key] == first[key]
    assert "zero_shot" in again["averages"]
    assert again["name"] == (first["name"] if scored else "run")
    assert again["system"] == first["system"] | {"predictions": str(run / name)}
    assert evaluate(tmp_path / "german", f"--predictions={run}", "--pairs=deu->eng") == 0
    assert metrics(tmp_path / "german")["system"]["left_out"] == {"deu-eng": 0}


def test_a_file_of_the_name_of_ours_is_anybodys(tmp_path):
    file = jsonl(tmp_path / "predictions.jsonl", LLM_SRT)
    for other in ("{}", "[]", "no JSON", '{"system": 1}'):
        file.with_name("metrics.json").write_text(other)
        assert evaluate(tmp_path / "out", f"--predictions={file}") == 0
        assert metrics(tmp_path / "out")["name"] == "predictions"


def test_lines_are_joined_with_a_corpus_in_its_order(few, tmp_path):
    english = Fleurs(str(few)).texts("eng", "test")
    said = [english[u.sentence_id] for u in Fleurs(str(few)).utterances("deu", "test")]
    (tmp_path / "out.txt").write_text("".join(f"{text}\n" for text in said))
    options = [f"--predictions={tmp_path / 'out.txt'}", f"--data={few}", "--pairs=deu->eng"]
    assert evaluate(tmp_path / "run", *options, "--name=peer") == 0
    told = metrics(tmp_path / "run")
    assert told["pairs"]["deu-eng"]["scores"]["bleu"]["value"] == pytest.approx(100)
    assert told["name"] == "peer"


def test_comet_is_run_in_its_own_environment(few, evaluated, tmp_path):
    script = tmp_path / "comet-score"
    script.write_text(SCRIPT.format(python=sys.executable))
    script.chmod(0o755)
    rows = evaluated / "predictions.jsonl"
    out = tmp_path / "run"
    assert (
        evaluate(
            out,
            f"--predictions={rows}",
            f"--comet={script}",
            "--comet-options=--batch_size 4 --gpus 0",
        )
        == 0
    )
    told = metrics(out)["pairs"]["deu-eng"]["scores"]["comet"]
    assert told["signature"] == "model:Unbabel/wmt22-comet-da|src:transcript|ref:yes"
    assert "COMET" in (out / "table.txt").read_text()


def test_processes_count_as_many_as_are_told(tmp_path, monkeypatch):
    from speechalign.evaluation.counted import count

    told = []
    monkeypatch.setattr(
        "speechalign.commands.evaluation_output.count",
        lambda *work: told.append(work[-1]) or count(*work),
    )
    file = jsonl(tmp_path / "llm_srt.jsonl", LLM_SRT)
    for options in ([], ["--processes=3"]):
        assert evaluate(tmp_path / "out", f"--predictions={file}", *options) == 0
    assert told == [None, 3]


def test_a_run_that_was_stopped_is_told(tmp_path, capsys):
    (tmp_path / "run" / ".answers").mkdir(parents=True)
    assert evaluate(tmp_path / "out", f"--predictions={tmp_path / 'run'}") == 2
    assert "was stopped: run it to its end" in capsys.readouterr().err


def test_interrupted_scores_are_not_those_of_others(tmp_path, monkeypatch):
    file, out = jsonl(tmp_path / "llm_srt.jsonl", LLM_SRT), tmp_path / "out"
    assert evaluate(out, f"--predictions={file}") == 0

    def interrupt(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("speechalign.commands.evaluation_output.count", interrupt)
    assert evaluate(out, f"--predictions={jsonl(tmp_path / 'b.jsonl', LLM_SRT[:2])}") == 130
    assert not (out / "metrics.json").exists()


def test_any_language_needs_a_corpus(tmp_path, capsys):
    for name in ("said", "right"):
        (tmp_path / name).write_text("A house.\n")
    told = [f"--predictions={tmp_path / 'said'}", f"--references={tmp_path / 'right'}"]
    assert evaluate(tmp_path / "out", *told, "--pairs=*->eng") == 2
    assert "* needs a corpus" in capsys.readouterr().err
