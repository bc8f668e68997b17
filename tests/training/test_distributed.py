"""Two processes (gloo) give the losses and scores of one with the same global batch."""

import csv
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from speechalign.commands.training import command_line

COMPARED = (
    *("train/loss", "train/ce", "train/ot", "train/layer", "val/ce"),
    *("align/collapse_layer_2", "align/plan_entropy_layer_2", "align/diagonal_mass_layer_2"),
)


def options(config: Path, folder: Path, devices: int, batch_size: int) -> list[str]:
    return [
        f"--config={config}",
        "--model.qformer.init_args.dropout=0",  # each process draws its own
        "--model.alignment.init_args.center=true",  # at the mean over all processes
        "--trainer.callbacks+=speechalign.training.diagnostics.AlignmentDiagnostics",
        "--trainer.max_steps=6",
        f"--trainer.devices={devices}",
        f"--trainer.strategy={'ddp' if devices > 1 else 'auto'}",
        f"--data.batch_size={batch_size}",
        f"--trainer.default_root_dir={folder}",
    ]


def in_one_process(verb: str, *arguments: str) -> None:
    command_line(verb, list(arguments))


def in_processes_of_its_own(verb: str, *arguments: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "speechalign", verb, *arguments],
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]


def losses(folder: Path) -> list[dict[str, float]]:
    with (folder / "metrics.csv").open() as file:
        rows = list(csv.DictReader(file))
    return [{k: float(v) for k, v in row.items() if v} for row in rows]


def logs(folder: Path) -> Path:
    return max(folder.glob("logs/version_*"))


def test_two_processes_equal_one(config, tmp_path):
    one, two = tmp_path / "one", tmp_path / "two"
    in_one_process("fit", *options(config, one, 1, 12))
    in_processes_of_its_own("fit", *options(config, two, 2, 6), f"--data.cache={two / 'cache'}")
    assert list(two.rglob("*.safetensors"))
    compared = 0
    for a, b in zip(losses(logs(one)), losses(logs(two)), strict=True):
        for name in COMPARED:
            assert (name in a) == (name in b)
            if name in a:
                assert b[name] == pytest.approx(a[name], rel=1e-4, abs=5e-8), name
                compared += 1
    assert compared >= 23

    best = next(two.rglob("step=4.ckpt"))
    in_one_process("test", *options(config, one, 1, 6), f"--ckpt_path={best}")
    in_processes_of_its_own("test", *options(config, two, 2, 6), f"--ckpt_path={best}")
    results = [
        (
            json.loads((logs(folder) / "metrics.json").read_text()) | {"name": "of the folder"},
            (logs(folder) / "predictions.jsonl").read_text().splitlines(),
        )
        for folder in (one, two)
    ]
    assert results[0] == results[1]
    assert len(results[0][1]) == 4 * 5
    assert [p["recordings"] for p in results[0][0]["pairs"].values()] == [5, 5, 5, 5]
