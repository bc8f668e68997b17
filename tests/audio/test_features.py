"""LogMel against transformers and openai-whisper, and the independence of a batch's rows."""

import math

import pytest
import torch
import whisper
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from torch.nn.functional import pad
from torch.testing import assert_close
from transformers import WhisperFeatureExtractor

from speechalign.audio.features import SHORTEST, LogMel
from speechalign.audio.io import load_audio
from speechalign.errors import UserError

WINDOW = 480_000  # samples, Whisper's 30 s


def speech(samples: int, seed: int = 0, level: float = 0.1) -> Tensor:
    """A glide with overtones, a slow envelope and noise."""
    generator = torch.Generator().manual_seed(seed)
    t = torch.arange(samples) / 16_000
    phase = 2 * math.pi * (120 * t + 20 * torch.sin(3 * t + seed))
    tone = sum(torch.sin(k * phase) / k for k in range(1, 8))
    noise = torch.randn(samples, generator=generator)
    return level * (torch.sin(5 * t).abs() * tone + 0.05 * noise)


def batch(waveforms: list[Tensor], samples: int = WINDOW) -> Tensor:
    return torch.stack([pad(waveform, (0, samples - len(waveform))) for waveform in waveforms])


@pytest.fixture(scope="module")
def recordings() -> list[Tensor]:
    return [
        speech(1_000, seed=1),
        speech(52_345, seed=2, level=0.005),
        torch.zeros(16_000),
        speech(WINDOW - 100, seed=3),
        speech(WINDOW, seed=4, level=0.5),
    ]


@pytest.mark.parametrize("mels", [80, 128])
def test_features_equal_transformers(mels, recordings):
    extractor = WhisperFeatureExtractor(feature_size=mels)
    theirs = extractor(
        [waveform.numpy() for waveform in recordings], sampling_rate=16_000, return_tensors="pt"
    )
    ours = LogMel(mels)(batch(recordings))
    assert ours.shape == (len(recordings), mels, 3_000)
    assert_close(ours, theirs.input_features, atol=1e-4, rtol=0)


@pytest.mark.parametrize("mels", [80, 128])
def test_features_equal_openai_whisper(mels, recordings):
    ours = LogMel(mels)(batch(recordings))
    for features, waveform in zip(ours, recordings, strict=True):
        theirs = whisper.log_mel_spectrogram(whisper.pad_or_trim(waveform), mels)
        assert_close(features, theirs, atol=1e-4, rtol=0)


def test_features_of_real_speech_equal_both(shared):
    waveform = load_audio(shared / "real/clips/jfk_44k_stereo.flac")
    theirs = whisper.log_mel_spectrogram(whisper.pad_or_trim(waveform), 80)
    extracted = WhisperFeatureExtractor()(
        waveform.numpy(), sampling_rate=16_000, return_tensors="pt"
    )
    ours = LogMel()(batch([waveform]))
    assert_close(ours[0], theirs, atol=1e-4, rtol=0)
    assert_close(ours, extracted.input_features, atol=1e-4, rtol=0)


@given(
    lengths=st.lists(st.integers(SHORTEST, 8_000), min_size=2, max_size=4),
    levels=st.lists(st.floats(1e-4, 1.0), min_size=4, max_size=4),
    seed=st.integers(0, 2**16),
)
def test_a_row_does_not_depend_on_the_others(lengths, levels, seed):
    rows = [speech(n, seed + i, levels[i]) for i, n in enumerate(lengths)]
    together = batch(rows, max(lengths))
    log_mel = LogMel()
    for waveform, features in zip(together, log_mel(together), strict=True):
        assert_close(log_mel(waveform[None])[0], features, atol=1e-5, rtol=0)


def test_a_loud_neighbour_leaves_a_quiet_utterance_as_it_is():
    quiet, loud = speech(16_000, seed=1, level=1e-5), speech(16_000, seed=2, level=1.0)
    log_mel = LogMel()
    alone, together = log_mel(quiet[None])[0], log_mel(torch.stack([quiet, loud]))[0]
    assert_close(together, alone, atol=1e-6, rtol=0)
    theirs = whisper.log_mel_spectrogram(torch.stack([quiet, loud]))[0]
    assert (theirs - alone).abs().max() > 0.5  # what openai-whisper does to it


@given(samples=st.integers(SHORTEST, 4_000))
def test_there_is_one_frame_to_160_samples(samples):
    assert LogMel()(speech(samples)[None]).shape == (1, 80, samples // 160)


def test_more_silence_at_the_end_changes_no_frame_before_it():
    waveform = speech(20_000)
    short, long = LogMel()(batch([waveform], 21_120)), LogMel()(batch([waveform]))
    assert_close(long[..., : short.shape[-1]], short, atol=1e-5, rtol=0)
    assert_close(long[..., short.shape[-1] :], torch.full((1, 80, 3_000 - 132), long.min()))


@given(
    lengths=st.lists(st.integers(1, 4_000), min_size=1, max_size=4),
    margin=st.integers(0, 2_000),
    seed=st.integers(0, 2**16),
)
def test_features_are_the_same_where_the_silence_is_known(lengths, margin, seed):
    rows = [speech(n, seed + i) for i, n in enumerate(lengths)]
    waveform = batch(rows, max(SHORTEST, max(lengths) + margin))
    expected = LogMel()(waveform)
    assert_close(LogMel()(waveform, torch.tensor(lengths)), expected, atol=1e-5, rtol=0)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_a_model_in_another_dtype_keeps_the_features_in_float32(dtype):
    waveform = speech(8_000)[None]
    expected = LogMel()(waveform)
    model = torch.nn.Sequential(LogMel()).to(dtype)
    assert {buffer.dtype for buffer in model.buffers()} == {torch.float32}
    assert torch.equal(model(waveform), expected)
    assert model(waveform.to(dtype)).dtype == torch.float32


def test_autocast_leaves_the_features_in_float32():
    waveform = speech(8_000)[None]
    with torch.autocast("cpu", dtype=torch.bfloat16):
        features = LogMel()(waveform)
    assert torch.equal(features, LogMel()(waveform))


def test_the_constants_are_in_no_checkpoint_and_follow_the_device():
    assert LogMel().state_dict() == {}
    assert {buffer.device.type for buffer in LogMel().to("meta").buffers()} == {"meta"}


@pytest.mark.gpu
def test_features_on_the_accelerator_equal_those_on_the_cpu():
    if not torch.cuda.is_available():
        pytest.skip("there is no accelerator here")
    waveforms = batch([speech(52_345), speech(WINDOW)])
    with torch.autocast("cuda", dtype=torch.bfloat16):
        features = LogMel().cuda()(waveforms.cuda())
    assert_close(features.cpu(), LogMel()(waveforms), atol=1e-4, rtol=0)


@pytest.mark.parametrize("samples", [0, 1, SHORTEST - 1])
def test_too_few_samples_are_refused(samples):
    with pytest.raises(UserError, match=f"{samples} samples are too few.*at least 201"):
        LogMel()(torch.zeros(1, samples))


@pytest.mark.parametrize("mels", [0, -80])
def test_a_senseless_number_of_bands_is_refused(mels):
    with pytest.raises(UserError, match="80, or 128"):
        LogMel(mels)
