"""What is judged to be bad: each reason from its limit on, and no real recording."""

import io
import math
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy.stats import median_abs_deviation

from speechalign.audio.io import SAMPLE_RATE, load_audio
from speechalign.data.fleurs import Fleurs
from speechalign.data.measure import measure, measured
from speechalign.data.quality import ENOUGH, MP3_ERROR, Limits, Measures, deviation, faults, judge
from speechalign.data.records import Utterance
from speechalign.errors import UserError

GOOD = Measures(seconds=4.0, peak=-6.0, level=-20.0, swing=30.0, clipped=0.0, fault="")
LIMITS = Limits()


def utterance(number=0, text="Das ist ein Satz.", seconds=4.0, file="a.wav") -> Utterance:
    name = f"de_de/train/{number}{file}"
    return Utterance(name, str(number), "deu", Path(name), 0.0, seconds, text, "", "other")


@pytest.mark.parametrize(
    ("reason", "limit", "change", "away"),
    [
        ("too short", LIMITS.min_seconds, "seconds", -1),
        ("silent", LIMITS.min_peak, "peak", -1),
        ("near-silent", LIMITS.min_level, "level", -1),
        ("no speech", LIMITS.min_swing, "swing", -1),
        ("clipped", LIMITS.max_clipped, "clipped", 1),
    ],
)
def test_each_reason_holds_from_its_limit_on(reason, limit, change, away):
    at = GOOD._replace(**{change: limit})
    beyond = GOOD._replace(**{change: math.nextafter(limit, away * math.inf)})
    assert faults(utterance(seconds=at.seconds), at, LIMITS) is None
    found = faults(utterance(seconds=at.seconds), beyond, LIMITS)
    assert found is not None
    assert (found.reason, found.value, found.limit) == (reason, getattr(beyond, change), limit)


@pytest.mark.parametrize("error", [-0.2, -0.06, 0.06, 0.2])
def test_a_wrong_length_is_found_both_ways(error):
    told = GOOD.seconds + error
    found = faults(utterance(seconds=told), GOOD, LIMITS)
    assert found is not None
    assert found.reason == "wrong length"
    assert found.value == pytest.approx(abs(error))
    assert found.note == f"4.000 s, told to be {told:.3f} s"
    assert faults(utterance(seconds=GOOD.seconds + error / 10), GOOD, LIMITS) is None
    mp3 = faults(utterance(seconds=told, file="a.MP3"), GOOD, LIMITS)
    assert (mp3 is None) == (abs(error) < MP3_ERROR)


@pytest.mark.parametrize(
    ("kind", "coding", "rate"),
    [
        ("MP3", "MPEG_LAYER_III", 16_000),
        ("MP3", "MPEG_LAYER_III", 44_100),
        ("OGG", "OPUS", 16_000),
        ("OGG", "OPUS", 48_000),
        ("OGG", "VORBIS", 22_050),
        ("FLAC", "PCM_16", 44_100),
    ],
)
def test_no_codec_and_no_rate_makes_a_length_wrong(kind, coding, rate):
    draw = np.random.default_rng(rate)
    for samples in draw.integers(rate, 2 * rate, 3):
        swell = np.linspace(0, 0.3, samples)
        file = io.BytesIO()
        sound = swell * draw.standard_normal(samples).clip(-3, 3)
        soundfile.write(file, sound, rate, format=kind, subtype=coding)
        found = measured(load_audio(file.getvalue()))
        assert faults(utterance(seconds=samples / rate), found, LIMITS) is None


def test_what_cannot_be_read_is_no_more_than_that():
    bad = Measures(*[math.nan] * 5, fault="no audio")
    found = faults(utterance(), bad, LIMITS)
    assert found is not None
    assert (found.reason, found.note) == ("unreadable", "no audio")


numbers = st.lists(st.floats(-1e3, 1e3), min_size=ENOUGH, max_size=60).map(np.array)


@given(numbers)
def test_deviations_are_scipys(values):
    spread = median_abs_deviation(values, scale="normal")
    assume(spread > 0.1)
    expected = (values - np.median(values)) / spread
    np.testing.assert_allclose(deviation(values), expected, rtol=1e-4, atol=1e-9)


@given(numbers, st.floats(-100, 100), st.floats(1, 100))
def test_deviations_know_neither_origin_nor_unit(values, shift, scale):
    assume(median_abs_deviation(values) > 0.1)
    np.testing.assert_allclose(
        deviation(scale * values + shift), deviation(values), rtol=1e-6, atol=1e-6
    )
    np.testing.assert_allclose(deviation(-values), -deviation(values))


def test_of_a_few_and_of_equal_values_none_deviates():
    assert deviation(np.arange(ENOUGH - 1.0) ** 3).tolist() == [0] * (ENOUGH - 1)
    assert deviation(np.full(ENOUGH, 3.0)).tolist() == [0] * ENOUGH


@pytest.fixture
def spoken():
    """Recordings of 30 to 70 letters in 4 s."""
    return [utterance(n, "a" * (30 + n)) for n in range(41)]


@pytest.mark.parametrize("text", ["ab", "a" * 900, "…!"])
def test_too_much_or_too_little_text_is_found(spoken, text):
    spoken.append(utterance(99, text))
    (found,) = judge(spoken, [GOOD] * len(spoken), LIMITS, set())
    assert (found.utterance, found.reason) == (spoken[-1], "letters a second")
    assert abs(found.value) > found.limit == 6
    rates = np.log([max(len(u.text.strip("…!")) / 4, 1e-3) for u in spoken])
    spread = median_abs_deviation(rates, scale="normal")
    assert found.value == pytest.approx((rates[-1] - np.median(rates)) / spread, rel=1e-3)
    assert found.note == f"{len(text.strip('…!')) / 4:.1f} letters a second"


def test_no_text_is_no_wrong_text(spoken):
    spoken += [utterance(n, "") for n in range(100, 200)]
    assert judge(spoken, [GOOD] * len(spoken), LIMITS, set()) == []


def test_even_speech_makes_no_small_difference_large():
    spoken = [utterance(n, "a" * (30 if n else 40)) for n in range(30)]
    assert judge(spoken, [GOOD] * 30, LIMITS, set()) == []


def test_what_is_bad_does_not_shift_the_rate_of_the_others(spoken):
    silent = [utterance(n, "a" * 900) for n in range(100, 200)]
    measures = [GOOD] * len(spoken) + [GOOD._replace(peak=-90.0)] * len(silent)
    found = judge(spoken + silent, measures, LIMITS, set())
    assert [(f.utterance, f.reason) for f in found] == [(u, "silent") for u in silent]


def test_a_held_out_sentence_is_found_once(spoken):
    measures = [GOOD._replace(peak=-90.0), *[GOOD] * 40]
    found = judge(spoken, measures, LIMITS, {"0", "7"})
    assert [(f.utterance.sentence_id, f.reason) for f in found] == [
        ("0", "silent"),
        ("7", "held-out sentence"),
    ]


@pytest.mark.parametrize("name", [field.name for field in fields(Limits)])
def test_a_limit_that_is_no_number_is_refused(name):
    with pytest.raises(UserError, match=f"{name} is no number"):
        Limits(**{name: math.nan})


def test_nothing_is_found_in_real_recordings(shared, tmp_path):
    """They are good and quiet: English peaks at -44 dB."""
    source = Fleurs(str(shared / "real/fleurs"), str(tmp_path))
    parts = [source.utterances(code, "test") for code in source.languages()]
    assert sum(map(len, parts)) == 8
    for part in parts:
        measures = measure(part, 1, to_end=True, cache_dir=tmp_path)
        assert [one.fault for one in measures] == [""] * len(part)
        assert judge(part, measures, LIMITS, set()) == []


def test_a_muted_and_a_noisy_version_of_them_is_found(shared, tmp_path):
    (first, *_) = Fleurs(str(shared / "real/fleurs"), str(tmp_path)).utterances("deu", "test")
    waveform = load_audio(first.audio)
    for peak, reason in ((1e-4, "silent"), (10.0, "clipped")):
        louder = waveform * (peak / float(waveform.abs().max()))
        found = faults(first, measured(louder.clamp(-1, 1)), LIMITS)
        assert found is not None
        assert found.reason == reason
    noise = np.random.default_rng(0).standard_normal(len(waveform)).astype(np.float32) / 100
    even = faults(first, measured(load_audio(noise)), LIMITS)
    assert even is not None
    assert even.reason == "no speech"
    assert len(noise) == first.duration * SAMPLE_RATE
