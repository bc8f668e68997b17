"""Frames that are kept change nothing but the time; what changed is computed anew."""

import os
import pickle
import shutil
from pathlib import Path

import pytest
import torch
from torch.testing import assert_close

from speechalign.data import frames
from speechalign.data.fleurs import Fleurs
from speechalign.data.frames import FrameCache, chunks, frames_folder
from speechalign.data.records import Utterance
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


def test_pooling_over_padding_hears_the_audio(config, tmp_path, calls):
    options = ["--model.encoder.init_args.attend=window", "--model.bias.init_args.pooling=all"]
    fit(config, STEPS, *options, f"--data.cache={tmp_path / 'cache'}")
    assert sum(calls) == 2 * 4 * 12 + 4 * 5


def test_a_run_that_hears_little_keeps_nothing(config, tmp_path):
    fit(config, "--trainer.max_steps=2", f"--data.cache={tmp_path / 'cache'}")
    assert not kept(tmp_path / "cache")


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


def test_what_changed_is_computed_anew(config, corpus, tmp_path, calls, whisper_folder):
    shutil.copytree(corpus, tmp_path / "corpus")
    options = [
        STEPS,
        "--model.bias=null",
        f"--data.cache={tmp_path / 'cache'}",
        f"--data.source.init_args.root={tmp_path / 'corpus'}",
    ]
    fit(config, *options, f"--trainer.default_root_dir={tmp_path / 'one'}")
    calls.clear()
    os.utime(tmp_path / "corpus/de_de/audio/train/3.wav")
    fit(config, *options, f"--trainer.default_root_dir={tmp_path / 'two'}")
    assert sum(calls) == 1


def test_encoders_do_not_share_frames(whisper_folder):
    one, same = (WhisperEncoder(whisper_folder, attend="speech") for _ in range(2))
    other = WhisperEncoder(whisper_folder, attend="window")
    changed = WhisperEncoder(whisper_folder, attend="speech")
    changed.whisper.conv1.bias.data[0] += 1e-3
    assert one.fingerprint() == same.fingerprint()
    assert len({one.fingerprint(), other.fingerprint(), changed.fingerprint()}) == 3


@pytest.fixture
def utterances(corpus) -> list[Utterance]:
    return Fleurs(str(corpus)).utterances("deu", "train")


def some_frames(count: int) -> list[torch.Tensor]:
    return [torch.randn(3 + row, 4) for row in range(count)]


def test_frames_come_back_also_in_another_process(utterances, tmp_path):
    cache = FrameCache(tmp_path / "cache")
    assert cache.get(utterances[0]) is None
    assert cache.missing(utterances) == utterances
    frames = some_frames(len(utterances))
    cache.write(utterances, frames)
    cache.refresh()
    for copy in (cache, pickle.loads(pickle.dumps(cache)), FrameCache(tmp_path / "cache")):
        assert copy.missing(utterances) == []
        for utterance, expected in zip(utterances, frames, strict=True):
            assert torch.equal(copy.get(utterance), expected)
    assert [file.suffix for file in (tmp_path / "cache").iterdir()] == [".safetensors"]


@pytest.mark.parametrize("size", [0, 5, 100, -1])
def test_a_damaged_file_counts_as_absent_and_is_mended(utterances, tmp_path, size):
    cache = FrameCache(tmp_path)
    cache.write(utterances, some_frames(len(utterances)))
    (file,) = tmp_path.iterdir()
    file.write_bytes(file.read_bytes()[:size])
    cache = FrameCache(tmp_path)
    assert cache.missing(utterances) == utterances
    cache.write(utterances, some_frames(len(utterances)))
    assert FrameCache(tmp_path).missing(utterances) == []


def test_what_was_kept_first_is_heard_ever_after(utterances, tmp_path):
    """Another run may keep the same recordings in other company, with other last digits."""
    first, again = some_frames(1), some_frames(2)
    FrameCache(tmp_path).write(utterances[:1], first)
    (file,) = tmp_path.iterdir()
    os.utime(file, (0, 0))
    FrameCache(tmp_path).write(utterances[:2], again)
    assert torch.equal(FrameCache(tmp_path).get(utterances[0]), first[0])
    assert torch.equal(FrameCache(tmp_path).get(utterances[1]), again[1])


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
