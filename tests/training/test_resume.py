"""A run that is killed in mid-epoch and resumed ends bit-equal to one that was not."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from tests.training.test_fit import fit

STEPS = 8  # of 3 or 4 batches an epoch


def last_weights(folder: Path) -> dict[str, torch.Tensor]:
    file = next(folder.rglob(f"step={STEPS}.ckpt"))
    checkpoint = torch.load(file, weights_only=True)
    optimizer = checkpoint["optimizer_states"][0]["state"]
    moments = {f"{i}/{k}": v for i, s in optimizer.items() for k, v in s.items()}
    return checkpoint["state_dict"] | moments | {"rng": checkpoint["random_states"][0]["torch"]}


def options(folder: Path, workers: int) -> list[str]:
    return [
        f"--trainer.max_steps={STEPS}",
        f"--data.workers={workers}",
        f"--trainer.default_root_dir={folder}",
    ]


@pytest.mark.parametrize("workers", [0, 2])
def test_killed_and_resumed_equals_not_stopped(config, tmp_path, workers):
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    fit(config, *options(whole, workers))

    command = [sys.executable, "-m", "speechalign", "fit", f"--config={config}"]
    process = subprocess.Popen(
        [*command, *options(broken, workers)],
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,  # so that its workers die with it
    )
    deadline = time.monotonic() + 120
    while not list(broken.rglob("step=4.ckpt")) and time.monotonic() < deadline:
        time.sleep(0.001)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    done = list(broken.rglob("last.ckpt"))
    assert done, "the run was killed before it saved anything"
    assert not list(broken.rglob(f"step={STEPS}.ckpt")), "the run ended before it was killed"

    fit(config, *options(broken, workers), "--ckpt_path=last")
    expected, resumed = last_weights(whole), last_weights(broken)
    assert expected.keys() == resumed.keys()
    different = [key for key in expected if not torch.equal(expected[key], resumed[key])]
    assert different == []
