"""load_audio: every format, rate and shape gives the same sound."""

import io
import shutil
import wave

import numpy as np
import pytest
import soundfile
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.signal import correlate
from torch.testing import assert_close

from speechalign.audio.io import SAMPLE_RATE, AudioError, load_audio
from tests.audio.sounds import FORMATS, sine, sound, write


def spectrum_peak(waveform: torch.Tensor) -> tuple[float, float]:
    """Frequency in Hz and amplitude of the loudest tone."""
    window = torch.hann_window(len(waveform), periodic=True)
    bins = torch.fft.rfft(waveform * window).abs() * 2 / window.sum()
    place = int(bins.argmax())
    return place * SAMPLE_RATE / len(waveform), float(bins[place])


# --- formats -------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_gives_the_sound_that_was_written(name, tmp_path):
    samples = sound(1.5)
    path = write(tmp_path, name, samples)
    waveform = load_audio(path)
    assert waveform.dtype == torch.float32
    assert waveform.device.type == "cpu"
    assert waveform.shape == samples.shape
    assert np.abs(waveform.numpy() - samples).mean() <= FORMATS[name][2] / 2
    assert np.argmax(correlate(waveform.numpy(), samples)) == len(samples) - 1  # no delay


@pytest.mark.parametrize("name", FORMATS)
def test_path_string_bytes_and_file_object_are_equal(name, tmp_path):
    path = write(tmp_path, name, sound(0.5))
    expected = load_audio(path)
    with path.open("rb") as handle:
        assert torch.equal(load_audio(handle), expected)
    assert torch.equal(load_audio(str(path)), expected)
    assert torch.equal(load_audio(path.read_bytes()), expected)
    assert torch.equal(load_audio(io.BytesIO(path.read_bytes())), expected)


def test_the_name_of_a_file_does_not_matter(tmp_path):
    path = write(tmp_path, "a.flac", sound(0.5))
    renamed = shutil.copy(path, tmp_path / "sound.mp3")
    assert torch.equal(load_audio(renamed), load_audio(path))


def test_a_file_written_without_soundfile(tmp_path):
    samples = (sine(0.5) * 32767).astype("<i2")
    with wave.open(str(tmp_path / "a.wav"), "wb") as file:
        file.setparams((1, 2, SAMPLE_RATE, 0, "NONE", ""))
        file.writeframes(samples.tobytes())
    assert torch.equal(load_audio(tmp_path / "a.wav"), torch.from_numpy(samples / 32768).float())


# --- rates and channels --------------------------------------------------------------------------


@pytest.mark.parametrize("rate", [8_000, 11_025, 22_050, 24_000, 44_100, 48_000, 96_000, 44_101])
def test_resampling_keeps_frequency_and_amplitude(rate, tmp_path):
    samples = sine(2.0, rate, hertz=1_000.0)
    path = write(tmp_path, "float.wav", samples.astype(np.float32), rate)
    waveform = load_audio(path)
    assert len(waveform) == 2 * SAMPLE_RATE
    hertz, peak = spectrum_peak(waveform)
    assert hertz == pytest.approx(1_000.0, abs=1.0)
    assert peak == pytest.approx(0.5, abs=1e-3)
    expected = torch.from_numpy(sine(2.0, hertz=1_000.0)).float()
    assert_close(waveform[1_000:-1_000], expected[1_000:-1_000], atol=1e-4, rtol=0)
    assert_close(load_audio(samples, sample_rate=rate), waveform, atol=1e-6, rtol=0)


def test_what_16_khz_cannot_hold_is_filtered_out():
    waveform = load_audio(sine(1.0, 44_100, hertz=12_000.0), sample_rate=44_100)
    assert waveform[1_000:-1_000].abs().max() < 1e-4


@pytest.mark.parametrize("channels", [2, 3, 6])
@pytest.mark.parametrize("rate", [16_000, 44_100])
def test_channels_are_averaged(channels, rate, tmp_path):
    columns = np.stack([sound(0.5, rate) * (c + 1) / channels for c in range(channels)], axis=1)
    path = write(tmp_path, "float.wav", columns, rate)
    mean = load_audio(columns.mean(axis=1), sample_rate=rate)
    assert_close(load_audio(path), mean, atol=1e-6, rtol=0)
    assert_close(load_audio(columns, sample_rate=rate), mean, atol=1e-6, rtol=0)
    assert_close(load_audio(columns.T, sample_rate=rate), mean, atol=1e-6, rtol=0)


# --- arrays --------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [np.float16, np.float32, np.float64])
def test_float_arrays_and_tensors_are_taken_as_they_are(kind):
    samples = sound(0.1).astype(kind)
    expected = torch.from_numpy(samples.astype(np.float32))
    assert torch.equal(load_audio(samples), expected)
    assert torch.equal(load_audio(torch.from_numpy(samples)), expected)
    assert torch.equal(load_audio(samples[None]), expected)
    assert torch.equal(load_audio(samples[:, None]), expected)


def test_tensors_with_a_history_or_in_bfloat16_are_taken():
    samples = torch.from_numpy(sound(0.1)).requires_grad_()
    assert torch.equal(load_audio(samples), samples.detach())
    half = samples.detach().bfloat16()
    assert torch.equal(load_audio(half), half.float())


@pytest.mark.parametrize(
    ("kind", "lowest", "middle", "highest"),
    [
        (np.int8, -128, 0, 127),
        (np.int16, -32768, 0, 32767),
        (np.int32, -(2**31), 0, 2**31 - 1),
        (np.uint8, 0, 128, 255),
    ],
)
def test_integer_arrays_are_scaled(kind, lowest, middle, highest):
    samples = np.array([lowest, middle, highest], dtype=kind)
    expected = torch.tensor([-1.0, 0.0, 1.0])
    assert_close(load_audio(samples), expected, atol=0.01, rtol=0)
    assert load_audio(samples)[0] == -1.0
    assert torch.equal(load_audio(torch.from_numpy(samples)), load_audio(samples))


def test_an_integer_array_equals_the_file_it_came_from(tmp_path):
    path = write(tmp_path, "pcm.wav", sound(0.2))
    samples, _ = soundfile.read(path, dtype="int16")
    assert torch.equal(load_audio(samples), load_audio(path))


def test_the_result_shares_no_memory_with_the_array():
    samples = sound(0.1)
    waveform = load_audio(samples)
    waveform.zero_()
    assert np.array_equal(samples, sound(0.1))
    samples.flags.writeable = False
    assert load_audio(samples).abs().max() > 0


@pytest.mark.parametrize(
    ("samples", "message"),
    [
        (np.zeros((2, 2), np.float32), r"shape \(2, 2\)"),
        (np.zeros((1, 2, 300), np.float32), r"shape \(1, 2, 300\)"),
        (np.zeros((), np.float32), r"shape \(\)"),
        (np.zeros(300, np.int64), "type int64"),
        (np.zeros(300, np.complex64), "type complex64"),
        (np.zeros(300, bool), "type bool"),
        (np.zeros(0, np.float32), "no samples"),
        (np.zeros((2, 0), np.float32), "no samples"),
        (torch.zeros(0), "no samples"),
        (np.array([0.0, np.nan]), "NaN or infinite"),
        (np.array([0.0, -np.inf]), "NaN or infinite"),
        (torch.tensor([0.0, torch.nan]), "NaN or infinite"),
    ],
)
def test_arrays_that_are_no_sound_are_refused(samples, message):
    with pytest.raises(AudioError, match=message):
        load_audio(samples)


@pytest.mark.parametrize("rate", [0, -16_000])
def test_a_senseless_rate_is_refused(rate):
    with pytest.raises(AudioError, match="positive"):
        load_audio(sound(0.1), sample_rate=rate)


def test_a_rate_for_a_file_is_refused(tmp_path):
    with pytest.raises(AudioError, match="its own sample rate"):
        load_audio(write(tmp_path, "pcm.wav", sound(0.1)), sample_rate=8_000)


# --- slices --------------------------------------------------------------------------------------


@pytest.mark.parametrize("rate", [16_000, 44_100, 24_000])
@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize(("start", "duration"), [(0.0, 0.25), (0.7312, 0.5), (2.0, None), (2, 9)])
def test_a_slice_is_a_slice_of_the_whole(name, rate, start, duration, tmp_path):
    if name == "opus.ogg" and rate == 44_100:
        rate = 48_000  # Opus knows no 44.1 kHz
    path = write(tmp_path, name, sound(2.5, rate), rate)
    whole = load_audio(path)
    first = round(start * SAMPLE_RATE)
    last = len(whole) if duration is None else first + round(duration * SAMPLE_RATE)
    tolerance = 5e-3 if name == "opus.ogg" else 1e-6
    piece = load_audio(path, start=start, duration=duration)
    assert_close(piece, whole[first:last], atol=tolerance, rtol=0)


@given(
    rate=st.sampled_from([8_000, 16_000, 22_050, 44_100, 44_101]),
    start=st.floats(0.0, 1.99),
    duration=st.none() | st.floats(1e-4, 3.0),
)
def test_a_slice_of_an_array_is_a_slice_of_the_whole(rate, start, duration):
    samples = sound(2.0, rate)
    whole = load_audio(samples, sample_rate=rate)
    first = round(start * SAMPLE_RATE)
    last = len(whole) if duration is None else first + round(duration * SAMPLE_RATE)
    piece = load_audio(samples, sample_rate=rate, start=start, duration=duration)
    assert_close(piece, whole[first:last], atol=1e-6, rtol=0)


@pytest.mark.parametrize("name", ["pcm.wav", "a.flac", "a.mp3"])
def test_a_slice_does_not_decode_the_whole_file(name, tmp_path, monkeypatch):
    path = write(tmp_path, name, sound(20.0))
    asked = []
    read = soundfile.SoundFile.read

    def spy(self, frames, *arguments, **options):
        asked.append(frames)
        return read(self, frames, *arguments, **options)

    monkeypatch.setattr(soundfile.SoundFile, "read", spy)
    load_audio(path, start=10.0, duration=1.0)
    assert 16_000 <= sum(asked) <= 3 * 16_000


@pytest.mark.parametrize("start", [0.5, 0.6, 1e9])
def test_a_start_beyond_the_end_is_refused(start, tmp_path):
    for source in (write(tmp_path, "pcm.wav", sound(0.5)), sound(0.5)):
        with pytest.raises(AudioError, match=rf"lasts 0.50 s: it cannot start at {start}"):
            load_audio(source, start=start)


@pytest.mark.parametrize("start", [-0.1, float("nan"), float("inf")])
def test_a_senseless_start_is_refused(start):
    with pytest.raises(AudioError, match="cannot start at"):
        load_audio(sound(0.5), start=start)


@pytest.mark.parametrize("duration", [0, -1.0, 1e-6, float("nan"), float("inf")])
def test_a_senseless_duration_is_refused(duration):
    with pytest.raises(AudioError, match="duration of"):
        load_audio(sound(0.5), duration=duration)


# --- real recordings -----------------------------------------------------------------------------


def test_real_clips_of_every_kind_load(shared):
    clips = shared / "real/clips"
    seconds = {
        "jfk_44k_stereo.flac": 11.0,
        "fleurs_fr_1987.opus.ogg": 10.2,
        "common_voice_fr_17301936.mp3": 4.344,
    }
    assert {path.name for path in clips.iterdir()} == set(seconds)
    for name, length in seconds.items():
        waveform = load_audio(clips / name)
        assert len(waveform) / SAMPLE_RATE == pytest.approx(length, abs=0.01)
        assert 0.003 < waveform.abs().max() <= 1.1


def test_the_opus_copy_of_a_recording_sounds_like_its_wav(shared):
    original = load_audio(shared / "real/fleurs/fr_fr/audio/test/01987_fleurs-fr-000.wav").numpy()
    copy = load_audio(shared / "real/clips/fleurs_fr_1987.opus.ogg").numpy()
    length = min(len(original), len(copy))
    assert abs(len(original) - len(copy)) < 160
    assert np.corrcoef(original[:length], copy[:length])[0, 1] > 0.9


def test_real_fleurs_recordings_have_their_own_samples(shared):
    paths = sorted((shared / "real/fleurs").glob("*/audio/test/*.wav"))
    assert len(paths) == 8
    for path in paths:
        samples, rate = soundfile.read(path, dtype="float32")
        assert rate == SAMPLE_RATE
        assert torch.equal(load_audio(path), torch.from_numpy(samples))
