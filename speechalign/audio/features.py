"""Whisper's log-mel features: one frame per 10 ms of 16 kHz audio, for a whole batch at once.

A row's features depend on that row alone, unlike in openai-whisper, where the loudest row of a
batch sets the floor of all.
"""

from collections.abc import Callable

import librosa
import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from speechalign.audio.io import SAMPLE_RATE
from speechalign.errors import UserError

WINDOW = 400  # samples, 25 ms
HOP = 160  # samples, 10 ms
FRAME = 2 * HOP  # samples of a frame of the encoder, whose second convolution halves the rate
SHORTEST = WINDOW // 2 + 1  # samples that the reflection at the borders needs
BLOCK = 512  # frames that are transformed together
SILENCE = -10.0  # log10 of the least power that is told from none
RANGE = 8.0  # what lies further below the peak is raised to it; log10 of power, 80 dB


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
        self.split = split_of(twice)
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
            if waveform.device.type != "cpu":  # all at once, without waiting for the lengths
                log_mel = self._log_power(windows_of(waveform, frames))
                return scaled(log_mel, log_mel.amax(dim=(1, 2), keepdim=True))
            heard = [frames] * len(waveform) if samples is None else frames_heard(samples, frames)
            rows = zip(waveform, heard, strict=True)
            return torch.stack([self._row(row, count, frames) for row, count in rows])

    def _row(
        self, waveform: Float[Tensor, " samples"], heard: int, frames: int
    ) -> Float[Tensor, "mels T"]:
        """Compute one recording, of which `heard` frames are more than silence.

        One row, and blocks of it, stay in a processor's caches.
        """
        blocks = windows_of(waveform[None], heard).split(BLOCK, dim=1)
        log_mel = torch.cat([self._log_power(block)[0] for block in blocks], dim=1)
        peak = log_mel.max()
        silence = scaled(peak.new_tensor(SILENCE), peak)
        return torch.cat([scaled(log_mel, peak), silence.expand(self.mels, frames - heard)], dim=1)

    def _log_power(self, windows: Float[Tensor, "U N window"]) -> Float[Tensor, "U mels N"]:
        """Log10 power in the mel bands."""
        spectrum = torch.view_as_real(torch.fft.rfft(windows * self.window)).flatten(2)
        power = spectrum.square().mT
        # most of a filter is zeros: the lower half of the bands is in the lowest frequencies
        low = self.filters[: self.split[0], : self.split[1]] @ power[:, : self.split[1]]
        high = self.filters[self.split[0] :, self.split[2] :] @ power[:, self.split[2] :]
        return torch.cat([low, high], dim=1).clamp_(min=10**SILENCE).log10_()

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


def split_of(filters: Float[Tensor, "mels F"]) -> tuple[int, int, int]:
    """Halve a bank of filters: (lower bands, their end, the start of the upper ones)."""
    bands = len(filters) // 2
    used = filters > 0
    end = int(used[:bands].any(dim=0).nonzero().max()) + 1 if bands else 0
    return bands, end, int(used[bands:].any(dim=0).nonzero().min())


def frames_heard(samples: Int[Tensor, " U"], frames: int) -> list[int]:
    """Count those of `frames` frames whose windows reach into the speech of each recording."""
    return ((samples + WINDOW // 2 + HOP - 1) // HOP).clamp(max=frames).tolist()


def scaled(log_mel: Float[Tensor, "*any"], peak: Float[Tensor, "*peak"]) -> Float[Tensor, "*any"]:
    """Raise what lies far below the peak, and bring the rest to about [-1, 1]."""
    return torch.maximum(log_mel, peak - RANGE).add_(4.0).div_(4.0)
