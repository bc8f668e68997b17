"""`speechalign demo` in a short setting: it runs to the end and reports what it measured."""

import json
from pathlib import Path

import pytest
import yaml

from speechalign.assets import resolve
from speechalign.cli import main
from speechalign.commands.demo import CONFIG, STEPS_BETWEEN_LOOKS, budget, clear
from speechalign.errors import UserError


def test_a_short_demo_reports(tmp_path, capsys):
    (tmp_path / "training" / "checkpoints").mkdir(parents=True)
    (tmp_path / "training" / "checkpoints" / "last.ckpt").write_text("of an earlier demo")
    (tmp_path / "training" / ".speechalign-demo").touch()
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "checkpoints" / "last.ckpt").write_text("of another run")
    assert main(["demo", "--steps", "3", "--output", str(tmp_path)]) == 0
    assert (tmp_path / "checkpoints" / "last.ckpt").read_text() == "of another run"
    report = json.loads((tmp_path / "report.json").read_text())
    assert set(report["bleu"]) == {"deu", "fra", "ita", "spa", "swe", "nld", "por", "nob"}
    assert all(count >= 150 for count in report["recordings"].values())
    assert report["signature"].startswith("nrefs:1|case:mixed|eff:no|tok:13a|smooth:exp")
    assert set(report["seconds"]) == {"clips", "train", "evaluate"}
    trained = [report["bleu"][code] for code in report["trained_languages"]]
    assert abs(report["trained"] - sum(trained) / 5) < 1e-9
    assert (tmp_path / "curves.png").read_bytes().startswith(b"\x89PNG")
    told = capsys.readouterr().out
    assert "German" in told
    assert "zero-shot mean" in told


def test_a_demo_deletes_nothing_of_yours(tmp_path, capsys):
    (tmp_path / "training").mkdir()
    (tmp_path / "training" / "thesis.tex").write_text("ten years")
    assert main(["demo", "--steps", "3", "--output", str(tmp_path)]) == 2
    assert "give another --output" in capsys.readouterr().err
    assert (tmp_path / "training" / "thesis.tex").read_text() == "ten years"


def test_a_file_is_no_place_for_a_demo(tmp_path, capsys):
    (tmp_path / "thesis.tex").touch()
    with pytest.raises(UserError, match="give another --output"):
        clear(tmp_path / "thesis.tex" / "training")


@pytest.mark.parametrize("steps", [1, 149, 150, 151, 400, 1200, 4000])
def test_the_last_look_at_dev_is_near_the_end(steps):
    told = dict(option.removeprefix("--").split("=") for option in budget(steps))
    between = int(told["trainer.val_check_interval"])
    assert 1 <= between <= STEPS_BETWEEN_LOOKS
    assert steps - steps // between * between <= steps // STEPS_BETWEEN_LOOKS + 1
    assert int(told["trainer.max_steps"]) == steps


def test_the_demo_looks_at_dev_as_often_as_the_configuration():
    settings = yaml.safe_load(Path(resolve(CONFIG)).read_text(encoding="utf-8"))
    assert settings["trainer"]["val_check_interval"] == STEPS_BETWEEN_LOOKS
