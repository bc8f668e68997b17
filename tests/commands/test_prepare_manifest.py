"""`speechalign prepare manifest`: bad recordings are left out of what is written, and told of."""

import json
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from speechalign.cli import main
from speechalign.data.examples import read_audio
from speechalign.data.manifest import Manifest
from speechalign.data.report import read_report

RATE = 16_000


def speech(seconds: float) -> np.ndarray:
    """A noise that swells as syllables do."""
    samples = round(seconds * RATE)
    noise = np.random.default_rng(samples).uniform(-0.3, 0.3, samples)
    return noise * np.sin(2 * np.pi * 2 * np.arange(samples) / RATE) ** 4


def entry(name: str, audio: str = "clips/a.wav", **more: Any) -> dict[str, Any]:
    return {"id": name, "audio": audio, "duration": 1.0, "src_lang": "de", **more}


@pytest.fixture
def corpus(tmp_path, monkeypatch) -> Path:
    """Recordings in files and in an archive, slices of a long one, and their manifest."""
    monkeypatch.setenv("SPEECHALIGN_CACHE", str(tmp_path / "cache"))
    folder = tmp_path / "corpus"
    (folder / "clips").mkdir(parents=True)
    sounds = {"a": speech(1), "long": speech(5), "silent": np.zeros(RATE), "short": speech(0.6)}
    for name, sound in sounds.items():
        soundfile.write(folder / f"clips/{name}.wav", sound, RATE)
    with tarfile.open(folder / "more.tar", "w") as archive:
        archive.add(folder / "clips/a.wav", "a.wav")
    (folder / "clips/broken.wav").write_bytes((folder / "clips/a.wav").read_bytes()[:9000])
    return folder


GOOD = [
    entry("a", src_text="Guten Morgen.", tgt_lang="eng", tgt_text="Good morning."),
    entry("a", src_text="Guten Morgen.", tgt_lang="fra", tgt_text="Bonjour."),
    entry("slice", "clips/long.wav", offset=2.5, duration=1.5),
    entry("end", "clips/long.wav", offset=4.0, src_lang="fr"),
    entry("packed", "more.tar/a.wav"),
]
SILENT = [
    entry("silent", "clips/silent.wav", tgt_lang="eng", tgt_text="One."),
    entry("silent", "clips/silent.wav", tgt_lang="fra", tgt_text="Un."),
]
SHORT = entry("short", "clips/short.wav")
FAULTS = [
    ('{"id": "x"', "m.jsonl:2: no JSON", "m.jsonl:2"),
    (b'{"id": "\xff"}', "m.jsonl:2: not UTF-8 at byte 9", "m.jsonl:2"),
    (entry("a", "clips/b.wav"), "m.jsonl:2: id 'a' is another recording in", "m.jsonl:2"),
    (entry("x", "more.tar/b.wav"), "m.jsonl:2: there is no 'b.wav' in", "m.jsonl:2"),
    (entry("x", "clips/gone.wav"), "m.jsonl:2: x: '", "x"),
    (entry("x", "clips/broken.wav"), "m.jsonl:2: x: '", "x"),
    (entry("x", "clips/long.wav", offset=9.0), "m.jsonl:2: x: '", "x"),
]


def write(file: Path, *rows: dict[str, Any] | str | bytes) -> str:
    texts = [json.dumps(row) if isinstance(row, dict) else row for row in rows]
    file.write_bytes(b"".join((t if isinstance(t, bytes) else t.encode()) + b"\n" for t in texts))
    return str(file)


def test_the_good_ones_are_written(corpus, tmp_path, capsys):
    files = [write(corpus / "m.jsonl", *GOOD), write(corpus / "n.jsonl", *SILENT, SHORT)]
    output = tmp_path / "clean" / "train.jsonl"
    assert main(["prepare", "manifest", *files, "--output", str(output)]) == 0
    told = capsys.readouterr()
    assert [line.split(maxsplit=3) for line in told.out.splitlines() if line.startswith("deu")] == [
        ["deu", "5", "2", "1 silent, 1 wrong length"]
    ]
    assert told.out.endswith(f"Written: {output}, 5 lines.\n")
    report = read_report(tmp_path / "clean" / "train.quality.tsv")
    assert [one[:1] + one[2:5] for one in report] == [
        ("short", "dropped", "wrong length", "0.4"),
        ("silent", "dropped", "silent", "-200"),
    ]
    clean, before = Manifest({"train": [str(output)]}), Manifest({"train": files[:1]})
    assert clean.texts("eng", "train") == {"a": "Good morning."}
    for code in ("deu", "fra"):
        for ours, theirs in zip(
            clean.utterances(code, "train"), before.utterances(code, "train"), strict=True
        ):
            assert ours.id == theirs.id
            assert read_audio(ours).equal(read_audio(theirs))


def test_all_is_kept_if_that_is_wanted(corpus, tmp_path):
    file = write(corpus / "m.jsonl", *GOOD, *SILENT, SHORT)
    output = tmp_path / "m.jsonl"
    assert main(["prepare", "manifest", file, f"--output={output}", "--keep-all"]) == 0
    assert output.read_text().count("\n") == 8
    report = read_report(tmp_path / "m.quality.tsv")
    assert [(one.id, one.action) for one in report] == [("short", "kept"), ("silent", "kept")]
    again = ["prepare", "manifest", file, f"--output={output}", "--limits.max-length-error=1"]
    assert main(again) == 0
    assert [one.id for one in read_report(tmp_path / "m.quality.tsv")] == ["silent"]
    assert output.read_text().count("\n") == 6


@pytest.mark.parametrize(("row", "fault", "name"), FAULTS)
def test_a_fault_stops_or_is_skipped_and_told(corpus, tmp_path, capsys, row, fault, name):
    file = write(corpus / "m.jsonl", GOOD[0], row, *GOOD[1:])
    arguments = ["prepare", "manifest", file, f"--output={tmp_path / 'm.jsonl'}"]
    assert main(arguments) == 2
    told = capsys.readouterr().err.splitlines()[-1]
    assert told.startswith(f"speechalign: {corpus / fault}")
    assert not (tmp_path / "m.jsonl").exists()
    assert main([*arguments, "--on-error", "skip"]) == 0
    (line,) = read_report(tmp_path / "m.quality.tsv")
    assert (line.id, line.action) == (name, "dropped")
    assert line.note.startswith(str(corpus / fault))
    assert len((tmp_path / "m.jsonl").read_text().splitlines()) == len(GOOD)


@pytest.mark.parametrize("on_error", ["stop", "skip"])
def test_of_a_truncated_archive_nothing_is_trusted(corpus, tmp_path, capsys, on_error):
    archive = corpus / "more.tar"
    archive.write_bytes(archive.read_bytes()[:9000])
    file = write(corpus / "m.jsonl", *GOOD)
    arguments = [file, f"--output={tmp_path / 'm.jsonl'}", f"--on-error={on_error}"]
    assert main(["prepare", "manifest", *arguments]) == 2
    assert "more.tar: damaged or not a tar archive" in capsys.readouterr().err
    assert not (tmp_path / "m.jsonl").exists()


def test_what_cannot_be_written_is_told(corpus, tmp_path, capsys):
    file = write(corpus / "m.jsonl", *SILENT)
    (tmp_path / "folder.jsonl").mkdir()
    good = write(corpus / "good.jsonl", *GOOD)
    for source, output, told in (
        (file, f"{corpus}/../corpus/m.jsonl", "one of the manifests to read"),
        (file, f"{tmp_path}/m.jsonl", "nothing is left to write; see"),
        (good, f"{tmp_path}/folder.jsonl", "cannot be written"),
        (good, f"{file}/m.jsonl", "cannot be"),
    ):
        assert main(["prepare", "manifest", source, f"--output={output}"]) == 2
        error = capsys.readouterr().err.splitlines()[-1]
        assert told in error
    assert len(Path(file).read_text().splitlines()) == len(SILENT)
