"""Cross-lingual retrieval: does an utterance find what says the same in another language?

It goes from similarities of N queries to M candidates to Recall@k, MRR and xSIM, over the queries
that have a positive: a candidate that says the same sentence, of which several recordings may be.
A tie is counted against the query, so that states which have all become alike find nothing. What
is not a number counts as a tie. Directions differ: give the transposed similarities for the other.
"""

import random
from typing import Literal, NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn import functional as F

from speechalign.alignment.base import Alignment
from speechalign.alignment.contrastive import Contrastive
from speechalign.alignment.cost import promote
from speechalign.errors import UserError

Margin = Literal["ratio", "distance", "absolute"]


class Retrieval(NamedTuple):
    """Means over the queries that have a positive; NaN if none has."""

    recall_at_1: float
    recall_at_5: float
    mrr: float  # mean of 1 / rank of the first positive
    queries: int  # that have one


def shared_rows(
    x_sentences: Int[Tensor, " N"],
    y_sentences: Int[Tensor, " M"],
    most: int | None = None,
    seed: int = 0,
) -> tuple[Int[Tensor, " n"], Int[Tensor, " m"]]:
    """Choose the recordings, on both sides, of the sentences that both sides have.

    Args:
        x_sentences: Equal numbers where two recordings say the same, on both sides.
        y_sentences: Likewise, for the other side.
        most: Of so many sentences at most, drawn; all recordings of a drawn one are kept. A larger
            number keeps the sentences of a smaller one.
        seed: Of the draw.

    Returns:
        Rows of x and rows of y, in their order.
    """
    shared = sorted(set(x_sentences.tolist()) & set(y_sentences.tolist()))
    if most is not None:
        random.Random(f"retrieval/{seed}").shuffle(shared)
        shared = shared[:most]
    kept = torch.tensor(shared, dtype=x_sentences.dtype, device=x_sentences.device)
    x_rows, y_rows = (torch.isin(s, kept).nonzero().flatten() for s in (x_sentences, y_sentences))
    return x_rows, y_rows


def pooled_cosine(x: Float[Tensor, "N D"], y: Float[Tensor, "M D"]) -> Float[Tensor, "N M"]:
    """Cosine of each pooled state of x to each of y, in at least float32."""
    return F.normalize(promote(x), dim=-1) @ F.normalize(promote(y), dim=-1).mT


@torch.no_grad()
def transport_similarity(
    alignment: Alignment,
    x: Float[Tensor, "N Q D"],
    y: Float[Tensor, "M Q D"],
    x_mask: Bool[Tensor, "N Q"] | None = None,
    y_mask: Bool[Tensor, "M Q"] | None = None,
    origin: Float[Tensor, "Q D"] | None = None,
    at_once: int = 16,
) -> Float[Tensor, "N M"]:
    """Minus the distance between the tokens of each x and of each y.

    All N · M problems are solved, `at_once` at a time, so that memory does not grow with their
    number but time does: see `shared_rows` to draw fewer. On one core, a problem of 80 x 768 tokens
    takes about 1 ms by the paper's debiased divergence, 2.5 minutes for 400 x 400.

    Args:
        alignment: The distance, of each pair alone.
        x: Tokens of the queries.
        y: Tokens of the candidates.
        x_mask: True where x has a token; by default everywhere.
        y_mask: Likewise, for y.
        origin: What the alignment centres at, if it does.
        at_once: Problems in memory; a processor's caches hold few, an accelerator wants more.

    Raises:
        UserError: If the distance of a pair depends on the others beside it.
    """
    if isinstance(alignment, Contrastive):
        raise UserError("A contrastive loss is of a batch, no distance of two: take another.")
    count = x.shape[0] * y.shape[0]
    costs = promote(x.new_empty(count))
    for start in range(0, count, at_once):
        pairs = torch.arange(start, min(start + at_once, count), device=x.device)
        own, other = pairs // y.shape[0], pairs % y.shape[0]
        weights = (
            None if x_mask is None else x_mask[own].float(),
            None if y_mask is None else y_mask[other].float(),
        )
        costs[pairs] = alignment(x[own], y[other], *weights, origin).to(costs.dtype)
    return -costs.unflatten(0, (x.shape[0], y.shape[0]))


def ranks(
    similarity: Float[Tensor, "N M"],
    queries: Int[Tensor, " N"],
    candidates: Int[Tensor, " M"],
) -> Int[Tensor, " N"]:
    """Rank of each query's first positive among the candidates that are not; 0 without positive.

    Args:
        similarity: The larger, the nearer.
        queries: The sentence of each query.
        candidates: The sentence of each candidate; equal numbers say the same.
    """
    positive = queries[:, None] == candidates[None]
    best = similarity.masked_fill(~positive, -torch.inf).amax(dim=1, keepdim=True)
    ahead = ~(similarity < best) & ~positive  # NaN is not smaller either
    return torch.where(positive.any(dim=1), 1 + ahead.sum(dim=1), 0)


def retrieve(
    similarity: Float[Tensor, "N M"],
    queries: Int[Tensor, " N"],
    candidates: Int[Tensor, " M"],
) -> Retrieval:
    """Count how often a query finds what says the same; arguments as for `ranks`."""
    found = ranks(similarity, queries, candidates)
    found = found[found > 0].double()
    shares = ((found <= 1).double(), (found <= 5).double(), 1 / found)
    return Retrieval(*(share.mean().item() for share in shares), queries=len(found))


def xsim_error(
    similarity: Float[Tensor, "N M"],
    queries: Int[Tensor, " N"],
    candidates: Int[Tensor, " M"],
    margin: Margin = "ratio",
    neighbours: int = 4,
) -> float:
    """Share of the queries whose best candidate by margin says something else: xSIM of LASER.

    With the means r_i and c_j of the similarities of i and of j to their k nearest on the other
    side, the k candidates nearest to query i are scored by s_ij / ½(r_i + c_j) for `ratio`, or by
    s_ij - ½(r_i + c_j) for `distance`; `absolute` scores all of them by s_ij (Artetxe and Schwenk
    2019, arXiv:1811.01136; source/xsim.py of github.com/facebookresearch/LASER). LASER has one
    candidate a query; here all recordings of the sentence are right, as in `ranks`.

    Args:
        similarity: Cosines, or for `distance` and `absolute` anything that grows with nearness.
        queries: The sentence of each query.
        candidates: The sentence of each candidate.
        margin: How candidates are scored.
        neighbours: k, at most the number there are.

    Raises:
        UserError: If means of nearest neighbours are not positive, so that ratios mean nothing.
    """
    near = torch.ones_like(similarity, dtype=torch.bool)
    scores = similarity
    if margin != "absolute":
        rows = similarity.topk(min(neighbours, similarity.shape[1]), dim=1).values
        columns = similarity.topk(min(neighbours, similarity.shape[0]), dim=0).values
        around = 0.5 * (rows.mean(dim=1)[:, None] + columns.mean(dim=0)[None])
        near = ~(similarity < rows[:, -1:])
        if margin == "ratio" and (around[near] <= 0).any():
            raise UserError(
                "xSIM by ratios needs similarities above 0 between near neighbours: take the"
                " margin `distance`."
            )
        scores = similarity / around if margin == "ratio" else similarity - around
    found = ranks(scores.masked_fill(~near, -torch.inf), queries, candidates)
    return (found[found > 0] != 1).double().mean().item()
