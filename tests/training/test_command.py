"""How a training ends on the command line: what to do with what it made, and no advertisement."""

import logging
import re
import shlex

import pytest

from speechalign.cli import main
from speechalign.commands.training import without_checkpoint


def test_fit_ends_with_commands_that_work(config, capsys, caplog, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    caplog.set_level(logging.INFO, "lightning.pytorch")
    given = ["--config", str(config), "--trainer.max_steps", "1"]
    assert main(["fit", *given]) == 0
    told = capsys.readouterr().out
    ending = re.fullmatch(
        r"Best checkpoint: (run/checkpoints/step=1.ckpt)\. To score it: speechalign (test .*)\."
        r" To translate with it: speechalign (translate FILE .*)",
        told.splitlines()[-1],
    )
    assert ending, told
    assert "litlogger" not in caplog.text
    assert "TPU" not in caplog.text
    assert "Bias of deu estimated" in caplog.text  # our notes are shown
    assert main([*shlex.split(ending[2]), "--trainer.limit_test_batches=1"]) == 0
    assert main(["fit", *given[:2], "--trainer.max_steps=2", "--ckpt_path", ending[1]]) == 0
    assert " --ckpt_path last" not in capsys.readouterr().out.splitlines()[-1]


@pytest.mark.parametrize("given", [["--ckpt_path", "last"], ["--ckpt_path=last"], []])
def test_the_checkpoint_gone_on_with_is_not_the_one_to_score(given):
    assert without_checkpoint(["--config", "a", *given, "--b=c"]) == ["--config", "a", "--b=c"]
