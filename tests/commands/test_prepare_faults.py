"""Each fault that a copy of FLEURS may have: `prepare fleurs` names it, and stops or skips it."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile

from speechalign.cli import main
from speechalign.data.fleurs import Fleurs
from speechalign.data.report import read_report
from tests.data.test_archive import pack

RATE = 16_000
GOOD = ["0.wav", "1.wav", "3.wav"]
pytestmark = pytest.mark.filterwarnings("ignore::speechalign.errors.Caution")


def line(name: str = "2.wav") -> bytes:
    return f"7\t{name}\tEin Satz.\tein satz\te i n | s a t z |\t{RATE}\tFEMALE".encode()


def clip(number: int) -> np.ndarray:
    """A tone that comes and goes."""
    time = np.arange(RATE) / RATE
    return 0.3 * np.sin(2 * np.pi * (200 + number) * time) * np.sin(2 * np.pi * time) ** 2


def write(root: Path, third: bytes, damage: Callable[[Path], None], archived: bool) -> Path:
    """Write a split whose third line is `third`; the fourth recording is good again."""
    folder = root / "de_de" / "audio" / "train"
    folder.mkdir(parents=True)
    for number in range(4):
        soundfile.write(folder / f"{number}.wav", clip(number), RATE)
    damage(folder / "2.wav")
    if archived:
        content = {f"train/{file.name}": file.read_bytes() for file in sorted(folder.iterdir())}
        pack(folder.with_suffix(".tar.gz"), content=content)
        for file in folder.iterdir():
            file.unlink()
        folder.rmdir()
    tsv = root / "de_de" / "train.tsv"
    tsv.write_bytes(b"\n".join([line("0.wav"), line("1.wav"), third, line("3.wav")]) + b"\n")
    return root


def prepare(copy: Path, output: Path, *more: str) -> int:
    given = ["--from", str(copy), "--output", str(output), "--languages=de", "--splits=train"]
    return main(["prepare", "fleurs", *given, *more])


def whole(file: Path) -> None: ...


def cut(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:20_000])


@pytest.mark.parametrize("archived", [False, True])
@pytest.mark.parametrize(
    ("third", "damage", "told", "name"),
    [
        (line().rpartition(b"\t")[0], whole, "6 tab-separated columns; FLEURS has 7", ""),
        (line().replace(b"Ein", b"\xc4in"), whole, "not UTF-8 at byte 9 of the line", ""),
        (line("1.wav"), whole, "file '1.wav' is already in line 2", ""),
        (line(), Path.unlink, "'2.wav' is not among the 3 recordings", ""),
        (line(), cut, "is truncated, it holds less sound than its header says", "2.wav"),
        (line(), lambda file: file.write_bytes(b"ID3"), "is not readable audio", "2.wav"),
        (line(), Path.touch, "", None),
    ],
    ids=["column", "utf8", "twice", "vanished", "cut", "no audio", "none"],
)
def test_a_fault_is_named_with_file_and_line(
    tmp_path, monkeypatch, capsys, third, damage, told, name, archived
):
    monkeypatch.setenv("SPEECHALIGN_CACHE", str(tmp_path / "cache"))
    copy, output = write(tmp_path / "copy", third, damage, archived), tmp_path / "out"
    status = prepare(copy, output)
    error = capsys.readouterr().err.splitlines()[-1]
    assert status == (2 if told else 0)
    assert prepare(copy, output, "--on-error=skip") == 0
    lines = read_report(output / "quality.tsv")
    if not told:
        assert lines == []
        return
    assert "train.tsv:3: " in error
    assert told in error
    (one,) = lines
    assert one.id == f"de_de/train/{name or 'train.tsv:3'}"
    assert one.action == "dropped"
    assert "train.tsv:3: " in one.note
    assert told in one.note
    read = Fleurs(str(output), on_error="skip").utterances("deu", "train")
    assert [Path(utterance.id).name for utterance in read] == GOOD


@pytest.mark.parametrize("on_error", ["stop", "skip"])
@pytest.mark.parametrize("part", [0.3, 0.9])
def test_of_a_truncated_archive_nothing_is_trusted(tmp_path, capsys, on_error, part):
    copy = write(tmp_path / "copy", line(), whole, archived=True)
    archive = copy / "de_de/audio/train.tar.gz"
    archive.write_bytes(archive.read_bytes()[: int(part * archive.stat().st_size)])
    assert prepare(copy, tmp_path / "out", f"--on-error={on_error}") == 2
    error = capsys.readouterr().err.splitlines()[-1]
    assert "train.tar.gz: damaged, or not a tar archive" in error
    assert error.endswith("fetch it again.")
    assert not list((tmp_path / "out").rglob("train.t*"))
    with pytest.raises(ValueError, match=r"train\.tar\.gz: cannot be decompressed"):
        Fleurs(str(copy), str(tmp_path / "cache"), on_error=on_error).utterances("deu", "train")
