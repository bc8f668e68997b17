"""The command line: fast help, one line an error, the same answers as in Python."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from speechalign.assets import resolve
from speechalign.cli import VERBS, main
from speechalign.version import __version__

CLIPS = Path(resolve("assets:micro/clips"))
GOLDEN = json.loads((Path(__file__).parents[1] / "golden" / "micro_clips.json").read_text())


def test_help_and_version_import_nothing_heavy():
    code = (
        "import sys; from speechalign.cli import main; main(['--help']); main(['--version']);"
        "heavy = {'torch', 'transformers', 'lightning', 'numpy', 'librosa'} & sys.modules.keys();"
        "sys.exit(str(heavy) if heavy else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert all(verb in done.stdout for verb in VERBS)
    assert done.stdout.endswith(f"{__version__}\n")


def test_no_help_waits_for_torch():
    code = (
        "import sys; from speechalign.cli import main\n"
        "for verb in ('translate', 'transcribe', 'serve', 'demo', 'info', 'estimate-bias'):\n"
        "    try: main([verb, '--help'])\n"
        "    except SystemExit as end: assert not end.code\n"
        "heavy = {'torch', 'transformers', 'lightning', 'librosa', 'matplotlib', 'sacrebleu'}\n"
        "sys.exit(str(heavy & sys.modules.keys()) if heavy & sys.modules.keys() else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["nowhere.wav"], "'nowhere.wav' does not exist"),
        ([str(CLIPS)], "is a folder"),
        (["FILE", "--from", "germn"], "Unknown language 'germn'"),
        (["FILE", "--beams", "0"], "--beams is 0"),
        (["FILE", "--batch-size", "0"], "--batch-size is 0"),
        (["FILE", "--bias", "nowhere"], "no bias pack"),
    ],
)
def test_faults_are_found_before_a_model_is_loaded(arguments, told, capsys, monkeypatch):
    monkeypatch.setattr("speechalign.inference.translator.Translator.from_pretrained", None)
    given = [str(CLIPS / "deu.ogg") if word == "FILE" else word for word in arguments]
    for verb in ("translate", "transcribe"):
        assert main([verb, *given]) == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert told in line


@pytest.mark.parametrize("verb", ["translate", "transcribe", "serve", "demo", "info"])
def test_a_verbs_help_tells_its_arguments_and_the_summary_is_its_docstring(verb, capsys):
    with pytest.raises(SystemExit) as end:
        main([verb, "--help"])
    assert end.value.code == 0
    told = " ".join(capsys.readouterr().out.split())
    assert VERBS[verb].summary in told
    assert "--from_" not in told


def test_a_reader_that_has_enough_is_no_fault():
    read, write = os.pipe()
    os.close(read)
    told = subprocess.run(
        [sys.executable, "-m", "speechalign", "--help"],
        stdout=write,
        stderr=subprocess.PIPE,
        check=False,
    )
    os.close(write)
    assert (told.returncode, told.stderr) == (141, b"")


def test_translate_prints_the_golden_answer(capsys):
    assert main(["translate", str(CLIPS / "deu.ogg"), "--to", "eng", "--from", "deu"]) == 0
    told = capsys.readouterr()
    assert told.out == GOLDEN["deu.ogg"]["translation"] + "\n"
    assert "packaged micro model" in told.err
    assert "German (deu)" in told.err


def test_several_files_are_told_apart(capsys):
    files = [str(CLIPS / name) for name in ("deu.ogg", "fra.ogg")]
    assert main(["transcribe", *files, "--from=auto"]) == 0
    told = capsys.readouterr()
    assert [line.split(": ")[0] for line in told.out.splitlines()] == files
    assert "taken for" in told.err


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["translat"], "Unknown command 'translat': did you mean 'translate'? Or use one of fit,"),
        (["xyz"], "Unknown command 'xyz': use one of fit,"),
        (["fit"], "fit needs a configuration: give --config, e.g. --config configs/micro.yaml."),
        (["translate", "x.wav", "--frm", "deu"], "--frm deu. Did you mean --from?"),
        (["translate", "x.wav", "--batchsize", "2"], "Did you mean --batch_size?"),
        (["transcribe", "x.wav", "--to=eng"], "has no --to: use `translate`"),
        (["demo", "--steps", "abc"], "--steps is abc: expected a whole number."),
        (
            ["translate", "x.wav", "--dtype", "bf16"],
            "--dtype is bf16: expected one of float32, bfloat16, float16.",
        ),
        (
            ["translate", "x.wav", "--output-format=docx"],
            "--output_format is docx: expected one of txt, srt, vtt, tsv, json, all.",
        ),
        (["translate", "x.wav", "--batch-size", "few"], "--batch_size is few: expected a whole"),
        (["translate"], "Missing: FILES. See"),
        (["translate", "nowhere.wav"], "nowhere.wav"),
        (["translate", str(CLIPS / "deu.ogg"), "--to", "germn"], "Did you mean"),
        (["translate", str(CLIPS / "deu.ogg"), "--checkpoint", "nowhere"], "no checkpoint"),
        (["translate", str(CLIPS / "deu.ogg"), "--beems", "3"], "--beems"),
        (["transcribe", str(CLIPS / "clips.json")], "clips.json"),
        (["demo", "--steps", "0"], "--steps is 0"),
        (["fit", "--config", "nowhere.yaml"], "nowhere.yaml"),
    ],
)  # fmt: skip
def test_a_fault_is_one_line(arguments, told, capsys):
    assert main(arguments) == 2
    lines = capsys.readouterr().err.strip().splitlines()
    assert lines[-1].startswith("speechalign: ")
    assert told in lines[-1]
    assert not any("Traceback" in line for line in lines)


def test_info_names_parts_and_languages(capsys):
    assert main(["info"]) == 0
    told = capsys.readouterr().out
    for part in ("QFormer", "WhisperEncoder", "German (deu)", "Dutch (nld)", "English (eng)"):
        assert part in told
