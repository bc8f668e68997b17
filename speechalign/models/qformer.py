"""Bridges from frames to a short sequence of speech tokens: the Q-Former, or stacked frames.

Every hidden layer is returned, since alignment acts on them.
"""

from abc import ABC, abstractmethod
from typing import Any, NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from transformers import Blip2QFormerConfig, Blip2QFormerModel

from speechalign.errors import UserError
from speechalign.models.encoder import Frames


class SpeechTokens(NamedTuple):
    """Speech of U utterances as tokens."""

    layers: tuple[Float[Tensor, "U Q D"], ...]  # 0: the input; l: the output of block l
    mask: Bool[Tensor, "U Q"]  # True where there is a token

    @property
    def last(self) -> Float[Tensor, "U Q D"]:
        """What goes on to the projector."""
        return self.layers[-1]


class Bridge(nn.Module, ABC):
    """From frames to speech tokens.

    Attributes:
        width: Of a token.
        depth: How many blocks it has, whose outputs can be aligned.
    """

    width: int
    depth: int

    @abstractmethod
    def forward(self, frames: Frames) -> SpeechTokens:
        """Turn the frames of each utterance into speech tokens."""

    @abstractmethod
    def attention(self, frames: Frames) -> list[Float[Tensor, "U Q T"]]:
        """Tell which frames each token is of, by block, at least once: weights that sum to 1."""

    @abstractmethod
    def settings(self) -> dict[str, Any]:
        """What rebuilds this part, beside the encoder's width."""


class QFormer(Bridge):
    """BLIP-2's Q-Former over encoder frames (Li et al. 2023; POTSA: 8 blocks, 80 queries).

    Args:
        encoder_width: Width of the frames.
        blocks: Transformer blocks.
        queries: Learned query tokens, the length of the result for any audio.
        width: Width of a token.
        heads: Attention heads.
        feed_forward: Width of the feed-forward layers.
        cross_attention_every: Every n-th block looks at the frames, from the first on.
        dropout: In training, on attention maps and hidden states.

    Raises:
        UserError: If the width cannot be shared among the heads.
    """

    def __init__(
        self,
        encoder_width: int,
        blocks: int = 8,
        queries: int = 80,
        width: int = 768,
        heads: int = 12,
        feed_forward: int = 3072,
        cross_attention_every: int = 2,
        dropout: float = 0.1,
    ) -> None:
        super().__init__()
        if width % heads:
            raise UserError(f"A width of {width} cannot be shared by {heads} attention heads.")
        self.width, self.depth = width, blocks
        self.queries = nn.Parameter(torch.randn(1, queries, width))
        self.blocks = Blip2QFormerModel(
            Blip2QFormerConfig(
                hidden_size=width,
                num_hidden_layers=blocks,
                num_attention_heads=heads,
                intermediate_size=feed_forward,
                hidden_dropout_prob=dropout,
                attention_probs_dropout_prob=dropout,
                cross_attention_frequency=cross_attention_every,
                encoder_hidden_size=encoder_width,
            )
        )

    def settings(self) -> dict[str, Any]:
        """What rebuilds this part, beside the encoder's width."""
        config = self.blocks.config
        return {
            "blocks": config.num_hidden_layers,
            "queries": self.queries.shape[1],
            "width": config.hidden_size,
            "heads": config.num_attention_heads,
            "feed_forward": config.intermediate_size,
            "cross_attention_every": config.cross_attention_frequency,
            "dropout": config.hidden_dropout_prob,
        }

    def forward(self, frames: Frames) -> SpeechTokens:
        """Let the queries read the valid frames of each utterance."""
        queries = self.queries.expand(len(frames.lengths), -1, -1)
        output = self.blocks(
            query_embeds=queries,
            encoder_hidden_states=frames.hidden,
            encoder_attention_mask=frames.mask,
            output_hidden_states=True,
        )
        mask = torch.ones(queries.shape[:2], dtype=torch.bool, device=queries.device)
        return SpeechTokens(tuple(output.hidden_states), mask)

    @torch.no_grad()
    def attention(self, frames: Frames) -> list[Float[Tensor, "U Q T"]]:
        """Tell where the queries look, by block: weights of the frames, mean over heads.

        A block that does not look at the frames is given the weights of the last one that did.
        """
        usual: Any = self.blocks.config._attn_implementation
        self.blocks.set_attn_implementation("eager")  # others do not tell their weights
        try:
            output = self.blocks(
                query_embeds=self.queries.expand(len(frames.lengths), -1, -1),
                encoder_hidden_states=frames.hidden,
                encoder_attention_mask=frames.mask,
                output_attentions=True,
            )
        finally:
            self.blocks.set_attn_implementation(usual)
        every = self.blocks.config.cross_attention_frequency
        looks = [weights.mean(dim=1) for weights in output.cross_attentions]
        return [looks[block // every] for block in range(self.depth)]


class FrameStack(Bridge):
    """The baseline without a Q-Former: `stack` neighbouring frames side by side are one token.

    The number of tokens grows with the audio (20 ms · stack each); the last token of an utterance
    is completed with zeros.
    """

    def __init__(self, encoder_width: int, stack: int = 5) -> None:
        super().__init__()
        self.stack = stack
        self.width, self.depth = stack * encoder_width, 0

    def settings(self) -> dict[str, Any]:
        """What rebuilds this part, beside the encoder's width."""
        return {"stack": self.stack}

    def forward(self, frames: Frames) -> SpeechTokens:
        """Stack the valid frames of each utterance."""
        valid = frames.hidden * frames.mask[..., None]
        missing = -valid.shape[1] % self.stack
        stacked = nn.functional.pad(valid, (0, 0, 0, missing)).unflatten(1, (-1, self.stack))
        tokens = stacked.flatten(2)
        count = (frames.lengths + self.stack - 1) // self.stack
        mask = torch.arange(tokens.shape[1], device=count.device) < count[:, None]
        return SpeechTokens((tokens,), mask)

    def attention(self, frames: Frames) -> list[Float[Tensor, "U Q T"]]:
        """Give each token the frames that it is made of, alike."""
        places = torch.arange(frames.hidden.shape[1], device=frames.lengths.device)
        tokens = torch.arange(-(-len(places) // self.stack), device=places.device)
        inside = (places // self.stack == tokens[:, None]) & frames.mask[:, None]
        weights = inside.float()
        return [weights / weights.sum(dim=2, keepdim=True).clamp(min=1)]
