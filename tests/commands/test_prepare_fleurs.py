"""`speechalign prepare fleurs` as it is typed: cut off, killed, offline, and then complete."""

import errno
import io
import os
import random
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile

from speechalign.cli import main
from speechalign.commands import prepare_fleurs
from speechalign.commands.prepare_fleurs import open_shelf
from speechalign.data.fleurs import Fleurs
from speechalign.data.hub import REVISION
from tests.data.conftest import Clip, write_fleurs
from tests.data.hub import COMMIT, contents, serve
from tests.data.test_archive import pack

LANGUAGES = ["--languages", "de,fr_fr", "--texts", "eng", "--splits", "train,dev"]
LOCALES = ("de_de", "fr_fr", "en_us")
PROGRAM = """import sys
from speechalign.cli import main
from speechalign.data import hub
hub.WAITS = (0.1, 0.1)
sys.exit(main())"""
PACKAGED = Path(__file__).parents[2] / "speechalign/assets/micro/fleurs"
FROM_PACKAGE = ["prepare", "fleurs", "--from", str(PACKAGED), "--languages=nob", "--splits=test"]
NOISE = 1_500_000  # bytes in an archive that does not compress


@pytest.fixture(scope="module")
def release(tmp_path_factory) -> dict[str, bytes]:
    """The files of a repository with archives of a few megabytes."""
    root = tmp_path_factory.mktemp("release")
    draw = random.Random(0)
    for locale in LOCALES:
        for split in ("train", "dev"):
            write_fleurs(root / "data", locale, split, [Clip(n, f"Satz {n}.") for n in range(3)])
            folder = root / "data" / locale / "audio"
            content = {f"{split}/{n}.wav": noise(draw, NOISE // 3) for n in range(3)}
            pack(folder / f"{split}.tar.gz", content=content)
            for file in (folder / split).iterdir():
                file.unlink()
            (folder / split).rmdir()
    return contents(root)


def noise(draw: random.Random, size: int) -> bytes:
    """Write a recording that does not compress."""
    file = io.BytesIO()
    soundfile.write(file, np.frombuffer(draw.randbytes(size), np.int16), 16_000, format="WAV")
    return file.getvalue()


@pytest.fixture
def server(release):
    with serve(dict(release)) as server:
        yield server


@pytest.fixture(scope="module")
def clean(release, tmp_path_factory) -> dict[str, bytes]:
    """What an undisturbed call leaves."""
    output = tmp_path_factory.mktemp("clean") / "fleurs"
    with serve(dict(release)) as server:
        assert run(server.endpoint, output).returncode == 0
    return contents(output)


def start(endpoint: str, output: Path, *more: str) -> subprocess.Popen:
    command = [sys.executable, "-c", PROGRAM, "prepare", "fleurs", "--output", str(output)]
    return subprocess.Popen(
        [*command, *LANGUAGES, "--revision", "main", *more],
        env=os.environ | {"HF_ENDPOINT": endpoint, "HF_HUB_OFFLINE": "0", "NO_PROXY": "127.0.0.1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def run(endpoint: str, output: Path, *more: str) -> subprocess.CompletedProcess:
    process = start(endpoint, output, *more)
    told, error = process.communicate(timeout=100)
    return subprocess.CompletedProcess(process.args, process.returncode, told, error)


def test_what_is_left_is_the_release(clean, release):
    wanted = {
        name: content
        for name, content in release.items()
        if not name.startswith("data/en_us/audio")
    }
    assert {name: clean[name] for name in clean if "/" in name} == wanted
    assert COMMIT in clean["source.json"].decode()


def test_a_connection_that_broke_is_taken_up_by_the_next_call(server, clean, tmp_path):
    server.cut_at = NOISE // 2
    told = run(server.endpoint, tmp_path / "out")
    assert told.returncode == 2
    assert "the next call goes on from there" in told.stderr.splitlines()[-1]
    assert "Traceback" not in told.stderr
    server.cut_at = None
    server.log.clear()
    assert run(server.endpoint, tmp_path / "out").returncode == 0
    first = server.asked(".tar.gz")[0]
    assert (first.range or "").startswith("bytes=")
    assert NOISE // 4 < int(first.range[6:-1]) <= NOISE // 2
    assert server.asked("de_de/train.tsv") == []
    assert contents(tmp_path / "out") == clean


def test_whenever_it_is_killed_the_next_call_completes(server, clean, tmp_path):
    server.pause = 0.02
    draw, landed = random.Random(1), 0
    for _ in range(17):
        enough = server.sent + draw.randrange(1, NOISE // 2)
        process = start(server.endpoint, tmp_path / "out")
        until(lambda enough=enough: server.sent >= enough, process)
        process.kill()
        process.communicate()
        landed += process.returncode == -9
    assert landed  # the last calls may find nothing left to do
    server.pause = 0.0
    done = run(server.endpoint, tmp_path / "out")
    assert done.returncode == 0, done.stderr
    found = contents(tmp_path / "out")  # scratch files of killed processes are removed when old
    assert {name: told for name, told in found.items() if not name.endswith(".part")} == clean
    assert any(request.range for request in server.log)


def until(happened, process: subprocess.Popen) -> None:
    """Wait for something, or the end where it does not come any more."""
    while not happened() and process.poll() is None:
        time.sleep(0.01)


def test_a_second_call_at_once_is_refused(server, tmp_path):
    server.pause = 0.2
    first = start(server.endpoint, tmp_path / "out")
    until(lambda: server.log, first)
    second = run(server.endpoint, tmp_path / "out")
    first.kill()
    first.communicate()
    assert second.returncode == 2
    assert "another call is filling it" in second.stderr


def test_the_lock_is_one_file_for_good(tmp_path):
    """Were it deleted, two calls could each hold a file of that name."""
    files = set()
    for _ in range(2):
        with open_shelf(tmp_path, skip=False) as shelf:
            assert main([*FROM_PACKAGE, "--output", str(tmp_path)]) == 2
        files.add((tmp_path / ".lock").stat().st_ino)
        assert not shelf.scratch.exists()
    assert len(files) == 1


def test_a_call_that_waited_reads_what_the_first_wrote(server, tmp_path, monkeypatch, capsys):
    """And pins no other commit over its files."""
    assert run(server.endpoint, tmp_path / "first").returncode == 0
    real = prepare_fleurs.WeakFileLock

    def late(file, timeout):
        shutil.copytree(tmp_path / "first", tmp_path / "out", dirs_exist_ok=True)
        return real(file, timeout=timeout)

    monkeypatch.setattr(prepare_fleurs, "WeakFileLock", late)
    arguments = ["--output", str(tmp_path / "out"), "--languages=de", "--splits=test"]
    assert main(["prepare", "fleurs", *arguments, "--revision=other"]) == 2
    assert f"holds google/fleurs at {COMMIT}" in capsys.readouterr().err
    assert contents(tmp_path / "out") == contents(tmp_path / "first")


def test_a_disk_that_does_not_answer_is_not_taken_for_another_call(tmp_path, monkeypatch):
    def listen(*arguments):
        raise TimeoutError(errno.ETIMEDOUT, "Connection timed out")

    monkeypatch.setattr(prepare_fleurs, "check_and_report", listen)
    with pytest.warns(match="recordings where FLEURS has"), pytest.raises(TimeoutError):
        main([*FROM_PACKAGE, "--output", str(tmp_path)])


def test_without_a_network_one_line_says_what_to_download(tmp_path):
    told = run("http://127.0.0.1:9", tmp_path / "out")
    assert told.returncode == 2
    assert told.stderr.count("\n") == 1
    assert "ConnectError" in told.stderr
    assert "files missing: 10," in told.stderr
    assert "google/fleurs at main" in told.stderr
    assert not (tmp_path / "out" / ".incoming").exists()


def test_offline_it_says_what_is_missing_and_checks_what_is_there(tmp_path, capsys):
    arguments = ["prepare", "fleurs", "--output", str(tmp_path), "--offline"]
    assert main([*arguments, "--texts=eng", "--splits=dev"]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert "(--offline); files missing: 1," in error
    assert REVISION in error
    write_fleurs(tmp_path / "data", "en_us", "dev", [Clip(1, "One.")], "none")
    with pytest.warns(match="en_us/dev: 1 recordings where FLEURS has 394"):
        assert main([*arguments, "--texts=eng", "--splits=dev"]) == 0
    assert "en_us        dev             1        394" in capsys.readouterr().out


@pytest.mark.filterwarnings("ignore::speechalign.errors.Caution")
def test_the_packaged_corpus_is_a_copy_like_any_other(tmp_path, capsys):
    arguments = [
        "--from",
        str(PACKAGED),
        "--output",
        str(tmp_path),
        "--languages",
        "nob",
        "--texts=en",
    ]
    assert main(["prepare", "fleurs", *arguments]) == 0
    assert "nb_no        test          150" in capsys.readouterr().out
    ours, theirs = Fleurs(str(tmp_path)), Fleurs(str(PACKAGED))
    assert ours.texts("eng", "test") == theirs.texts("eng", "test")
    assert [u.id for u in ours.utterances("nob", "dev")] == [
        u.id for u in theirs.utterances("nob", "dev")
    ]


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--languages", "germn"], "Did you mean 'deu'"),
        (["--languages", "de", "--splits", "valid"], "Unknown split 'valid'"),
        ([], "Nothing is wanted"),
        (["--languages", "no", "--from", "nowhere"], "nowhere: no such folder; --from"),
        (["--languages", "de", "--from", ".", "--revision", "main"], "leave out --revision"),
    ],
)
def test_faults_are_told(tmp_path, capsys, arguments, told):
    assert main(["prepare", "fleurs", "--output", str(tmp_path / "out"), *arguments]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert told in error


def test_an_output_that_is_no_folder_is_told(tmp_path, capsys):
    (tmp_path / "file").touch()
    assert main(["prepare", "fleurs", "--languages=de", f"--output={tmp_path}/file"]) == 2
    assert "cannot be written" in capsys.readouterr().err
