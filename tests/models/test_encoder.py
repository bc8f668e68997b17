"""The frozen encoder equals transformers' Whisper, and hears each utterance as if alone."""

import pytest
import torch
from torch.testing import assert_close
from transformers import WhisperFeatureExtractor, WhisperModel

from speechalign.errors import UserError
from speechalign.models.encoder import WhisperEncoder
from tests.models.conftest import noise


def test_window_frames_equal_transformers(long_whisper_folder):
    encoder = WhisperEncoder(long_whisper_folder)
    waveform, samples = noise(2.0, 29.99)
    padded = torch.nn.functional.pad(waveform, (0, 480_000 - waveform.shape[1]))
    speech = [w[:n].numpy() for w, n in zip(waveform, samples, strict=True)]
    features = WhisperFeatureExtractor(128)(speech, sampling_rate=16_000, return_tensors="pt")
    reference = WhisperModel.from_pretrained(long_whisper_folder).eval().encoder
    with torch.no_grad():
        expected = reference(features.input_features).last_hidden_state
    frames = encoder(padded, samples)
    assert_close(frames.hidden, expected, atol=1e-5, rtol=0)
    assert frames.lengths.tolist() == [100, 1500]


def test_speech_frames_of_a_full_window_equal_transformers(whisper_folder):
    """Without padding there is nothing to mask, and both ways to attend are one."""
    waveform = 0.1 * torch.randn(2, 64_000, generator=torch.Generator().manual_seed(3))
    samples = torch.tensor([64_000, 64_000])
    whole = WhisperEncoder(whisper_folder)(waveform, samples)
    masked = WhisperEncoder(whisper_folder, attend="speech")(waveform, samples)
    assert_close(masked.hidden, whole.hidden, atol=1e-5, rtol=0)


@pytest.mark.parametrize("seconds", [0.5, 0.51, 1.0, 1.013])
def test_speech_frames_do_not_depend_on_neighbours(whisper_folder, seconds):
    encoder = WhisperEncoder(whisper_folder, attend="speech")
    alone = encoder(*noise(seconds))
    together = encoder(*noise(seconds, 3.0))
    valid = int(alone.lengths[0])
    assert int(together.lengths[0]) == valid
    assert_close(together.hidden[0, :valid], alone.hidden[0, :valid], atol=1e-5, rtol=0)


def test_padding_is_not_attended_to(whisper_folder):
    """The masked frames differ from those of a Whisper that hears the silence after them."""
    waveform, samples = noise(0.5, 3.0)
    masked = WhisperEncoder(whisper_folder, attend="speech")(waveform, samples).hidden[0, :25]
    padded = torch.nn.functional.pad(waveform, (0, 64_000 - waveform.shape[1]))
    heard = WhisperEncoder(whisper_folder)(padded, samples).hidden[0, :25]
    assert (masked - heard).abs().max() > 1e-3


@pytest.mark.parametrize("attend", ["window", "speech"])
def test_what_is_hidden_is_not_heard(whisper_folder, attend):
    """Two recordings that differ in their last half are the same where that half is hidden."""
    encoder = WhisperEncoder(whisper_folder, attend=attend)
    one = 0.1 * torch.randn(1, 64_000, generator=torch.Generator().manual_seed(0))
    other = torch.cat([one[:, :32_400], 0.05 * torch.randn(1, 31_600)], dim=1)
    samples = torch.tensor([64_000])
    hidden = torch.zeros(1, 80, 400, dtype=torch.bool)
    assert_close(encoder(one, samples, hidden).hidden, encoder(one, samples).hidden)
    assert (encoder(one, samples).hidden - encoder(other, samples).hidden).abs().max() > 0.01
    hidden[..., 200:] = True
    # the peak of the whole, which sets the floor of the features, is in the first half
    one[0, 8000:8400] *= 5
    other[0, 8000:8400] *= 5
    heard = [encoder(waveform, samples, hidden).hidden for waveform in (one, other)]
    assert_close(*heard, atol=1e-5, rtol=0)


@pytest.mark.parametrize("attend", ["window", "speech"])
def test_autocast_changes_no_frame(whisper_folder, attend):
    encoder = WhisperEncoder(whisper_folder, attend=attend)
    waveform, samples = torch.randn(1, 64_000), torch.tensor([64_000])
    with torch.autocast("cpu", dtype=torch.bfloat16):
        frames = encoder(waveform, samples)
    assert torch.equal(frames.hidden, encoder(waveform, samples).hidden)


def test_stays_frozen_and_in_eval_mode(whisper_folder):
    encoder = WhisperEncoder(whisper_folder).train()
    assert not any(part.training for part in encoder.modules())
    assert not any(weight.requires_grad for weight in encoder.parameters())


def test_dtype_is_the_one_asked_for(whisper_folder):
    encoder = WhisperEncoder(whisper_folder, attend="speech", dtype="bfloat16")
    assert encoder(*noise(0.5)).hidden.dtype == torch.bfloat16


@pytest.mark.parametrize(
    ("path", "told"),
    [
        ("/nowhere/whisper", "no model folder '/nowhere/whisper'"),
        ("assets:micro/encodr", "not in this installation"),
    ],
)
def test_a_wrong_path_is_told(path, told):
    with pytest.raises(UserError, match=told):
        WhisperEncoder(path)


def test_another_kind_of_model_is_told(llm_folder, tmp_path):
    with pytest.raises(UserError, match="holds a 'qwen2' model where a 'whisper' one is needed"):
        WhisperEncoder(llm_folder)
    with pytest.raises(UserError, match=r"no config\.json"):
        WhisperEncoder(str(tmp_path))
