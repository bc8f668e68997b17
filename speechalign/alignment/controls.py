"""Controls for the divergence: distances index by index."""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from speechalign.alignment.base import Alignment
from speechalign.alignment.cost import unit


def common(a: Float[Tensor, "*left Q"], b: Float[Tensor, "*right Q"]) -> Float[Tensor, "*both Q"]:
    """Weigh each index by the mass that both sides hold there; 0 if either side is padding."""
    least = torch.minimum(a, b)
    return least / least.sum(dim=-1, keepdim=True).clamp_min(torch.finfo(least.dtype).tiny)


class MeanSquaredError(Alignment):
    """Mean of (x - y)² over width and tokens, token i against token i.

    Tokens keep their length by default, as is usual for this loss; of unit length they give
    2/D times `Cosine`.
    """

    def __init__(self, normalize: bool = False, **tokens: Any):
        """Choose what of the tokens is compared; see `Alignment`."""
        super().__init__(normalize=normalize, **tokens)

    def compare(
        self,
        x: Float[Tensor, "P Q D"],
        y: Float[Tensor, "P Q D"],
        a: Float[Tensor, "P Q"],
        b: Float[Tensor, "P Q"],
    ) -> Float[Tensor, " P"]:
        """Average the squares."""
        return (common(a, b) * (x - y).square().mean(dim=-1)).sum(dim=-1)


class Cosine(Alignment):
    """Mean of 1 - cos(x_i, y_i) over tokens, token i against token i.

    It is the transport cost of the paper's setting under the plan that moves no index; so a token
    of zeros, which has no direction, is ½ from those that have one and 0 from its like.
    """

    scales = False  # it scales itself, whether or not `normalize` is asked for

    def compare(
        self,
        x: Float[Tensor, "P Q D"],
        y: Float[Tensor, "P Q D"],
        a: Float[Tensor, "P Q"],
        b: Float[Tensor, "P Q"],
    ) -> Float[Tensor, " P"]:
        """Average ½‖u - v‖² = 1 - cos(x, y) of unit tokens, exact also where it is tiny."""
        apart = (unit(x) - unit(y)).square().sum(dim=-1)
        return (common(a, b) * 0.5 * apart).sum(dim=-1)
