"""Tar archives are read in place, decompressed once, and refused when unsafe or damaged."""

import gzip
import io
import os
import tarfile
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import pytest

from speechalign.data.archive import default_cache_dir, open_archive
from speechalign.errors import UserError

CONTENT = {f"train/{n}.wav": os.urandom(1000 * n) for n in range(5)}


def pack(
    path: Path,
    members: list[tarfile.TarInfo] | None = None,
    content: dict[str, bytes] | None = None,
) -> Path:
    """Write `content` (by default CONTENT), and `members` without any."""
    with tarfile.open(path, "w:gz" if path.suffix == ".gz" else "w") as archive:
        folder = tarfile.TarInfo("train")
        folder.type = tarfile.DIRTYPE
        archive.addfile(folder)
        for name, data in (content or CONTENT).items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
        for member in members or ():
            archive.addfile(member)
    return path


def read_all(path: Path, cache: Path) -> dict[str, bytes]:
    return {name: member.read() for name, member in open_archive(path, cache).items()}


def files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


@pytest.mark.parametrize("name", ["a.tar", "a.tar.gz"])
def test_members_are_what_was_packed(tmp_path, name):
    path = pack(tmp_path / name)
    assert read_all(path, tmp_path / "cache") == CONTENT
    assert len(files(tmp_path / "cache")) == (1 if name.endswith(".gz") else 0)


def test_a_leading_dot_and_long_names_are_normal(tmp_path):
    long = "train/" + "x" * 200 + ".wav"
    with tarfile.open(tmp_path / "a.tar", "w") as archive:
        for name in ("./train/a.wav", long):
            member = tarfile.TarInfo(name)
            member.size = 3
            archive.addfile(member, io.BytesIO(b"abc"))
    assert read_all(tmp_path / "a.tar", tmp_path) == {"train/a.wav": b"abc", long: b"abc"}


def test_the_second_opening_does_not_decompress(tmp_path):
    path = pack(tmp_path / "a.tar.gz")
    open_archive(path, tmp_path / "cache")
    (copy,) = files(tmp_path / "cache")
    written = copy.stat().st_mtime_ns
    assert read_all(path, tmp_path / "cache") == CONTENT
    assert copy.stat().st_mtime_ns == written


def test_a_changed_archive_is_read_anew(tmp_path):
    path = pack(tmp_path / "a.tar.gz")
    open_archive(path, tmp_path / "cache")
    with tarfile.open(path, "w:gz") as archive:
        archive.addfile(tarfile.TarInfo("new.wav"))
    assert list(open_archive(path, tmp_path / "cache")) == ["new.wav"]


def special(name: str, kind: bytes, target: str = "") -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.type, member.linkname = kind, target
    return member


@pytest.mark.parametrize("suffix", [".tar", ".tar.gz"])
@pytest.mark.parametrize(
    ("member", "fault"),
    [
        (special("train/l.wav", tarfile.SYMTYPE, "/etc/passwd"), "link or a device"),
        (special("train/l.wav", tarfile.LNKTYPE, "train/1.wav"), "link or a device"),
        (special("train/f.wav", tarfile.FIFOTYPE), "link or a device"),
        (special("train/d.wav", tarfile.CHRTYPE), "link or a device"),
        (special("../outside.wav", tarfile.REGTYPE), "outside the archive"),
        (special("train/../../outside.wav", tarfile.REGTYPE), "outside the archive"),
        (special("/etc/outside.wav", tarfile.REGTYPE), "outside the archive"),
    ],
)
def test_unsafe_members_are_refused(tmp_path, suffix, member, fault):
    path = pack(tmp_path / f"bad{suffix}", [member])
    with pytest.raises(UserError, match=fault) as told:
        open_archive(path, tmp_path / "cache")
    assert str(path) in str(told.value)
    assert member.name in str(told.value)
    assert not files(tmp_path / "cache")


@pytest.mark.parametrize("kept", [0.3, 0.9, 0.99])
def test_a_truncated_gzip_names_the_archive_and_leaves_nothing(tmp_path, kept):
    whole = pack(tmp_path / "a.tar.gz").read_bytes()
    path = tmp_path / "cut.tar.gz"
    path.write_bytes(whole[: int(kept * len(whole))])
    with pytest.raises(UserError, match=r"cut\.tar\.gz.*fetched again"):
        open_archive(path, tmp_path / "cache")
    assert not files(tmp_path / "cache")


def test_a_truncated_tar_in_a_whole_gzip_leaves_nothing(tmp_path):
    whole = pack(tmp_path / "a.tar").read_bytes()
    path = tmp_path / "cut.tar.gz"
    path.write_bytes(gzip.compress(whole[:5000]))
    with pytest.raises(UserError, match=r"cut\.tar\.gz: damaged"):
        open_archive(path, tmp_path / "cache")
    assert not files(tmp_path / "cache")


@pytest.mark.parametrize("content", [b"", b"no archive" * 100, b"\x1f\x8b", b"\x1f\x8bjunk" * 99])
def test_what_is_no_archive_is_an_error(tmp_path, content):
    path = tmp_path / "a.tar.gz"
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"a\.tar\.gz"):
        open_archive(path, tmp_path / "cache")
    assert not files(tmp_path / "cache")


def test_a_missing_archive_is_an_error(tmp_path):
    with pytest.raises(UserError, match=r"a\.tar: cannot be read"):
        open_archive(tmp_path / "a.tar", tmp_path)


def test_a_cache_that_cannot_be_written_is_an_error(tmp_path):
    (tmp_path / "cache").write_text("a file, not a folder")
    with pytest.raises(UserError, match="SPEECHALIGN_CACHE"):
        open_archive(pack(tmp_path / "a.tar.gz"), tmp_path / "cache")


def test_an_archive_that_changed_or_went_is_noticed_on_reading(tmp_path):
    path = pack(tmp_path / "a.tar")
    member = open_archive(path)["train/4.wav"]
    path.write_bytes(path.read_bytes()[:2000])
    with pytest.raises(UserError, match="changed since"):
        member.read()
    path.unlink()
    with pytest.raises(UserError, match="cannot be read"):
        member.read()


def test_processes_may_open_an_archive_at_once(tmp_path):
    path = pack(tmp_path / "a.tar.gz")
    with ProcessPoolExecutor(4, mp_context=get_context("forkserver")) as pool:
        results = list(pool.map(read_all, [path] * 8, [tmp_path / "cache"] * 8))
    assert results == [CONTENT] * 8
    assert len(files(tmp_path / "cache")) == 1


def test_the_cache_is_where_the_variable_says(monkeypatch, tmp_path):
    monkeypatch.setenv("SPEECHALIGN_CACHE", str(tmp_path))
    assert default_cache_dir() == tmp_path
    monkeypatch.delenv("SPEECHALIGN_CACHE")
    assert default_cache_dir() == Path.home() / ".cache" / "speechalign"
