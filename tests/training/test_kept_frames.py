"""Kept frames as files: found again, noticed when damaged, safe with several processes."""

import os
import pickle
import random
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from speechalign.data import frames
from speechalign.data.fleurs import Fleurs
from speechalign.data.frames import FrameCache, chunks, frames_folder
from speechalign.data.records import Utterance
from speechalign.errors import Caution, UserError
from speechalign.models.encoder import WhisperEncoder


def test_encoders_do_not_share_frames(whisper_folder):
    one, same = (WhisperEncoder(whisper_folder, attend="speech") for _ in range(2))
    other = WhisperEncoder(whisper_folder, attend="window")
    changed = WhisperEncoder(whisper_folder, attend="speech")
    changed.whisper.conv1.bias.data[0] += 1e-3
    assert one.fingerprint() == same.fingerprint()
    assert len({one.fingerprint(), other.fingerprint(), changed.fingerprint()}) == 3


@pytest.fixture
def utterances(corpus) -> list[Utterance]:
    return list(Fleurs(str(corpus)).utterances("deu", "train"))


def some_frames(count: int) -> list[torch.Tensor]:
    return [torch.randn(3 + row, 4) for row in range(count)]


def keep(cache: FrameCache, utterances: list[Utterance], frames: list[torch.Tensor]) -> None:
    cache.write(utterances, frames, [len(one) for one in frames])


def test_frames_come_back_also_in_another_process(utterances, tmp_path):
    cache = FrameCache(tmp_path / "cache")
    assert cache.get(utterances[0]) is None
    assert cache.missing(utterances) == utterances
    frames = some_frames(len(utterances))
    cache.write(utterances, frames, [2] * len(frames))
    cache.refresh()
    for copy in (cache, pickle.loads(pickle.dumps(cache)), FrameCache(tmp_path / "cache")):
        assert copy.missing(utterances) == []
        for utterance, expected in zip(utterances, frames, strict=True):
            hidden, valid = copy.get(utterance)
            assert torch.equal(hidden, expected)
            assert valid == 2
    assert [file.suffix for file in (tmp_path / "cache").iterdir()] == [".safetensors"]


@pytest.mark.parametrize("size", [0, 5, 100, -1])
def test_a_file_that_was_cut_counts_as_absent_and_is_mended(utterances, tmp_path, size):
    keep(FrameCache(tmp_path), utterances, some_frames(len(utterances)))
    (file,) = tmp_path.iterdir()
    file.write_bytes(file.read_bytes()[:size])
    cache = FrameCache(tmp_path)
    assert cache.missing(utterances) == utterances
    keep(cache, utterances, some_frames(len(utterances)))
    assert FrameCache(tmp_path).missing(utterances) == []


def test_damaged_frames_are_noticed_and_encoded_anew(utterances, tmp_path):
    keep(FrameCache(tmp_path), utterances[:5], some_frames(5))
    keep(FrameCache(tmp_path), utterances[5:], some_frames(len(utterances) - 5))
    file = max(tmp_path.iterdir(), key=lambda file: file.stat().st_size)
    whole = bytearray(file.read_bytes())
    whole[-3] ^= 4
    file.write_bytes(whole)
    cache = FrameCache(tmp_path)
    assert cache.missing(utterances) == []  # its header is whole
    with pytest.warns(Caution, match="damaged"):
        found = [cache.get(utterance) for utterance in utterances]
    lost = [one is None for one in found]
    assert any(lost)
    assert not any(lost[:5])  # of another file
    assert not file.exists()
    assert FrameCache(tmp_path).missing(utterances) == utterances[5:]


def test_a_file_that_another_process_removed_is_absent(utterances, tmp_path):
    keep(FrameCache(tmp_path), utterances, some_frames(len(utterances)))
    cache = FrameCache(tmp_path)
    for file in tmp_path.iterdir():
        file.unlink()
    assert cache.get(utterances[0]) is None


def test_recordings_with_one_content_have_one_place(utterances, tmp_path):
    twin = utterances[0]._replace(id="de_de/train/twin.wav")
    cache = FrameCache(tmp_path)
    keep(cache, utterances[:2], some_frames(2))
    cache = FrameCache(tmp_path)
    assert cache.missing([twin]) == []
    assert torch.equal(FrameCache(tmp_path).get(twin)[0], cache.get(utterances[0])[0])
    part = utterances[0]._replace(start=0.01)
    assert cache.missing([part]) == [part]


def test_files_of_equal_size_and_time_are_told_apart(tmp_path):
    """Unpacked with normalised times, recordings of two corpora may look alike."""
    alike = []
    for place, byte in (("a", b"0"), ("b", b"1")):
        (tmp_path / place).mkdir()
        file = tmp_path / place / "0001.wav"
        file.write_bytes(byte * 100)
        os.utime(file, (0, 0))
        alike.append(Utterance("0001", "1", "deu", file, 0.0, 1.0, "", "", "other"))
    assert frames.identity(alike[0]) != frames.identity(alike[1])
    assert frames.content(alike[0]) != frames.content(alike[1])


def test_a_long_file_is_read_once_for_its_many_parts(tmp_path, monkeypatch):
    (tmp_path / "long.wav").write_bytes(b"0" * 1000)
    part = Utterance("x", "1", "deu", tmp_path / "long.wav", 0.0, 1.0, "", "", "other")
    opened, reading = [], Path.open
    monkeypatch.setattr(
        Path, "open", lambda path, *given: opened.append(path) or reading(path, *given)
    )
    names = {frames.content(part._replace(start=float(n))) for n in range(20)}
    assert len(names) == 20
    assert len(opened) == 1


def test_other_digits_of_the_same_recordings_replace_nothing(utterances, tmp_path):
    """Two machines that keep the same at the same time do not take each other's for damaged."""
    cache, frames_of = FrameCache(tmp_path), some_frames(3)
    other = FrameCache(tmp_path)
    keep(cache, utterances[:3], frames_of)
    cache.refresh()
    keep(other, utterances[:3], [one + 1e-6 for one in frames_of])
    for utterance, expected in zip(utterances, frames_of, strict=False):
        assert torch.equal(cache.get(utterance)[0], expected)
    assert len(list(tmp_path.iterdir())) == 2


@pytest.mark.parametrize("name", ["x.json", "x.safetensors"])
def test_what_is_empty_counts_as_absent(utterances, tmp_path, name):
    (tmp_path / name).touch()
    assert FrameCache(tmp_path).missing(utterances) == utterances


def test_a_recording_that_vanished_is_named(utterances, tmp_path):
    gone = utterances[0]._replace(audio=tmp_path / "gone.wav")
    with pytest.raises(UserError, match=r"gone\.wav: No such file"):
        FrameCache(tmp_path).missing([gone])


def test_what_was_kept_first_is_heard_ever_after(utterances, tmp_path):
    """Another run may keep the same recordings in other company, with other last digits."""
    first, again = some_frames(1), some_frames(2)
    keep(FrameCache(tmp_path), utterances[:1], first)
    (file,) = tmp_path.iterdir()
    os.utime(file, (0, 0))
    keep(FrameCache(tmp_path), utterances[:2], again)
    assert torch.equal(FrameCache(tmp_path).get(utterances[0])[0], first[0])
    assert torch.equal(FrameCache(tmp_path).get(utterances[1])[0], again[1])


KEEPER = """
import sys, time, torch
from pathlib import Path
from speechalign.data import frames
from speechalign.data.fleurs import Fleurs
found = list(Fleurs(sys.argv[1]).utterances("deu", "train"))
cache = frames.FrameCache(Path(sys.argv[2]))
frames.CHUNK = 3
print("begun", flush=True)
for part in frames.chunks(found):
    if new := cache.missing(part):
        time.sleep(0.01)
        hidden = [torch.full((20000, 8), float(u.sentence_id)) for u in new]
        cache.write(new, hidden, [20000] * len(new))
print("done", flush=True)
"""


def keeper(corpus: Path, folder: Path) -> subprocess.Popen[str]:
    """Keep frames in another process."""
    command = [sys.executable, "-c", KEEPER, str(corpus), str(folder)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "begun\n"
    return process


def test_killed_and_concurrent_keepers_leave_what_a_clean_one_does(corpus, utterances, tmp_path):
    chance, killed = random.Random(0), 0
    for turn in range(17):
        process = keeper(corpus, tmp_path / "cache")
        time.sleep(chance.uniform(0, 0.12))
        process.kill()
        killed += "done" not in process.communicate()[0]
        if turn % 6 == 5:
            shutil.rmtree(tmp_path / "cache", ignore_errors=True)
    assert killed
    together = [keeper(corpus, tmp_path / "cache") for _ in range(2)]
    assert [process.communicate()[0] for process in together] == ["done\n"] * 2
    cache = FrameCache(tmp_path / "cache")
    assert cache.missing(utterances) == []
    for utterance in utterances:
        hidden, valid = cache.get(utterance)
        assert valid == len(hidden) == 20000
        assert (hidden == float(utterance.sentence_id)).all()


def test_chunks_hold_every_recording_once(utterances, monkeypatch):
    monkeypatch.setattr(frames, "CHUNK", 5)
    parts = chunks([*reversed(utterances), utterances[3]])
    assert [len(part) for part in parts] == [5, 5, 2]
    assert parts == chunks(utterances)
    flat = [utterance for part in parts for utterance in part]
    assert sorted(flat) == sorted(utterances)
    assert flat == sorted(flat, key=lambda utterance: (utterance.duration, utterance.id))


def test_the_cache_has_a_place_of_its_own(monkeypatch, tmp_path):
    monkeypatch.setenv("SPEECHALIGN_CACHE", str(tmp_path))
    monkeypatch.setenv("HOME", "/home/somebody")
    assert frames_folder(cache=True) == tmp_path / "frames"
    assert frames_folder("~/here") == Path("/home/somebody/here")
    assert frames_folder(cache=False) is None
