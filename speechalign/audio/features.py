"""Whisper's log-mel features: one frame per 10 ms of 16 kHz audio, for a whole batch at once.

A row's features depend on that row alone, unlike in openai-whisper, where the loudest row of a
batch sets the floor of all.
"""

from collections.abc import Callable

import librosa
import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from speechalign.audio.io import SAMPLE_RATE
from speechalign.errors import UserError

WINDOW = 400  # samples, 25 ms
HOP = 160  # samples, 10 ms
FRAME = 2 * HOP  # samples of a frame of the encoder, whose second convolution halves the rate
SHORTEST = WINDOW // 2 + 1  # samples that the reflection at the borders needs
RANGE = 8.0  # what lies further below the peak is raised to it; log10 of power, 80 dB


class LogMel(nn.Module):
    """Log10 mel power over 25 ms Hann windows (Radford et al. 2022, section 2.2).

    Computed in float32 whatever the precision of the model around it: the two constants follow the
    device but not the dtype of `module.to(...)`, and autocast is switched off.

    Args:
        mels: Bands: 80, or 128 from Whisper large-v3 on.
    """

    filters: Float[Tensor, "mels F"]
    window: Float[Tensor, " samples"]

    def __init__(self, mels: int = 80):
        super().__init__()
        if mels < 1:
            raise UserError(f"{mels} mel bands were asked for: give 80, or 128 for large-v3.")
        self.mels = mels
        bank = librosa.filters.mel(sr=SAMPLE_RATE, n_fft=WINDOW, n_mels=mels, norm="slaney")
        hann = np.hanning(WINDOW + 1)[:-1].astype(np.float32)  # periodic, as torch.hann_window
        self.register_buffer("filters", torch.from_numpy(bank), persistent=False)
        self.register_buffer("window", torch.from_numpy(hann), persistent=False)

    def forward(self, waveform: Float[Tensor, "U samples"]) -> Float[Tensor, "U mels T"]:
        """Turn U waveforms at 16 kHz in [-1, 1] into T = samples // 160 frames each.

        Shorter recordings are padded with zeros by the caller (`data/batch.py`).

        Raises:
            UserError: If there are fewer than 201 samples.
        """
        if waveform.shape[-1] < SHORTEST:
            raise UserError(
                f"{waveform.shape[-1]} samples are too few for log-mel features: "
                f"give at least {SHORTEST} (12.6 ms at 16 kHz), padded with zeros if need be."
            )
        with torch.autocast(waveform.device.type, enabled=False):
            spectrum = torch.stft(
                waveform.float(), WINDOW, HOP, window=self.window, return_complex=True
            )
            power = spectrum[..., :-1].abs().square()
            mel = (self.filters @ power).clamp(min=1e-10).log10()
            floor = mel.amax(dim=(1, 2), keepdim=True) - RANGE
            return (torch.maximum(mel, floor) + 4.0) / 4.0

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> "LogMel":
        """Move with the model (`to`, `cuda`, `half`), but keep the constants in float32."""
        filters, window = self.filters, self.window
        super()._apply(fn, recurse)
        self.filters = filters.to(self.filters.device)
        self.window = window.to(self.window.device)
        return self
