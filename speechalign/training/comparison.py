"""Languages compared at one stage of a speech LLM: retrieval, agreement, transport, collapse."""

from itertools import combinations
from math import nan
from statistics import fmean
from typing import NamedTuple

import torch
from torch import Tensor

from speechalign.alignment.agreement import dali, linear_cka, mexa
from speechalign.alignment.diagnostics import Transported, collapse, transported
from speechalign.alignment.divergence import SinkhornDivergence
from speechalign.alignment.retrieval import (
    Margin,
    Retrieval,
    pooled_cosine,
    retrieve,
    shared_rows,
    transport_similarity,
    xsim_error,
)
from speechalign.training.collection import (
    Heard,
    parallel,
    pooled_states,
    sentence_numbers,
    token_states,
)

Device = torch.device | str
UNKNOWN = Transported(nan, nan, nan, nan, nan)


class Diagnosis(NamedTuple):
    """Two languages at one stage; NaN where there are too few recordings to tell."""

    recall_at_1: float  # by pooled cosine, mean of both directions
    cka: float  # unbiased, of one recording a sentence
    transport: Transported  # of those sentences whose tokens were kept, one recording each


class Search(NamedTuple):
    """Two languages x and y that look for one another; NaN where they share no sentence."""

    there: Retrieval  # recordings of x look for those of y
    back: Retrieval
    xsim_there: float  # error
    xsim_back: float
    mexa: float


def similarities(
    x: list[Heard],
    y: list[Heard],
    stage: str,
    divergence: SinkhornDivergence | None = None,
    device: Device = "cpu",
    at_once: int = 16,
) -> Tensor:
    """Likeness of each of N recordings to each of M others at one stage: N x M, on the CPU.

    Args:
        x: The recordings; draw from them before if they are many (`retrieval.shared_rows`).
        y: The others.
        stage: At which pooled states were kept, or tokens for transport.
        divergence: Compare by transport between tokens, and not by the cosine of pooled states.
        device: Where transport is solved.
        at_once: How many problems at a time.
    """
    if divergence is None:
        return pooled_cosine(pooled_states(x, stage), pooled_states(y, stage))
    own, its, (a, b), origin = _measures(x, y, stage, divergence, device)
    return transport_similarity(divergence, own, its, a > 0, b > 0, origin, at_once).cpu()


def search(x: list[Heard], y: list[Heard], similarity: Tensor, margin: Margin = "ratio") -> Search:
    """Look for the same sentence in the other language, in both directions.

    Args:
        x: Recordings of one language, of a sentence perhaps several.
        y: Recordings of the other.
        similarity: Of all of x to all of y.
        margin: Of xSIM; those by transport are costs and want `distance`.

    Raises:
        UserError: If ratios mean nothing; see `retrieval.xsim_error`.
    """
    a, b = sentence_numbers(x, y)
    return Search(
        there=retrieve(similarity, a, b),
        back=retrieve(similarity.mT, b, a),
        xsim_there=xsim_error(similarity, a, b, margin),
        xsim_back=xsim_error(similarity.mT, b, a, margin),
        mexa=mexa(similarity, a, b),
    )


def recall_by_transport(
    x: list[Heard],
    y: list[Heard],
    stage: str,
    divergence: SinkhornDivergence,
    sentences: int,
    device: Device = "cpu",
) -> float:
    """Recall@1, mean of both directions, by transport cost among a few sentences that both have.

    Costs of all recordings to all others are solved, so that time grows with the square of
    `sentences`. NaN if they share none.
    """
    a, b = sentence_numbers(x, y)
    rows = shared_rows(a, b, sentences)
    one, other = ([side[row] for row in chosen] for side, chosen in zip((x, y), rows, strict=True))
    if not one:
        return nan
    found = search(one, other, similarities(one, other, stage, divergence, device), "distance")
    return fmean([found.there.recall_at_1, found.back.recall_at_1])


def dali_score(
    x: list[Heard], y: list[Heard], stage: str, options: int = 4, strict: bool = False
) -> float:
    """Share of groups of so many sentences, neighbours by id, that DALI counts as aligned.

    One recording of each shared sentence counts; sentences that fill no group are left out. NaN
    without any group.
    """
    one, other = parallel(x, y)
    whole = len(one) - len(one) % options
    if not whole:
        return nan
    groups = [pooled_states(h[:whole], stage).unflatten(0, (-1, options)) for h in (one, other)]
    return dali(groups[0], groups[1], strict).double().mean().item()


def diagnose(
    x: list[Heard],
    y: list[Heard],
    stage: str,
    divergence: SinkhornDivergence,
    device: Device = "cpu",
) -> Diagnosis:
    """Compare what two languages have become at one stage.

    Args:
        x: Recordings of one language, of a sentence perhaps several.
        y: Recordings of the other.
        stage: At which pooled states were kept, and tokens if transport is to be looked at.
        divergence: The transport; one that centres does so at each query's mean over both.
        device: Where transport is solved.
    """
    numbers = sentence_numbers(x, y)
    similarity = similarities(x, y, stage)
    there, back = retrieve(similarity, *numbers), retrieve(similarity.mT, *numbers[::-1])
    return Diagnosis(
        fmean([there.recall_at_1, back.recall_at_1]),
        similarity_of_spaces(x, y, stage),
        diagnose_transport(x, y, stage, divergence, device),
    )


def similarity_of_spaces(x: list[Heard], y: list[Heard], stage: str) -> float:
    """Unbiased linear CKA of one recording of each shared sentence; NaN where there is none."""
    one, other = parallel(x, y)
    if not one:
        return nan
    return float(linear_cka(pooled_states(one, stage), pooled_states(other, stage), unbiased=True))


def diagnose_transport(
    x: list[Heard],
    y: list[Heard],
    stage: str,
    divergence: SinkhornDivergence,
    device: Device = "cpu",
) -> Transported:
    """Look at the transport of sentences whose tokens were kept; arguments as for `diagnose`."""
    one, other = parallel(*([h for h in side if stage in h.tokens] for side in (x, y)))
    if len(one) < 2:  # nothing to shuffle
        return UNKNOWN
    own, its, weights, origin = _measures(one, other, stage, divergence, device)
    return transported(divergence, own, its, *weights, origin)


def _measures(
    x: list[Heard],
    y: list[Heard],
    stage: str,
    divergence: SinkhornDivergence,
    device: Device,
) -> tuple[Tensor, Tensor, tuple[Tensor, Tensor], Tensor | None]:
    """Give what is transported: tokens of both sides of one length, weights, origin."""
    length = max(len(h.tokens[stage]) for h in (*x, *y))
    own, own_mask = token_states(x, stage, length)
    its, its_mask = token_states(y, stage, length)
    origin = None
    if divergence.center:
        heard = torch.cat([own_mask, its_mask]).float().unsqueeze(2)
        total = (torch.cat([own, its]).float() * heard).sum(dim=0)
        origin = (total / heard.sum(dim=0).clamp(min=1)).to(device)
    weights = own_mask.float().to(device), its_mask.float().to(device)
    return own.to(device), its.to(device), weights, origin


def diagnose_stage(
    heard: list[Heard], stage: str, divergence: SinkhornDivergence, device: Device = "cpu"
) -> dict[str, float]:
    """Sum up one stage: means over all pairs of languages, and how alike all sentences are.

    Arguments as for `diagnose`, with recordings of two or more languages.
    """
    by_language: dict[str, list[Heard]] = {}
    for one in heard:
        by_language.setdefault(one.utterance.language, []).append(one)
    found = [
        diagnose(x, y, stage, divergence, device) for x, y in combinations(by_language.values(), 2)
    ]
    states, (sentences,) = pooled_states(heard, stage), sentence_numbers(heard)
    return {
        "recall": fmean(one.recall_at_1 for one in found),
        "cka": fmean(one.cka for one in found),
        "collapse": collapse(states[:, None], sentences).item(),
        **{
            name: fmean(getattr(one.transport, name) for one in found)
            for name in Transported._fields
        },
    }
