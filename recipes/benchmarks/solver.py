"""Time the Sinkhorn divergence against geomloss and POT on the paper's shapes, in one run.

`python -m recipes.benchmarks.solver` (geomloss comes with the `dev` extra). Every solver starts
from the same raw tokens, scales them to unit length, and goes forward and backward. `--grid`
times ours alone, over pairs, tokens and layers.
"""

import argparse
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import torch
from torch import Tensor

from recipes.benchmarks.peers import EPSILON, geomloss_loop, geomloss_once, pot_loop, pot_once
from speechalign.alignment.divergence import SinkhornDivergence

Loss = Callable[[Tensor, Tensor], Tensor]
EXACT = {"cooling": 0.5, "iterations": 3000, "tolerance": 1e-8}

DEBIASED: dict[str, Loss] = {
    "speechalign": SinkhornDivergence(EPSILON),
    "speechalign, 50 sweeps": SinkhornDivergence(EPSILON, iterations=50),
    "geomloss": geomloss_once(),
    "geomloss, one by one": geomloss_loop(),
    "geomloss, scaling 0.95": geomloss_once(scaling=0.95),
}
RAW: dict[str, Loss] = {
    "speechalign": SinkhornDivergence(EPSILON, debias=False),
    "geomloss": geomloss_once(debias=False),
    "POT, 10 sweeps": pot_once(10),
    "POT, 50 sweeps": pot_once(50),
    "POT, one by one": pot_loop(10),
}


def seconds(loss: Loss, x: Tensor, y: Tensor) -> float:
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


def compare(losses: dict[str, Loss], exact: Loss, x: Tensor, y: Tensor, repeats: int) -> None:
    """Print one line per solver: time, ratio to the first, and errors.

    The solvers take turns, so that a busy machine slows all of them alike; the ratio is the
    median of those of the rounds. Errors are relative to a converged solution in float64.
    """
    first = next(iter(losses))
    rounds = [{name: seconds(loss, x, y) for name, loss in losses.items()} for _ in range(repeats)]
    truth = result(exact, x.double(), y.double())
    print(f"{'solver':<24}{'ms':>8}{'ratio':>8}{'value off':>12}{'gradient off':>14}{'cosine':>9}")
    for name, loss in losses.items():
        ms = 1e3 * median(one[name] for one in rounds[1:])
        ratio = median(one[name] / one[first] for one in rounds[1:])
        value, gradient = (off.double() for off in result(loss, x, y))
        errors = [
            ((one - other).norm() / other.norm()).item()
            for one, other in zip((value, gradient), truth, strict=True)
        ]
        cosine = torch.cosine_similarity(gradient, truth[1], dim=0)
        print(
            f"{name:<24}{ms:>8.1f}{ratio:>8.2f}{errors[0]:>12.1e}{errors[1]:>14.1e}{cosine:>9.5f}"
        )


def result(loss: Loss, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """Return the values and the gradient in x and y as one vector."""
    x, y = x.clone().requires_grad_(), y.clone().requires_grad_()
    values = loss(x, y)
    gradients = torch.autograd.grad(values.sum(), (x, y))
    return values.detach(), torch.cat([one.flatten() for one in gradients])


def measure_grid(width: int, repeats: int, device: str) -> dict[str, dict[int, float]]:
    """Print and return ms over pairs, tokens and layers, each varied from 16 pairs of 80."""
    axes = {
        "pairs": {k: (1, k, 80) for k in (1, 4, 16, 64)},
        "tokens": {k: (1, 16, k) for k in (20, 40, 80, 160, 320)},
        "layers": {k: (k, 16, 80) for k in (1, 2, 4, 8)},
    }
    loss, grid = SinkhornDivergence(EPSILON), {}
    for axis, shapes in axes.items():
        grid[axis] = {}
        for k, shape in shapes.items():
            x, y = torch.randn(2, *shape, width, device=device)
            grid[axis][k] = 1e3 * median([seconds(loss, x, y) for _ in range(repeats)][1:])
        cells = "".join(f"{k:>6}: {ms:>7.1f}" for k, ms in grid[axis].items())
        print(f"{axis:<8}{cells} ms")
    return grid


def draw(grid: dict[str, dict[int, float]], path: Path) -> None:
    """Draw the grid, one panel an axis."""
    from matplotlib import pyplot

    figure, panels = pyplot.subplots(1, len(grid), figsize=(10, 3), sharey=True)
    for panel, (axis, cells) in zip(panels, grid.items(), strict=True):
        panel.loglog(list(cells), list(cells.values()), marker="o")
        panel.set_xticks(list(cells), [str(k) for k in cells])
        panel.minorticks_off()
        panel.set_xlabel(axis)
    panels[0].set_ylabel("ms, forward and backward")
    figure.tight_layout()
    figure.savefig(path)
    pyplot.close(figure)


def parse() -> argparse.Namespace:
    """Read the options."""
    parser = argparse.ArgumentParser(description="Time the Sinkhorn divergence and its peers.")
    parser.add_argument("--pairs", type=int, default=32)
    parser.add_argument("--tokens", type=int, default=80)
    parser.add_argument("--width", type=int, default=768)
    parser.add_argument("--repeats", type=int, default=11, help="the first is not counted")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--grid", action="store_true", help="time over pairs, tokens and layers")
    parser.add_argument("--plot", type=Path, help="draw the grid into this file, as a PNG")
    return parser.parse_args()


def main() -> None:
    """Compare on independent and on related tokens, or time the grid."""
    options = parse()
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    where = f"{options.repeats - 1} rounds on {options.device}, {options.threads} thread(s)"
    if options.grid or options.plot:
        print(f"Forward and backward, width {options.width}, median of {where}.")
        grid = measure_grid(options.width, options.repeats, options.device)
        if options.plot:
            draw(grid, options.plot)
        return
    shape = (options.pairs, options.tokens, options.width)
    x, noise = torch.randn(shape).to(options.device), torch.randn(shape).to(options.device)
    print(f"{shape[0]} pairs of {shape[1]} x {shape[2]} tokens, forward and backward,")
    print(f"median of {where}.")
    for kind, y in (("Independent", noise), ("Related (y = x + 0.3 noise)", x + 0.3 * noise)):
        for name, losses in (("debiased divergence", DEBIASED), ("raw transport", RAW)):
            print(f"\n{kind} tokens, {name}:")
            exact = SinkhornDivergence(EPSILON, debias=losses is DEBIASED, **EXACT)
            compare(losses, exact, x, y, options.repeats)


if __name__ == "__main__":
    main()
