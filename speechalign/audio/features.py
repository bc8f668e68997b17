"""Whisper's log-mel features: one frame per 10 ms of 16 kHz audio, for a whole batch at once.

A row's features depend on that row alone, unlike in openai-whisper, where the loudest row of a
batch sets the floor of all.
"""

from collections.abc import Callable

import librosa
import numpy as np
import torch
from jaxtyping import Complex, Float, Int
from torch import Tensor, nn

from speechalign.audio.io import SAMPLE_RATE
from speechalign.errors import UserError

WINDOW = 400  # samples, 25 ms
HOP = 160  # samples, 10 ms
FRAME = 2 * HOP  # samples of a frame of the encoder, whose second convolution halves the rate
SHORTEST = WINDOW // 2 + 1  # samples that the reflection at the borders needs
BLOCK = 512  # frames that are transformed together on a processor
GROUPS = 4  # of bands
SILENCE = -10.0  # log10 of power: what lies below is raised to it
RANGE = 8.0  # log10 of power (80 dB): what lies further below the peak is raised to that


class LogMel(nn.Module):
    """Log10 mel power over 25 ms Hann windows (Radford et al. 2022, section 2.2).

    Computed in float32 whatever the precision of the model around it: the two constants follow the
    device but not the dtype of `module.to(...)`, and autocast is switched off.

    Args:
        mels: Bands: 80, or 128 from Whisper large-v3 on.
    """

    filters: Float[Tensor, "mels F"]  # F: real and imaginary part of each frequency in turn
    window: Float[Tensor, " samples"]

    def __init__(self, mels: int = 80):
        super().__init__()
        if mels < 1:
            raise UserError(f"{mels} mel bands were asked for: give 80, or 128 for large-v3.")
        self.mels = mels
        bank = librosa.filters.mel(sr=SAMPLE_RATE, n_fft=WINDOW, n_mels=mels, norm="slaney")
        hann = np.hanning(WINDOW + 1)[:-1].astype(np.float32)  # periodic, as torch.hann_window
        twice = torch.from_numpy(bank).repeat_interleave(2, dim=1)  # re² and im² weigh the same
        self.groups = groups_of(twice)
        self.register_buffer("filters", twice, persistent=False)
        self.register_buffer("window", torch.from_numpy(hann), persistent=False)

    def forward(
        self, waveform: Float[Tensor, "U samples"], samples: Int[Tensor, " U"] | None = None
    ) -> Float[Tensor, "U mels T"]:
        """Turn U waveforms at 16 kHz in [-1, 1] into T = samples // 160 frames each.

        Shorter recordings are padded with zeros by the caller (`data/batch.py`).

        Args:
            waveform: The recordings.
            samples: How many of each are speech, where all after them are zeros. The result is the
                same without, but a processor then works on the silence too.

        Raises:
            UserError: If there are fewer than 201 samples.
        """
        if waveform.shape[-1] < SHORTEST:
            raise UserError(
                f"{waveform.shape[-1]} samples are too few for log-mel features: "
                f"give at least {SHORTEST} (12.6 ms at 16 kHz), padded with zeros if need be."
            )
        frames = waveform.shape[-1] // HOP
        with torch.autocast(waveform.device.type, enabled=False):
            if waveform.device.type != "cpu" or waveform.requires_grad:  # one call for all rows
                windows = windows_of(waveform, frames) * self.window
                power = self.filters @ squares(torch.fft.rfft(windows)).mT
                return scaled(power, floor_of(power.amax(dim=(1, 2), keepdim=True)))
            heard = [frames] * len(waveform) if samples is None else frames_heard(samples, frames)
            return self._row_by_row(waveform, heard, frames)

    def _row_by_row(
        self, waveform: Float[Tensor, "U samples"], heard: list[int], frames: int
    ) -> Float[Tensor, "U mels T"]:
        """Compute the same on a processor: the speech alone, in memory that stays in its caches.

        Fresh memory for every step would cost as much as the arithmetic.
        """
        features = self.window.new_empty(len(waveform), self.mels, frames)
        windows = self.window.new_empty(BLOCK, WINDOW)
        spectrum = windows.new_empty(BLOCK, WINDOW // 2 + 1, dtype=torch.complex64)
        whole = self.window.new_empty(self.mels * frames)
        for row, recording, count in zip(features, waveform, heard, strict=True):
            power = whole[: self.mels * count].view(self.mels, count)
            blocks = windows_of(recording[None], count)[0].split(BLOCK)
            for block, target in zip(blocks, power.split(BLOCK, dim=1), strict=True):
                size = len(block)
                torch.mul(block, self.window, out=windows[:size])
                torch.fft.rfft(windows[:size], out=spectrum[:size])
                weights = squares(spectrum[:size]).T
                for bands, bins in self.groups:
                    torch.mm(self.filters[bands, bins], weights[bins], out=target[bands])
            floor = floor_of(power.max())
            row[:, :count] = scaled(power, floor)
            row[:, count:] = scaled(floor, floor)
        return features

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> "LogMel":
        """Move with the model (`to`, `cuda`, `half`), but keep the constants in float32."""
        filters, window = self.filters, self.window
        super()._apply(fn, recurse)
        self.filters = filters.to(self.filters.device)
        self.window = window.to(self.window.device)
        return self


def windows_of(waveform: Float[Tensor, "U samples"], frames: int) -> Float[Tensor, "U N window"]:
    """Cut the windows of the first `frames` frames, each centred on the start of its hop."""
    reach = waveform[:, : frames * HOP + WINDOW // 2].float()
    before, after = reach[:, 1 : WINDOW // 2 + 1], reach[:, -WINDOW // 2 - 1 : -1]
    mirrored = torch.cat([before.flip(1), reach, after.flip(1)], dim=1)
    return mirrored.unfold(1, WINDOW, HOP)[:, :frames]


def groups_of(filters: Float[Tensor, "mels F"]) -> list[tuple[slice, slice]]:
    """Cut a bank into groups of neighbours, each with the bins that it needs; most are zeros."""
    groups: list[tuple[slice, slice]] = []
    for rows in torch.arange(len(filters)).tensor_split(min(GROUPS, len(filters))):
        bands = slice(int(rows[0]), int(rows[-1]) + 1)
        bins = (filters[bands] > 0).any(dim=0).nonzero()
        groups.append((bands, slice(int(bins.min()), int(bins.max()) + 1)))
    return groups


def frames_heard(samples: Int[Tensor, " U"], frames: int) -> list[int]:
    """Count those of `frames` frames whose windows reach into the speech of each recording."""
    return ((samples + WINDOW // 2 + HOP - 1) // HOP).clamp(max=frames).tolist()


def squares(spectrum: Complex[Tensor, "*any bins"]) -> Float[Tensor, "*any F"]:
    """Squares of the real and imaginary parts in turn; what `spectrum` holds may be lost."""
    return torch.view_as_real(spectrum).flatten(-2).square_()


def floor_of(peak: Float[Tensor, "*any"]) -> Float[Tensor, "*any"]:
    """Least power that is told apart, beside that of the peak."""
    return (peak * 10**-RANGE).clamp(min=10**SILENCE)


def scaled(power: Float[Tensor, "*any"], floor: Float[Tensor, "*peak"]) -> Float[Tensor, "*any"]:
    """Log10 of the power, raised to the floor and brought to about [-1, 1]."""
    return torch.maximum(power, floor).log10_().mul_(0.25).add_(1.0)
