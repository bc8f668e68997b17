"""Real FLEURS recordings: loaded, paired, trained on and evaluated with a 30 s window."""

import json
from itertools import combinations
from pathlib import Path

import pytest

from speechalign.commands.training import command_line
from speechalign.data.fleurs import Fleurs

LANGUAGES = ["deu", "eng", "fra", "por", "spa"]


@pytest.fixture
def options(config, shared, long_whisper_folder, tmp_path) -> list[str]:
    return [
        f"--config={config}",
        f"--model.encoder.init_args.path={long_whisper_folder}",
        "--model.encoder.init_args.attend=window",
        f"--data.source.init_args.root={shared / 'real' / 'fleurs'}",
        f"--data.languages={LANGUAGES}",
        "--data.zero_shot=null",
        "--data.tasks={asr: 1.0}",
        "--data.train_splits=[test]",
        "--data.batch_size=4",
        "--trainer.limit_val_batches=0",
        "--trainer.max_steps=2",
    ]


def test_eight_utterances_and_three_parallel_pairs(shared):
    source = Fleurs(str(shared / "real" / "fleurs"))
    heard = [u for code in LANGUAGES for u in source.utterances(code, "test")]
    parallel = [
        (one.sentence_id, one.language, other.language)
        for one, other in combinations(heard, 2)
        if one.sentence_id == other.sentence_id and one.language != other.language
    ]
    assert len(heard) == 8
    assert sorted(parallel) == [
        ("1852", "deu", "spa"),
        ("1853", "fra", "por"),
        ("1987", "fra", "por"),
    ]


def test_two_steps_and_an_evaluation(options, tmp_path):
    run = command_line("fit", options)
    assert run.trainer.global_step == 2
    pairs = [len(batch.pairs) for batch in run.datamodule.train_dataloader()]
    assert sum(pairs) >= 2  # the German half of the third lasts 43 s, and is not trained on
    best = next((tmp_path / "run").rglob("step=2.ckpt"))
    command_line("test", [*options, f"--ckpt_path={best}"])
    logs = max(Path(tmp_path, "run", "logs").iterdir())
    predictions = [
        json.loads(line) for line in (logs / "predictions.jsonl").read_text().splitlines()
    ]
    assert len(predictions) == 8
    german = next(p for p in predictions if p["src_lang"] == "deu")
    assert german["prediction"] == ""
    assert german["duration"] == pytest.approx(43.38)
    metrics = json.loads((logs / "metrics.json").read_text())
    assert metrics["pairs"]["deu-deu"]["failures"]["too long"] == 1
