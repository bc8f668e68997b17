"""Ground costs between the tokens of two sequences, and the precision they are computed in."""

from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

CostKind = Literal["half_squared_euclidean", "cosine"]


def promote(values: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """Lift half precision to float32; leave float32 and float64 as they are.

    bfloat16 rounds a cost near 1 by 0.004, which is more than the paper's epsilon of 0.0025.
    """
    return values.float() if values.dtype in {torch.bfloat16, torch.float16} else values


def half_squared_euclidean(
    x: Float[Tensor, "P n D"], y: Float[Tensor, "P m D"]
) -> Float[Tensor, "P n m"]:
    """C_ij = ½‖x_i - y_j‖², which is 1 - cos for tokens of unit length."""
    x_norm = 0.5 * x.square().sum(dim=-1)
    y_norm = 0.5 * y.square().sum(dim=-1)
    products = torch.bmm(x, y.mT)
    # Rounding takes the expanded square below zero where the two tokens coincide.
    return (x_norm.unsqueeze(2) + y_norm.unsqueeze(1) - products).clamp_min(0)


def unit(x: Float[Tensor, "P n D"], y: Float[Tensor, "P m D"]) -> Float[Tensor, "P n m"]:
    """C_ij = 1 - x_i · y_j: both costs at once, for tokens that are of unit length already."""
    return (1 - torch.bmm(x, y.mT)).clamp_min(0)


def cosine(x: Float[Tensor, "P n D"], y: Float[Tensor, "P m D"]) -> Float[Tensor, "P n m"]:
    """C_ij = 1 - cos(x_i, y_j), blind to the lengths of the tokens."""
    return unit(F.normalize(x, dim=-1), F.normalize(y, dim=-1))


def pairwise_cost(
    x: Float[Tensor, "P n D"],
    y: Float[Tensor, "P m D"],
    kind: CostKind = "half_squared_euclidean",
) -> Float[Tensor, "P n m"]:
    """Cost of moving each token of `x` to each token of `y`, for P pairs of sequences.

    It is never negative and its gradient is finite everywhere, also where two tokens coincide.
    """
    return cosine(x, y) if kind == "cosine" else half_squared_euclidean(x, y)


def box_diameter(x: Float[Tensor, "P n D"], y: Float[Tensor, "P m D"]) -> float:
    """Diagonal of the smallest box around all tokens of the batch: a bound on their distances.

    geomloss starts its descent there. The answer leaves the device, which has to finish its work
    first, and depends on the whole batch; a known bound (2 for unit tokens) avoids both.
    """
    tokens = torch.cat([x.detach().flatten(0, 1), y.detach().flatten(0, 1)])
    return (tokens.amax(dim=0) - tokens.amin(dim=0)).norm().item()
