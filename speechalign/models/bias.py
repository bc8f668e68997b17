"""Bias compensation: what a language adds to every frame is estimated and subtracted.

    b_x = mean over utterances n of x of Pool(H_x⁽ⁿ⁾),    H̃_x = H_x - b_x    (arXiv 2511.09232)

The key projections of a cross-attention shift all logits of a query by the same amount under this
subtraction, so attention maps stay and only the constant -W_v b_x enters: what acts is the
difference *between* languages.
"""

from collections.abc import Iterable
from typing import Any, Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from speechalign.errors import UserError
from speechalign.languages import LANGUAGES, language
from speechalign.models.encoder import Frames

Pooling = Literal["valid", "all"]
Unknown = Literal["unlabelled", "mean", "none"]


class LanguageBias(nn.Module):
    """A centroid per language, subtracted from the frames of that language.

    Args:
        width: D, the width of the encoder's frames.
        pooling: Mean over the valid frames of an utterance, or over `all` frames, padding included,
            as the paper's development code seems to have done.
        trainable: Whether the centroids go on learning after they were estimated.
        unknown: What is subtracted for a language the adapter was not trained on: its own centroid
            over `unlabelled` audio (and the mean where there is none), the `mean` of the trained
            languages, or `none`.
    """

    def __init__(
        self,
        width: int,
        pooling: Pooling = "valid",
        trainable: bool = False,
        unknown: Unknown = "unlabelled",
    ) -> None:
        super().__init__()
        self.pooling, self.trainable, self.unknown = pooling, trainable, unknown
        rows = len(LANGUAGES)
        self.centroid = nn.Parameter(torch.zeros(rows, width), requires_grad=trainable)
        self.utterances: Tensor
        self.register_buffer("utterances", torch.zeros(rows, dtype=torch.long))
        self.trained: Tensor
        self.register_buffer("trained", torch.zeros(rows, dtype=torch.bool))

    def settings(self) -> dict[str, Any]:
        """What rebuilds this part, beside the encoder's width."""
        return {"pooling": self.pooling, "trainable": self.trainable, "unknown": self.unknown}

    def forward(self, frames: Frames, language: Int[Tensor, " U"]) -> Frames:
        """Subtract from every frame what its utterance's language (row of LANGUAGES) adds."""
        bias = self.of(language)[:, None].to(frames.hidden.dtype)
        return frames._replace(hidden=frames.hidden - bias)

    def of(self, language: Int[Tensor, " U"]) -> Float[Tensor, "U D"]:
        """The vector that is subtracted for each language (row of LANGUAGES)."""
        own = self.trained[language]
        if self.unknown == "unlabelled":
            own = own | (self.utterances[language] > 0)
        elsewhere = torch.zeros_like(self.centroid[0])
        if self.unknown != "none":
            weight = self.trained.to(self.centroid.dtype)
            elsewhere = weight @ self.centroid / weight.sum().clamp(min=1)
        return torch.where(own[:, None], self.centroid[language], elsewhere)

    def pool(self, frames: Frames) -> Float[Tensor, "U D"]:
        """Mean frame of each utterance, in at least fp32."""
        hidden = frames.hidden.to(torch.promote_types(frames.hidden.dtype, torch.float32))
        if self.pooling == "all":
            return hidden.mean(dim=1)
        weight = frames.mask.to(hidden.dtype)
        return torch.einsum("utd,ut->ud", hidden, weight) / weight.sum(dim=1, keepdim=True)

    @torch.no_grad()
    def total(self, batches: Iterable[Frames]) -> tuple[Float[Tensor, " D"], int]:
        """Sum the mean frames of utterances, in fp64: (sum, number of utterances)."""
        total = torch.zeros_like(self.centroid[0], dtype=torch.float64)
        count = 0
        for frames in batches:
            total += self.pool(frames).double().sum(dim=0)
            count += len(frames.lengths)
        return total, count

    def set_centroid(
        self, code: str, total: Float[Tensor, " D"], count: int, trained: bool
    ) -> None:
        """Set the centroid of one language to the mean over `count` utterances.

        Args:
            code: The language.
            total: Sum of the utterances' mean frames.
            count: Number of utterances.
            trained: Whether the adapter learns to translate this language; False for one of which
                only unlabelled audio is used.

        Raises:
            UserError: If there are no utterances.
        """
        if not count:
            raise UserError(f"No audio of {code!r} to estimate its bias from: give some, or none.")
        row = language(code).row
        self.centroid.data[row] = (total / count).to(self.centroid)
        self.utterances[row] = count
        self.trained[row] = trained

    def forget(self) -> None:
        """Know no language any more."""
        self.centroid.data.zero_()
        self.utterances.zero_()
        self.trained.zero_()

    def nearest(self, frames: Frames) -> tuple[Int[Tensor, " U"], Float[Tensor, " U"]]:
        """Guess each utterance's language: (row of LANGUAGES, cosine to its centroid).

        Both are centred on the mean of the known centroids, for what all languages share says
        nothing.

        Raises:
            UserError: If fewer than two centroids are known.
        """
        known = self.utterances.nonzero().flatten()
        if len(known) < 2:
            raise UserError(
                "This model has no language centroids to tell languages by: say --from."
            )
        centre = self.centroid[known].mean(dim=0)
        pooled = self.pool(frames).to(centre) - centre
        cosine = torch.cosine_similarity(
            pooled[:, None], (self.centroid[known] - centre)[None], dim=-1
        )
        best = cosine.max(dim=1)
        return known[best.indices], best.values
