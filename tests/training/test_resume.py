"""A run that is killed in mid-epoch and resumed ends bit-equal to one that was not."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
import yaml
from lightning.pytorch import Callback, Trainer

from tests.training.test_fit import fit

STEPS = 8  # of 3 or 4 batches an epoch


def trained(file: Path) -> dict[str, torch.Tensor]:
    """What a checkpoint goes on from: weights, optimizer and random numbers."""
    checkpoint = torch.load(file, weights_only=True)
    optimizer = checkpoint["optimizer_states"][0]["state"]
    moments = {f"{i}/{k}": v for i, s in optimizer.items() for k, v in s.items()}
    return checkpoint["state_dict"] | moments | {"rng": checkpoint["random_states"][0]["torch"]}


def different(one: Path, other: Path) -> list[str]:
    """Names of what is not bit-equal in two checkpoints."""
    expected, resumed = trained(one), trained(other)
    assert expected.keys() == resumed.keys()
    return [key for key in expected if not torch.equal(expected[key], resumed[key])]


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
    ends = [next(folder.rglob(f"step={STEPS}.ckpt")) for folder in (whole, broken)]
    assert different(*ends) == []


class SaveAlways(Callback):
    """Saves after every batch and after every look at dev."""

    def save(self, trainer: Trainer, name: str) -> None:
        number = trainer.fit_loop.epoch_loop.total_batch_idx + 1
        trainer.save_checkpoint(Path(trainer.default_root_dir, f"{name}-{number}.ckpt"))

    def on_train_batch_end(self, trainer, *others):
        self.save(trainer, "batch")

    def on_validation_end(self, trainer, pl_module):
        self.save(trainer, "look")


@pytest.mark.parametrize("stop", ["batch-1", "look-2", "batch-3", "look-4", "batch-8", "look-10"])
def test_resumed_between_batches_that_are_accumulated(config, tmp_path, stop):
    settings = yaml.safe_load(config.read_text())
    saving = {"class_path": f"{__name__}.SaveAlways"}
    settings["trainer"] |= {"accumulate_grad_batches": 3, "val_check_interval": 2, "max_steps": 5}
    settings["trainer"] |= {"callbacks": [saving], "enable_checkpointing": False}
    settings["data"]["batch_size"] = 4
    config.write_text(yaml.safe_dump(settings))
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    fit(config, f"--trainer.default_root_dir={whole}")
    fit(config, f"--trainer.default_root_dir={broken}", f"--ckpt_path={whole / stop}.ckpt")
    last = max((f.name for f in whole.glob("batch-*.ckpt")), key=lambda n: int(n[6:-5]))
    assert different(whole / last, broken / last) == []


def test_a_resumed_run_hears_the_same_takes(config, tmp_path):
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    varied = "--data.augment={speed: [0.9, 1.1]}"
    fit(config, varied, *options(whole, 0))
    stopped = f"--ckpt_path={whole}/checkpoints/step=5.ckpt"
    fit(config, varied, *options(broken, 0), stopped)
    ends = [folder / "checkpoints" / f"step={STEPS}.ckpt" for folder in (whole, broken)]
    assert different(*ends) == []
    clean = tmp_path / "clean"
    fit(config, *options(clean, 0))
    assert different(ends[0], clean / "checkpoints" / f"step={STEPS}.ckpt")
