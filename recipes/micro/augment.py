"""Varies log-mel features: speed, vocal tract, channel, noise, and parts that are hidden.

The micro encoder hears every recording some twenty times. Without this it learns the recordings by
heart: 3 % CER on what it was trained on, 9 % on the same sentences spoken again by the same voices.
"""

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn.functional import grid_sample

from speechalign.audio.features import RANGE

SPEED = (0.85, 1.15)  # factor on the duration
WARP = (0.93, 1.07)  # factor on the mel axis: shorter and longer vocal tracts
GAIN = (-0.5, 0.5)  # bels
TILT = (-0.3, 0.3)  # bels from the middle of the mel axis to either end
NOISE = (3.0, 7.0)  # bels below the peak
HIDDEN = ((1, 12), (1, 12), (2, 12), (2, 12))  # axis, and the most bands or moments (SpecAugment)


def vary(
    features: Float[Tensor, "U mels S"], lengths: Int[Tensor, " U"]
) -> tuple[Float[Tensor, "U mels S2"], Int[Tensor, " U"]]:
    """Return other takes of utterances, and their lengths in encoder frames.

    Args:
        features: Whisper's log-mel features, two frames for each frame of the encoder.
        lengths: Valid frames of the encoder.
    """
    speed = uniform(SPEED, len(features))
    longer = (lengths * speed[:, 0, 0]).ceil().long()
    stretched = stretch(features, speed, uniform(WARP, len(features)), 2 * int(longer.max()) + 2)
    bels = degrade(4 * stretched - 4)
    return hide((bels + 4) / 4), longer


def uniform(limits: tuple[float, float], count: int) -> Float[Tensor, "U 1 1"]:
    """Draw a number for each utterance."""
    low, high = limits
    return low + (high - low) * torch.rand(count, 1, 1)


def stretch(
    features: Float[Tensor, "U mels S"],
    speed: Float[Tensor, "U 1 1"],
    warp: Float[Tensor, "U 1 1"],
    width: int,
) -> Float[Tensor, "U mels S2"]:
    """Resample both axes, bilinear; beyond a border, what is at the border goes on."""
    mels, size = features.shape[1:]
    band = torch.arange(mels)[:, None] * warp / (mels - 1)
    moment = torch.arange(width) / speed / (size - 1)
    grid = torch.stack(torch.broadcast_tensors(moment, band), dim=-1) * 2 - 1
    taken = grid_sample(
        features[:, None], grid, mode="bilinear", padding_mode="border", align_corners=True
    )
    return taken[:, 0]


def degrade(bels: Float[Tensor, "U mels S"]) -> Float[Tensor, "U mels S"]:
    """Change gain and spectral tilt and add noise; the range below the peak is Whisper's again."""
    count, mels, _ = bels.shape
    slope = torch.linspace(-1, 1, mels)[:, None]
    bels = bels + uniform(GAIN, count) + uniform(TILT, count) * slope
    level = bels.amax((1, 2), keepdim=True) - uniform(NOISE, count) + uniform(TILT, count) * slope
    flicker = torch.rand_like(bels).clamp(min=1e-6).log().neg()  # power of noise is exponential
    noisy = (10**bels + 10**level * flicker).log10()
    return torch.maximum(noisy, noisy.amax((1, 2), keepdim=True) - RANGE)


def hide(features: Float[Tensor, "U mels S"]) -> Float[Tensor, "U mels S"]:
    """Set a few bands and moments of each row, padding included, to its mean (SpecAugment)."""
    features = features.clone()
    mean = features.mean(dim=(1, 2))
    for axis, widest in HIDDEN:
        size = features.shape[axis]
        width = torch.randint(0, widest + 1, (len(features), 1))
        start = (torch.rand(len(features), 1) * (size - width)).long()
        place = torch.arange(size)
        inside = (place >= start) & (place < start + width)
        features = torch.where(inside.unsqueeze(3 - axis), mean[:, None, None], features)
    return features
