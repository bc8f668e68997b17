"""`speechalign evaluate`: decoding that a kill cannot hurt, and predictions of any system."""

import json
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from speechalign.cli import main
from speechalign.commands.asked import read_pairs
from speechalign.commands.training import command_line
from speechalign.data.fleurs import Fleurs
from speechalign.errors import Caution, UserError
from speechalign.evaluation.predictions import read_predictions, write_predictions
from tests.evaluation.test_comet import SCRIPT
from tests.evaluation.test_formats import LLM_SRT, jsonl

MADE = {"predictions.jsonl", "metrics.json", "matrix.csv", "matrix_chrf.csv", "table.txt",
        "table.tex", "report.html", "decoding.json", "comet"}  # fmt: skip


def evaluate(folder, *options):
    return main(["evaluate", f"--output-dir={folder}", "--draws=20", *options])


def metrics(folder):
    return json.loads((folder / "metrics.json").read_text(encoding="utf-8"))


def contents(folder):
    return {
        file.relative_to(folder).as_posix(): file.read_bytes()
        for file in sorted(folder.rglob("*"))
        if file.is_file()
    }


@pytest.fixture(scope="module")
def evaluated(few, tmp_path_factory):
    folder = tmp_path_factory.mktemp("evaluated") / "run"
    assert evaluate(folder, f"--data={few}", "--batch-size=4") == 0
    return folder


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


def test_the_page_opens_offline_and_plays(evaluated):
    page = (evaluated / "report.html").read_text(encoding="utf-8")
    (data,) = re.findall(r'<script id="data" type="application/json">(.*?)</script>', page, re.S)
    assert not re.search(r"(src|href|url)\s*[=(]\s*[\"']?https?:", page)
    view = json.loads(data)
    assert view["sentences"][0]["audio"].startswith("data:audio/mpeg;base64,")
    assert view["labels"] == {"bleu": "BLEU", "chrf": "chrF++"}


def test_what_is_there_is_scored_again_and_not_decoded(evaluated, few, tmp_path, capsys):
    folder = tmp_path / "run"
    shutil.copytree(evaluated, folder)
    rows = read_predictions(folder / "predictions.jsonl")
    write_predictions(folder / "predictions.jsonl", [r._replace(prediction="") for r in rows])
    assert evaluate(folder, f"--data={few}", "--batch-size=4") == 0
    assert metrics(folder)["averages"]["all"]["bleu"]["value"] == 0
    assert metrics(folder)["pairs"]["deu-eng"]["failures"] == {"empty": 6}
    assert "All is answered" in capsys.readouterr().err
    assert evaluate(folder, f"--data={few}", "--batch-size=4", "--beams=2") == 2
    assert "another decoding: give another --output-dir" in capsys.readouterr().err
    write_predictions(folder / "predictions.jsonl", rows[1:])
    assert evaluate(folder, f"--data={few}", "--batch-size=4") == 2
    assert "was changed since it was written" in capsys.readouterr().err
    (folder / "decoding.json").unlink()
    assert evaluate(folder, f"--data={few}", "--batch-size=4") == 2
    assert "has predictions of another system" in capsys.readouterr().err


def test_lightnings_test_gives_the_same(evaluated, few, tmp_path):
    run = command_line("test", [
        "--config=configs/micro.yaml", "--model.init_from=assets:micro/adapter",
        f"--data.source.init_args.root={few}", "--data.languages=[deu]", "--data.zero_shot=[nld]",
        f"--trainer.default_root_dir={tmp_path}", "--trainer.enable_progress_bar=false",
        "--data.cache=false",
    ])  # fmt: skip
    folder = Path(run.trainer.log_dir)
    assert read_predictions(folder / "predictions.jsonl") == read_predictions(
        evaluated / "predictions.jsonl"
    )
    ours, theirs = metrics(evaluated), metrics(folder)
    assert theirs["pairs"].keys() == ours["pairs"].keys()
    for pair, told in ours["pairs"].items():
        for name, score in told["scores"].items():
            other = theirs["pairs"][pair]["scores"][name]
            for key in ("value", "by_sentence", "strict", "signature"):  # draws were fewer here
                assert other[key] == score[key]


def test_recordings_without_a_reference_are_counted(few, tmp_path):
    corpus = tmp_path / "few"
    shutil.copytree(few, corpus)
    english = corpus / "en_us" / "test.tsv"
    asked = {u.sentence_id for u in Fleurs(str(few)).utterances("deu", "test")}
    rows = english.read_text(encoding="utf-8").splitlines(keepends=True)
    gone = next(row for row in rows if row.split("\t")[0] in asked)
    english.write_text("".join(row for row in rows if row != gone), encoding="utf-8")
    assert evaluate(tmp_path / "run", f"--data={corpus}", "--pairs=deu->eng") == 0
    told = metrics(tmp_path / "run")
    assert told["pairs"]["deu-eng"]["recordings"] == 5
    assert told["system"]["left_out"] == {"deu-eng": 1}


def test_two_processes_answer_as_one(evaluated, few, tmp_path):
    folder = tmp_path / "run"
    assert evaluate(folder, f"--data={few}", "--batch-size=4", "--processes=2") == 0
    assert contents(folder) == contents(evaluated)


def test_killed_again_and_again_the_files_are_the_same(evaluated, few, tmp_path):
    folder = tmp_path / "run"
    options = [f"--output-dir={folder}", "--draws=20", f"--data={few}", "--batch-size=4"]
    command = [sys.executable, "-m", "speechalign", "evaluate", *options]

    def kept():
        return b"".join(f.read_bytes() for f in (folder / ".answers").glob("answers-*.jsonl"))

    for lines in (1, 2):
        run = subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.PIPE)
        deadline = time.monotonic() + 300
        while run.poll() is None and time.monotonic() < deadline:
            if kept().count(b"\n") >= lines:
                break
            time.sleep(0.02)
        run.send_signal(signal.SIGKILL)
        run.communicate()
    if kept():  # not when it was faster than this test
        (folder / ".answers" / "answers-cut.jsonl").write_bytes(b'{"pair": "nld-e')
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "answered" in done.stderr
    assert contents(folder) == contents(evaluated)


def test_workers_end_with_the_first_process(few, tmp_path):
    options = [f"--output-dir={tmp_path / 'run'}", f"--data={few}", "--batch-size=1"]
    command = [sys.executable, "-m", "speechalign", "evaluate", *options, "--processes=2"]
    run = subprocess.Popen(command, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    children = Path(f"/proc/{run.pid}/task/{run.pid}/children")
    if not children.exists():
        run.kill()
        pytest.skip("this system does not tell a process' children")
    workers: list[str] = []
    while run.poll() is None and not workers:
        workers = [
            child
            for child in children.read_text().split()
            if b"spawn_main" in Path(f"/proc/{child}/cmdline").read_bytes()
        ]
        time.sleep(0.05)
    run.kill()
    run.wait()
    deadline = time.monotonic() + 60
    while any(alive(worker) for worker in workers) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert workers
    assert not [worker for worker in workers if alive(worker)]


def alive(process: str) -> bool:
    status = Path(f"/proc/{process}/stat")
    return status.exists() and status.read_text().rpartition(")")[2].split()[0] != "Z"


def test_transcripts_and_other_pairs(few, tmp_path):
    assert evaluate(tmp_path, f"--data={few}", "--pairs=deu->deu, nld->deu") == 0
    told = metrics(tmp_path)["pairs"]
    assert set(told) == {"deu-deu", "nld-deu"}
    assert set(told["deu-deu"]["scores"]) == {"wer", "cer"}
    assert "bleu" in told["nld-deu"]["scores"]


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


def test_alignment_is_told_beside_the_scores(few, tmp_path):
    assert evaluate(tmp_path, f"--data={few}", "--alignment") == 0
    stages = metrics(tmp_path)["alignment"]
    assert "qformer.3" in [one["stage"] for one in stages]
    assert all(0 <= one["recall_at_1"] <= 1 for one in stages)


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
    with pytest.warns(Caution, match="1 of 6 recordings have no prediction"):
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
    assert "2 predictions for 6 recordings" in capsys.readouterr().err
    assert evaluate(tmp_path / "run", place) == 2
    assert "is text alone" in capsys.readouterr().err


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


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--checkpoint=x"], "what to evaluate on by --data"),
        (["--preset=moses"], "no preset 'moses'"),
        (["--processes=0"], "--processes is 0: give 1 or more"),
        (["--draws=0"], "--draws is 0"),
        (["--beams=0"], "--beams is 0"),
        (["--workers=-1"], "--workers is -1: give 0 or more"),
        (["--seed=-1"], "--seed is -1: give 0 or more"),
        (["--output-dir=README.md"], "README.md cannot be made"),
        (["--references=x"], "belong to --predictions"),
        (["--predictions=x", "--alignment"], "--alignment needs a model"),
        (["--predictions=x", "--checkpoint=y"], "--checkpoint needs a model"),
        (["--predictions=x", "--beams=5"], "--beams needs a model"),
        (["--comet=/nowhere/comet-score"], "cannot be run"),
        (["--predictions=none.txt"], "no predictions at none.txt"),
        (["--comet-source=x"], "comet"),
        (["--split=nowhere"], "No language has audio in the split 'nowhere'"),
        (["--pairs=deu"], "'deu' is no pair"),
        (["--pairs=xxx->eng"], "Unknown language"),
        (["--task=x"], "expected st or srt"),
        (["--task=srt"], "no srt"),
    ],
)
def test_what_cannot_be_done_is_one_line(options, message, tmp_path, capsys):
    assert main(["evaluate", f"--output-dir={tmp_path / 'run'}", *options]) == 2
    told = capsys.readouterr().err
    assert message in told
    assert "Traceback" not in told


@pytest.mark.parametrize(
    ("told", "pairs"),
    [
        ("*->eng", ["deu-eng", "nld-eng"]),
        ("de -> en", ["deu-eng"]),
        ("deu->*", ["deu-eng", "deu-fra"]),
        ("deu>deu,nld→eng", ["deu-deu", "nld-eng"]),
        ("*->*", ["deu-eng", "deu-fra", "nld-eng", "nld-fra"]),
    ],
)
def test_pairs(told, pairs):
    found = read_pairs(told, ["deu", "nld"], ["eng", "fra"])
    assert ["-".join(pair) for pair in found] == pairs


def test_no_pairs_are_told():
    with pytest.raises(UserError, match="no such languages"):
        read_pairs("*->eng", [], ["eng"])
