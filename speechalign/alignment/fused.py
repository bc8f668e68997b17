"""The Sinkhorn divergence and its gradient in one step of autograd: seven products of tokens.

By the envelope theorem the gradient of OT_ε in the cost is the plan, and for the costs here

    d⟨M, C(x, y)⟩ / dx_i = own_i x_i + Σ_j cross_ij y_j,

so that the gradient of S = OT_ε(x, y) - ½ OT_ε(x, x) - ½ OT_ε(y, y) is, on either side, one small
matrix times x and one times y. Tokens are read as they are: their lengths enter the small matrices,
and neither unit tokens nor their gradients are ever written.
"""

from typing import Any, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor
from torch.autograd.function import once_differentiable

from speechalign.alignment.cost import CostKind, farthest, pairwise_cost, positional, sizes
from speechalign.alignment.scaling import solve, solve_self
from speechalign.alignment.solver import Solver


class Setting(NamedTuple):
    """What is compared and how it is solved."""

    solver: Solver
    cost: CostKind
    debias: bool
    position: float


class Side(NamedTuple):
    """Tokens of P sequences, with their sizes and weights."""

    tokens: Float[Tensor, "P n D"]
    sizes: Float[Tensor, "P n"]
    weights: Float[Tensor, "P n"]


class Half(NamedTuple):
    """One side's share of a value: ⟨weights, price⟩, and how it pulls at this side's tokens."""

    price: Float[Tensor, "P n"]
    own: Float[Tensor, "P n"]
    cross: Float[Tensor, "P n m"]


class FusedDivergence(torch.autograd.Function):
    """Values of P pairs; differentiable once, in tokens and weights."""

    @staticmethod
    def forward(
        ctx: Any,
        x: Float[Tensor, "P n D"],
        y: Float[Tensor, "P m D"],
        a: Float[Tensor, "P n"],
        b: Float[Tensor, "P m"],
        setting: Setting,
    ) -> Float[Tensor, " P"]:
        """Solve the three problems and keep, per side, the two matrices of its gradient."""
        one = Side(x, sizes(x, setting.cost), a)
        other = Side(y, sizes(y, setting.cost), b)
        halves = between(one, other, setting)
        inner, prices = [], []
        for half, side in zip(halves, (one, other), strict=True):
            if setting.debias:
                own = within(side, setting)
                inner.append(own.cross.neg_())
                inner[-1].diagonal(dim1=1, dim2=2).add_(half.own - own.own)
                prices.append(half.price - own.price)
            else:
                inner.append(half.own.unsqueeze(2))  # its diagonal
                prices.append(half.price)
        ctx.save_for_backward(x, y, halves[0].cross, halves[1].cross, *inner, *prices)
        ctx.slope, ctx.debias = setting.solver.slope(), setting.debias
        return (a * prices[0]).sum(dim=1) + (b * prices[1]).sum(dim=1)

    @staticmethod
    @once_differentiable
    def backward(  # pyright: ignore[reportIncompatibleMethodOverride]
        ctx: Any, *grads: Float[Tensor, " P"]
    ) -> tuple[Tensor | None, ...]:
        """Multiply, for the sides that ask for it."""
        x, y, x_cross, y_cross, x_inner, y_inner, f, g = ctx.saved_tensors
        scale = grads[0].reshape(-1, 1, 1)
        wanted = ctx.needs_input_grad

        def pull(inner: Tensor, own: Tensor, cross: Tensor, other: Tensor) -> Tensor:
            outer = torch.bmm(scale * cross, other)
            inner = scale * inner
            return outer.baddbmm_(inner, own) if ctx.debias else outer.addcmul_(inner, own)

        with torch.autocast(x.device.type, enabled=False):
            return (
                pull(x_inner, x, x_cross, y) if wanted[0] else None,
                pull(y_inner, y, y_cross, x) if wanted[1] else None,
                scale.squeeze(2) * ctx.slope * f if wanted[2] else None,
                scale.squeeze(2) * ctx.slope * g if wanted[3] else None,
                None,
            )


def between(one: Side, other: Side, setting: Setting) -> tuple[Half, Half]:
    """Solve the problem of two sides. Each side's plan has this side's marginal exact."""
    sizes = one.sizes, other.sizes
    cost = pairwise_cost(one.tokens, other.tokens, setting.cost, sizes)
    price = setting.solver.price
    solution = solve(_placed(cost, one, other, setting), one.weights, other.weights, setting.solver)
    x_pull = _derivative(solution.rows, cost, sizes, setting.cost)
    y_pull = _derivative(solution.columns.mT, cost.mT, (other.sizes, one.sizes), setting.cost)
    return Half(price(solution.f), *x_pull), Half(price(solution.g), *y_pull)


def within(side: Side, setting: Setting) -> Half:
    """Solve half the problem of a side and itself."""
    sizes = side.sizes, side.sizes
    cost = pairwise_cost(side.tokens, side.tokens, setting.cost, sizes)
    solution = solve_self(_placed(cost, side, side, setting), side.weights, setting.solver)
    price = 0.5 * (setting.solver.price(solution.f) + setting.solver.price(solution.g))
    return Half(price, *_derivative(solution.rows, cost, sizes, setting.cost))


def _placed(
    cost: Float[Tensor, "P n m"], one: Side, other: Side, setting: Setting
) -> Float[Tensor, "P n m"]:
    """Add what the distance of places costs; it has no gradient."""
    if not setting.position:
        return cost
    return cost + positional(one.weights, other.weights, setting.position)


def _derivative(
    plan: Float[Tensor, "P n m"],
    cost: Float[Tensor, "P n m"],
    sizes: tuple[Float[Tensor, "P n"], Float[Tensor, "P m"]],
    kind: CostKind,
) -> tuple[Float[Tensor, "P n"], Float[Tensor, "P n m"]]:
    """Return `own` and `cross` of ⟨plan, C(x, y)⟩ in x."""
    if kind == "half_squared_euclidean":
        return plan.sum(dim=2), -plan
    own = (plan * (farthest(*sizes) - cost)).sum(dim=2) * sizes[0].square()
    return own, plan * (-sizes[0].unsqueeze(2) * sizes[1].unsqueeze(1))
