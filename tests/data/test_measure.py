"""What is measured of recordings: closed forms of sines, NumPy's percentiles, and read once."""

import math

import numpy as np
import pytest
import soundfile
import torch
from hypothesis import given
from hypothesis import strategies as st

from speechalign.audio.io import SAMPLE_RATE
from speechalign.data import measure as module
from speechalign.data.examples import read_audio
from speechalign.data.fleurs import Fleurs
from speechalign.data.measure import FLOOR, WINDOW, decibels, measure, measured
from speechalign.data.records import Utterance
from tests.data.conftest import Clip, write_fleurs

SECOND = torch.arange(SAMPLE_RATE, dtype=torch.double) / SAMPLE_RATE


def sine(amplitude, hertz=400.0):
    """A whole number of periods in each window, and a sample on each crest."""
    return (amplitude * torch.sin(2 * math.pi * hertz * SECOND)).float()


@given(st.floats(1e-3, 0.99))
def test_a_sine_has_the_levels_of_its_amplitude(amplitude):
    found = measured(sine(amplitude))
    assert found.seconds == 1.0
    assert found.peak == pytest.approx(20 * math.log10(amplitude), abs=1e-3)
    assert found.level == pytest.approx(10 * math.log10(amplitude**2 / 2), abs=1e-3)
    assert found.swing == pytest.approx(0, abs=1e-3)
    assert found.clipped == 0


@given(st.floats(0.01, 0.9), st.floats(1.1, 30))
def test_the_swing_is_that_between_two_amplitudes(quiet, ratio):
    found = measured(torch.cat([sine(quiet / ratio), sine(quiet)]))
    assert found.swing == pytest.approx(20 * math.log10(ratio), abs=1e-3)


def test_levels_are_percentiles_of_windows():
    draw = np.random.default_rng(0)
    waveform = 0.1 * draw.standard_normal(12_345) * np.linspace(0, 1, 12_345)
    whole = waveform[: 12_345 // WINDOW * WINDOW].reshape(-1, WINDOW)
    quiet, loud = 10 * np.log10(np.percentile((whole**2).mean(axis=1), [10, 90]))
    found = measured(torch.from_numpy(waveform).float())
    assert found.level == pytest.approx(loud, abs=1e-3)
    assert found.swing == pytest.approx(loud - quiet, abs=1e-3)
    assert found.peak == pytest.approx(20 * math.log10(abs(waveform).max()), abs=1e-3)


@pytest.mark.parametrize("gain", [1.0, 2.0, 10.0])
def test_the_share_of_a_cut_sine_at_full_scale(gain):
    """It is over 1 where its phase is within acos(1 / gain) of a crest."""
    waveform = sine(gain, hertz=401.3).clamp(-1, 1)
    expected = 2 / math.pi * math.acos(module.FULL_SCALE / gain)
    assert measured(waveform).clipped == pytest.approx(expected, abs=2e-3)


@pytest.mark.parametrize("samples", [0, 1, 10, WINDOW, WINDOW + 1, SAMPLE_RATE])
def test_silence_of_any_length_is_at_the_floor(samples):
    found = measured(torch.zeros(samples))
    assert found == (samples / SAMPLE_RATE, FLOOR, FLOOR, 0.0, 0.0, "")


def test_what_is_shorter_than_a_window_has_a_level():
    found = measured(torch.full((10,), 0.1))
    assert found.level == pytest.approx(-20, abs=1e-3)


def test_decibels():
    assert decibels(1.0) == 0
    assert decibels(1e-3) == pytest.approx(-30)
    assert decibels(0.0) == decibels(1e-30) == FLOOR


@pytest.fixture
def corpus(tmp_path):
    """Three recordings, of which one says less in the TSV than it is, and one is no audio."""
    write_fleurs(tmp_path, "de_de", "train", [Clip(n, f"Satz {n}.", 0.1) for n in range(3)])
    folder = tmp_path / "de_de/audio/train"
    soundfile.write(folder / "1.wav", np.full(8000, 0.1), SAMPLE_RATE)
    (folder / "2.wav").write_bytes(b"no audio")
    return list(Fleurs(str(tmp_path), str(tmp_path / "cache")).utterances("deu", "train"))


@pytest.fixture
def heard(monkeypatch) -> list[str]:
    """The ids of the recordings that were read."""
    ids: list[str] = []

    def read(utterance: Utterance, to_end: bool = False):
        ids.append(utterance.id.rpartition("/")[2])
        return read_audio(utterance, to_end)

    monkeypatch.setattr(module, "read_audio", read)
    return ids


def test_a_file_is_read_to_its_end_where_it_is_one_recording(corpus, tmp_path):
    whole = measure(corpus, 2, to_end=True, cache_dir=tmp_path / "cache")
    part = measure(corpus, 2, to_end=False, cache_dir=tmp_path / "cache")
    assert [one.seconds for one in whole[:2]] == [0.1, 0.5]
    assert [one.seconds for one in part[:2]] == [0.1, 0.1]


def test_what_cannot_be_read_is_told_and_has_no_numbers(corpus, tmp_path):
    good, _, bad = measure(corpus, 2, to_end=True, cache_dir=tmp_path / "cache")
    assert good.fault == ""
    assert "2.wav' is not readable audio" in bad.fault
    assert all(math.isnan(number) for number in bad[:-1])


def test_audio_is_read_once(corpus, tmp_path, heard):
    first = measure(corpus, 1, to_end=True, cache_dir=tmp_path / "cache")
    assert set(heard) == {"0.wav", "1.wav", "2.wav"}
    heard.clear()
    assert repr(measure(corpus, 1, to_end=True, cache_dir=tmp_path / "cache")) == repr(first)
    assert heard == ["2.wav"]  # a disk may have been away


def test_what_was_mended_is_heard(corpus, tmp_path):
    measure(corpus, 1, to_end=True, cache_dir=tmp_path / "cache")
    soundfile.write(corpus[2].audio, np.full(1600, 0.1), SAMPLE_RATE)
    mended = measure(corpus, 1, to_end=True, cache_dir=tmp_path / "cache")[2]
    assert (mended.seconds, mended.fault) == (0.1, "")


def test_a_file_that_vanished_is_a_fault(corpus, tmp_path):
    measure(corpus, 1, to_end=True, cache_dir=tmp_path / "cache")
    corpus[0].audio.unlink()
    gone, there, _ = measure(corpus, 1, to_end=True, cache_dir=tmp_path / "cache")
    assert "0.wav' does not exist" in gone.fault
    assert there.seconds == 0.5


def test_of_nothing_there_are_no_measures(tmp_path):
    assert measure([], 1, to_end=True, cache_dir=tmp_path) == []
