"""`speechalign evaluate` is gone on with after a kill or Ctrl-C, and shared by processes."""

import os
import shutil
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest

from speechalign.cli import main
from speechalign.commands.evaluation_folder import kept
from speechalign.evaluation.predictions import read_predictions, write_predictions
from tests.commands.evaluations import contents, evaluate


def test_what_is_there_is_scored_again_and_not_decoded(
    evaluated, few, tmp_path, capsys, monkeypatch
):
    folder = tmp_path / "run"
    shutil.copytree(evaluated, folder)
    (folder / "metrics.json").unlink()
    with monkeypatch.context() as patch:
        patch.setattr("speechalign.commands.decoding.answer", None)
        assert evaluate(folder, f"--data={few}", "--batch-size=4") == 0
    assert contents(folder) == contents(evaluated)
    assert "All is answered" in capsys.readouterr().err
    assert evaluate(folder, f"--data={few}", "--batch-size=4", "--beams=2") == 2
    assert "differs in --beams (1, now 2): give another --output-dir" in capsys.readouterr().err
    (folder / "decoding.json").unlink()
    assert evaluate(folder, f"--data={few}", "--batch-size=4") == 2
    assert "has predictions of another system" in capsys.readouterr().err


def test_what_was_changed_is_not_the_models(evaluated, few, tmp_path, capsys):
    folder = tmp_path / "run"
    shutil.copytree(evaluated, folder)
    file = folder / "predictions.jsonl"
    rows = read_predictions(file)
    write_predictions(file, [row._replace(prediction=row.reference) for row in rows])
    told = f"{file} was changed since it was written: put it back"
    assert evaluate(folder, f"--data={few}", "--batch-size=4") == 2
    assert told in capsys.readouterr().err
    for place in (folder, file):
        assert evaluate(tmp_path / "again", f"--predictions={place}") == 2
        assert told in capsys.readouterr().err
    assert main(["compare", str(evaluated), str(folder)]) == 2
    assert told in capsys.readouterr().err
    copied = shutil.copy(file, tmp_path / "another.jsonl")
    assert evaluate(tmp_path / "again", f"--predictions={copied}") == 0


def test_recordings_that_were_replaced_are_told(evaluated, few, tmp_path, capsys):
    corpus, folder = tmp_path / "few", tmp_path / "run"
    shutil.copytree(few, corpus)
    options = (f"--data={corpus}", "--pairs=deu->eng")
    assert evaluate(folder, *options) == 0
    assert evaluate(folder, *options, "--batch-size=2") == 0
    audio = next((corpus / "de_de" / "audio" / "test").iterdir())
    audio.write_bytes(audio.read_bytes() + b"more")
    assert evaluate(folder, *options) == 2
    assert f"Recordings in {corpus} were replaced since" in capsys.readouterr().err


def test_two_processes_answer_as_one(evaluated, few, tmp_path):
    folder = tmp_path / "run"
    assert evaluate(folder, f"--data={few}", "--batch-size=3", "--processes=2") == 0
    assert contents(folder) == contents(evaluated)


def test_killed_again_and_again_the_files_are_the_same(evaluated, few, tmp_path):
    folder = tmp_path / "run"
    options = [f"--output-dir={folder}", "--draws=20", f"--data={few}", "--batch-size=4"]
    command = [sys.executable, "-m", "speechalign", "evaluate", *options]

    def kept():
        return b"".join(f.read_bytes() for f in (folder / ".answers").glob("answers-*.jsonl"))

    for lines in (1, 2):
        run = subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.PIPE)
        deadline = time.monotonic() + 300
        while run.poll() is None and time.monotonic() < deadline:
            if kept().count(b"\n") >= lines:
                break
            time.sleep(0.02)
        run.send_signal(signal.SIGKILL)
        run.communicate()
    if kept():  # not when it was faster than this test
        (folder / ".answers" / "answers-cut.jsonl").write_bytes(b'{"pair": "nld-e')
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "Going on: " in done.stderr or "All is answered" in done.stderr
    assert contents(folder) == contents(evaluated)


@pytest.mark.parametrize("processes", [1, 2])
def test_ctrl_c_says_what_is_kept_and_the_same_command_goes_on(evaluated, few, tmp_path, processes):
    folder = tmp_path / "run"
    options = [f"--output-dir={folder}", "--draws=20", f"--data={few}", "--batch-size=4"]
    command = [sys.executable, "-m", "speechalign", "evaluate", *options]
    command += [f"--processes={processes}"]
    run = started(command, start_new_session=True)
    while run.poll() is None and not (folder / ".answers").exists():
        time.sleep(0.02)
    time.sleep(processes - 1)  # one alone is soon ready; a further one is on its way then
    os.killpg(run.pid, signal.SIGINT)
    told = run.communicate()[1].splitlines()
    said = kept(folder)  # of what is there now: nothing was written after it was said
    assert run.returncode in {130, -signal.SIGINT}  # shells call both 130; Python's exec may choose
    assert told[-1].startswith("speechalign: interrupted. ")
    assert told[-1].removeprefix("speechalign: interrupted. ") == said
    assert not [line for line in told if "Traceback" in line]
    assert sum("packaged micro model" in line for line in told) == 1
    deadline = time.monotonic() + 10  # what multiprocessing tracks resources with ends later
    while group(run.pid) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not group(run.pid)
    subprocess.run(command, capture_output=True, check=True)
    assert contents(folder) == contents(evaluated)


def started(command, **options) -> subprocess.Popen[str]:
    """Start a command that hears Ctrl-C, also where this process does not."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        return subprocess.Popen(command, **pipes, **options)
    finally:
        signal.signal(signal.SIGINT, before)


def group(number: int) -> list[str]:
    """Name the processes of a group that are alive, where the system tells."""
    found = []
    for status in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):  # it ended just now
            state, _, group, *_ = status.read_text().rpartition(")")[2].split()
            if group == str(number) and state != "Z":
                found.append(status.parent.name)
    return found


def test_workers_end_with_the_first_process(few, tmp_path):
    options = [f"--output-dir={tmp_path / 'run'}", f"--data={few}", "--batch-size=1"]
    command = [sys.executable, "-m", "speechalign", "evaluate", *options, "--processes=2"]
    run = subprocess.Popen(command, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    children = Path(f"/proc/{run.pid}/task/{run.pid}/children")
    if not children.exists():
        run.kill()
        pytest.skip("this system does not tell a process' children")
    workers: list[str] = []
    while run.poll() is None and not workers:
        workers = [
            child
            for child in children.read_text().split()
            if b"spawn_main" in Path(f"/proc/{child}/cmdline").read_bytes()
        ]
        time.sleep(0.05)
    run.kill()
    run.wait()
    deadline = time.monotonic() + 60
    while any(alive(worker) for worker in workers) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert workers
    assert not [worker for worker in workers if alive(worker)]


def alive(process: str) -> bool:
    status = Path(f"/proc/{process}/stat")
    return status.exists() and status.read_text().rpartition(")")[2].split()[0] != "Z"
