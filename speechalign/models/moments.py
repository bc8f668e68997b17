"""Mean and scatter of vectors, which add up over batches, processes and files.

Two sets of n₁ and n₂ vectors with means μ₁, μ₂ and scatters S₁, S₂ have together, with
δ = μ₂ - μ₁ and n = n₁ + n₂ (Chan, Golub and LeVeque 1983),

    μ = μ₁ + δ n₂/n,    S = S₁ + S₂ + δδᵀ n₁n₂/n.
"""

from functools import reduce
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor


class Moments(NamedTuple):
    """Of some vectors of width D, in fp64."""

    number: int
    mean: Float[Tensor, " D"]
    scatter: Float[Tensor, "D D"]  # sum of the outer products of differences to the mean

    def joined(self, other: "Moments") -> "Moments":
        """The moments of both sets."""
        number = self.number + other.number
        if not self.number or not other.number:
            return self if self.number else other
        apart = other.mean - self.mean
        between = torch.outer(apart, apart) * (self.number * other.number / number)
        mean = self.mean + apart * (other.number / number)
        return Moments(number, mean, self.scatter + other.scatter + between)


def moments_of(vectors: Float[Tensor, "U D"]) -> Moments:
    """Take the moments of vectors; those of none are 0."""
    values = vectors.double().cpu()
    mean = values.sum(dim=0) / max(len(values), 1)
    apart = values - mean
    return Moments(len(values), mean, apart.T @ apart)


def join(parts: list[Moments], width: int) -> Moments:
    """The moments of many sets of vectors of one width."""
    return reduce(Moments.joined, parts, moments_of(torch.zeros(0, width)))


def covariance(scatter: Float[Tensor, "D D"], freedom: int) -> Float[Tensor, "D D"]:
    """Estimate a covariance that can be inverted, also from few vectors.

    The sample covariance is drawn towards a multiple of the identity, as much as the oracle
    approximating shrinkage of Chen et al. (2010, eq. 23) says.

    Args:
        scatter: Of the vectors.
        freedom: Number of vectors less that of the means taken from them.
    """
    sample = scatter.double() / freedom
    width = len(sample)
    trace, square = sample.trace(), (sample**2).sum()
    spread = (freedom + 1) * (square - trace**2 / width)
    share = 1.0 if spread <= 0 else float((square + trace**2) / spread)
    share = min(share, 1.0)
    return (1 - share) * sample + share * trace / width * torch.eye(width, dtype=torch.float64)
