"""How exact the solver of training is: against exact transport, float64 and finite differences."""

import time
from collections.abc import Sequence
from statistics import median
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from speechalign.alignment.cost import pairwise_cost
from speechalign.alignment.divergence import SinkhornDivergence

# Sweeps of the reference in float64. Its value is off by the square of the marginal error.
CONVERGED = {"iterations": 2000, "tolerance": 1e-7}
STEP = 1e-4  # of the finite differences, along a direction of length 1


class Bias(NamedTuple):
    """What a temperature adds to exact transport, mean over pairs; all but `exact` converged."""

    epsilon: float
    exact: float  # ⟨P, C⟩ of the best plan, by POT's network simplex
    moved: float  # ⟨P, C⟩ of the plan at this temperature
    raw: float  # OT_ε
    debiased: float  # S_ε


class Error(NamedTuple):
    """How far float32 and few sweeps are from convergence in float64, the worst of the pairs."""

    iterations: int  # after the descent
    value: float  # relative
    gradient: float  # relative, by length
    cosine: float  # of the gradients, 1 if they point the same way
    marginal: float  # mass of the plan in the wrong place, from 0 to 4


def example_tokens(
    pairs: int, tokens: int, width: int, noise: float | None, seed: int = 0
) -> tuple[Float[Tensor, "P Q D"], Float[Tensor, "P Q D"]]:
    """Draw tokens of unit length in float64.

    Args:
        pairs: P.
        tokens: Q.
        width: D.
        noise: Strength, beside that of x, of the noise that makes y; None draws y by itself.
        seed: Of the draw.
    """
    generator = torch.Generator().manual_seed(seed)
    x, drawn = torch.randn(2, pairs, tokens, width, generator=generator, dtype=torch.float64)
    y = drawn if noise is None else x + noise * drawn
    return F.normalize(x, dim=-1), F.normalize(y, dim=-1)


def exact_transport(cost: Float[Tensor, "P n m"]) -> Float[Tensor, " P"]:
    """Cost of the best plan between uniform weights, by POT's network simplex."""
    import ot  # takes a second, and nothing else needs it

    n, m = cost.shape[1:]
    a, b = np.full(n, 1 / n), np.full(m, 1 / m)
    return torch.tensor([ot.emd2(a, b, one) for one in cost.double().cpu().numpy()])


def biases(
    x: Float[Tensor, "P Q D"], y: Float[Tensor, "P Q D"], epsilons: Sequence[float]
) -> list[Bias]:
    """Tell for each temperature how far it is from exact transport; tokens of unit length."""
    cost = pairwise_cost(x, y, "cosine")
    exact = exact_transport(cost).mean().item()
    rows = []
    for epsilon in epsilons:
        solved = SinkhornDivergence(epsilon, **CONVERGED).transport(x, y)
        moved = (solved.plan * cost).sum(dim=(1, 2)).mean().item()
        debiased = SinkhornDivergence(epsilon, **CONVERGED)(x, y).mean().item()
        rows.append(Bias(epsilon, exact, moved, solved.value.mean().item(), debiased))
    return rows


def errors(
    x: Float[Tensor, "P Q D"],
    y: Float[Tensor, "P Q D"],
    settings: dict[str, Any],
    iterations: Sequence[int],
) -> list[Error]:
    """Tell for several numbers of sweeps how far they are from convergence.

    Args:
        x: Tokens in float64.
        y: Likewise.
        settings: Arguments of `SinkhornDivergence`.
        iterations: Sweeps after the descent.
    """
    expected, slope = with_gradient(SinkhornDivergence(**(settings | CONVERGED)), x, y)
    rows = []
    for count in iterations:
        divergence = SinkhornDivergence(**(settings | {"iterations": count, "tolerance": None}))
        found, gradient = with_gradient(divergence, x.float(), y.float())
        gradient = gradient.double()
        apart = (gradient - slope).flatten(1).norm(dim=1) / slope.flatten(1).norm(dim=1)
        cosine = F.cosine_similarity(gradient.flatten(1), slope.flatten(1), dim=1)
        marginal = divergence.transport(x.float(), y.float()).marginal_error
        value = ((found.double() - expected) / expected).abs()
        worst = (value.max(), apart.max(), cosine.min(), marginal.max())
        rows.append(Error(count, *(one.item() for one in worst)))
    return rows


def with_gradient(
    divergence: SinkhornDivergence, x: Float[Tensor, "P Q D"], y: Float[Tensor, "P Q D"]
) -> tuple[Float[Tensor, " P"], Float[Tensor, "P Q D"]]:
    """Values, and their gradient in x."""
    x = x.clone().requires_grad_()
    values = divergence(x, y)
    (gradient,) = torch.autograd.grad(values.sum(), x)
    return values.detach(), gradient


def gradient_error(
    x: Float[Tensor, "P Q D"],
    y: Float[Tensor, "P Q D"],
    settings: dict[str, Any],
    directions: int = 5,
) -> float:
    """Largest difference of the gradient from central differences, beside its length.

    Args:
        x: Tokens in float64.
        y: Likewise.
        settings: Arguments of `SinkhornDivergence`, which is solved to convergence.
        directions: Random directions to go along.
    """
    divergence = SinkhornDivergence(**(settings | CONVERGED))
    _, gradient = with_gradient(divergence, x, y)
    generator = torch.Generator().manual_seed(0)
    worst = 0.0
    for _ in range(directions):
        along = torch.randn(x.shape, generator=generator, dtype=torch.float64).to(x.device)
        along = along / along.flatten(1).norm(dim=1)[:, None, None]
        ahead, behind = divergence(x + STEP * along, y), divergence(x - STEP * along, y)
        slope = (ahead - behind) / (2 * STEP)
        apart = ((gradient * along).sum(dim=(1, 2)) - slope).abs()
        worst = max(worst, (apart / gradient.flatten(1).norm(dim=1)).max().item())
    return worst


def milliseconds(
    x: Float[Tensor, "P Q D"],
    y: Float[Tensor, "P Q D"],
    settings: dict[str, Any],
    repeats: int = 20,
) -> float:
    """Median time of forward and backward in float32, on the device of the tokens."""
    divergence, x, y = SinkhornDivergence(**settings), x.float(), y.float()
    times = []
    for _ in range(repeats + 1):
        start = time.perf_counter()
        _, gradient = with_gradient(divergence, x, y)
        gradient.sum().item()  # waits for an accelerator
        times.append(time.perf_counter() - start)
    return 1e3 * median(times[1:])  # the first also makes the library ready
