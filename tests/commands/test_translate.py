"""Files of speech become files of text: formats, faults, and going on."""

import io
import json
import shutil
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import soundfile
import srt

from speechalign.assets import resolve
from speechalign.audio.io import SAMPLE_RATE, load_audio
from speechalign.cli import main
from speechalign.commands import translate as command
from speechalign.commands.spoken_files import with_lost
from speechalign.errors import UserError
from speechalign.inference.answers import Segment

CLIPS = Path(resolve("assets:micro/clips"))
GOLDEN = json.loads((Path(__file__).parents[1] / "golden" / "micro_clips.json").read_text())
SAID = GOLDEN["deu.ogg"]["translation"]


@pytest.fixture(scope="module")
def long(tmp_path_factory):
    """Three clips with pauses of two seconds: longer than the model hears at once."""
    file = tmp_path_factory.mktemp("long") / "long.wav"
    quiet = np.zeros(4 * SAMPLE_RATE, dtype=np.float32)
    clip = load_audio(CLIPS / "deu.ogg").numpy()
    soundfile.write(file, np.concatenate([quiet, clip, quiet, clip, quiet]), SAMPLE_RATE)
    return file


def run(*arguments):
    return main(["translate", *map(str, arguments)])


def test_every_format_is_written(long, tmp_path):
    assert run(long, "--from=deu", "--output-format=all", f"--output-dir={tmp_path}") == 0
    assert {file.name for file in tmp_path.iterdir()} == {
        f"long.{ending}" for ending in ("txt", "srt", "vtt", "tsv", "json")
    }
    lines = (tmp_path / "long.txt").read_text().splitlines()
    assert len(lines) == 2
    assert SAID in lines  # the margins of a piece are not those of the clip
    told = json.loads((tmp_path / "long.json").read_text())
    assert (told["text"], told["language"]) == (" ".join(lines), "deu")
    assert (told["no_speech"], told["target_language"]) == (False, "eng")
    first, second = told["segments"]
    assert [word["text"] for word in first["words"]] == lines[0].split()
    assert first["start"] == pytest.approx(4.0, abs=0.2)
    assert second["start"] == pytest.approx(9.6, abs=0.2)
    cues = list(srt.parse((tmp_path / "long.srt").read_text()))
    assert [one.content for one in cues] == lines
    assert cues[0].start.total_seconds() == first["start"]
    rows = (tmp_path / "long.tsv").read_text().splitlines()
    assert rows[1] == f"{round(1000 * first['start'])}\t{round(1000 * first['end'])}\t{lines[0]}"


def test_both_languages_are_in_one_cue(capsys):
    assert run(CLIPS / "deu.ogg", "--from=deu", "--bilingual", "--output-format=srt") == 0
    (cue,) = srt.parse(capsys.readouterr().out)
    assert cue.content == f"{GOLDEN['deu.ogg']['transcript']}\n{SAID}"


def test_an_answer_is_cut_where_that_is_asked_for(capsys):
    assert run(CLIPS / "deu.ogg", "--from=deu", "--max-new-tokens=3", "--output-format=json") == 0
    told = json.loads(capsys.readouterr().out)
    assert SAID.startswith(told["text"])
    assert told["text"] != SAID
    assert told["segments"][0]["doubtful"] is True


def test_what_comes_from_stdin_is_understood(monkeypatch, capsys):
    stdin = SimpleNamespace(buffer=io.BytesIO((CLIPS / "deu.ogg").read_bytes()))
    monkeypatch.setattr(sys, "stdin", stdin)
    assert run("-", "--from=deu") == 0
    assert capsys.readouterr().out == f"{SAID}\n"


def test_a_fault_of_stdin_names_it(monkeypatch, capsys):
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(b"no audio")))
    assert run("-") == 2
    assert "speechalign: '-' is not readable audio" in capsys.readouterr().err


def test_what_cannot_be_written_does_not_stop_the_others(tmp_path, capsys):
    (tmp_path / "deu.txt").mkdir()
    files = (CLIPS / "deu.ogg", CLIPS / "fra.ogg")
    assert run(*files, f"--output-dir={tmp_path}") == 2
    assert (tmp_path / "fra.txt").read_text()
    told = capsys.readouterr().err
    assert f"{tmp_path / 'deu.txt'} cannot be written (Is a directory)" in told
    assert f"1 of 2 files could not be understood or written: {files[0]}." in told


def test_patterns_find_files(tmp_path, capsys):
    for name in ("a.ogg", "b.ogg"):
        shutil.copy(CLIPS / "deu.ogg", tmp_path / name)
    assert run(tmp_path / "*.ogg", tmp_path / "a.ogg", "--from=deu") == 0
    assert capsys.readouterr().out == "".join(f"{tmp_path / n}.ogg: {SAID}\n" for n in "ab")
    assert run(tmp_path / "*.wav") == 2
    assert "No file fits" in capsys.readouterr().err


def test_a_faulty_file_does_not_stop_the_others(tmp_path, capsys):
    bad = tmp_path / "bad.wav"
    bad.write_text("no audio")
    out = tmp_path / "out"
    files = (bad, CLIPS / "deu.ogg")
    assert run(*files, "--from=deu", f"--output-dir={out}") == 2
    assert (out / "deu.txt").read_text() == f"{SAID}\n"
    assert not (out / "bad.txt").exists()
    told = capsys.readouterr().err
    assert "bad.wav' is not readable audio" in told
    assert f"1 of 2 files could not be understood or written: {bad}" in told


def test_a_file_without_a_header_does_not_stop_the_others(tmp_path, capsys):
    (tmp_path / "x.raw").write_bytes(bytes(3200))
    assert run(tmp_path / "x.raw", CLIPS / "deu.ogg", "--from=deu") == 2
    told = capsys.readouterr()
    assert SAID in told.out
    assert "x.raw' has no header" in told.err


def test_what_was_understood_before_a_fault_is_told():
    fault, before = UserError("It ends."), [Segment(0.0, 2.5, "x", "deu", None, 1.0)]
    assert with_lost(fault, []) is fault
    assert str(with_lost(fault, before)) == (
        "It ends. What was understood before, 1 segment until 2.5 s, is not written."
    )


def test_what_is_there_is_left_out(tmp_path, capsys, monkeypatch):
    (tmp_path / "deu.txt").write_text("kept\n")
    options = (f"--output-dir={tmp_path}", "--resume")
    assert run(CLIPS / "deu.ogg", CLIPS / "nld.ogg", *options) == 0
    assert (tmp_path / "deu.txt").read_text() == "kept\n"
    assert (tmp_path / "nld.txt").read_text().strip() == GOLDEN["nld.ogg"]["translation"]
    assert "1 of 2 files are done." in capsys.readouterr().err
    monkeypatch.setattr(command, "load", None)  # nothing is to be done: no model is loaded
    assert run(CLIPS / "deu.ogg", CLIPS / "nld.ogg", *options) == 0


def test_silence_gives_nothing(tmp_path, capsys):
    soundfile.write(tmp_path / "silence.wav", np.zeros(30 * SAMPLE_RATE), SAMPLE_RATE)
    assert run(tmp_path / "silence.wav", "--output-format=json") == 0
    told = capsys.readouterr()
    assert json.loads(told.out)["no_speech"] is True
    assert json.loads(told.out)["segments"] == []
    assert "nobody speaks in it" in told.err


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--resume"], "say where by --output-dir"),
        (["--output-format=all"], "say where by --output-dir"),
        ([str(CLIPS / "fra.ogg"), "--output-format=srt"], "say where by --output-dir"),
        (["--output-dir={file}"], "is a file: give a folder"),
        (["{copy}", "--output-dir=x"], "would both become deu.*"),
        (["--max-line-width=3"], "give 10 or more"),
        (["--llm-bits=3"], "--llm-bits is 3: give 4 or 8"),
        (["--pause=-1"], "A pause of -1"),
        (["--max-new-tokens=0"], "--max-new-tokens is 0: give 1 or more"),
        (["--longest=0.1"], r"Pieces of 0.10 s"),
        (["{folder}"], "is a folder"),
    ],
)
def test_what_cannot_be_done_is_told_before_anything_is_done(tmp_path, capsys, options, told):
    copy = tmp_path / "deu.ogg"
    shutil.copy(CLIPS / "deu.ogg", copy)
    places = {"file": copy, "copy": copy, "folder": tmp_path}
    given = [option.format(**places) for option in options]
    assert run(CLIPS / "deu.ogg", *given) == 2
    error = capsys.readouterr().err
    assert told in error
    assert "Traceback" not in error
