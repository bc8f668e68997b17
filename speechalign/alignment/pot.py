"""POT's solvers behind this package's interface: they find the potentials, the rest is shared."""

import warnings
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from speechalign.alignment.solver import Solver

TIGHT = 1e-9  # tolerance, if none is set


def potentials_by_pot(
    cost: Float[Tensor, "P n m"],
    a: Float[Tensor, "P n"],
    b: Float[Tensor, "P m"],
    solver: Solver,
) -> tuple[Float[Tensor, "P n"], Float[Tensor, "P m"]]:
    """Solve P problems with POT at ε, without a descent: f and g of at most `iterations` sweeps.

    If all mass is moved, all pairs at once; that they did not converge, of which POT warns, the
    marginal error says too. Else pair by pair, and POT's warnings are passed on: where ε is below
    a hundredth of the largest cost, its stabilised solver may answer with numbers far off.
    """
    if not len(cost):
        return torch.zeros_like(a), torch.zeros_like(b)
    with warnings.catch_warnings():
        if solver.reach is None:
            warnings.simplefilter("ignore", UserWarning)
            scalings = _balanced(cost, a, b, solver)
        else:
            scalings = _unbalanced(cost, a, b, solver)
    f, g = (
        torch.where(weights > 0, solver.epsilon * logs, 0)
        for weights, logs in zip((a, b), scalings, strict=True)
    )
    return f, g


def _balanced(
    cost: Float[Tensor, "P n m"],
    a: Float[Tensor, "P n"],
    b: Float[Tensor, "P m"],
    solver: Solver,
) -> tuple[Float[Tensor, "P n"], Float[Tensor, "P m"]]:
    """Return the logarithms of the scalings of a and of b."""
    from ot.batch import solve_batch

    limits = {"max_iter": solver.iterations, "tol": solver.tolerance or TIGHT}
    solved: Any = solve_batch(
        cost, solver.epsilon, a, b, method="log_sinkhorn", grad="detach", **limits
    )
    return solved.potentials[0] - a.log(), solved.potentials[1] - b.log()


def _unbalanced(
    cost: Float[Tensor, "P n m"],
    a: Float[Tensor, "P n"],
    b: Float[Tensor, "P m"],
    solver: Solver,
) -> tuple[Float[Tensor, "P n"], Float[Tensor, "P m"]]:
    """Return the logarithms of the scalings of a and of b."""
    from ot.unbalanced import sinkhorn_unbalanced

    force = (solver.reach or 0.0) ** 2
    limits = {"numItermax": solver.iterations, "stopThr": solver.tolerance or TIGHT}
    setting: dict[str, Any] = {"method": "sinkhorn_stabilized", "reg_type": "kl", **limits}
    logs = [
        sinkhorn_unbalanced(a[p], b[p], cost[p], solver.epsilon, force, log=True, **setting)[1]
        for p in range(len(cost))
    ]
    return torch.stack([log["logu"] for log in logs]), torch.stack([log["logv"] for log in logs])
