"""`speechalign evaluate` drops nothing: what fails is counted, and what cannot be is refused."""

import shutil
from pathlib import Path

import pytest

from speechalign.cli import main
from tests.commands.evaluations import assert_the_same, evaluate, lightning_run, metrics


def test_recordings_without_a_reference_are_counted(untranslated, tmp_path, capsys):
    assert evaluate(tmp_path / "run", f"--data={untranslated}", "--pairs=deu->eng") == 0
    told = metrics(tmp_path / "run")
    assert told["pairs"]["deu-eng"]["recordings"] == 5
    assert told["system"]["left_out"] == {"deu-eng": 1}
    assert "Left out, for want of a reference: 1 recording\n" in capsys.readouterr().out


@pytest.fixture
def damaged(few, tmp_path) -> Path:
    """The corpus without one of the German recordings, and with another that is no sound."""
    corpus = tmp_path / "damaged"
    shutil.copytree(few, corpus)
    lost, broken = sorted((corpus / "de_de" / "audio" / "test").iterdir())[:2]
    lost.unlink()
    broken.write_bytes(b"no sound")
    return corpus


def test_what_is_not_there_or_no_sound_counts_here_and_in_lightnings_test(
    damaged, tmp_path, capsys
):
    out = tmp_path / "run"
    assert evaluate(out, f"--data={damaged}", "--batch-size=4") == 0
    told = metrics(out)["pairs"]["deu-eng"]
    assert told["recordings"] == 6
    assert told["failures"] == {"unreadable": 2}
    assert len(told["failed_rows"]) == 2
    printed = capsys.readouterr().out
    assert "Failed: 2 of 12 answers (2 unreadable): see failed_rows in metrics.json" in printed
    assert_the_same(out, lightning_run(damaged, tmp_path / "lightning"))


def test_alignment_is_looked_at_in_what_can_be_read(damaged, tmp_path):
    assert evaluate(tmp_path / "run", f"--data={damaged}", "--alignment") == 0
    assert metrics(tmp_path / "run")["alignment"]


def test_a_language_of_which_no_recording_is_there_is_refused(damaged, tmp_path, capsys):
    for file in (damaged / "nl_nl" / "audio" / "test").iterdir():
        file.unlink()
    assert evaluate(tmp_path / "run", f"--data={damaged}") == 2
    assert "nld/test: none of 6 recordings is there" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_unreadable_and_long_recordings_count_as_empty_answers(few, tmp_path):
    corpus = tmp_path / "few"
    shutil.copytree(few, corpus)
    folder = corpus / "de_de" / "audio" / "test"
    broken, long = sorted(folder.iterdir())[:2]
    broken.write_bytes(b"no sound")
    import numpy as np
    import soundfile

    soundfile.write(long, np.zeros(16_000 * 40), 16_000, format="OGG", subtype="VORBIS")
    tsv = corpus / "de_de" / "test.tsv"
    rows = [line.split("\t") for line in tsv.read_text(encoding="utf-8").splitlines()]
    rows = [r if r[1] != long.name else [*r[:5], str(16_000 * 40), r[6]] for r in rows]
    tsv.write_text("".join("\t".join(row) + "\n" for row in rows), encoding="utf-8")
    out = tmp_path / "run"
    assert evaluate(out, f"--data={corpus}", "--pairs=deu->eng", "--batch-size=4") == 0
    told = metrics(out)["pairs"]["deu-eng"]
    assert told["recordings"] == 6
    assert told["failures"] == {"too long": 1, "unreadable": 1}
    assert len(told["failed_rows"]) == 2


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--checkpoint=nowhere", "--data=x"], "There is no checkpoint 'nowhere': check the path"),
        (["--checkpoint=README.md"], "what to evaluate on by --data"),
        (
            ["--data=nowhere"],
            "no folder at nowhere: give a FLEURS folder or a manifest (.jsonl) by --data",
        ),
        (["--data=configs"], "configs has no folder of a FLEURS language"),
        (["--data=nowhere.jsonl"], "There is no manifest at nowhere.jsonl: check --data"),
        (["--preset=moses"], "no preset 'moses'"),
        (["--processes=0"], "--processes is 0: give 1 or more"),
        (["--draws=0"], "--draws is 0"),
        (["--llm-bits=5"], "--llm-bits is 5: give 4 or 8"),
        (["--beams=0"], "--beams is 0"),
        (["--workers=-1"], "--workers is -1: give 0 or more"),
        (["--seed=-1"], "--seed is -1: give 0 or more"),
        (["--output-dir=README.md"], "README.md cannot be made (README.md is a file)"),
        (["--output-dir=README.md/run"], "README.md is a file"),
        (["--output-dir=" + "x" * 300], "cannot be made"),
        (["--references=x"], "belong to --predictions"),
        (["--predictions=x", "--alignment"], "--alignment has no use with --predictions, but with"),
        (["--predictions=x", "--device=cpu"], "--device has no use with --predictions"),
        (
            ["--predictions=x", "--workers=1", "--beams=5", "--batch-size=1", "--checkpoint=y"],
            "--batch-size, --beams, --checkpoint, --workers have no use with --predictions, but "
            "with a model: leave them out",
        ),
        (
            ["--predictions=x", "--split=dev"],
            "--split has no use with --predictions alone, but with --data: leave it out",
        ),
        (["--comet-model=x"], "--comet-model has no use without --comet"),
        (["--comet=/nowhere/comet-score"], "cannot be run"),
        (["--predictions=none.txt"], "no predictions at none.txt"),
        (["--comet=true", "--comet-options='"], '--comet-options are "\'": No closing quotation'),
        (["--comet-source=x"], "comet"),
        (["--split=nowhere"], "No language has audio in the split 'nowhere'"),
        (["--pairs=deu"], "'deu' is no pair"),
        (["--pairs=xxx->eng"], "Unknown language"),
        (["--pairs=deu->kor"], "no texts of kor, but of deu, eng"),
        (["--pairs=kor->eng"], "no recordings of kor, but of deu"),
        (["--task=x"], "expected st or srt"),
        (["--task=srt"], "no srt"),
    ],
)
def test_what_cannot_be_done_is_one_line(options, message, tmp_path, capsys):
    assert main(["evaluate", f"--output-dir={tmp_path / 'run'}", *options]) == 2
    told = capsys.readouterr().err
    assert message in told.splitlines()[-1]
    assert "Traceback" not in told
    assert not (tmp_path / "run").exists()


def test_a_folder_is_asked_for(capsys):
    assert main(["evaluate"]) == 2
    told = "speechalign: Missing: --output-dir. See speechalign evaluate --help.\n"
    assert capsys.readouterr().err == told
    assert main(["export"]) == 2
    assert "Missing: CHECKPOINT, FOLDER." in capsys.readouterr().err


@pytest.mark.parametrize("options", [["--pairs=deu"], ["--pairs=deu->kor"], ["--data=nowhere"],
                                     ["--split=nowhere"], ["--bias=nowhere"]])  # fmt: skip
def test_what_is_cheap_is_looked_at_before_a_model_is_loaded(options, tmp_path, monkeypatch):
    monkeypatch.setattr("speechalign.inference.translator.Translator.from_pretrained", None)
    assert evaluate(tmp_path / "run", *options) == 2


def test_a_folder_of_other_answers_is_refused_before_a_model_is_loaded(
    evaluated, few, capsys, monkeypatch
):
    monkeypatch.setattr("speechalign.inference.translator.Translator.from_pretrained", None)
    assert evaluate(evaluated, f"--data={few}/", "--batch-size=4") == 2
    told = f"differs in --data ({few}, now {few}/): give another --output-dir"
    assert told in capsys.readouterr().err
