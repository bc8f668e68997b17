"""What all distances between two token sequences share: which tokens, and how much each counts."""

from abc import ABC, abstractmethod
from typing import Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from speechalign.alignment.cost import promote, unit

Side = Literal["first", "second"]
Weighting = Literal["uniform", "norm"]


class Alignment(nn.Module, ABC):
    """How far two sequences of Q tokens are from one another, one value a pair.

    Axes: P pairs, or layers and pairs, or more; Q query tokens, D width. A subclass says it in
    `compare`; all of them compute in float32 (float64 if given) with autocast off.
    """

    scales = True  # whether tokens are scaled here, and not by `compare`
    of_one_layer = False  # whether pairs are set against one another, which layers must not be

    def __init__(
        self,
        normalize: bool = True,
        center: bool = False,
        stop: Side | None = None,
        weighting: Weighting = "uniform",
    ):
        """Choose what of the tokens is compared.

        Args:
            normalize: Whether to scale each token to unit length first, as the paper's
                development code does; else the loss can be lowered by shrinking the tokens.
            center: Whether to take from each token, before it is scaled, what its query answers
                on average, which the caller gives. In low layers tokens are mostly that: answers
                to any speech lie close together, and their distances are small.
            stop: Side that is taken as it is and gets no gradient: the other moves towards it.
                `first` with pairs that begin with an anchor makes the anchor fixed.
            weighting: Whether each token counts the same, or by its length before it is scaled.
                Lengths are constants there: else a token could leave by growing short.
        """
        super().__init__()
        self.normalize, self.center, self.stop = normalize, center, stop
        self.weighting = weighting

    def forward(
        self,
        x: Float[Tensor, "*P Q D"],
        y: Float[Tensor, "*P Q D"],
        x_weights: Float[Tensor, "*P Q"] | None = None,
        y_weights: Float[Tensor, "*P Q"] | None = None,
        origin: Float[Tensor, "*#P Q D"] | None = None,
        sentence: Int[Tensor, "*P"] | None = None,
    ) -> Float[Tensor, "*P"]:
        """Compare P pairs of sequences.

        Args:
            x: Tokens of one side, in any floating-point type.
            y: Tokens of the other side.
            x_weights: Importance of each token, not negative, 0 for padding; each row needs a
                positive weight, and is scaled to sum to 1. Default: uniform.
            y_weights: Likewise, for the other side.
            origin: Mean answer of each query, taken as a constant; needed to `center`.
            sentence: Equal numbers where two pairs say the same; None: all are different. Read by
                those alone that set the pairs of a batch against one another.

        Raises:
            ValueError: If there are several leading axes, and pairs are set against one another.
        """
        if self.of_one_layer and x.dim() != 3:
            raise ValueError(f"Give the pairs of one layer, P x Q x D, not {tuple(x.shape)}.")
        with torch.autocast(x.device.type, enabled=False):
            x, y, a, b = self._measures(x, y, x_weights, y_weights, origin)
            values = self.compare_batch(
                x.flatten(0, -3),
                y.flatten(0, -3),
                a.flatten(0, -2),
                b.flatten(0, -2),
                None if sentence is None else sentence.flatten(),
            )
            return values.reshape(x.shape[:-2])

    def compare_batch(
        self,
        x: Float[Tensor, "P Q D"],
        y: Float[Tensor, "P Q D"],
        a: Float[Tensor, "P Q"],
        b: Float[Tensor, "P Q"],
        sentence: Int[Tensor, " P"] | None,  # noqa: ARG002
    ) -> Float[Tensor, " P"]:
        """Compare all pairs: each for itself, unless a subclass sets them against one another."""
        return self.compare(x, y, a, b)

    @abstractmethod
    def compare(
        self,
        x: Float[Tensor, "P Q D"],
        y: Float[Tensor, "P Q D"],
        a: Float[Tensor, "P Q"],
        b: Float[Tensor, "P Q"],
    ) -> Float[Tensor, " P"]:
        """Compare pairs of tokens of their final scale and precision; a and b sum to 1."""

    def _measures(
        self,
        x: Float[Tensor, "*P Q D"],
        y: Float[Tensor, "*P Q D"],
        x_weights: Float[Tensor, "*P Q"] | None,
        y_weights: Float[Tensor, "*P Q"] | None,
        origin: Float[Tensor, "*#P Q D"] | None,
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
        a, b = self._probabilities(x_weights, x), self._probabilities(y_weights, y)
        if self.normalize and self.scales:
            x, y = unit(x), unit(y)
        return x, y, a, b

    def _probabilities(
        self, weights: Float[Tensor, "*P Q"] | None, tokens: Float[Tensor, "*P Q D"]
    ) -> Float[Tensor, "*P Q"]:
        """Scale weights to sum to 1, in the precision of the tokens.

        Where all tokens that count are zeros, their lengths say nothing, and they count as given.
        """
        if weights is None and self.weighting == "uniform":
            return torch.full_like(tokens[..., 0], 1 / tokens.shape[-2])
        given = torch.ones_like(tokens[..., 0]) if weights is None else weights.to(tokens.dtype)
        if self.weighting == "norm":
            long = given * torch.linalg.vector_norm(tokens.detach(), dim=-1)
            given = torch.where(long.sum(dim=-1, keepdim=True) > 0, long, given)
        return given / given.sum(dim=-1, keepdim=True)
