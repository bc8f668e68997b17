"""`speechalign check-ot` prints its tables, and refuses what cannot be."""

import subprocess
import sys

import pytest

from speechalign.alignment import certificate
from speechalign.cli import main


def test_tables_are_printed(capsys, monkeypatch):
    monkeypatch.setitem(certificate.CONVERGED, "iterations", 50)
    assert main(["check-ot", "--pairs=2", "--tokens=8", "--width=16", "--epsilon=0.03"]) == 0
    told = capsys.readouterr().out
    assert told.count("| ε | exact transport |") == 2
    assert told.count("| sweeps after the descent |") == 2
    assert told.count("\n| 0.03 |") == 2
    assert told.count("off finite differences:") == told.count("ms a batch") == 2


def test_a_high_temperature_has_no_descent(capsys, monkeypatch):
    monkeypatch.setitem(certificate.CONVERGED, "iterations", 50)
    assert main(["check-ot", "--pairs=1", "--tokens=6", "--width=8", "--epsilon=0.2"]) == 0
    assert "\n| 5 |" in capsys.readouterr().out


@pytest.mark.parametrize("option", ["--epsilon=0", "--pairs=-1", "--device=cuba"])
def test_what_cannot_be_is_refused_in_one_line(option, capsys):
    assert main(["check-ot", "--tokens=4", "--width=4", option]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert option.split("=")[1] in line


def test_help_does_not_wait_for_torch():
    program = (
        "import sys; import speechalign.commands.check_ot\n"
        "sys.exit(bool({'torch', 'transformers', 'lightning'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
