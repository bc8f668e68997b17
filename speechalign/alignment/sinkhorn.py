"""Entropic optimal transport between tokens whose costs are given, in one batch.

For costs C, weights a and b, and a temperature ε, in units of the cost, it solves

    OT_ε(a, b) = min_P ⟨P, C⟩ + ε KL(P ‖ a ⊗ b)  over P ≥ 0 with P 1 = a, Pᵀ 1 = b
               = max_{f, g} ⟨a, f⟩ + ⟨b, g⟩      with f_i = softmin_j(C_ij - g_j), and g likewise,

where softmin_j(z_j) = -ε log Σ_j b_j exp(-z_j / ε) (Cuturi 2013, arXiv:1306.0895). With `reach`
the marginals may be missed at a price (Chizat et al. 2018, arXiv:1607.05816); with `mass` below 1
a share of the mass stays where it is: an idle token on either side takes it at no cost (Chapel et
al. 2020, arXiv:2002.08276). No sweep is differentiated: at the optimum dOT/dC = P, so that memory
does not grow with the number of sweeps.
"""

from dataclasses import replace
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from speechalign.alignment.cost import promote
from speechalign.alignment.scaling import BLOCK, nearest_cost, solve
from speechalign.alignment.solver import Solver
from speechalign.errors import UserError

IDLE_COST = 3.0  # between the two idle tokens, in units of the largest cost: they stay apart


class Transport(NamedTuple):
    """Solutions of P problems between n and m tokens."""

    value: Float[Tensor, "*P"]  # OT_ε, differentiable in the cost and in the weights
    plan: Float[Tensor, "*P n m"]  # without gradient, as all that follows
    f: Float[Tensor, "*P n"]
    g: Float[Tensor, "*P m"]
    marginal_error: Float[Tensor, "*P"]
    iterations: int  # sweeps made, those of the descent included


def sinkhorn(
    cost: Float[Tensor, "*P n m"],
    solver: Solver,
    a: Float[Tensor, "*P n"] | None = None,
    b: Float[Tensor, "*P m"] | None = None,
    start: tuple[Float[Tensor, "*P n"], Float[Tensor, "*P m"]] | None = None,
) -> Transport:
    """Solve independent problems of entropic transport, as many as the leading axes hold.

    Args:
        cost: Cost of moving token i to token j; half precision is lifted to float32.
        solver: Temperature, descent, sweeps, and variant.
        a: Weights of the n tokens, summing to 1; default: uniform. A token of weight 0 (padding)
            takes no part, and its row of the plan is 0; its cost must be finite.
        b: Weights of the m tokens, likewise.
        start: Potentials f and g of a problem that is near, to begin with in place of a descent.

    Raises:
        UserError: If POT, whose solvers start from nothing, is given potentials.
    """
    if start is not None and solver.backend == "pot":
        raise UserError("POT starts from nothing: leave `start` out, or backend='pot'.")
    batch, (n, m) = cost.shape[:-2], cost.shape[-2:]
    cost = promote(cost).reshape(-1, n, m)
    a = torch.full_like(cost[:, :, 0], 1 / n) if a is None else a.to(cost.dtype).reshape(-1, n)
    b = torch.full_like(cost[:, 0, :], 1 / m) if b is None else b.to(cost.dtype).reshape(-1, m)
    if start is not None:
        start = start[0].to(cost.dtype).reshape(-1, n), start[1].to(cost.dtype).reshape(-1, m)
    transport = _partial if solver.mass < 1 else _full
    with torch.autocast(cost.device.type, enabled=False):
        value, plan, f, g, error, sweeps = transport(cost, solver, a, b, start)
    return Transport(
        value.reshape(batch),
        plan.reshape(*batch, n, m),
        f.reshape(*batch, n),
        g.reshape(*batch, m),
        error.reshape(batch),
        sweeps,
    )


def _full(
    cost: Float[Tensor, "P n m"],
    solver: Solver,
    a: Float[Tensor, "P n"],
    b: Float[Tensor, "P m"],
    start: tuple[Float[Tensor, "P n"], Float[Tensor, "P m"]] | None,
) -> Transport:
    """Move all mass, or what `reach` leaves of it."""
    f, g, rows, columns, sweeps = solve(cost.detach(), a.detach(), b.detach(), solver, start)
    plan = 0.5 * (rows + columns)
    if solver.gradient == "last":
        value = _last_sweep(cost, solver, a, b, g)
    else:
        energy = (plan * cost).sum(dim=(1, 2))
        prices = _with_slope(solver, a, f) + _with_slope(solver, b, g)
        value = prices + energy - energy.detach()
    return Transport(value, plan, f, g, marginal_error(plan, a.detach(), b.detach()), sweeps)


def _with_slope(
    solver: Solver, weights: Float[Tensor, "P n"], potential: Float[Tensor, "P n"]
) -> Float[Tensor, " P"]:
    """One side's share of the value, whose gradient in the weights is that of the optimum."""
    sloped = solver.slope() * (weights - weights.detach()) + weights.detach()
    return (sloped * solver.price(potential)).sum(dim=1)


def _last_sweep(
    cost: Float[Tensor, "P n m"],
    solver: Solver,
    a: Float[Tensor, "P n"],
    b: Float[Tensor, "P m"],
    g: Float[Tensor, "P m"],
) -> Float[Tensor, " P"]:
    """Make f of g and g of f once more, for autograd to see: the dual value of the two."""
    damping = solver.damping(solver.epsilon)
    f = damping * _softmin(cost, b, g, solver.epsilon)
    g = damping * _softmin(cost.mT, a, f, solver.epsilon)
    if solver.reach is None:
        return (a * f).sum(dim=1) + (b * g).sum(dim=1)
    force = solver.reach**2
    made = -force * torch.expm1(-f / force)
    lost = -(force + solver.epsilon) * torch.expm1(-g / force)
    return (a * made).sum(dim=1) + (b * lost).sum(dim=1)


def _softmin(
    cost: Float[Tensor, "P n m"],
    weights: Float[Tensor, "P m"],
    potential: Float[Tensor, "P m"],
    epsilon: float,
) -> Float[Tensor, "P n"]:
    """-ε log Σ_j b_j exp((g_j - C_ij) / ε); finite derivatives also where a weight is 0."""
    logs = torch.where(weights > 0, weights, 1).log().masked_fill(weights == 0, -torch.inf)
    exponents = (potential.unsqueeze(1) - cost) / epsilon + logs.unsqueeze(1)
    return -epsilon * torch.logsumexp(exponents, dim=2)


def _partial(
    cost: Float[Tensor, "P n m"],
    solver: Solver,
    a: Float[Tensor, "P n"],
    b: Float[Tensor, "P m"],
    start: tuple[Float[Tensor, "P n"], Float[Tensor, "P m"]] | None,
) -> Transport:
    """Move a share of the mass; what stays goes to an idle token, at no cost.

    The value is that of the wider problem, which tends to the cost of the cheapest share as ε
    falls. The two idle tokens are kept apart by a cost that no other pair has.
    """
    rest = 1 - solver.mass
    wide = F.pad(cost, (0, 1, 0, 1))
    corner = torch.zeros_like(wide)
    corner[:, -1, -1] = IDLE_COST * cost.detach().abs().amax(dim=(1, 2)) + 50 * solver.epsilon
    # What is dearest to be moved costs both sides half. From 0, or from a higher temperature, which
    # moves other mass, sweeps climb there slowly: those of the descent are made at ε.
    half = 0.5 * _dearest(cost.detach(), a, b, solver.mass)
    f, g = start or (half.expand_as(a), half.expand_as(b))
    if start is None:
        sweeps = solver.iterations + BLOCK * len(solver.temperatures())
        solver = replace(solver, iterations=sweeps)
    guess = torch.cat([f, -half], dim=1), torch.cat([g, -half], dim=1)
    masses = F.pad(a, (0, 1), value=rest), F.pad(b, (0, 1), value=rest)
    solved = _full(wide + corner, solver, *masses, guess)
    f, g, plan = solved.f[:, :-1], solved.g[:, :-1], solved.plan[:, :-1, :-1]
    return Transport(solved.value, plan, f, g, solved.marginal_error, solved.iterations)


def _dearest(
    cost: Float[Tensor, "P n m"], a: Float[Tensor, "P n"], b: Float[Tensor, "P m"], mass: float
) -> Float[Tensor, "P 1"]:
    """Cost up to which tokens of x have a nearest token of y that take up the mass."""
    nearest, order = nearest_cost(cost, b).sort(dim=1)
    reached = a.gather(1, order).cumsum(dim=1) < mass
    return nearest.gather(1, reached.sum(dim=1, keepdim=True).clamp_max(cost.shape[1] - 1))


def marginal_error(
    plan: Float[Tensor, "P n m"], a: Float[Tensor, "P n"], b: Float[Tensor, "P m"]
) -> Float[Tensor, " P"]:
    """‖P 1 - a‖₁ + ‖Pᵀ 1 - b‖₁: the mass that the plan puts in the wrong place, from 0 to 4."""
    rows = (plan.sum(dim=2) - a).abs().sum(dim=1)
    columns = (plan.sum(dim=1) - b).abs().sum(dim=1)
    return rows + columns
