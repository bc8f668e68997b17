"""Time the Sinkhorn divergence against geomloss and POT on the paper's shapes, in one run.

`python -m recipes.benchmarks.solver` (geomloss comes with the `dev` extra). Every solver starts
from the same raw tokens, scales them to unit length, and goes forward and backward.
"""

import argparse
import time
import warnings
from collections.abc import Callable
from statistics import median

import geomloss
import ot
import torch
from torch import Tensor
from torch.nn import functional as F

from speechalign.alignment.divergence import SinkhornDivergence

EPSILON = 0.0025
POT_SWEEPS = 10  # as many as the descent of geomloss has


def geomloss_divergence(x: Tensor, y: Tensor) -> Tensor:
    """Call geomloss as the paper's development code does."""
    loss = geomloss.SamplesLoss("sinkhorn", p=2, blur=EPSILON**0.5)
    return loss(F.normalize(x, dim=-1), F.normalize(y, dim=-1))


def pot_loop(x: Tensor, y: Tensor) -> Tensor:
    """Solve three problems a pair with POT, at a fixed temperature."""

    def transport(u: Tensor, v: Tensor) -> Tensor:
        options = {"max_iter": POT_SWEEPS, "tol": 0, "grad": "envelope"}
        return ot.solve(0.5 * ot.dist(u, v), reg=EPSILON, reg_type="KL", **options).value

    def divergence(u: Tensor, v: Tensor) -> Tensor:
        return transport(u, v) - 0.5 * transport(u, u) - 0.5 * transport(v, v)

    pairs = zip(F.normalize(x, dim=-1), F.normalize(y, dim=-1), strict=True)
    with warnings.catch_warnings():  # POT says that it did not converge; nor do the others
        warnings.simplefilter("ignore", UserWarning)
        return torch.stack([divergence(u, v) for u, v in pairs])


def seconds(loss: Callable[[Tensor, Tensor], Tensor], x: Tensor, y: Tensor) -> float:
    """Time one forward and backward pass."""
    x, y = x.clone().requires_grad_(), y.clone().requires_grad_()
    finish(x)
    start = time.perf_counter()
    loss(x, y).mean().backward()
    finish(x)
    return time.perf_counter() - start


def finish(tensor: Tensor) -> None:
    """Wait for the accelerator, if there is one."""
    if tensor.is_cuda:
        torch.cuda.synchronize()


def compare(x: Tensor, y: Tensor, repeats: int) -> None:
    """Print one line per solver: time, ratio to ours, value, and agreement with convergence.

    The solvers take turns, so that a busy machine slows all of them alike.
    """
    solvers = {
        "speechalign": SinkhornDivergence(EPSILON),
        "speechalign, 50 more": SinkhornDivergence(EPSILON, iterations=50),
        "geomloss": geomloss_divergence,
        "POT, one by one": pot_loop,
    }
    rounds = [{name: seconds(loss, x, y) for name, loss in solvers.items()} for _ in range(repeats)]
    times = {name: median(one[name] for one in rounds[1:]) for name in solvers}
    exact = gradient(SinkhornDivergence(EPSILON, iterations=1000, tolerance=0.0), x, y)
    print(f"{'solver':<22}{'ms':>8}{'ratio':>8}{'value':>10}{'cosine':>9}")
    for name, loss in solvers.items():
        cosine = F.cosine_similarity(gradient(loss, x, y), exact, dim=0)
        ratio = times[name] / times["speechalign"]
        value = loss(x, y).mean()
        print(f"{name:<22}{times[name] * 1e3:>8.1f}{ratio:>8.2f}{value:>10.5f}{cosine:>9.5f}")


def gradient(loss: Callable[[Tensor, Tensor], Tensor], x: Tensor, y: Tensor) -> Tensor:
    """Return the gradient in x as one vector."""
    x = x.clone().requires_grad_()
    return torch.autograd.grad(loss(x, y).mean(), x)[0].flatten()


def main() -> None:
    """Read the options and compare on related and on independent tokens."""
    parser = argparse.ArgumentParser(description="Time the Sinkhorn divergence and its peers.")
    parser.add_argument("--pairs", type=int, default=8)
    parser.add_argument("--tokens", type=int, default=80)
    parser.add_argument("--width", type=int, default=768)
    parser.add_argument("--repeats", type=int, default=21, help="the first is not counted")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--device", default="cpu")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    shape = (options.pairs, options.tokens, options.width)
    x, noise = torch.randn(shape).to(options.device), torch.randn(shape).to(options.device)
    print(f"{shape[0]} pairs of {shape[1]} x {shape[2]} tokens, forward and backward,")
    print(
        f"median of {options.repeats - 1} rounds on {options.device}, {options.threads} thread(s)."
    )
    print("cosine: of the gradient to that of 1000 sweeps.\n\nRelated tokens (y = x + 0.3 noise):")
    compare(x, x + 0.3 * noise, options.repeats)
    print("\nIndependent tokens:")
    compare(x, noise, options.repeats)


if __name__ == "__main__":
    main()
