"""Frames that are kept change nothing but the time; what changed is computed anew."""

import os
import pickle
import shutil
from pathlib import Path

import pytest
import torch
from torch.testing import assert_close

from speechalign.data.fleurs import Fleurs
from speechalign.data.frames import FrameCache
from speechalign.models.encoder import WhisperEncoder
from tests.training.test_fit import column, fit
from tests.training.test_resume import different

STEPS = "--trainer.max_steps=8"  # of 3 batches an epoch


@pytest.fixture
def calls(monkeypatch):
    """How many recordings the encoder was asked for, call by call."""
    seen: list[int] = []
    forward = WhisperEncoder.forward

    def counting(self, waveform, samples):
        seen.append(len(samples))
        return forward(self, waveform, samples)

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
    options = [STEPS, "--model.bias=null", f"--data.cache={tmp_path / 'cache'}"]
    fit(config, *options, f"--trainer.default_root_dir={tmp_path / 'one'}")
    assert sum(calls) == 3 * 12 + 4 * 5  # train of three languages, dev of four
    fit(config, *options, f"--trainer.default_root_dir={tmp_path / 'two'}")
    assert sum(calls) == 3 * 12 + 4 * 5


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
    assert sum(calls) == 3 * 12  # the file that it shares with the other recordings of train


def test_encoders_do_not_share_frames(whisper_folder):
    one, same = (WhisperEncoder(whisper_folder, attend="speech") for _ in range(2))
    other = WhisperEncoder(whisper_folder, attend="window")
    changed = WhisperEncoder(whisper_folder, attend="speech")
    changed.whisper.conv1.bias.data[0] += 1e-3
    assert one.fingerprint() == same.fingerprint()
    assert len({one.fingerprint(), other.fingerprint(), changed.fingerprint()}) == 3


def test_frames_come_back_also_in_another_process(corpus, tmp_path):
    utterances = Fleurs(str(corpus)).utterances("deu", "train")
    cache = FrameCache(tmp_path / "cache")
    (chunk,) = cache.chunks(utterances)
    assert cache.get(utterances[0]) is None
    frames = [torch.randn(3 + row, 4) for row in range(len(utterances))]
    cache.write(chunk, frames)
    expected = dict(zip((u.id for u in chunk.utterances), frames, strict=True))
    for copy in (cache, pickle.loads(pickle.dumps(cache))):
        for utterance in utterances:
            assert torch.equal(copy.get(utterance), expected[utterance.id])
    assert [file.suffix for file in (tmp_path / "cache").iterdir()] == [".safetensors"]
