"""Varied takes of log-mel features: what must stay, and what each change does."""

import torch
from torch.testing import assert_close

from recipes.micro import augment
from recipes.micro.augment import degrade, hide, stretch, vary


def features(count=3, mels=80, size=60):
    torch.manual_seed(0)
    return torch.rand(count, mels, size) * 2 - 1


def ones(count=3):
    return torch.ones(count, 1, 1)


def test_nothing_is_stretched_by_one():
    given = features()
    assert_close(stretch(given, ones(), ones(), 60), given)


def test_a_slope_is_stretched_as_asked():
    """Twice as long is half as steep; a mel axis read 10 % faster is 10 % steeper."""
    band, moment = torch.arange(80.0)[:, None], torch.arange(60.0)
    given = (band + moment).expand(3, 80, 60)
    slower = stretch(given, 2 * ones(), ones(), 100)
    assert_close(slower, (band + torch.arange(100) / 2).expand(3, 80, 100))
    warped = stretch(given, ones(), 1.1 * ones(), 60)
    assert_close(warped, ((1.1 * band).clamp(max=79) + moment).expand(3, 80, 60))


def test_a_shorter_take_goes_on_with_its_end():
    given = features()
    taken = stretch(given, 0.5 * ones(), ones(), 60)
    assert_close(taken[:, :, 30:], given[:, :, -1:].expand(-1, -1, 30))


def test_without_noise_tilt_and_gain_nothing_is_degraded(monkeypatch):
    for name, limits in (("GAIN", (0, 0)), ("TILT", (0, 0)), ("NOISE", (20, 20))):
        monkeypatch.setattr(augment, name, limits)
    given = 4 * features() - 4
    assert_close(degrade(given), given)


def test_noise_fills_silence_and_not_speech(monkeypatch):
    monkeypatch.setattr(augment, "GAIN", (0, 0))
    monkeypatch.setattr(augment, "TILT", (0, 0))
    monkeypatch.setattr(augment, "NOISE", (4, 4))
    given = torch.zeros(2, 80, 50)
    given[:, :, 25:] = -8
    noisy = degrade(given)
    assert_close(noisy[:, :, :25], given[:, :, :25], rtol=0, atol=1e-3)
    assert_close((10 ** noisy[:, :, 25:]).mean().item(), 1e-4, rtol=0.1, atol=0)


def test_the_range_is_whispers():
    bels = degrade(4 * features() - 4 - 20 * (torch.rand(3, 80, 60) > 0.5))
    assert (bels.amax((1, 2)) - bels.amin((1, 2)) <= augment.RANGE + 1e-5).all()


def test_what_is_hidden_is_the_mean_and_little():
    given = features()
    torch.manual_seed(1)
    shown = hide(given)
    changed = shown != given
    assert 0 < changed.float().mean() < 0.6
    means = given.mean((1, 2))[:, None, None].expand_as(given)
    assert_close(shown[changed], means[changed])


def test_takes_differ_and_repeat_with_the_seed():
    given, lengths = features(), torch.tensor([28, 20, 10])
    torch.manual_seed(3)
    first, long = vary(given, lengths)
    torch.manual_seed(3)
    again, same = vary(given, lengths)
    assert_close((first, long), (again, same))
    assert not torch.equal(long, lengths)
    assert (long >= (lengths * augment.SPEED[0]).floor()).all()
    assert (long <= (lengths * augment.SPEED[1]).ceil()).all()
    assert first.shape[2] >= 2 * long.max()
