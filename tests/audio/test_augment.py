"""Other takes of a recording: how fast, in how loud a noise, how much is hidden, and no more."""

import random

import numpy as np
import pytest
import soundfile
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.testing import assert_close
from torchaudio import functional

from speechalign.audio.augment import Augmentation, change_speed, check_speeds
from speechalign.audio.io import SAMPLE_RATE
from speechalign.errors import UserError
from tests.audio.sounds import sine, sound

LONG = 10 * SAMPLE_RATE
NOTHING = {"speed": (1.0,), "noise_probability": 0.0, "frequency_masks": 0, "time_masks": 0}


def speech(seconds: float = 2.0) -> torch.Tensor:
    return torch.from_numpy(sound(seconds))


def hertz(waveform: torch.Tensor) -> float:
    """The loudest frequency."""
    spectrum = np.abs(np.fft.rfft(waveform.numpy() * np.hanning(len(waveform))))
    return float(spectrum.argmax()) * SAMPLE_RATE / len(waveform)


def decibels(signal: torch.Tensor, noise: torch.Tensor) -> float:
    return 10 * float(torch.log10(signal.double().square().sum() / noise.double().square().sum()))


@given(percent=st.integers(50, 200), samples=st.integers(1, 4000))
def test_a_take_is_as_long_as_its_speed_says(percent, samples):
    taken = change_speed(torch.ones(samples), percent / 100)
    assert len(taken) == -(-samples * 100 // percent)
    check_speeds((percent / 100,))


@pytest.mark.parametrize("speed", [0.9, 1.1, 1.25])
def test_a_tone_is_higher_by_the_speed(speed):
    tone = torch.from_numpy(sine(2.0, hertz=440.0)).float()
    assert hertz(change_speed(tone, speed)) == pytest.approx(440 * speed, abs=0.6)


def test_only_recordings_that_still_fit_are_slowed():
    given_, slow = speech(), Augmentation(**NOTHING | {"speed": (0.9,)})
    assert len(slow.vary(given_, 35_556, random.Random(0))) == 35_556
    assert torch.equal(slow.vary(given_, 35_555, random.Random(0)), given_)


@given(seed=st.integers(0, 2**32), least=st.floats(-10, 30), more=st.floats(0, 20))
def test_noise_is_as_far_below_the_speech_as_drawn(seed, least, more):
    louder = Augmentation(
        **NOTHING | {"noise_probability": 1.0, "noise_snr": (least, least + more)}
    )
    given_ = speech(0.1)
    taken = louder.vary(given_, LONG, random.Random(seed))
    draw = random.Random(seed)
    draw.choice([1.0])
    draw.random()
    snr = draw.uniform(least, least + more)
    assert decibels(given_, taken - given_) == pytest.approx(snr, abs=0.02)


def test_a_share_of_the_recordings_gets_noise():
    augment, given_ = Augmentation(**NOTHING | {"noise_probability": 0.3}), speech(0.01)
    noisy = [
        not torch.equal(augment.vary(given_, LONG, random.Random(seed)), given_)
        for seed in range(1000)
    ]
    assert abs(sum(noisy) - 300) < 65  # 4.5 standard deviations


@pytest.fixture
def noises(tmp_path):
    """A tone of 3 kHz for 3 s, one of 5 kHz for 0.3 s in a subfolder, and a licence."""
    (tmp_path / "more").mkdir()
    soundfile.write(tmp_path / "a.wav", sine(3.0, hertz=3000.0), SAMPLE_RATE)
    soundfile.write(tmp_path / "more" / "b.flac", sine(0.3, 44_100, hertz=5000.0), 44_100)
    (tmp_path / "LICENSE.txt").write_text("free")
    return str(tmp_path)


def test_noise_of_a_folder_is_heard(noises):
    augment = Augmentation(noise_folder=noises)
    heard = {round(hertz(augment.noise(SAMPLE_RATE, random.Random(s))) / 100) for s in range(20)}
    assert heard == {30, 50}
    assert list(map(len, (augment.noise(n, random.Random(1)) for n in (1, 50_000)))) == [1, 50_000]


def test_a_short_noise_is_repeated_and_a_long_one_begins_anywhere(noises):
    augment = Augmentation(noise_folder=noises)
    short = next(n for s in range(9) if hertz(n := augment.noise(9600, random.Random(s))) > 4000)
    assert_close(short[:4800], short[4800:])
    long = [augment.noise(1600, random.Random(seed)) for seed in range(20)]
    assert len({tuple(one.tolist()) for one in long if hertz(one) < 4000}) > 5


def test_silence_stays_silent():
    loud = Augmentation(**NOTHING | {"noise_probability": 1.0})
    assert not loud.vary(torch.zeros(800), LONG, random.Random(0)).any()


def test_noise_that_is_digital_silence_changes_nothing(tmp_path):
    soundfile.write(tmp_path / "a.wav", np.zeros(SAMPLE_RATE), SAMPLE_RATE)
    quiet = Augmentation(**NOTHING | {"noise_probability": 1.0, "noise_folder": str(tmp_path)})
    assert torch.equal(quiet.vary(speech(), LONG, random.Random(0)), speech())


@given(
    mels=st.integers(1, 128),
    frames=st.integers(1, 400),
    masks=st.tuples(st.integers(0, 3), st.integers(0, 3)),
    widths=st.tuples(st.integers(0, 150), st.floats(0, 3)),
    seed=st.integers(0, 2**32),
)
def test_what_is_hidden_is_whole_bands_and_moments_within_the_widths(
    mels, frames, masks, widths, seed
):
    augment = Augmentation(frequency_masks=masks[0], time_masks=masks[1],
                           frequency_width=widths[0], time_width=widths[1])  # fmt: skip
    hidden = augment.hide(mels, frames, random.Random(seed))
    assert hidden.shape == (mels, frames)
    bands, moments = hidden.all(dim=1), hidden.all(dim=0)
    if not (bands.all() or moments.all()):
        assert torch.equal(hidden, bands[:, None] | moments[None])
        assert bands.sum() <= masks[0] * widths[0]
        assert moments.sum() <= masks[1] * min(100 * widths[1], 0.2 * frames)


def test_masks_of_every_width_and_place_are_drawn():
    augment = Augmentation(frequency_masks=1, frequency_width=3, time_masks=0)
    hidden = [augment.hide(8, 1, random.Random(seed))[:, 0] for seed in range(400)]
    assert {int(one.sum()) for one in hidden} == {0, 1, 2, 3}
    assert torch.stack(hidden).any(dim=0).all()


def test_nothing_asked_changes_nothing():
    augment = Augmentation(**NOTHING)
    assert torch.equal(augment.vary(speech(), LONG, random.Random(0)), speech())
    assert not augment.hide(80, 200, random.Random(0)).any()


def test_a_take_is_what_its_seed_says_whatever_torch_draws(noises):
    for augment in (Augmentation(), Augmentation(noise_folder=noises)):
        takes = []
        for torch_seed in (1, 2):
            torch.manual_seed(torch_seed)
            before = torch.get_rng_state()
            draw = random.Random("take")
            takes.append((augment.vary(speech(), LONG, draw), augment.hide(80, 200, draw)))
            assert torch.equal(torch.get_rng_state(), before)
        assert all(torch.equal(*both) for both in zip(*takes, strict=True))
    different = {len(augment.vary(speech(), LONG, random.Random(seed))) for seed in range(30)}
    assert different == {35_556, 32_000, 29_091}


def test_speed_is_torchaudios():
    assert_close(change_speed(speech(), 0.9), functional.speed(speech(), 10, 0.9)[0])


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"speed": ()}, "speed is []; give factors from 0.5 to 2"),
        ({"speed": (1.0, 3.0)}, "speed is [1.0, 3.0]; give factors"),
        ({"speed": (1.0001,)}, "in whole percents"),
        ({"speed": (float("nan"),)}, "speed is [nan]"),
        ({"noise_snr": (20.0, 5.0)}, "noise_snr is [20.0, 5.0]; give [least, most] decibels"),
        ({"noise_snr": (0.0, float("inf"))}, "noise_snr is [0.0, inf]"),
        ({"noise_probability": 1.5}, "noise_probability is 1.5; expected 0 to 1"),
        ({"time_masks": -1}, "time_masks is -1; expected 0 or more"),
        ({"time_width": float("inf")}, "time_width is inf; expected 0 or more"),
        ({"frequency_width": -3}, "frequency_width is -3; expected 0 or more"),
        ({"noise_folder": "/nowhere"}, "'/nowhere' has no recordings"),
    ],
)
def test_what_cannot_be_drawn_by_is_told(settings, told):
    with pytest.raises(UserError) as error:
        Augmentation(**settings)
    assert told in str(error.value)
    assert "\n" not in str(error.value)


def test_noise_that_cannot_be_read_is_named_at_once(tmp_path):
    (tmp_path / "a.wav").write_text("no sound")
    with pytest.raises(UserError, match=r"a\.wav: no noise that can be read"):
        Augmentation(noise_folder=str(tmp_path))


def test_a_noise_of_no_length_is_named_at_once(noises):
    soundfile.write(f"{noises}/more/none.wav", np.zeros(0), SAMPLE_RATE)
    with pytest.raises(UserError, match=r"none\.wav: a noise that holds no samples; remove it"):
        Augmentation(noise_folder=noises)
