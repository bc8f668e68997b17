"""What a training shows on its way, on a terminal and in a file."""

import re
import sys

import pytest

from speechalign.training import progress
from speechalign.training.progress import duration
from tests.training.test_fit import fit

SHOWN = "--trainer.enable_progress_bar=true"


def bars(told: str) -> list[tuple[int, str]]:
    """Steps and totals that the bar of the training showed."""
    found = re.findall(r"Training: [^\r\n]*?\| *(\d+)/(\S+) \[", told)
    return [(int(step), total) for step, total in found]


def test_a_file_gets_a_line_at_each_look_at_dev(config, capsys):
    run = fit(config, SHOWN)
    told = capsys.readouterr().out
    first, last = re.findall(r"^step .*$", told, re.MULTILINE)
    dev = float(run.trainer.callback_metrics["val/ce"])
    assert re.fullmatch(r"step 3 of 6, dev loss \d+\.\d{3}, under a minute left", first)
    assert last == f"step 6 of 6, dev loss {dev:.3f}"
    assert "\r" not in told


def test_a_file_gets_a_line_where_nothing_was_told_for_long(config, capsys, monkeypatch):
    monkeypatch.setattr(progress, "QUIET", -1.0)
    fit(config, SHOWN, "--trainer.limit_val_batches=0", "--trainer.accumulate_grad_batches=2")
    told = re.findall(r"^step (\d+) of 6", capsys.readouterr().out, re.MULTILINE)
    assert sorted(set(map(int, told))) == [0, 1, 2, 3, 4, 5, 6]


def test_no_line_is_told_where_the_bar_is_not_wanted(config, capsys):
    fit(config)
    assert "step " not in capsys.readouterr().out


def test_one_bar_goes_over_all_epochs_and_on_after_a_stop(config, capsys, monkeypatch):
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    fit(config, SHOWN, "--trainer.max_steps=5")  # of 3 batches an epoch
    shown = bars(capsys.readouterr().out)
    assert [shown[0], shown[-1]] == [(0, "?"), (5, "5")]
    assert [step for step, _ in shown] == sorted(step for step, _ in shown)
    fit(config, SHOWN, "--trainer.max_steps=8", "--ckpt_path=last")
    told = capsys.readouterr().out
    shown = [bar for bar in bars(told) if bar[1] != "?"]
    assert [shown[0], shown[-1]] == [(5, "8"), (8, "8")]
    assert "Epoch" not in told
    assert not re.search(r"^step ", told, re.MULTILINE)


@pytest.mark.parametrize(
    ("seconds", "told"),
    [(5, "under a minute"), (61, "about 1 min"), (600, "about 10 min"), (9000, "about 2.5 h")],
)
def test_a_length_of_time_is_told_as_people_do(seconds, told):
    assert duration(seconds) == told
