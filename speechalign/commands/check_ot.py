"""`speechalign check-ot`: a certificate of the transport solver, as tables to paste."""

from collections.abc import Sequence
from importlib.metadata import version
from typing import Any

from speechalign.commands.parsing import run
from speechalign.errors import UserError

EPSILONS = (0.1, 0.05, 0.02, 0.01, 0.005, 0.0025)
SWEEPS = (0, 5, 10, 50, 200)
BIASES = ("ε", "exact transport", "⟨P, C⟩", "raw OT_ε", "debiased S_ε")
ERRORS = ("sweeps after the descent", "value", "gradient", "cosine of gradients", "marginal error")
NOISE = 0.3  # of related tokens, beside the tokens themselves


def main(verb: str, arguments: list[str]) -> None:
    """Run the command line."""
    run(check_ot, verb, arguments)


def check_ot(
    epsilon: float = 0.0025,
    pairs: int = 8,
    tokens: int = 80,
    width: int = 768,
    device: str = "cpu",
    seed: int = 0,
) -> None:
    """Check the transport solver of training against exact transport, float64 and differences.

    Prints Markdown tables: what the temperature adds to exact transport (POT), how far float32 and
    few sweeps are from convergence in float64, the gradient against finite differences, and the
    time per batch on this machine. Tokens are drawn at random: related ones, as of a pair after
    training, and independent ones, as before it.

    Args:
        epsilon: Temperature of training.
        pairs: Pairs in a batch.
        tokens: Tokens of each side.
        width: Width of a token.
        device: Where to compute, e.g. `cpu` or `cuda`.
        seed: Of the tokens.
    """
    for name, value in (
        ("epsilon", epsilon),
        ("pairs", pairs),
        ("tokens", tokens),
        ("width", width),
    ):
        if not value > 0:
            raise UserError(f"--{name} is {value}: give a number above 0.")
    from speechalign.alignment import certificate  # --help does not wait for torch
    from speechalign.alignment.divergence import SinkhornDivergence
    from speechalign.models.device import on_device

    settings = {"epsilon": epsilon}
    descends = bool(SinkhornDivergence(epsilon).solver.temperatures())
    sweeps = SWEEPS if descends else SWEEPS[1:]  # without either nothing would be solved
    versions = ", ".join(f"{name} {version(name)}" for name in ("speechalign", "torch", "POT"))
    print(f"{pairs} pairs of {tokens} x {width} tokens, ε = {epsilon:g}, {device}, {versions}.")
    for name, noise in (("Related", NOISE), ("Independent", None)):
        drawn = certificate.example_tokens(pairs, tokens, width, noise, seed)
        x, y = (on_device(one, device) for one in drawn)
        print(f"\n## {name} tokens{'' if noise is None else f' (y = x + {noise} noise)'}\n")
        epsilons = sorted({*EPSILONS, epsilon}, reverse=True)
        print(table(BIASES, certificate.biases(x, y, epsilons)))
        print(table(ERRORS, certificate.errors(x, y, settings, sweeps)))
        print(f"Training makes {SinkhornDivergence().solver.iterations} sweeps at ε.\n")
        difference = certificate.gradient_error(x[:1], y[:1], settings)
        print(f"Gradient of a converged pair in float64, off finite differences: {difference:.1e}")
        took = certificate.milliseconds(x, y, settings)
        print(f"Forward and backward in float32, as in training: {took:.1f} ms a batch")


def table(head: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    """Write a Markdown table with a line for each row, and an empty one below."""
    lines = ["| " + " | ".join(head) + " |", "|---" * len(head) + "|"]
    lines += ["| " + " | ".join(f"{cell:.5g}" for cell in row) + " |" for row in rows]
    return "\n".join([*lines, ""])
