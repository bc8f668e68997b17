"""Frames that are kept change nothing but the time; what changed is computed anew."""

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
from safetensors import safe_open
from torch.testing import assert_close

from speechalign.data import frames
from speechalign.data.fleurs import Fleurs
from speechalign.data.frames import FrameCache, chunks, frames_folder
from speechalign.data.records import Utterance
from speechalign.errors import Caution, UserError
from speechalign.models.encoder import WhisperEncoder
from tests.training.test_fit import column, fit
from tests.training.test_resume import different

STEPS = "--trainer.max_steps=8"  # of 3 batches an epoch


@pytest.fixture
def calls(monkeypatch):
    """How many recordings the encoder was asked for, call by call."""
    seen: list[int] = []
    forward = WhisperEncoder.forward

    def counting(self, waveform, samples, hidden=None):
        seen.append(len(samples))
        return forward(self, waveform, samples, hidden)

    monkeypatch.setattr(WhisperEncoder, "forward", counting)
    return seen


def kept(folder: Path) -> list[Path]:
    return sorted(folder.rglob("*.safetensors"))


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("attend", ["speech", "window"])
def test_training_from_kept_frames_equals_training_without(config, tmp_path, attend, workers):
    options = [STEPS, f"--model.encoder.init_args.attend={attend}", f"--data.workers={workers}"]
    without = fit(config, *options, f"--trainer.default_root_dir={tmp_path / 'without'}")
    cached = f"--data.cache={tmp_path / 'cache'}"
    run = fit(config, *options, cached, f"--trainer.default_root_dir={tmp_path / 'with'}")
    assert kept(tmp_path / "cache")
    for name in ("train/loss", "train/ce", "train/ot", "val/ce", "val/ce_zero_shot"):
        assert_close(column(run, name), column(without, name), atol=1e-4, rtol=1e-4)


def test_every_recording_is_encoded_once_for_all_runs(config, tmp_path, calls):
    options = [STEPS, f"--data.cache={tmp_path / 'cache'}"]
    fit(config, *options, f"--trainer.default_root_dir={tmp_path / 'one'}")
    assert sum(calls) == 4 * 12 + 4 * 5  # train of four languages (one for its bias), dev of four
    fit(config, *options, f"--trainer.default_root_dir={tmp_path / 'two'}")
    fewer = ["--data.languages=[deu,fra]", "--data.max_train_sentences=7"]
    fit(config, *options, *fewer, f"--trainer.default_root_dir={tmp_path / 'three'}")
    assert sum(calls) == 4 * 12 + 4 * 5


def test_centroids_from_kept_frames_are_those_of_the_audio(config, tmp_path):
    cached = f"--data.cache={tmp_path / 'cache'}"
    once = fit(config, STEPS, f"--trainer.default_root_dir={tmp_path / 'without'}")
    kept_ones = fit(config, STEPS, cached, f"--trainer.default_root_dir={tmp_path / 'with'}")
    one, other = (run.model.speech_llm.bias for run in (once, kept_ones))
    assert one.utterances.tolist() == other.utterances.tolist()
    assert_close(one.centroid, other.centroid, atol=1e-4, rtol=1e-4)


POOLED = ["--model.encoder.init_args.attend=window", "--model.bias.init_args.pooling=all"]


def test_pooling_over_padding_hears_the_audio(config, tmp_path, calls):
    fit(config, STEPS, *POOLED, f"--data.cache={tmp_path / 'cache'}")
    assert sum(calls) == 2 * 4 * 12 + 4 * 5


def test_pooling_over_padding_uses_all_frames_where_they_are_kept(config, tmp_path, calls):
    cached = [f"--data.cache={tmp_path / 'cache'}", "--data.cache_frames=all"]
    run = fit(config, STEPS, *POOLED, *cached, f"--trainer.default_root_dir={tmp_path / 'with'}")
    assert sum(calls) == 4 * 12 + 4 * 5
    without = fit(config, STEPS, *POOLED, f"--trainer.default_root_dir={tmp_path / 'without'}")
    one, other = (fitted.model.speech_llm.bias.centroid for fitted in (run, without))
    assert_close(one, other, atol=1e-4, rtol=1e-4)
    for name in ("train/loss", "val/ce"):
        assert_close(column(run, name), column(without, name), atol=1e-4, rtol=1e-4)


def test_all_frames_are_those_of_a_window(config, tmp_path):
    with pytest.raises(UserError, match="say cache_frames: valid"):
        fit(config, STEPS, f"--data.cache={tmp_path / 'cache'}", "--data.cache_frames=all")


def test_frames_of_fewer_digits_take_half_the_place_and_are_near(config, tmp_path):
    sizes, losses = [], []
    for dtype in ("float32", "bfloat16"):
        cached = [f"--data.cache={tmp_path / dtype}", f"--data.cache_dtype={dtype}"]
        run = fit(config, STEPS, *cached, f"--trainer.default_root_dir={tmp_path / 'run' / dtype}")
        sizes.append(sum(file.stat().st_size for file in kept(tmp_path / dtype)))
        losses.append(torch.tensor(column(run, "train/ce")))
    assert 0.45 < sizes[1] / sizes[0] < 0.75  # names and checksums stay
    assert not torch.equal(*losses)
    assert_close(losses[1], losses[0], atol=0.05, rtol=0.02)


def test_what_does_not_fit_on_the_disk_is_told_before(config, tmp_path, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(10, 9, 1000))
    with pytest.raises(UserError, match=r"0\.0 GB are free: name another folder"):
        fit(config, STEPS, f"--data.cache={tmp_path / 'cache'}")
    assert not kept(tmp_path / "cache")


def test_the_size_is_foretold(config, tmp_path, caplog):
    with caplog.at_level("INFO"):
        fit(config, STEPS, f"--data.cache={tmp_path / 'cache'}", "--data.cache_dtype=float32")
    frames = []
    for file in kept(tmp_path / "cache"):
        with safe_open(file, "pt") as opened:
            frames += [opened.get_tensor(name) for name in opened.keys()]  # noqa: SIM118
    size = sum(one.nbytes for one in frames)
    assert f"Frames to keep: {size / 1e6:.0f} MB" in caplog.text


@pytest.mark.parametrize(
    ("steps", "epochs", "worth"),
    [(2, -1, False), (6, -1, True), (-1, 1, False), (8, 1, False), (-1, 2, True), (2, 2, False)],
)
def test_a_run_that_hears_little_keeps_nothing(config, tmp_path, steps, epochs, worth):
    """An epoch has 3 batches."""
    length = [f"--trainer.max_steps={steps}", f"--trainer.max_epochs={epochs}"]
    run = fit(config, *length, f"--data.cache={tmp_path / 'cache'}")
    assert run.trainer.global_step in {steps, 3 * epochs}
    assert bool(kept(tmp_path / "cache")) is worth


def test_frames_of_dev_are_kept_where_recordings_are_augmented(config, tmp_path):
    """However little is trained, dev is asked again and again."""
    options = ["--trainer.max_steps=2", "--trainer.max_epochs=1", "--data.augment={}"]
    fit(config, *options, f"--data.cache={tmp_path / 'cache'}")
    assert kept(tmp_path / "cache")


@pytest.mark.parametrize("lost", [False, True])
def test_a_resumed_run_is_bit_equal_with_or_without_what_was_kept(config, tmp_path, lost):
    cached = f"--data.cache={tmp_path / 'cache'}"
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    fit(config, STEPS, cached, f"--trainer.default_root_dir={whole}")
    if lost:
        shutil.rmtree(tmp_path / "cache")
    stopped = f"--ckpt_path={whole}/checkpoints/step=5.ckpt"
    fit(config, STEPS, cached, f"--trainer.default_root_dir={broken}", stopped)
    ends = [folder / "checkpoints" / "step=8.ckpt" for folder in (whole, broken)]
    assert different(*ends) == []


def test_what_changed_is_computed_anew_and_what_moved_is_not(config, corpus, tmp_path, calls):
    shutil.copytree(corpus, tmp_path / "corpus")

    def run(name: str) -> int:
        calls.clear()
        options = [
            STEPS,
            "--model.bias=null",
            f"--data.cache={tmp_path / 'cache'}",
            f"--data.source.init_args.root={tmp_path / 'corpus'}",
        ]
        fit(config, *options, f"--trainer.default_root_dir={tmp_path / name}")
        return sum(calls)

    assert run("one") == 3 * 12 + 4 * 5
    for file in (tmp_path / "corpus").rglob("*.wav"):
        os.utime(file)  # as a copy has it
    assert run("two") == 0
    changed = tmp_path / "corpus/de_de/audio/train/3.wav"
    other = changed.with_name("4.wav").read_bytes()
    changed.write_bytes(changed.read_bytes()[:44] + other[44:])
    assert run("three") == 1


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


def test_training_goes_on_where_nothing_can_be_kept(config, tmp_path):
    (tmp_path / "file").touch()
    with pytest.warns(UserWarning, match="Frames are not kept"):
        run = fit(config, STEPS, f"--data.cache={tmp_path / 'file' / 'cache'}")
    assert run.trainer.global_step == 8


def test_the_cache_has_a_place_of_its_own(monkeypatch, tmp_path):
    monkeypatch.setenv("SPEECHALIGN_CACHE", str(tmp_path))
    monkeypatch.setenv("HOME", "/home/somebody")
    assert frames_folder(cache=True) == tmp_path / "frames"
    assert frames_folder("~/here") == Path("/home/somebody/here")
    assert frames_folder(cache=False) is None


def test_augmented_recordings_are_heard_anew_where_an_earlier_run_kept_them(config, tmp_path):
    cached = f"--data.cache={tmp_path / 'cache'}"
    fit(config, STEPS, cached, f"--trainer.default_root_dir={tmp_path / 'clean'}")
    varied = [STEPS, "--data.augment={}"]
    without = fit(config, *varied, f"--trainer.default_root_dir={tmp_path / 'without'}")
    run = fit(config, *varied, cached, f"--trainer.default_root_dir={tmp_path / 'with'}")
    assert_close(column(run, "train/ce"), column(without, "train/ce"), atol=1e-4, rtol=1e-4)


def test_recordings_that_are_augmented_are_heard_anew_and_dev_is_kept(
    config, tmp_path, calls, caplog
):
    options = [STEPS, "--data.augment={noise_probability: 1.0}", "--model.bias=null"]
    without = fit(config, *options, f"--trainer.default_root_dir={tmp_path / 'without'}")
    calls.clear()
    cached = f"--data.cache={tmp_path / 'cache'}"
    with caplog.at_level("INFO"):
        run = fit(config, *options, cached, f"--trainer.default_root_dir={tmp_path / 'with'}")
    assert sum(calls) == 4 * 5 + 8 * 12  # dev of four languages once, and every batch
    told = [r.getMessage() for r in caplog.records if "augmented" in r.getMessage()]
    assert told == ["Recordings of training are encoded anew each epoch: they are augmented."]
    assert column(run, "train/loss") == column(without, "train/loss")
    assert_close(column(run, "val/ce"), column(without, "val/ce"), atol=1e-4, rtol=1e-4)
