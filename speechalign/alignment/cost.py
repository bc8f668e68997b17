"""Ground costs between the tokens of two sequences, and the precision they are computed in."""

from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

CostKind = Literal["half_squared_euclidean", "cosine"]
SHORTEST = 1e-12  # a token of at most this length has no direction


def promote(values: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """Lift half precision to float32; leave float32 and float64 as they are.

    bfloat16 rounds a cost near 1 by 0.004, which is more than the paper's epsilon of 0.0025.
    """
    return values.float() if values.dtype in {torch.bfloat16, torch.float16} else values


def unit(tokens: Float[Tensor, "*shape D"]) -> Float[Tensor, "*shape D"]:
    """Scale tokens to length 1; one of zeros, which has no direction, stays and gets no gradient.

    (torch's normalize divides it by 1e-12, and its gradient too.)
    """
    norms = torch.linalg.vector_norm(tokens, dim=-1, keepdim=True)
    directed = norms > SHORTEST
    return tokens / torch.where(directed, norms, 1) * directed


def sizes(x: Float[Tensor, "P n D"], kind: CostKind) -> Float[Tensor, "P n"]:
    """What the cost reads of each token besides its products: 1 / ‖x_i‖ for cosine, else ½‖x_i‖².

    A token of zeros, which has no direction, has size 0.
    """
    norms = torch.linalg.vector_norm(x, dim=-1)
    if kind == "cosine":
        return norms.clamp_min(SHORTEST).reciprocal() * (norms > SHORTEST)
    return 0.5 * norms.square()


def farthest(one: Float[Tensor, "P n"], other: Float[Tensor, "P m"]) -> Float[Tensor, "P n m"]:
    """½‖u_i‖² + ½‖v_j‖² of tokens that were scaled, from their sizes for cosine: 1, ½ or 0."""
    directed = [0.5 * (size > 0).to(size.dtype) for size in (one, other)]
    return directed[0].unsqueeze(2) + directed[1].unsqueeze(1)


def pairwise_cost(
    x: Float[Tensor, "P n D"],
    y: Float[Tensor, "P m D"],
    kind: CostKind = "half_squared_euclidean",
    known: tuple[Float[Tensor, "P n"], Float[Tensor, "P m"]] | None = None,
) -> Float[Tensor, "P n m"]:
    """Cost of moving each token of `x` to each token of `y`, for P pairs of sequences.

    It is ½‖x_i - y_j‖², or 1 - cos(x_i, y_j), which is the same for tokens of unit length; never
    negative; and its gradient is finite everywhere, also where two tokens coincide. For cosine, a
    token of zeros is ½ from all tokens with a direction and 0 from its like.

    Args:
        x: Tokens of one side.
        y: Tokens of the other side.
        kind: Which of the two.
        known: `sizes` of x and y, if they are known.
    """
    one, other = known or (sizes(x, kind), sizes(y, kind))
    products = torch.bmm(x, y.mT)
    if kind == "cosine":  # products are scaled, not tokens, which are far larger
        scales = one.unsqueeze(2) * other.unsqueeze(1)
        cost = torch.addcmul(farthest(one, other), products, scales, value=-1)
    else:
        cost = one.unsqueeze(2) + other.unsqueeze(1) - products
    return cost.clamp_min(0)  # rounding takes it below where two tokens coincide


def positional(
    a: Float[Tensor, "P n"], b: Float[Tensor, "P m"], strength: float
) -> Float[Tensor, "P n m"]:
    """Cost of the distance of two tokens' places: strength/2 · (i/n - j/m)², for i, j from 0.

    n and m count the tokens up to the last of positive weight, so that padding changes nothing.
    """
    places, others = _places(a), _places(b)
    return 0.5 * strength * (places.unsqueeze(2) - others.unsqueeze(1)).square()


def _places(weights: Float[Tensor, "P n"]) -> Float[Tensor, "P n"]:
    """Where in its sequence each token is, from 0 to 1; beyond 1 in padding."""
    number = torch.arange(weights.shape[1], dtype=weights.dtype, device=weights.device)
    length = ((number + 1) * (weights > 0)).amax(dim=1, keepdim=True)
    return number / length.clamp_min(1)


def box_diameter(x: Float[Tensor, "*P n D"], y: Float[Tensor, "*P m D"]) -> float:
    """Diagonal of the smallest box around all tokens of the batch: a bound on their distances.

    The answer leaves the device, which has to finish its work
    first, and depends on the whole batch; a known bound (2 for unit tokens) avoids both.
    """
    tokens = torch.cat([x.detach().flatten(0, -2), y.detach().flatten(0, -2)])
    return (tokens.amax(dim=0) - tokens.amin(dim=0)).norm().item()
