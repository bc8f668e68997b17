"""Random problems of transport and of tokens, and what a loss says of them."""

import torch
from torch import Tensor


def problem(
    pairs: int, n: int, m: int, seed: int, zeros: bool = False
) -> tuple[Tensor, Tensor, Tensor]:
    """Costs in [0, 1] and weights that sum to 1, in float64; on request, some weights are 0."""
    generator = torch.Generator().manual_seed(seed)
    cost = torch.rand(pairs, n, m, generator=generator, dtype=torch.float64)
    a = torch.rand(pairs, n, generator=generator, dtype=torch.float64) + 0.1
    b = torch.rand(pairs, m, generator=generator, dtype=torch.float64) + 0.1
    if zeros:
        a[:, n // 2 + 1 :] = 0
        b[:, : (m - 1) // 2] = 0
    return cost, a / a.sum(dim=1, keepdim=True), b / b.sum(dim=1, keepdim=True)


def tokens(
    pairs: int, n: int, width: int, seed: int = 0, dtype: torch.dtype = torch.float64
) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(pairs, n, width, generator=generator, dtype=torch.float64).to(dtype)


def related(x: Tensor, noise: float | None, seed: int = 1) -> Tensor:
    """Add noise of a relative strength to `x`, or replace it by noise."""
    other = tokens(*x.shape, seed=seed).to(x)
    return other if noise is None else x + noise * other


def with_gradients(loss, x: Tensor, y: Tensor, *weights: Tensor):
    """Return values and both gradients; `weights` are those of x and y."""
    x, y = x.clone().requires_grad_(), y.clone().requires_grad_()
    values = loss(x, y, *weights)
    values.sum().backward()
    return values.detach(), x.grad, y.grad
