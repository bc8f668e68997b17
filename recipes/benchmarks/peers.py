"""The transport of geomloss and of POT as losses of raw tokens, for the solver's benchmark."""

import warnings
from collections.abc import Callable
from typing import Any

import geomloss
import ot
import torch
from ot.batch import solve_batch
from torch import Tensor
from torch.nn import functional as F

EPSILON = 0.0025


def geomloss_once(**options: Any) -> Callable[[Tensor, Tensor], Tensor]:
    """All pairs in one call, with the settings of the paper's development code."""
    loss = geomloss.SamplesLoss("sinkhorn", p=2, blur=EPSILON**0.5, **options)
    return lambda x, y: loss(F.normalize(x, dim=-1), F.normalize(y, dim=-1))


def geomloss_loop(**options: Any) -> Callable[[Tensor, Tensor], Tensor]:
    """One call a pair, as the development code does."""
    loss = geomloss_once(**options)
    return lambda x, y: torch.stack([loss(u, v) for u, v in zip(x, y, strict=True)])


def pot_once(sweeps: int) -> Callable[[Tensor, Tensor], Tensor]:
    """Raw transport of all pairs in one call, at a fixed temperature."""

    def loss(x: Tensor, y: Tensor) -> Tensor:
        cost = 1 - torch.bmm(F.normalize(x, dim=-1), F.normalize(y, dim=-1).mT)
        options = {"max_iter": sweeps, "tol": 0, "reg_type": "kl", "method": "log_sinkhorn"}
        solved: Any = solve_batch(cost, EPSILON, grad="envelope", **options)
        return solved.value

    return loss


def pot_loop(sweeps: int) -> Callable[[Tensor, Tensor], Tensor]:
    """Raw transport, one call a pair, at a fixed temperature."""

    def solve(cost: Tensor) -> Tensor:
        options = {"max_iter": sweeps, "tol": 0, "grad": "envelope"}
        return ot.solve(cost, reg=EPSILON, reg_type="KL", **options).value

    def loss(x: Tensor, y: Tensor) -> Tensor:
        costs = 1 - torch.bmm(F.normalize(x, dim=-1), F.normalize(y, dim=-1).mT)
        with warnings.catch_warnings():  # POT says that it did not converge; nor do the others
            warnings.simplefilter("ignore", UserWarning)
            return torch.stack([solve(cost) for cost in costs])

    return loss
