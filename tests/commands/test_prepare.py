"""`speechalign prepare` writes a manifest that training reads."""

import json
import subprocess
import sys

import pytest

from speechalign.cli import main
from speechalign.commands.prepare import KINDS
from speechalign.data.manifest import Manifest


def test_other_manifests_become_one(tmp_path, capsys):
    row = {"audio_filepath": "a.wav", "duration": 1.0, "text": "Haus"}
    files = [tmp_path / "one.json", tmp_path / "two.json"]
    files[0].write_text(json.dumps(row))
    files[1].write_text(json.dumps(row | {"audio_filepath": "b.wav", "source_lang": "fr"}))
    output = tmp_path / "ours" / "train.jsonl"
    assert main(["prepare", "nemo", *map(str, files), "--output", str(output), "--from", "de"]) == 0
    assert capsys.readouterr().out == f"Written: {output}, 2 lines.\n"
    corpus = Manifest({"train": [str(output)]})
    (german,), (french,) = (corpus.utterances(code, "train") for code in ("deu", "fra"))
    assert (german.audio.resolve(), french.audio.resolve()) == (
        tmp_path / "a.wav",
        tmp_path / "b.wav",
    )


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["kaldi", "a"], "Cannot prepare 'kaldi': say one of fleurs, covost2, manifest, nemo, "),
        (["nemo", "missing.json", "--output=o"], "missing.json: cannot be read"),
        (["nemo", "missing.json"], "output"),
    ],
)
def test_faults_are_told(capsys, arguments, told):
    assert main(["prepare", *arguments]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert told in error


def test_no_help_waits_for_torch():
    program = (
        "import sys; from speechalign.commands.prepare import KINDS\n"
        "from importlib import import_module\n"
        "for kind in KINDS.values(): import_module(f'speechalign.commands.{kind.module}')\n"
        "sys.exit(bool({'torch', 'transformers', 'lightning'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


def test_it_says_what_it_can(capsys):
    assert main(["prepare"]) == 0
    told = capsys.readouterr().out
    for name, kind in KINDS.items():
        assert f"\n  {name:<10}{kind.summary}\n" in told
        with pytest.raises(SystemExit):
            main(["prepare", name, "--help"])
        own = capsys.readouterr().out
        assert own.startswith(f"usage: speechalign prepare {name} ")
        assert "--output OUTPUT" in own
