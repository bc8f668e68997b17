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
                log_mel = self._log_mel(waveform, frames)
                return scaled(log_mel, log_mel.amax(dim=(1, 2), keepdim=True))
            heard = [frames] * len(waveform) if samples is None else frames_heard(samples, frames)
            features = self.filters.new_empty(len(waveform), self.mels, frames)
            for one, row, count in zip(features, waveform, heard, strict=True):
                log_mel = self._log_mel(row[None], count)[0]  # one row fits the processor's caches
                peak = log_mel.max()
                one[:, :count] = scaled(log_mel, peak)
                one[:, count:] = scaled(log_mel.new_tensor(SILENCE), peak)
            return features

    def _log_mel(
        self, waveform: Float[Tensor, "U samples"], frames: int
    ) -> Float[Tensor, "U mels T"]:
        """Log10 power of the first `frames` frames, each centred on the start of its hop."""
        reach = waveform[:, : frames * HOP + WINDOW // 2].float()
        before, after = reach[:, 1 : WINDOW // 2 + 1], reach[:, -WINDOW // 2 - 1 : -1]
        mirrored = torch.cat([before.flip(1), reach, after.flip(1)], dim=1)
        windows = mirrored.unfold(1, WINDOW, HOP)[:, :frames]
        return torch.cat([self._block(part) for part in windows.split(BLOCK, dim=1)], dim=2)

    def _block(self, windows: Float[Tensor, "U N samples"]) -> Float[Tensor, "U mels N"]:
        """Log10 power of some frames, few enough to stay in a processor's caches."""
        spectrum = torch.view_as_real(torch.fft.rfft(windows * self.window)).flatten(2)
        return (self.filters @ spectrum.square().mT).clamp(min=10**SILENCE).log10()

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> "LogMel":
        """Move with the model (`to`, `cuda`, `half`), but keep the constants in float32."""
        filters, window = self.filters, self.window
        super()._apply(fn, recurse)
        self.filters = filters.to(self.filters.device)
        self.window = window.to(self.window.device)
        return self


def frames_heard(samples: Int[Tensor, " U"], frames: int) -> list[int]:
    """Count those of `frames` frames whose windows reach into the speech of each recording."""
    return ((samples + WINDOW // 2 + HOP - 1) // HOP).clamp(max=frames).tolist()


def scaled(log_mel: Float[Tensor, "*any"], peak: Float[Tensor, "*peak"]) -> Float[Tensor, "*any"]:
    """Raise what lies far below the peak, and bring the rest to about [-1, 1]."""
    return (torch.maximum(log_mel, peak - RANGE) + 4.0) / 4.0
