"""How a problem of entropic transport is posed and solved: temperature, sweeps, variants."""

import math
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from speechalign.errors import UserError

Gradient = Literal["envelope", "last"]
Backend = Literal["own", "pot"]


@dataclass(frozen=True)
class Solver:
    """How a transport problem is posed and solved.

    Attributes:
        epsilon: The temperature ε of the problem, in units of the cost.
        start: First temperature of the descent to ε, a twentieth of the largest cost or more;
            None: no descent.
        iterations: Sweeps at ε after the descent; the most of them, if there is a tolerance.
        tolerance: Marginal error (L1) of the worst problem of the batch that ends these sweeps;
            at ε = 0.0025 and costs near 1, float32 reaches 1e-4. None: the error is not looked
            at, for which an accelerator would have to wait.
        cooling: Factor from one temperature of the descent to the next, between 0 and 1.
        reach: Distance beyond which mass is rather made and lost than moved; None: all is moved.
            Both marginals are then held by reach² KL(· ‖ weights) in place of exactly, as by
            geomloss for p = 2.
        mass: Share of the mass that is moved, the cheapest; below 1, marginals are bounds.
        gradient: By the envelope theorem, or of the last sweep, which is the same at convergence.
        backend: Who makes the sweeps: this package, or POT, which makes no descent and therefore
            needs hundreds or thousands.
    """

    epsilon: float = 0.0025
    start: float | None = 0.1
    iterations: int = 10
    tolerance: float | None = None
    cooling: float = 0.25
    reach: float | None = None
    mass: float = 1.0
    gradient: Gradient = "envelope"
    backend: Backend = "own"

    def __post_init__(self):
        """Check the numbers.

        Raises:
            UserError: If one is out of range, neither a descent nor sweeps are asked for, or two
                variants exclude each other.
        """
        if not 0 < self.epsilon < math.inf:
            raise UserError(f"epsilon is {self.epsilon}, but must be above 0, and finite.")
        if self.start is not None and not math.isfinite(self.start):
            raise UserError(f"The descent cannot start at {self.start}: give a finite number.")
        if not 0 < self.cooling < 1:
            raise UserError(f"cooling is {self.cooling}, but must lie between 0 and 1.")
        if self.iterations < 0 or (self.tolerance or 0) < 0:
            raise UserError(
                f"iterations ({self.iterations}) and tolerance ({self.tolerance}) must not be "
                "negative."
            )
        if not self.temperatures() and self.iterations == 0:
            raise UserError("Without annealing nothing is solved in 0 iterations: set iterations.")
        self._check_variants()

    def _check_variants(self) -> None:
        if self.reach is not None and not 0 < self.reach < math.inf:
            raise UserError(
                f"reach is {self.reach}, but must be above 0 and finite, or None to move all."
            )
        if not 0 < self.mass <= 1:
            raise UserError(f"mass is {self.mass}, but must be above 0 and at most 1.")
        if self.mass < 1 and self.reach is not None:
            raise UserError("mass and reach both leave mass behind: set one of them.")
        if self.backend == "pot" and self.iterations == 0:
            raise UserError("POT makes no descent: set iterations to 1 or more, or thousands.")

    def temperatures(self) -> list[float]:
        """List the temperatures of the descent, all of them above ε."""
        descent, temperature = [], self.start or 0.0
        while temperature > self.epsilon:
            descent.append(temperature)
            temperature *= self.cooling
        return descent

    def damping(self, epsilon: float) -> float:
        """Factor of softmin: reach² / (reach² + ε), and 1 if marginals are held exactly."""
        return 1.0 if self.reach is None else self.reach**2 / (self.reach**2 + epsilon)

    def price(self, potential: Float[Tensor, "*P n"]) -> Float[Tensor, "*P n"]:
        """What a unit of weight adds to the value: its potential, less if it need not move.

        Summed over both sides it is the dual value for weights that sum to 1 (Séjourné et al.
        2019, arXiv:1910.12958).
        """
        if self.reach is None:
            return potential
        force = self.reach**2
        return -(force + 0.5 * self.epsilon) * torch.expm1(-potential / force)

    def slope(self) -> float:
        """Derivative of the value in a weight, in units of its price."""
        if self.reach is None:
            return 1.0
        return (self.reach**2 + self.epsilon) / (self.reach**2 + 0.5 * self.epsilon)
