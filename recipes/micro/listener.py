"""The whole Whisper that the micro encoder is pretrained in: encoder, decoder, and a CTC head.

Speech is padded to the longest utterance of a batch, and padding is hidden from the encoder's
self-attention and the decoder's cross-attention: what is heard in one utterance does not depend on
its neighbours. The encoder is the package's (`speechalign.models.encoder`, `attend="speech"`).
"""

from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn.functional import linear
from transformers import WhisperConfig, WhisperModel

from speechalign.models.encoder import Frames, attend_to_speech, embed_frames

WINDOW = 600  # frames of 20 ms that the encoder has positions for: 12 s


class Shape(NamedTuple):
    """Size of an encoder: 1.2 million parameters by default."""

    width: int = 144
    layers: int = 4
    heads: int = 2  # few, because on a CPU their softmax takes the time


def whisper_config(shape: Shape, vocabulary: int) -> WhisperConfig:
    """Describe a small Whisper with a decoder of 2 blocks and one token that ends and pads."""
    return WhisperConfig(
        vocab_size=vocabulary,
        d_model=shape.width,
        encoder_layers=shape.layers,
        encoder_attention_heads=shape.heads,
        encoder_ffn_dim=4 * shape.width,
        decoder_layers=2,
        decoder_attention_heads=shape.heads,
        decoder_ffn_dim=4 * shape.width,
        max_source_positions=WINDOW,
        max_target_positions=128,
        dropout=0.0,  # masks over the features do more
        bos_token_id=0,
        eos_token_id=0,
        pad_token_id=0,
        decoder_start_token_id=0,
    )


class Listener(nn.Module):
    """A Whisper that is trained without its 30 s of padding.

    Args:
        config: The architecture.
        letters: Symbols of the CTC head, without the blank (which is number 0).
    """

    def __init__(self, config: WhisperConfig, letters: int) -> None:
        super().__init__()
        self.whisper = WhisperModel(config)
        self.whisper.set_attn_implementation("eager")  # quicker than sdpa in bfloat16 on a CPU
        self.spell = nn.Linear(config.d_model, letters + 1)

    def hear(self, features: Float[Tensor, "U mels S"], lengths: Int[Tensor, " U"]) -> Frames:
        """Encode log-mel features of utterances that have so many valid frames."""
        encoder = self.whisper.encoder
        frames = Frames(embed_frames(encoder, features), lengths)
        if torch.is_autocast_enabled("cpu"):  # else positions keep the residual stream in float32
            frames = frames._replace(hidden=frames.hidden.bfloat16())
        return frames._replace(hidden=attend_to_speech(encoder, frames))

    def say(self, frames: Frames, tokens: Int[Tensor, "U L"]) -> Float[Tensor, "U L V"]:
        """Predict each token's successor (WhisperDecoder's forward, with a mask over frames)."""
        decoder = self.whisper.decoder
        hidden = decoder.embed_tokens(tokens) + decoder.embed_positions.weight[: tokens.shape[1]]
        never = torch.finfo(hidden.dtype).min
        future = torch.full((tokens.shape[1],) * 2, never).triu(1)[None, None]
        padding = torch.zeros(frames.mask.shape).masked_fill(~frames.mask, never)[:, None, None]
        for layer in decoder.layers:
            hidden = layer(hidden, future, frames.hidden, padding, use_cache=False)
        return linear(decoder.layer_norm(hidden), decoder.embed_tokens.weight)

    @torch.inference_mode()
    def continue_greedily(
        self, frames: Frames, prompts: Int[Tensor, "U K"], end: int, limit: int = 80
    ) -> Int[Tensor, "U L"]:
        """Write on after `prompts` until every row has said `end`; rows go on with `end`."""
        tokens = prompts
        done = torch.zeros(len(prompts), dtype=torch.bool)
        for _ in range(limit):
            best = self.say(frames, tokens)[:, -1].argmax(-1).masked_fill(done, end)
            tokens = torch.cat([tokens, best[:, None]], dim=1)
            done |= best == end
            if done.all():
                break
        return tokens[:, prompts.shape[1] :]
