"""Maximum mean discrepancy: distances of two sets of tokens without a plan between them."""

from collections.abc import Sequence
from typing import Any, Literal

import torch
from jaxtyping import Float
from torch import Tensor

from speechalign.alignment.base import Alignment
from speechalign.errors import UserError

Kernel = Literal["gaussian", "energy"]


class MMD(Alignment):
    """MMD² = E k(x, x') + E k(y, y') - 2 E k(x, y), blind to the order of the tokens.

    Token i is drawn with weight a_i, and x' anew, so that it may be x itself. This is the biased
    estimate of Gretton et al. 2012 (JMLR 13:723), and twice what geomloss computes. The unbiased
    one leaves x' = x out, which is for samples of something larger. Here the tokens are all there
    is, and the biased one is never negative, 0 only for equal sets, and blind to padding.

    `gaussian`: k(x, y) is the mean of exp(-‖x - y‖² / 2h²) over the bandwidths h.
    `energy`: k(x, y) = -‖x - y‖, the energy distance (Székely and Rizzo 2013), which has no scale
    to choose.

    A token is drawn by the whole other set, not by a partner: the Sinkhorn divergence of a cost C
    tends to ½ MMD² of k = -C as its temperature rises (Feydy et al. 2019, arXiv:1810.08278).
    """

    def __init__(
        self,
        kernel: Kernel = "gaussian",
        bandwidths: Sequence[float] = (0.125, 0.25, 0.5, 1.0, 2.0),
        **tokens: Any,
    ):
        """Choose how near two tokens are.

        Args:
            kernel: `gaussian` or `energy`.
            bandwidths: h of each Gaussian, in units of the distance of tokens, which on unit tokens
                is √2 if they have nothing in common. Tokens many h apart do not feel one another,
                those far nearer than h only as much as their means differ: hence several.
            tokens: What of the tokens is compared; see `Alignment`.

        Raises:
            UserError: If there is no bandwidth, or one is not above 0.
        """
        super().__init__(**tokens)
        if not bandwidths or not all(bandwidth > 0 for bandwidth in bandwidths):
            raise UserError(f"bandwidths are {list(bandwidths)}; expected one or more, above 0.")
        self.kernel, self.bandwidths = kernel, tuple(bandwidths)

    def compare(
        self,
        x: Float[Tensor, "P Q D"],
        y: Float[Tensor, "P Q D"],
        a: Float[Tensor, "P Q"],
        b: Float[Tensor, "P Q"],
    ) -> Float[Tensor, " P"]:
        """Sum k over all pairs of tokens, those of y with negative weight."""
        tokens, mass = torch.cat([x, y], dim=1), torch.cat([a, -b], dim=1)
        return torch.einsum("pi,pij,pj->p", mass, self._nearness(tokens), mass)

    def _nearness(self, tokens: Float[Tensor, "P n D"]) -> Float[Tensor, "P n n"]:
        """Compute k between all tokens."""
        apart = 1 - torch.eye(tokens.shape[1], dtype=tokens.dtype, device=tokens.device)
        # Rounding puts a token some 0.001 from itself, which the energy distance would add up.
        distance = torch.cdist(tokens, tokens) * apart
        if self.kernel == "energy":
            return -distance
        square = distance.square()
        kernels = [torch.exp(-square / (2 * bandwidth**2)) for bandwidth in self.bandwidths]
        return torch.stack(kernels).mean(dim=0)
