"""The Sinkhorn divergence between two token sequences, and the transport that it is made of."""

import math
from dataclasses import replace
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from speechalign.alignment.base import Alignment
from speechalign.alignment.cost import CostKind, box_diameter, pairwise_cost, positional
from speechalign.alignment.fused import FusedDivergence, Setting
from speechalign.alignment.sinkhorn import Transport, sinkhorn
from speechalign.alignment.solver import Backend, Gradient, Solver
from speechalign.errors import UserError

UNIT_DIAMETER = 2.0

# The descent begins at a twentieth of the largest cost, ½ diameter²: above, all plans are alike.
FIRST = 1 / 40


class TransportVariant(Alignment):
    """What of the problem of transport may differ from the paper's."""

    scales = False  # lengths enter the costs, which are far smaller than the tokens

    def __init__(
        self,
        reach: float | None = None,
        mass: float = 1.0,
        position: float = 0.0,
        gradient: Gradient = "envelope",
        backend: Backend = "own",
        **tokens: Any,
    ):
        """Choose the variant.

        Args:
            reach: Distance beyond which mass is rather made and lost than moved: the marginals
                are held by reach² KL, as by geomloss. None: exactly.
            mass: Share of the mass that is moved, the cheapest; below 1 without `debias` only.
            position: Cost of the distance of two tokens' places: position/2 · (i/n - j/m)².
            gradient: By the envelope theorem, or through the last sweep, which is slower and the
                same at convergence.
            backend: Who makes the sweeps: this package, or POT, as a reference.
            tokens: What of the tokens is compared; see `Alignment`.

        Raises:
            UserError: If `position` is not a price.
        """
        super().__init__(**tokens)
        if not 0 <= position < math.inf:
            raise UserError(f"position is {position}, but must be 0 or above, and finite.")
        self.variant = {"reach": reach, "mass": mass, "gradient": gradient, "backend": backend}
        self.position = position


class SinkhornDivergence(TransportVariant):
    """Entropic optimal transport between the tokens of two sequences, debiased or raw.

    S_ε(x, y) = OT_ε(x, y) - ½ OT_ε(x, x) - ½ OT_ε(y, y), which is 0 only for equal sequences (up
    to the order of their tokens), and positive otherwise (Feydy et al. 2019, arXiv:1810.08278).
    The raw OT_ε(x, x) is positive and draws the tokens of each side together.

    The defaults are those of the paper's development code, geomloss with blur 0.05: ε = 0.05² for
    the cost ½‖x - y‖² on unit tokens. Where y is x with noise both are exact. For independent
    tokens the 8 sweeps of geomloss leave the gradient at a cosine of 0.9 to the converged one and
    the value 0.1 % low; the sweeps here are cheaper and more, and leave it at 0.9999 and exact to
    five digits. With another unit of cost, as ‖x - y‖², scale epsilon with it and λ against it.
    """

    def __init__(
        self,
        epsilon: float = 0.0025,
        cost: CostKind = "half_squared_euclidean",
        debias: bool = True,
        annealed: bool = True,
        diameter: float | None = UNIT_DIAMETER,
        iterations: int = 10,
        tolerance: float | None = None,
        cooling: float = 0.25,
        **options: Any,
    ):
        """Choose the problem and how it is solved.

        Args:
            epsilon: Temperature, in units of the cost; the smaller, the harder the matching.
            cost: Between two tokens, if they keep their length; on unit tokens both are equal.
            debias: Whether to subtract the self terms; without them: raw entropic transport.
            annealed: Whether to descend to epsilon from diameter²/40; else all sweeps are at it.
            diameter: Bound on the distance of two tokens; 2 holds for unit tokens. None: measure
                each batch, which makes an accelerator wait, and is the right choice for tokens
                that are not normalized.
            iterations: Sweeps at epsilon after the descent; the most of them, with a tolerance.
            tolerance: Marginal error (L1) that ends these sweeps early, which makes an accelerator
                wait; float32 reaches 1e-4.
            cooling: Factor between two temperatures of the descent, each of 10 sweeps.
            options: Variants and tokens; see `TransportVariant` and `Alignment`.

        Raises:
            UserError: If a number is out of range, or neither a descent nor sweeps are asked for.
        """
        super().__init__(**options)
        if diameter is not None and diameter <= 0:
            raise UserError(f"diameter is {diameter}, but must be above 0, or None to measure it.")
        start = FIRST * (diameter or UNIT_DIAMETER) ** 2 if annealed else None
        self.solver = Solver(epsilon, start, iterations, tolerance, cooling, **self.variant)
        if debias and self.solver.mass < 1:
            raise UserError(
                "A share of the mass cannot be debiased: set debias to false with mass."
            )
        # On unit tokens both costs are one number, for which tokens need not be scaled.
        self.cost: CostKind = "cosine" if self.normalize else cost
        self.measure = annealed and diameter is None and self.cost != "cosine"
        self.debias = debias

    def compare(
        self,
        x: Float[Tensor, "P Q D"],
        y: Float[Tensor, "P Q D"],
        a: Float[Tensor, "P Q"],
        b: Float[Tensor, "P Q"],
    ) -> Float[Tensor, " P"]:
        """Solve all problems, in one step of autograd if the gradient is of the common kind."""
        solver = self._solver(x, y)
        if solver.gradient == "last" or solver.mass < 1:
            return self._composed(x, y, a, b)
        setting = Setting(solver, self.cost, self.debias, self.position)
        values: Tensor = FusedDivergence.apply(x, y, a, b, setting)
        return values

    def transport(
        self,
        x: Float[Tensor, "*P Q D"],
        y: Float[Tensor, "*P Q D"],
        x_weights: Float[Tensor, "*P Q"] | None = None,
        y_weights: Float[Tensor, "*P Q"] | None = None,
        origin: Float[Tensor, "*#P Q D"] | None = None,
    ) -> Transport:
        """Solve the problem between x and y alone, to look at its plan; arguments as `forward`."""
        with torch.autocast(x.device.type, enabled=False):
            x, y, a, b = self._measures(x, y, x_weights, y_weights, origin)
            cost = self._costs(
                x.flatten(0, -3), y.flatten(0, -3), a.flatten(0, -2), b.flatten(0, -2)
            )
            return sinkhorn(cost.reshape(*x.shape[:-1], -1), self._solver(x, y), a, b)

    def _composed(
        self,
        x: Float[Tensor, "P Q D"],
        y: Float[Tensor, "P Q D"],
        a: Float[Tensor, "P Q"],
        b: Float[Tensor, "P Q"],
    ) -> Float[Tensor, " P"]:
        """Leave the gradient to autograd, all the way from the tokens."""
        solver = self._solver(x, y)
        value = sinkhorn(self._costs(x, y, a, b), solver, a, b).value
        if not self.debias:
            return value
        inner = [sinkhorn(self._costs(z, z, w, w), solver, w, w) for z, w in ((x, a), (y, b))]
        return value - 0.5 * (inner[0].value + inner[1].value)

    def _costs(
        self,
        x: Float[Tensor, "P n D"],
        y: Float[Tensor, "P m D"],
        a: Float[Tensor, "P n"],
        b: Float[Tensor, "P m"],
    ) -> Float[Tensor, "P n m"]:
        """Cost of tokens, and of their places if these count."""
        cost = pairwise_cost(x, y, self.cost)
        return cost + positional(a, b, self.position) if self.position else cost

    def _solver(self, x: Float[Tensor, "*P Q D"], y: Float[Tensor, "*P Q D"]) -> Solver:
        """Start the descent at the measured diameter if asked to."""
        if not self.measure:
            return self.solver
        diameter = box_diameter(x, y)
        if not math.isfinite(diameter):  # then the answer is no number either
            return self.solver
        return replace(self.solver, start=FIRST * diameter**2)
