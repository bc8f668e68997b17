"""The packaged clips and golden answers are what the recipe makes of the packaged corpus."""

import json
from pathlib import Path

import pytest

from recipes.micro import adapter
from recipes.micro.text import TRAINED, ZERO_SHOT
from speechalign.assets import resolve
from speechalign.cli import main


def test_the_packaged_clips_are_the_recipes(tmp_path, monkeypatch):
    packaged = adapter.MICRO / "clips"
    monkeypatch.setattr(adapter, "MICRO", tmp_path)
    clips = adapter.write_clips([*TRAINED, *ZERO_SHOT])
    assert [clip["language"] for clip in clips] == [*TRAINED, *ZERO_SHOT]
    assert len({clip["translation"] for clip in clips}) == len(clips)
    for file in sorted((tmp_path / "clips").iterdir()):
        assert file.read_bytes() == (packaged / file.name).read_bytes()


def test_the_golden_file_covers_the_clips():
    clips = json.loads((adapter.MICRO / "clips" / "clips.json").read_text(encoding="utf-8"))
    golden = json.loads(adapter.GOLDEN.read_text(encoding="utf-8"))
    assert list(golden) == [clip["file"] for clip in clips]


def test_the_packaged_adapter_translates_most_clips_word_for_word():
    clips = json.loads((adapter.MICRO / "clips" / "clips.json").read_text(encoding="utf-8"))
    golden = json.loads(adapter.GOLDEN.read_text(encoding="utf-8"))
    right = [
        clip["file"] for clip in clips if golden[clip["file"]]["translation"] == clip["translation"]
    ]
    assert len(right) >= 5


def test_the_packaged_adapter_scores_what_it_says_and_over_90_on_trained_languages(tmp_path):
    stored = json.loads((adapter.MICRO / "adapter" / "config.json").read_text(encoding="utf-8"))
    options = ["--model.init_from=assets:micro/adapter", "--trainer.accelerator=cpu"]
    root = f"--trainer.default_root_dir={tmp_path}"
    assert main(["test", f"--config={resolve('assets:micro/config.yaml')}", *options, root]) == 0
    (file,) = tmp_path.glob("logs/*/metrics.json")
    metrics = json.loads(file.read_text(encoding="utf-8"))
    assert metrics["averages"]["trained"]["bleu"]["value"] > 90
    for pair, bleu in stored["results"]["bleu"].items():
        score = metrics["pairs"][pair]["scores"]["bleu"]
        assert score["value"] == pytest.approx(bleu, abs=0.5)  # another machine


def test_the_micro_world_is_small_enough_to_travel():
    assert sum(file.stat().st_size for file in adapter.MICRO.rglob("*") if file.is_file()) < 20e6


def test_the_packaged_adapter_tells_its_results():
    config = json.loads((adapter.MICRO / "adapter" / "config.json").read_text(encoding="utf-8"))
    assert set(config["results"]["bleu"]) == {f"{code}-eng" for code in (*TRAINED, *ZERO_SHOT)}
    assert "tok:13a" in config["results"]["signature"]
    assert config["parts"]["encoder"]["path"] == "assets:micro/encoder"
    assert Path(resolve("assets:micro/encoder")).is_dir()
