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
from speechalign.models.encoder import Frames, WhisperEncoder
from speechalign.models.moments import Moments, covariance, join, moments_of

Pooling = Literal["valid", "all"]
Unknown = Literal["unlabelled", "mean", "none"]


class LanguageBias(nn.Module):
    """A centroid per language, subtracted from the frames of that language.

    Args:
        width: D, the width of the encoder's frames.
        pooling: Mean over the valid frames of an utterance, or over `all` frames, padding included,
            as the paper's development code seems to have done.
        trainable: Whether the centroids go on learning after they were estimated.
        pack: Folder of a bias pack (`speechalign estimate-bias`), from which training takes the
            centroids it has, and estimates the others; `assets:` paths are resolved.
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
        pack: str | None = None,
    ) -> None:
        super().__init__()
        self.pooling: Pooling = pooling
        self.trainable, self.unknown, self.pack = trainable, unknown, pack
        rows = len(LANGUAGES)
        self.centroid = nn.Parameter(torch.zeros(rows, width), requires_grad=trainable)
        self.utterances: Tensor
        self.register_buffer("utterances", torch.zeros(rows, dtype=torch.long))
        self.trained: Tensor
        self.register_buffer("trained", torch.zeros(rows, dtype=torch.bool))
        self.scatter: Tensor  # of pooled utterances within their languages, to tell languages by
        self.register_buffer("scatter", torch.zeros(width, width))
        self.freedom: Tensor  # utterances behind the scatter, less one a language
        self.register_buffer("freedom", torch.zeros((), dtype=torch.long))

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
    def moments(self, batches: Iterable[Frames]) -> Moments:
        """Mean and scatter of the utterances' mean frames, in fp64."""
        parts = [moments_of(self.pool(frames)) for frames in batches]
        return join(parts, self.centroid.shape[1])

    def learn(self, code: str, moments: Moments, trained: bool) -> None:
        """Know a language by its utterances' mean frames.

        Args:
            code: The language, unknown before.
            moments: Of its utterances.
            trained: Whether the adapter learns to translate this language; False for one of which
                only unlabelled audio is used.

        Raises:
            UserError: If there are no utterances.
        """
        if not moments.number:
            raise UserError(f"No audio of {code!r} to estimate its bias from: give some, or none.")
        row = language(code).row
        self.centroid.data[row] = moments.mean.to(self.centroid)
        self.utterances[row] = moments.number
        self.trained[row] = trained
        self.scatter += moments.scatter.to(self.scatter)
        self.freedom += moments.number - 1

    def forget(self) -> None:
        """Know no language any more."""
        self.centroid.data.zero_()
        self.utterances.zero_()
        self.trained.zero_()
        self.scatter.zero_()
        self.freedom.zero_()

    def nearest(self, frames: Frames) -> tuple[Int[Tensor, " U"], Float[Tensor, " U"]]:
        """Guess each utterance's language: (row of LANGUAGES, probability).

        Mean frames are taken for normally distributed around the centroids, with one covariance for
        all languages (linear discriminant analysis), and languages for equally likely.

        Raises:
            UserError: If fewer than two languages are known, or nothing of how they scatter.
        """
        known = self.utterances.nonzero().flatten()
        freedom = int(self.freedom)
        if len(known) < 2 or freedom < 1 or not self.scatter.any():
            raise UserError(
                "This model has no language centroids to tell languages by: say --from."
            )
        root = torch.linalg.cholesky(covariance(self.scatter.cpu(), freedom))
        pooled, centroids = (
            torch.linalg.solve_triangular(root, vectors.double().cpu().T, upper=False).T
            for vectors in (self.pool(frames), self.centroid[known].detach())
        )
        likelihood = -0.5 * torch.cdist(pooled, centroids) ** 2
        best = torch.softmax(likelihood, dim=1).max(dim=1)
        return known[best.indices.to(known.device)], best.values


def check_pooling(pooling: Pooling, encoder: WhisperEncoder) -> None:
    """Refuse a mean over padding where that is another in each batch.

    Raises:
        UserError: If `all` frames are to be pooled of an encoder that hears the speech alone.
    """
    if pooling == "all" and not encoder.pads_to_window:
        raise UserError(
            "Bias pooling over all frames needs an encoder that attends to its whole window: "
            "say pooling: valid, or attend: window."
        )
