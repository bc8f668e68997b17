"""Optimal transport between spans of neighbouring tokens."""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from speechalign.alignment.base import Alignment, Side, Weighting
from speechalign.alignment.divergence import SinkhornDivergence
from speechalign.errors import UserError


class PooledSinkhorn(Alignment):
    """Sinkhorn divergence between the means of overlapping spans of tokens.

    What stands together is matched together, and the problem is smaller: 80 tokens are 39 spans of
    4. It makes sense where neighbouring tokens belong together, which nothing demands of a
    Q-Former's queries.

    With `normalize`, tokens are scaled to unit length, so that each counts the same in its span,
    and then spans, as `SinkhornDivergence` expects; without it, neither.
    """

    def __init__(
        self,
        window: int = 4,
        stride: int = 2,
        normalize: bool = True,
        center: bool = False,
        stop: Side | None = None,
        weighting: Weighting = "uniform",
        **divergence: Any,
    ):
        """Choose the spans, and the divergence between them.

        Args:
            window: Tokens of a span.
            stride: Tokens from the start of one span to that of the next.
            normalize: As `Alignment`, of tokens and of spans.
            center: As `Alignment`, of tokens.
            stop: As `Alignment`.
            weighting: As `Alignment`, of tokens; a span weighs what its tokens do.
            divergence: As `SinkhornDivergence`.

        Raises:
            UserError: If the stride leaves tokens out, or is not positive.
        """
        super().__init__(normalize, center, stop, weighting)
        if not 1 <= stride <= window:
            raise UserError(
                f"stride is {stride} and window {window}; expected 1 <= stride <= window, so that "
                "every token is in a span."
            )
        self.window, self.stride = window, stride
        self.divergence = SinkhornDivergence(normalize=normalize, **divergence)

    def compare(
        self,
        x: Float[Tensor, "P Q D"],
        y: Float[Tensor, "P Q D"],
        a: Float[Tensor, "P Q"],
        b: Float[Tensor, "P Q"],
    ) -> Float[Tensor, " P"]:
        """Pool both sides, and compare what comes of it."""
        x_spans, x_mass = spans(x, a, self.window, self.stride)
        y_spans, y_mass = spans(y, b, self.window, self.stride)
        return self.divergence(x_spans, y_spans, x_mass, y_mass)


def spans(
    tokens: Float[Tensor, "P Q D"], weights: Float[Tensor, "P Q"], window: int, stride: int
) -> tuple[Float[Tensor, "P S D"], Float[Tensor, "P S"]]:
    """Average `tokens` by their weights over windows: (means, mass of each window).

    Windows start at multiples of the stride, and the last is the first that reaches the last token
    of positive weight: it may be shorter than the others. So padding at the end changes nothing;
    windows further on have mass 0. A sequence shorter than a window is one span.
    """
    count = 1 + max(0, -(-(tokens.shape[1] - window) // stride))
    missing = (count - 1) * stride + window - tokens.shape[1]
    members = F.pad(weights, (0, missing)).unfold(1, window, stride)
    windows = F.pad(tokens, (0, 0, 0, missing)).unfold(1, window, stride)
    mass = members.sum(dim=-1)
    sums = (windows @ members.unsqueeze(-1)).squeeze(-1)
    means = sums / torch.where(mass > 0, mass, 1).unsqueeze(-1)
    # A window whose tokens of positive weight are all in the one before it says nothing new.
    brings = (members[..., window - stride :] > 0).any(dim=-1)
    brings[:, 0] = True
    return means, mass * brings
