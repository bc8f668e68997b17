"""Projectors: from the width of speech tokens to the width of the LLM's embeddings."""

from typing import Any

from jaxtyping import Float
from torch import Tensor, nn


class Projector(nn.Module):
    """A map into the LLM's embedding space that ends in a LayerNorm.

    Args:
        width: Width of the speech tokens.
        llm_width: Width of the LLM's embeddings.
    """

    layers: nn.Sequential

    def __init__(self, width: int, llm_width: int) -> None:
        super().__init__()
        self.width, self.llm_width = width, llm_width

    def settings(self) -> dict[str, Any]:
        """What rebuilds this part, beside the two widths."""
        return {}

    def forward(self, tokens: Float[Tensor, "U Q D"]) -> Float[Tensor, "U Q E"]:
        """Project every token."""
        return self.layers(tokens)


class LinearProjector(Projector):
    """Linear and LayerNorm, as in the paper."""

    def __init__(self, width: int, llm_width: int) -> None:
        super().__init__(width, llm_width)
        self.layers = nn.Sequential(nn.Linear(width, llm_width), nn.LayerNorm(llm_width))


class MLPProjector(Projector):
    """Two linear layers around a ReLU, and LayerNorm."""

    def __init__(self, width: int, llm_width: int, hidden: int = 2048) -> None:
        super().__init__(width, llm_width)
        self.hidden = hidden
        self.layers = nn.Sequential(
            nn.Linear(width, hidden),
            nn.ReLU(),
            nn.Linear(hidden, llm_width),
            nn.LayerNorm(llm_width),
        )

    def settings(self) -> dict[str, Any]:
        """What rebuilds this part, beside the two widths."""
        return {"hidden": self.hidden}
