"""Frames that are kept change nothing but the time; what changed is computed anew."""

import os
import shutil
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from torch.testing import assert_close

from speechalign.errors import UserError
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


def test_training_goes_on_where_nothing_can_be_kept(config, tmp_path):
    (tmp_path / "file").touch()
    with pytest.warns(UserWarning, match="Frames are not kept"):
        run = fit(config, STEPS, f"--data.cache={tmp_path / 'file' / 'cache'}")
    assert run.trainer.global_step == 8


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
