"""Distances between two token sequences: the base class and the Sinkhorn divergence."""

from abc import ABC, abstractmethod
from dataclasses import replace
from functools import partial
from typing import Any, Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from speechalign.alignment.cost import CostKind, box_diameter, pairwise_cost, promote, unit
from speechalign.alignment.sinkhorn import (
    Solver,
    Transport,
    gradient_only,
    sinkhorn,
    solve_halves,
)
from speechalign.errors import UserError

UNIT_DIAMETER = 2.0
Side = Literal["first", "second"]


class Alignment(nn.Module, ABC):
    """How far two sequences of Q tokens are from one another, one value a pair.

    Axes: P pairs, Q query tokens, D width. A subclass says it in `compare`; all of them compute
    in float32 (float64 if given) with autocast off.
    """

    def __init__(self, normalize: bool = True, center: bool = False, stop: Side | None = None):
        """Choose what of the tokens is compared.

        Args:
            normalize: Whether to scale each token to unit length first, as the paper's
                development code does; else the loss can be lowered by shrinking the tokens.
            center: Whether to take from each token, before it is scaled, what its query answers
                on average, which the caller gives. In low layers tokens are mostly that: answers
                to any speech lie close together, and their distances are small.
            stop: Side that is taken as it is and gets no gradient: the other moves towards it.
                `first` with pairs that begin with an anchor makes the anchor fixed.
        """
        super().__init__()
        self.normalize, self.center, self.stop = normalize, center, stop

    def forward(
        self,
        x: Float[Tensor, "P Q D"],
        y: Float[Tensor, "P Q D"],
        x_weights: Float[Tensor, "P Q"] | None = None,
        y_weights: Float[Tensor, "P Q"] | None = None,
        origin: Float[Tensor, "Q D"] | None = None,
    ) -> Float[Tensor, " P"]:
        """Compare P pairs of sequences.

        Args:
            x: Tokens of one side, in any floating-point type.
            y: Tokens of the other side.
            x_weights: Importance of each token, not negative, 0 for padding; each row needs a
                positive weight, and is scaled to sum to 1. Default: uniform.
            y_weights: Likewise, for the other side.
            origin: Mean answer of each query, taken as a constant; needed to `center`.
        """
        with torch.autocast(x.device.type, enabled=False):
            return self.compare(*self._measures(x, y, x_weights, y_weights, origin))

    @abstractmethod
    def compare(
        self,
        x: Float[Tensor, "P Q D"],
        y: Float[Tensor, "P Q D"],
        a: Float[Tensor, "P Q"],
        b: Float[Tensor, "P Q"],
    ) -> Float[Tensor, " P"]:
        """Compare tokens that have their final scale and precision; a and b sum to 1."""

    def _measures(
        self,
        x: Float[Tensor, "P Q D"],
        y: Float[Tensor, "P Q D"],
        x_weights: Float[Tensor, "P Q"] | None,
        y_weights: Float[Tensor, "P Q"] | None,
        origin: Float[Tensor, "Q D"] | None,
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Lift, centre, scale and weigh both sides."""
        x, y = promote(x), promote(y)
        x, y = (
            (x.detach() if self.stop == "first" else x),
            (y.detach() if self.stop == "second" else y),
        )
        if self.center:
            if origin is None:
                raise ValueError("Centring needs the mean answer of each query.")
            x, y = x - origin.detach(), y - origin.detach()
        if self.normalize:
            x, y = F.normalize(x, dim=-1), F.normalize(y, dim=-1)
        return x, y, _probabilities(x_weights, x), _probabilities(y_weights, y)


def _probabilities(
    weights: Float[Tensor, "P Q"] | None, tokens: Float[Tensor, "P Q D"]
) -> Float[Tensor, "P Q"]:
    """Scale weights to sum to 1, in the precision of the tokens."""
    if weights is None:
        return torch.full_like(tokens[:, :, 0], 1 / tokens.shape[1])
    weights = weights.to(tokens.dtype)
    return weights / weights.sum(dim=-1, keepdim=True)


class SinkhornDivergence(Alignment):
    """Entropic optimal transport between the tokens of two sequences, debiased or raw.

    S_ε(x, y) = OT_ε(x, y) - ½ OT_ε(x, x) - ½ OT_ε(y, y), which is 0 only for equal sequences (up
    to the order of their tokens), and positive otherwise (Feydy et al. 2019, arXiv:1810.08278).
    The raw OT_ε(x, x) is positive and draws the tokens of each side together.

    The defaults are those of the paper's development code: geomloss with blur 0.05, which is
    ε = 0.05² for the cost ½‖x - y‖² on unit tokens. On 80 x 768 tokens its descent of 8 sweeps is
    exact where y is x with noise (up to three times as strong); for independent tokens the value
    is 0.1 % low and the gradient has a cosine of 0.9 to the converged one: 0.99 with 10
    `iterations` more, 0.9999 with 50. With another unit of cost, as ‖x - y‖², scale epsilon with
    it and λ against it.
    """

    def __init__(
        self,
        epsilon: float = 0.0025,
        cost: CostKind = "half_squared_euclidean",
        debias: bool = True,
        annealed: bool = True,
        diameter: float | None = UNIT_DIAMETER,
        iterations: int = 0,
        tolerance: float = 1e-4,
        **tokens: Any,
    ):
        """Choose the problem and how it is solved.

        Args:
            epsilon: Temperature, in units of the cost; the smaller, the harder the matching.
            cost: Between two tokens, if they keep their length; on unit tokens both are equal.
            debias: Whether to subtract the self terms; without them: raw entropic transport.
            annealed: Whether to descend to epsilon from diameter²; else all sweeps are at epsilon.
            diameter: Bound on the distance of two tokens; 2 holds for unit tokens. None: measure
                each batch as geomloss does, which makes an accelerator wait, and is the right
                choice for tokens that are not normalized.
            iterations: Most sweeps at epsilon after the descent.
            tolerance: Marginal error (L1) that ends these sweeps early; float32 reaches 1e-5.
            tokens: What of the tokens is compared; see `Alignment`.

        Raises:
            UserError: If a number is out of range, or neither a descent nor sweeps are asked for.
        """
        super().__init__(**tokens)
        if diameter is not None and diameter <= 0:
            raise UserError(f"diameter is {diameter}, but must be above 0, or None to measure it.")
        start = (diameter or UNIT_DIAMETER) ** 2 if annealed else None
        self.solver = Solver(epsilon, start, iterations, tolerance)
        self.measure = annealed and diameter is None
        # On unit tokens both costs are one number, which takes less work.
        self.cost = unit if self.normalize else partial(pairwise_cost, kind=cost)
        self.debias = debias

    def compare(
        self,
        x: Float[Tensor, "P Q D"],
        y: Float[Tensor, "P Q D"],
        a: Float[Tensor, "P Q"],
        b: Float[Tensor, "P Q"],
    ) -> Float[Tensor, " P"]:
        """Solve all problems in one batch: ⟨a, f_xy - f_xx⟩ + ⟨b, f_yx - f_yy⟩.

        Each half problem sends its gradient to its own side alone, hence `detach`; with the row
        marginal of its plan exact, that is the gradient of geomloss also before convergence.
        """
        tokens, weights = (x, y), torch.stack([a, b])
        sides = [(0, 1), (1, 0), (0, 0), (1, 1)][: 4 if self.debias else 2]
        partner = (1, 0, 2, 3)[: len(sides)]
        cost = torch.stack([self.cost(tokens[own], tokens[other].detach()) for own, other in sides])
        masses = torch.stack([weights[own] for own, _ in sides])
        half = solve_halves(cost.detach(), masses.detach(), partner, self._solver(x, y))
        values = (masses * half.potentials).sum(dim=-1) + gradient_only(half.plans, cost)
        return values[:2].sum(dim=0) - values[2:].sum(dim=0)

    def transport(
        self,
        x: Float[Tensor, "P Q D"],
        y: Float[Tensor, "P Q D"],
        x_weights: Float[Tensor, "P Q"] | None = None,
        y_weights: Float[Tensor, "P Q"] | None = None,
        origin: Float[Tensor, "Q D"] | None = None,
    ) -> Transport:
        """Solve the problem between x and y alone, to look at its plan; arguments as `forward`."""
        with torch.autocast(x.device.type, enabled=False):
            x, y, a, b = self._measures(x, y, x_weights, y_weights, origin)
            return sinkhorn(self.cost(x, y), self._solver(x, y), a, b)

    def _solver(self, x: Float[Tensor, "P Q D"], y: Float[Tensor, "P Q D"]) -> Solver:
        """Start the descent at the measured diameter if asked to."""
        return replace(self.solver, start=box_diameter(x, y) ** 2) if self.measure else self.solver
