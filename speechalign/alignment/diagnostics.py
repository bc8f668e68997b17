"""Numbers that show whether an alignment is healthy: collapse, hardness, order and contrast."""

from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional as F

from speechalign.alignment.base import Alignment
from speechalign.alignment.divergence import SinkhornDivergence


class Transported(NamedTuple):
    """Means over pairs of token sequences that say the same."""

    cost: float  # the divergence between the two
    margin: float
    plan_entropy: float
    diagonal_mass: float
    marginal_error: float


@torch.no_grad()
def collapse(tokens: Float[Tensor, "U Q D"], sentence: Int[Tensor, " U"]) -> Float[Tensor, ""]:
    """Mean cosine between the pooled states of utterances that say different things.

    Towards 1, the alignment has made all utterances alike. States are averaged over tokens and
    not centred, so that a common component shows; compare it with its value before training.

    Args:
        tokens: Hidden states of U utterances.
        sentence: Equal numbers where two utterances say the same; all distinct if unknown.

    Returns:
        A number from -1 to 1; NaN if no two utterances say different things.
    """
    pooled = F.normalize(tokens.float().mean(dim=1), dim=-1)
    unlike = sentence.unsqueeze(0) != sentence.unsqueeze(1)
    return ((pooled @ pooled.T) * unlike).sum() / unlike.sum()


def plan_entropy(plan: Float[Tensor, "P n m"]) -> Float[Tensor, " P"]:
    """Mean entropy, in nats, of where a token of x goes.

    0 is a matching one to one (ε → 0), log m is mass spread evenly over all tokens (ε → ∞). It is
    H(P) - H(P 1) over the mass that is moved: rows count by their share of it.
    """
    rows = plan.sum(dim=2)
    entropy = torch.xlogy(rows, rows).sum(dim=1) - torch.xlogy(plan, plan).sum(dim=(1, 2))
    return entropy / rows.sum(dim=1)


def diagonal_mass(plan: Float[Tensor, "P n n"]) -> Float[Tensor, " P"]:
    """Share of the mass that goes from a token to the one of the same index.

    The queries are shared between languages, which invites plans near the identity; 1/n is chance.
    """
    return plan.diagonal(dim1=1, dim2=2).sum(dim=1) / plan.sum(dim=(1, 2))


@torch.no_grad()
def margin(
    alignment: Alignment,
    x: Float[Tensor, "P Q D"],
    y: Float[Tensor, "P Q D"],
    x_weights: Float[Tensor, "P Q"] | None = None,
    y_weights: Float[Tensor, "P Q"] | None = None,
    origin: Float[Tensor, "Q D"] | None = None,
) -> Float[Tensor, " P"]:
    """How much farther x_p is from its neighbour's partner than from its own.

    Positive if alignment tells sentences apart, 0 if it has collapsed (or if there is one pair).
    The pairs should be of different sentences, and of the same two languages, since else a language
    would be told from another one. Arguments as for `Alignment.forward`.
    """
    own = alignment(x, y, x_weights, y_weights, origin)
    return to_neighbours(alignment, x, y, x_weights, y_weights, origin) - own


def to_neighbours(
    alignment: Alignment,
    x: Float[Tensor, "P Q D"],
    y: Float[Tensor, "P Q D"],
    x_weights: Float[Tensor, "P Q"] | None,
    y_weights: Float[Tensor, "P Q"] | None,
    origin: Float[Tensor, "Q D"] | None,
) -> Float[Tensor, " P"]:
    """Compare each x_p with the partner of its neighbour."""
    shuffled = None if y_weights is None else y_weights.roll(1, dims=0)
    return alignment(x, y.roll(1, dims=0), x_weights, shuffled, origin)


@torch.no_grad()
def transported(
    divergence: SinkhornDivergence,
    x: Float[Tensor, "P Q D"],
    y: Float[Tensor, "P Q D"],
    x_weights: Float[Tensor, "P Q"] | None = None,
    y_weights: Float[Tensor, "P Q"] | None = None,
    origin: Float[Tensor, "Q D"] | None = None,
) -> Transported:
    """Look at the transport between both sides of P pairs; arguments as for `margin`."""
    measures = x, y, x_weights, y_weights, origin
    solved, own = divergence.transport(*measures), divergence(*measures)
    numbers = (
        own,
        to_neighbours(divergence, *measures) - own,
        plan_entropy(solved.plan),
        diagonal_mass(solved.plan),
        solved.marginal_error,
    )
    return Transported(*(number.mean().item() for number in numbers))
