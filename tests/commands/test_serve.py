"""`speechalign serve` as a process: it answers, and stops with status 0; and its faults."""

import os
import signal
import subprocess
import sys
import warnings
from pathlib import Path

import httpx
import pytest

from speechalign.assets import resolve
from speechalign.cli import main
from speechalign.commands.serve import called, caution
from speechalign.errors import Caution


def test_it_answers_until_it_is_told_to_stop(tmp_path):
    key = tmp_path / "key"
    key.write_text("sesame\n")
    with subprocess.Popen(
        [sys.executable, "-m", "speechalign", "serve", "--port=0", f"--api-key-file={key}"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    ) as process:
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            assert line.startswith("Serving speechalign-micro at http://127.0.0.1:")
            url = line.split()[3]
            assert httpx.get(f"{url}/health").json() == {"status": "ready"}
            told = httpx.post(
                f"{url}/v1/audio/translations",
                files={"file": Path(resolve("assets:micro/clips/deu.ogg")).read_bytes()},
                data={"model": "speechalign-micro"},
                headers={"Authorization": "Bearer sesame"},
                timeout=60,
            )
            assert told.json()["text"] == "The man gives the flower to the boy."
            assert httpx.get(f"{url}/v1/models").status_code == 401
            process.send_signal(signal.SIGTERM)
            out, err = process.communicate(timeout=60)
        finally:
            process.kill()
    assert process.returncode == 0
    assert out == ""
    assert "packaged micro model" in err
    assert "Traceback" not in err


def test_a_missing_extra_is_one_line(monkeypatch, capsys):
    for package in ("fastapi", "uvicorn", "python_multipart"):
        with monkeypatch.context() as there:
            there.setitem(sys.modules, package, None)
            assert main(["serve"]) == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert 'pip install "speechalign[serve]"' in line


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--batch-size=0"], "--batch-size is 0"),
        (["--max-upload-mb=0"], "limit of upload is 0"),
        (["--queue=0"], "limit of requests is 0"),
        (["--timeout=-1"], "limit of timeout is -1"),
        (["--api-key-file=nowhere"], "nowhere cannot be read as a key"),
        (["--host=nowhere.invalid"], "no address 'nowhere.invalid'"),
        (["--port=70000"], "70000"),
        (["--port=many"], "--port is many: expected a whole number"),
        (["--api-key=sesame"], "--api_key"),
    ],
)
def test_faults_are_found_before_a_model_is_loaded(arguments, told, capsys, monkeypatch):
    monkeypatch.delenv("SPEECHALIGN_API_KEY", raising=False)
    monkeypatch.setattr("speechalign.inference.translator.Translator.from_pretrained", None)
    assert main(["serve", *arguments]) == 2
    assert told in capsys.readouterr().err


def test_to_let_others_in_without_a_key_is_worth_a_word():
    for host in ("0.0.0.0", "::", "192.168.1.2", "example.org"):
        with pytest.warns(Caution, match="asks for no key"):
            caution(host, None)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        caution("0.0.0.0", "sesame")
        for host in ("127.0.0.1", "localhost", "::1"):
            caution(host, None)


def test_a_model_is_called_by_its_checkpoint(tmp_path):
    (tmp_path / "export").mkdir()
    assert called("assets:micro/adapter") == "speechalign-micro"
    assert called(str(tmp_path / "export")) == "export"
    assert called("user/potsa") == "user/potsa"
