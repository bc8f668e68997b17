"""Entropic optimal transport: batched log-domain Sinkhorn with gradients by the envelope theorem.

For costs C, weights a and b, and a temperature ε, in units of the cost, it solves

    OT_ε(a, b) = min_P ⟨P, C⟩ + ε KL(P ‖ a ⊗ b)  over P ≥ 0 with P 1 = a, Pᵀ 1 = b
               = max_{f, g} ⟨a, f⟩ + ⟨b, g⟩      with f_i = softmin_j(C_ij - g_j), and g likewise,

where softmin_j(z_j) = -ε log Σ_j b_j exp(-z_j / ε) (Cuturi 2013, arXiv:1306.0895). The
temperature may descend to ε from the square of the diameter by factors of four, with averaged
updates of f and g (Schmitzer 2019, arXiv:1610.06519; Feydy et al. 2019, arXiv:1810.08278): the
schedule of geomloss, hence of the paper's development code. No sweep is differentiated: at the
optimum dOT/dC = P, so that memory does not grow with the number of sweeps.
"""

from dataclasses import dataclass
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from speechalign.alignment.cost import promote
from speechalign.errors import UserError

COOLING = 0.25  # of the temperature per sweep: the blur of geomloss (its square root) halves
CHECK_EVERY = 10  # sweeps between two looks at the error, each of which waits for the device

# exp(-50) = 2e-22 is lost beside the largest term of a sum, which is 1, in float64 too. What is
# smaller is cut off: its products would be denormal numbers, which slow processors tenfold.
NEGLIGIBLE = -50.0


@dataclass(frozen=True)
class Solver:
    """How a transport problem is solved.

    Attributes:
        epsilon: The temperature ε of the problem, in units of the cost.
        start: First temperature of the descent to ε, usually the squared diameter of the tokens;
            None: no descent.
        iterations: Most sweeps at ε after the descent; the development code makes none.
        tolerance: Marginal error (L1) of the worst problem of the batch that ends these sweeps;
            at ε = 0.0025 and costs near 1, float32 reaches 1e-5.

    Raises:
        UserError: If a number is out of range, or neither a descent nor sweeps are asked for.
    """

    epsilon: float = 0.0025
    start: float | None = 4.0
    iterations: int = 0
    tolerance: float = 1e-4

    def __post_init__(self):
        if self.epsilon <= 0:
            raise UserError(f"epsilon is {self.epsilon}, but must be above 0.")
        if self.iterations < 0 or self.tolerance < 0:
            raise UserError(
                f"iterations ({self.iterations}) and tolerance ({self.tolerance}) must not be "
                "negative."
            )
        if self.start is None and self.iterations == 0:
            raise UserError("Without annealing nothing is solved in 0 iterations: set iterations.")

    def temperatures(self) -> list[float]:
        """List the temperatures of the descent as geomloss does: the first counts twice."""
        if self.start is None:
            return []
        temperature, descent = self.start, [self.start]
        while temperature > self.epsilon:
            descent.append(temperature)
            temperature *= COOLING
        return [*descent, self.epsilon]


class Transport(NamedTuple):
    """Solutions of P problems between n and m tokens."""

    value: Float[Tensor, " P"]  # OT_ε, differentiable in the cost and in the weights
    plan: Float[Tensor, "P n m"]  # without gradient, as all that follows
    f: Float[Tensor, "P n"]
    g: Float[Tensor, "P m"]
    marginal_error: Float[Tensor, " P"]
    iterations: int  # sweeps made, those of the descent included


class HalfSolution(NamedTuple):
    """Solutions of K x P half problems (see `solve_halves`)."""

    potentials: Float[Tensor, "K P n"]
    plans: Float[Tensor, "K P n n"]  # rows sum to the weights exactly
    iterations: int


def sinkhorn(
    cost: Float[Tensor, "P n m"],
    solver: Solver,
    a: Float[Tensor, "P n"] | None = None,
    b: Float[Tensor, "P m"] | None = None,
) -> Transport:
    """Solve P independent problems of entropic transport.

    Args:
        cost: Cost of moving token i to token j; half precision is lifted to float32.
        solver: Temperature, descent and sweeps.
        a: Weights of the n tokens, summing to 1; default: uniform. A token of weight 0 (padding)
            takes no part, and its row of the plan is 0; its cost must be finite.
        b: Weights of the m tokens, likewise.
    """
    cost = promote(cost)
    n, m = cost.shape[1:]
    a = torch.full_like(cost[:, :, 0], 1 / n) if a is None else a.to(cost.dtype)
    b = torch.full_like(cost[:, 0, :], 1 / m) if b is None else b.to(cost.dtype)
    rows, columns = max(m - n, 0), max(n - m, 0)  # of weight 0: they make the problem square
    square = F.pad(cost.detach(), (0, columns, 0, rows))
    half = solve_halves(
        torch.stack([square, square.mT]),
        torch.stack([F.pad(a, (0, rows)), F.pad(b, (0, columns))]),
        (1, 0),
        solver,
    )
    f, g = half.potentials[0, :, :n], half.potentials[1, :, :m]
    plan = (0.5 * (half.plans[0] + half.plans[1].mT))[:, :n, :m]
    value = (a * f).sum(dim=-1) + (b * g).sum(dim=-1) + gradient_only(plan, cost)
    error = marginal_error(plan, a.detach(), b.detach())
    return Transport(value, plan, f, g, error, half.iterations)


def gradient_only(
    plan: Float[Tensor, "*P n m"], cost: Float[Tensor, "*P n m"]
) -> Float[Tensor, "*P"]:
    """Return zeros whose gradient in the cost is the plan: the envelope theorem."""
    energy = (plan * cost).sum(dim=(-2, -1))
    return energy - energy.detach()


def marginal_error(
    plan: Float[Tensor, "P n m"], a: Float[Tensor, "P n"], b: Float[Tensor, "P m"]
) -> Float[Tensor, " P"]:
    """‖P 1 - a‖₁ + ‖Pᵀ 1 - b‖₁: the mass that the plan puts in the wrong place, from 0 to 4."""
    rows = (plan.sum(dim=2) - a).abs().sum(dim=1)
    columns = (plan.sum(dim=1) - b).abs().sum(dim=1)
    return rows + columns


@torch.no_grad()
def solve_halves(
    cost: Float[Tensor, "K P n n"],
    weights: Float[Tensor, "K P n"],
    partner: tuple[int, ...],
    solver: Solver,
) -> HalfSolution:
    """Solve several groups of P problems at once, each given by its halves.

    A half k holds one side's potential; cost[k, p, i, j] is between token i of its own side and
    token j of the other side, which is half `partner[k]`. A problem between x and y is two
    halves that are each other's partner; the symmetric problem between x and x is one half that
    is its own.
    """
    log_weights = weights.log()  # -inf where a token takes no part
    others = _swap(log_weights, partner)
    temperatures = solver.temperatures()
    potentials = _softmin(cost, others, (temperatures or [solver.epsilon])[0])
    for epsilon in temperatures:
        updated = _softmin(cost, others + _swap(potentials, partner) / epsilon, epsilon)
        potentials = 0.5 * (potentials + updated)
    sweeps = 0
    while sweeps < solver.iterations:
        sweeps += 1
        error = _sweep(cost, weights, potentials, partner, solver.epsilon)
        if sweeps % CHECK_EVERY == 0 and error.numel() and error.max() <= solver.tolerance:
            break
    exponents = others + _swap(potentials, partner) / solver.epsilon
    potentials = _softmin(cost, exponents, solver.epsilon)
    rows = log_weights + potentials / solver.epsilon
    log_plans = torch.add(
        rows.unsqueeze(-1) + exponents.unsqueeze(-2), cost, alpha=-1 / solver.epsilon
    )
    plans = log_plans.masked_fill_(log_plans < NEGLIGIBLE, -torch.inf).exp_()
    return HalfSolution(potentials, plans, len(temperatures) + sweeps)


def _swap(halves: Float[Tensor, "K P n"], partner: tuple[int, ...]) -> Float[Tensor, "K P n"]:
    """Put each half's partner in its place (an index tensor would have to reach the device)."""
    return torch.stack([halves[k] for k in partner])


def _softmin(
    cost: Float[Tensor, "*K n m"], exponents: Float[Tensor, "*K m"], epsilon: float
) -> Float[Tensor, "*K n"]:
    """-ε log Σ_j exp(h_j - C_ij / ε), where h = log b + g / ε."""
    terms = torch.add(exponents.unsqueeze(-2), cost, alpha=-1 / epsilon)
    peak = terms.amax(dim=-1, keepdim=True)
    sums = terms.sub_(peak).clamp_(min=NEGLIGIBLE).exp_().sum(dim=-1)
    return -epsilon * (sums.log_() + peak.squeeze(-1))


def _sweep(
    cost: Float[Tensor, "K P n n"],
    weights: Float[Tensor, "K P n"],
    potentials: Float[Tensor, "K P n"],
    partner: tuple[int, ...],
    epsilon: float,
) -> Float[Tensor, "K P"]:
    """Update each half of `potentials` in place and return the marginal errors before it.

    Two sides take turns, which converges faster than an average; a half that is its own partner
    needs the average, without which it oscillates (Feydy et al. 2019, section 3.1).
    """
    errors = []
    for k, other in enumerate(partner):
        exponents = weights[other].log() + potentials[other] / epsilon
        updated = _softmin(cost[k], exponents, epsilon)
        marginals = torch.exp(weights[k].log() + (potentials[k] - updated) / epsilon)
        errors.append((marginals - weights[k]).abs().sum(dim=-1))
        potentials[k] = 0.5 * (potentials[k] + updated) if other == k else updated
    return torch.stack(errors)
