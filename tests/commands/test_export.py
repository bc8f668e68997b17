"""An exported model is the model: in a new process, from the Hub, as the start of a training."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from huggingface_hub import ModelCard

from speechalign.assets import PACKAGED, resolve
from speechalign.cli import main
from speechalign.commands.decoding import hash_of
from speechalign.commands.training import command_line
from speechalign.evaluation import tables
from speechalign.inference.translator import Translator
from speechalign.models import artifact
from speechalign.models.bias_pack import empty_pack, save_pack
from tests.model_hub import models_served

CLIPS = Path(resolve("assets:micro/clips"))
GOLDEN = json.loads((Path(__file__).parents[1] / "golden" / "micro_clips.json").read_text())
ID = "anna/micro"
ALL_CLIPS = """
import json, sys
from speechalign import Translator
translator = Translator.from_pretrained(sys.argv[1], device="cpu")
clips = json.loads(sys.argv[2])
print(json.dumps({
    file: {
        "translation": translator.translate(f"{sys.argv[3]}/{file}", from_=file[:3]).text,
        "transcript": translator.transcribe(f"{sys.argv[3]}/{file}", from_=file[:3]).text,
        "language": translator.translate(f"{sys.argv[3]}/{file}").language,
    }
    for file in clips
}))
"""


@pytest.fixture(scope="module")
def exported(tmp_path_factory) -> Path:
    """The packaged adapter, exported."""
    folder = tmp_path_factory.mktemp("exported") / "micro"
    assert main(["export", PACKAGED, str(folder)]) == 0
    return folder


@pytest.fixture(scope="module")
def scored(tmp_path_factory, few, exported) -> Path:
    """Scores of what was exported."""
    folder = tmp_path_factory.mktemp("scored")
    told = [f"--checkpoint={exported}", f"--data={few}", f"--output-dir={folder}", "--draws=20"]
    assert main(["evaluate", *told]) == 0
    return folder


@pytest.fixture
def server(monkeypatch, tmp_path):
    with models_served(monkeypatch, tmp_path / "cache") as server:
        yield server


def in_a_new_process(checkpoint: str, **environment: str) -> dict:
    told = [checkpoint, json.dumps(list(GOLDEN)), str(CLIPS)]
    done = subprocess.run(
        [sys.executable, "-c", ALL_CLIPS, *told],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, **environment},
    )
    return json.loads(done.stdout)


def fault(capsys, *arguments: str) -> str:
    assert main(["export", *arguments]) == 2
    (line,) = [one for one in capsys.readouterr().err.splitlines() if one.startswith("speechalign")]
    return line


def test_a_new_process_answers_as_before(exported):
    assert in_a_new_process(str(exported)) == GOLDEN


def test_what_was_pushed_answers_as_before_in_a_new_process(server, tmp_path, capsys):
    assert main(["export", PACKAGED, str(tmp_path / "out"), f"--push-to={ID}", "--private"]) == 0
    assert f"Pushed: {server.endpoint}/{ID}/commit/" in capsys.readouterr().out
    assert server.private == {ID: True}
    pushed = server.commits[ID][-1]
    assert pushed == {file.name: file.read_bytes() for file in (tmp_path / "out").iterdir()}
    there = {"HF_ENDPOINT": server.endpoint, "HF_HOME": str(tmp_path / "home")}
    assert in_a_new_process(ID, HF_HUB_OFFLINE="0", **there) == GOLDEN


def test_what_is_on_the_hub_is_evaluated(server, few, tmp_path):
    Translator.from_pretrained(device="cpu").push_to_hub(ID)
    options = (f"--data={few}", "--pairs=deu->eng", f"--output-dir={tmp_path / 'run'}")
    assert main(["evaluate", f"--checkpoint={ID}", *options, "--draws=20"]) == 0
    system = json.loads((tmp_path / "run" / "metrics.json").read_text())["system"]
    assert (system["checkpoint"], len(system["sha256"])) == (ID, 64)


def test_python_pushes_and_loads(server, capsys):
    url = Translator.from_pretrained().push_to_hub(ID, licence="apache-2.0")
    assert url.startswith(f"{server.endpoint}/{ID}/commit/")
    revision = url.rsplit("/", 1)[1]
    translator = Translator.from_pretrained(ID, revision=revision)
    assert (
        translator.transcribe(CLIPS / "deu.ogg", from_="deu").text
        == (GOLDEN["deu.ogg"]["transcript"])
    )
    card = ModelCard(server.commits[ID][-1]["README.md"].decode())
    assert card.data.license == "apache-2.0"
    assert f'Translator.from_pretrained("{ID}")' in card.text
    assert main(["translate", str(CLIPS / "deu.ogg"), "--from=deu", f"--checkpoint={ID}"]) == 0
    assert capsys.readouterr().out == GOLDEN["deu.ogg"]["translation"] + "\n"
    assert main(["info", f"--checkpoint={ID}@{revision}"]) == 0


def test_a_dry_run_pushes_nothing(server, tmp_path, capsys):
    told = [f"--push-to={ID}", "--dry-run"]
    assert main(["export", PACKAGED, str(tmp_path / "out"), *told]) == 0
    out = capsys.readouterr().out
    for file in (tmp_path / "out").iterdir():
        assert f"{file.stat().st_size:,} bytes  {file.name}" in out
    assert f"would be pushed to {ID}" in out
    assert not server.commits
    assert not server.log


def test_another_encoder_is_refused_in_one_line(exported, whisper_folder, tmp_path, capsys):
    folder = shutil.copytree(exported, tmp_path / "out")
    config = json.loads((folder / "config.json").read_text())
    config["parts"]["encoder"]["path"] = whisper_folder
    (folder / "config.json").write_text(json.dumps(config))
    told = fault(capsys, str(folder), str(tmp_path / "again"))
    for named in (whisper_folder, "assets:micro/encoder", "layers of width 16", "of width 144"):
        assert named in told
    assert main(["translate", str(CLIPS / "deu.ogg"), f"--checkpoint={folder}"]) == 2
    assert "assets:micro/encoder" in capsys.readouterr().err


def test_a_training_starts_from_an_export(exported, tmp_path):
    options = [f"--model.init_from={exported}", "--trainer.accelerator=cpu", "--data.cache=false"]
    options += [f"--trainer.default_root_dir={tmp_path}", "--trainer.max_steps=1"]
    options += ["--model.optimizer.init_args.lr=0", "--data.batch_size=2"]
    options += ["--trainer.limit_val_batches=0", "--model.bias.init_args.trainable=false"]
    run = command_line("fit", ["--config=configs/micro.yaml", *options])
    stored = artifact.read(exported).weights
    now = run.model.speech_llm.trained_state()
    assert all(now[key].equal(stored[key]) for key in stored if not key.startswith("bias."))


def test_the_card_tells_what_was_measured(exported, scored, tmp_path):
    out = tmp_path / "out"
    told = [f"--results={scored}", "--licence=apache-2.0"]
    assert main(["export", str(exported), str(out), *told]) == 0
    metrics = json.loads((scored / "metrics.json").read_text())
    card = ModelCard.load(out / "README.md")
    assert card.data.library_name == "speechalign"
    assert card.data.language == ["de", "fr", "it", "es", "sv", "nl", "pt", "nb", "en"]
    assert card.data.base_model is None  # they are not on the Hub
    told = {(one.dataset_config, one.metric_type): one for one in card.data.eval_results}
    measured = {
        (pair, name): score
        for pair, found in metrics["pairs"].items()
        for name, score in found["scores"].items()
    }
    assert told.keys() == measured.keys()
    assert ("deu-eng", "bleu") in told
    for key, score in measured.items():
        assert told[key].metric_value == score["value"]
        assert told[key].metric_args["signature"] == score["signature"]
        assert told[key].metric_args["interval_95"] == [score["low"], score["high"]]
        assert tables.cell(score) in card.text
    assert metrics["pairs"]["deu-eng"]["scores"]["bleu"]["signature"] in card.text
    results = json.loads((out / "config.json").read_text())["results"]
    assert results["pairs"].keys() == metrics["pairs"].keys()
    assert str(scored.parent) not in json.dumps(results) + card.content  # nor where it lies


def test_without_results_the_card_has_none(exported):
    card = ModelCard.load(exported / "README.md")
    assert card.data.eval_results is None
    assert card.data.metrics is None
    assert "No results were given" in card.text
    assert "results" not in json.loads((exported / "config.json").read_text())


def test_scores_of_another_model_are_refused(scored, exported, tmp_path, capsys):
    told = fault(capsys, PACKAGED, str(tmp_path / "out"), f"--results={scored}")
    assert f"are of {exported} (sha256 {hash_of(exported)[:12]}), not of {PACKAGED}" in told
    metrics = json.loads((scored / "metrics.json").read_text())
    shutil.copy(scored / "predictions.jsonl", tmp_path)
    for system, why in (
        ({"predictions": "x.jsonl"}, "does not say which weights"),
        ({**metrics["system"], "bias": "ab"}, "are of the model with a bias pack"),
    ):
        (tmp_path / "metrics.json").write_text(json.dumps(metrics | {"system": system}))
        told = fault(capsys, str(exported), str(tmp_path / "out"), f"--results={tmp_path}")
        assert why in told
    other = empty_pack(Translator.from_pretrained().model.encoder, "valid")
    save_pack(other, tmp_path / "pack")
    options = (f"--results={tmp_path}", f"--bias={tmp_path / 'pack'}")
    told = fault(capsys, str(exported), str(tmp_path / "out"), *options)
    assert "are of the model with another or no bias pack" in told
    assert not (tmp_path / "out").exists()


def test_what_cannot_be_exported_is_one_line(exported, tmp_path, capsys, monkeypatch):
    kept = tmp_path / "kept"
    kept.mkdir()
    (kept / "thesis.tex").write_text("years of work")
    assert "is no export of a model (it has thesis.tex)" in fault(capsys, PACKAGED, str(kept))
    (kept / "config.json").write_text("{}")
    assert "is no export of a model" in fault(capsys, PACKAGED, str(kept))
    assert (kept / "thesis.tex").read_text() == "years of work"
    assert "is a file" in fault(capsys, PACKAGED, str(kept / "thesis.tex"))
    assert "There is no checkpoint" in fault(capsys, "nowhere", str(tmp_path / "a"))
    assert "belong to --push-to" in fault(capsys, PACKAGED, str(tmp_path / "a"), "--dry-run")
    told = fault(capsys, PACKAGED, str(tmp_path / "a"), "--push-to=micro")
    assert "'micro' is no Hub id" in told
    told = fault(capsys, PACKAGED, str(tmp_path / "a"), f"--results={tmp_path}")
    assert "metrics.json" in told
    assert sorted(path.name for path in tmp_path.iterdir()) == ["kept"]


def test_an_earlier_export_is_replaced_whole(exported, tmp_path, monkeypatch):
    out = tmp_path / "out"
    translator = Translator.from_pretrained(exported)
    translator.save_pretrained(out, licence="mit")
    before = {file.name: file.read_bytes() for file in out.iterdir()}
    monkeypatch.setattr("speechalign.inference.export.card", lambda told: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        translator.save_pretrained(out)
    assert {file.name: file.read_bytes() for file in out.iterdir()} == before
    monkeypatch.undo()
    translator.save_pretrained(out, licence="apache-2.0")
    assert ModelCard.load(out / "README.md").data.license == "apache-2.0"
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
