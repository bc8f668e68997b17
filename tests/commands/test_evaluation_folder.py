"""The folder of an evaluation: how much is kept in it, told on the way."""

import json

import pytest

from speechalign.commands import evaluation_folder
from speechalign.commands.evaluation_folder import (
    Progress,
    Tally,
    check_folder,
    kept,
)
from speechalign.errors import UserError


def line(pair, batch, answers) -> str:
    ids = [f"{batch}/{number}" for number in range(answers)]
    return json.dumps({"pair": pair, "answers": [[name, "text", None, "x"] for name in ids]})


def test_kept_answers_are_counted_once_and_whole_lines_alone(tmp_path):
    tally = Tally(tmp_path / "none")
    assert tally.count() == 0
    tally = Tally(tmp_path)
    first, second = tmp_path / "answers-1.jsonl", tmp_path / "answers-2.jsonl"
    first.write_text(line("deu-eng", 0, 4) + "\n" + line("deu-eng", 2, 3)[:-5])
    assert tally.count() == 4
    second.write_text(line("deu-eng", 0, 4) + "\n" + line("nld-eng", 0, 2) + "\n")
    assert tally.count() == 6
    first.write_text(line("deu-eng", 0, 4) + "\n" + line("deu-eng", 2, 3) + "\n")
    assert tally.count() == 9


def test_what_is_kept_is_told(tmp_path):
    assert kept(tmp_path) == "Nothing was answered yet: the same command begins anew."
    (tmp_path / ".answers").mkdir()
    (tmp_path / ".answers" / "answers-1.jsonl").write_text(line("deu-eng", 0, 4) + "\n")
    assert "4 answers kept in" in kept(tmp_path)
    (tmp_path / "predictions.jsonl").write_text("")
    assert kept(tmp_path).startswith("All answers are kept in ")


def test_without_a_terminal_a_line_is_due_every_half_minute(tmp_path, capsys, monkeypatch):
    clock = [100.0]
    monkeypatch.setattr(evaluation_folder.time, "monotonic", lambda: clock[0])
    file = tmp_path / "answers-1.jsonl"
    file.write_text(line("deu-eng", 0, 4) + "\n")
    with Progress(tmp_path, 40) as progress:
        for batch in range(1, 7):
            with file.open("a") as lines:
                lines.write(line("deu-eng", batch, 4) + "\n")
            clock[0] += 10
            progress.tell()
    assert capsys.readouterr().err.splitlines() == [
        "Going on: answers are kept, 4 of 40.",
        "16 of 40 recordings, 0.4 a second",
        "28 of 40 recordings, 0.4 a second",
        "28 of 40 recordings, 0.4 a second",  # at the end
    ]


def test_what_is_interrupted_has_no_last_line(tmp_path, capsys):
    with pytest.raises(KeyboardInterrupt), Progress(tmp_path, 40):
        raise KeyboardInterrupt
    assert capsys.readouterr().err == ""


def test_a_terminal_shows_every_batch_in_one_line(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    with Progress(tmp_path, 40) as progress:
        progress.tell()
        progress.tell()
    told = capsys.readouterr().err
    assert told.count("\r0 of 40 recordings") == 2
    assert told.count("\n") == 1
    assert told.endswith("\n")


def test_a_folder_that_may_not_be_written_is_told(tmp_path, monkeypatch):
    monkeypatch.setattr(evaluation_folder.os, "access", lambda *_: False)
    with pytest.raises(UserError, match=f"nothing may be written in {tmp_path}.*another --output"):
        check_folder(tmp_path / "a" / "run")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_is_looked_at_and_not_made(tmp_path):
    check_folder(tmp_path / "a" / "b")
    assert not (tmp_path / "a").exists()
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="file is a file"):
        check_folder(tmp_path / "file" / "run")
