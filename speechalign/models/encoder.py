"""The frozen speech encoder: waveform → log-mel → frames, from any Hugging Face Whisper."""

import hashlib
from typing import Any, Literal, NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.nn.functional import gelu
from transformers import WhisperModel
from transformers.models.whisper.modeling_whisper import WhisperEncoder as WhisperBlocks
from typing_extensions import override

from speechalign.assets import resolve
from speechalign.audio.features import FRAME, LogMel
from speechalign.models.base import base_of
from speechalign.models.loading import DType, load_pretrained, torch_dtype

Attend = Literal["window", "speech"]
# What stands in a hidden cell: a constant, which tells nothing of what it hides nor of the batch.
# Features of speech lie around 0 (-1.5 to 1.5), and transformers fine-tunes Whisper with 0 too.
HIDDEN = 0.0
FEATURES = 1  # version of the log-mel; another number makes what was computed from it void


class Frames(NamedTuple):
    """What an encoder says about U utterances, one vector per 20 ms."""

    hidden: Float[Tensor, "U T D"]
    lengths: Int[Tensor, " U"]  # valid frames; later ones answer to padding

    @property
    def mask(self) -> Bool[Tensor, "U T"]:
        """True where a frame belongs to its utterance."""
        return (
            torch.arange(self.hidden.shape[1], device=self.lengths.device) < self.lengths[:, None]
        )


class WhisperEncoder(nn.Module):
    """A frozen Whisper encoder that hears each utterance as if it were alone.

    `attend="window"` is Whisper as published: every utterance is padded to the whole window (30 s)
    and attends to all of it. `attend="speech"` is for encoders pretrained with a mask: padding is
    cut to the longest utterance of the batch and never attended to, which is many times faster on
    short speech. Both give frames that do not depend on the neighbours.

    Args:
        path: Folder or Hugging Face id of a Whisper model, or `assets:micro/encoder`.
        revision: Commit or tag of that id; the default is its main branch.
        attend: See above.
        dtype: Type of weights and frames; never taken from the checkpoint's own setting.

    Raises:
        UserError: If there is no such model or it is not a Whisper.
    """

    def __init__(
        self,
        path: str,
        revision: str | None = None,
        attend: Attend = "window",
        dtype: DType = "float32",
    ) -> None:
        super().__init__()
        self.path, self.revision, self.attend, self.dtype_name = path, revision, attend, dtype
        whisper: WhisperModel = load_pretrained(
            WhisperModel, resolve(path), "whisper", revision=revision, dtype=torch_dtype(dtype)
        )
        self.whisper: WhisperBlocks = whisper.encoder
        self.whisper.eval().requires_grad_(requires_grad=False)
        self.log_mel = LogMel(self.whisper.config.num_mel_bins)
        config = self.whisper.config
        self.base = base_of(path, config, revision, config.d_model, config.encoder_layers)

    @property
    def width(self) -> int:
        """D, the width of a frame."""
        return self.whisper.config.d_model

    @property
    def mels(self) -> int:
        """Bands of the log-mel features."""
        return self.log_mel.mels

    @property
    def window_samples(self) -> int:
        """Samples of the longest utterance (30 s for published Whispers)."""
        return self.whisper.config.max_source_positions * FRAME

    @property
    def pads_to_window(self) -> bool:
        """Whether batches must be padded to the whole window."""
        return self.attend == "window"

    def settings(self) -> dict[str, Any]:
        """What rebuilds this part."""
        return {
            "path": self.path,
            "revision": self.revision or self.base.revision,
            "attend": self.attend,
            "dtype": self.dtype_name,
        }

    def fingerprint(self) -> str:
        """Tell this encoder from every other: a digest of its weights and settings."""
        digest = hashlib.sha256(f"{FEATURES} {self.attend} {self.dtype_name}".encode())
        for name, weight in self.state_dict().items():
            digest.update(name.encode())
            digest.update(weight.cpu().contiguous().flatten().view(torch.uint8).numpy())
        return digest.hexdigest()

    @override
    def train(self, mode: bool = True) -> "WhisperEncoder":
        """Stay in eval mode, whatever `mode`: dropout of a frozen part is noise."""
        return super().train(mode=False)

    @torch.no_grad()
    def forward(
        self,
        waveform: Float[Tensor, "U samples"],
        samples: Int[Tensor, " U"],
        hidden: Bool[Tensor, "U mels S"] | None = None,
    ) -> Frames:
        """Encode zero-padded 16 kHz speech of which `samples` are valid.

        In its own dtype, under autocast as well: frames that are kept equal those that are not.

        Args:
            waveform: The speech.
            samples: Lengths.
            hidden: Cells of the log-mel features that are not to be seen (SpecAugment).
        """
        lengths = frame_counts(samples)
        features = self.log_mel(waveform, samples).to(self.whisper.conv1.weight.dtype)
        if hidden is not None:
            features = features.masked_fill(hidden, HIDDEN)
        with torch.autocast(waveform.device.type, enabled=False):
            if self.attend == "window":
                return Frames(self.whisper(features).last_hidden_state, lengths)
            frames = Frames(embed_frames(self.whisper, features), lengths)
            return frames._replace(hidden=attend_to_speech(self.whisper, frames))


def frame_counts(samples: Int[Tensor, " U"]) -> Int[Tensor, " U"]:
    """Count the frames that utterances of so many samples have."""
    return (samples + FRAME - 1) // FRAME


def embed_frames(
    whisper: WhisperBlocks, features: Float[Tensor, "U mels S"]
) -> Float[Tensor, "U T D"]:
    """Convolutions and positions of a Whisper encoder, for any length up to its window.

    (Its own forward insists on the whole window.)
    """
    hidden = gelu(whisper.conv2(gelu(whisper.conv1(features)))).transpose(1, 2)
    return hidden + whisper.embed_positions.weight[: hidden.shape[1]]


def attend_to_speech(whisper: WhisperBlocks, frames: Frames) -> Float[Tensor, "U T D"]:
    """Transformer blocks of a Whisper encoder, with padded frames hidden from attention."""
    hidden = frames.hidden
    hide = torch.zeros_like(hidden[..., 0]).masked_fill(~frames.mask, torch.finfo(hidden.dtype).min)
    for layer in whisper.layers:
        hidden = layer(hidden, hide[:, None, None, :])
    return whisper.layer_norm(hidden)
