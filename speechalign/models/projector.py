"""Projectors: from the width of speech tokens to the width of the LLM's embeddings."""

from typing import Any

from jaxtyping import Float
from torch import Tensor, nn


class Projector(nn.Module):
    """A map into the LLM's embedding space that ends in a LayerNorm.

    Args:
        width: Width of the speech tokens.
        llm_width: Width of the LLM's embeddings.
        scale: Root mean square of what comes out at the start of the training. That of the LLM's
            own embeddings lets speech be learned sooner, if they are much smaller than 1.
    """

    layers: nn.Sequential

    def __init__(self, width: int, llm_width: int, scale: float = 1.0) -> None:
        super().__init__()
        self.width, self.llm_width, self.scale = width, llm_width, scale

    def settings(self) -> dict[str, Any]:
        """What rebuilds this part, beside the two widths."""
        return {"scale": self.scale}

    def norm(self) -> nn.LayerNorm:
        """Make the last layer."""
        norm = nn.LayerNorm(self.llm_width)
        nn.init.constant_(norm.weight, self.scale)
        return norm

    def forward(self, tokens: Float[Tensor, "U Q D"]) -> Float[Tensor, "U Q E"]:
        """Project every token."""
        return self.layers(tokens)


class LinearProjector(Projector):
    """Linear and LayerNorm, as in the paper."""

    def __init__(self, width: int, llm_width: int, scale: float = 1.0) -> None:
        super().__init__(width, llm_width, scale)
        self.layers = nn.Sequential(nn.Linear(width, llm_width), self.norm())


class MLPProjector(Projector):
    """Two linear layers around a ReLU, and LayerNorm."""

    def __init__(self, width: int, llm_width: int, hidden: int = 2048, scale: float = 1.0) -> None:
        super().__init__(width, llm_width, scale)
        self.hidden = hidden
        self.layers = nn.Sequential(
            nn.Linear(width, hidden),
            nn.ReLU(),
            nn.Linear(hidden, llm_width),
            self.norm(),
        )

    def settings(self) -> dict[str, Any]:
        """What rebuilds this part, beside the two widths."""
        return {"hidden": self.hidden, **super().settings()}
