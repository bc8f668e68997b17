"""Learning-rate schedules against their closed forms, and their end against the trainer's."""

import pytest
import torch
from torch.optim import SGD

from speechalign.cli import main
from speechalign.errors import UserError
from speechalign.training.optim import WarmupConstant, WarmupLinear
from tests.training.test_fit import column, fit

LINEAR = "--model.lr_scheduler=speechalign.training.optim.WarmupLinear"
WARMUP = "--model.lr_scheduler.init_args.warmup_steps=2"


def rates(schedule: type, steps: int, **settings: int) -> list[float]:
    optimizer = SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    scheduler = schedule(optimizer, **settings)
    seen = []
    for _ in range(steps):
        seen.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return seen


def test_a_constant_rate_is_reached_linearly():
    assert rates(WarmupConstant, 6, warmup_steps=4) == [0.25, 0.5, 0.75, 1, 1, 1]
    assert rates(WarmupConstant, 2, warmup_steps=0) == [1, 1]


def test_a_linear_rate_ends_at_nothing():
    expected = [0.5, 1, 1, 0.75, 0.5, 0.25, 0, 0]
    assert rates(WarmupLinear, 8, warmup_steps=2, total_steps=6) == expected


def test_the_end_is_the_trainers(config):
    for steps in (4, 6):
        root = f"--trainer.default_root_dir={config.parent / str(steps)}"
        run = fit(config, LINEAR, WARMUP, f"--trainer.max_steps={steps}", root)
        rate = run.trainer.optimizers[0].param_groups[0]["lr"]
        assert rate == 0
        assert column(run, "train/loss")


def test_a_run_that_is_made_longer_goes_on_to_its_new_end(config, tmp_path):
    fit(config, LINEAR, WARMUP, "--trainer.max_steps=4")
    run = fit(config, LINEAR, WARMUP, "--trainer.max_steps=8", "--ckpt_path=last")
    (scheduler,) = run.model.lr_schedulers().optimizer.param_groups
    assert scheduler["lr"] == 0
    assert run.model.lr_schedulers().total_steps == 8


def test_steps_without_any_learning_are_refused(config, capfd):
    short = "--model.lr_scheduler.init_args.total_steps=4"
    assert main(["fit", f"--config={config}", LINEAR, WARMUP, short]) == 2
    assert "leave lr_scheduler's total_steps out" in capfd.readouterr().err
    with pytest.raises(UserError, match="unknown number"):
        WarmupLinear(SGD([torch.zeros(1)], lr=1.0), 2).end_at(float("inf"))
