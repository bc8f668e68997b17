"""Languages compared at one stage of a speech LLM: retrieval, agreement, transport, collapse."""

from itertools import combinations
from math import nan
from statistics import fmean
from typing import NamedTuple

import torch

from speechalign.alignment.agreement import linear_cka
from speechalign.alignment.diagnostics import Transported, collapse, transported
from speechalign.alignment.divergence import SinkhornDivergence
from speechalign.alignment.retrieval import pooled_cosine, retrieve
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
    similarity = pooled_cosine(pooled_states(x, stage), pooled_states(y, stage))
    there, back = retrieve(similarity, *numbers), retrieve(similarity.mT, *numbers[::-1])
    one, other = parallel(x, y)
    cka = nan
    if one:
        cka = linear_cka(pooled_states(one, stage), pooled_states(other, stage), unbiased=True)
    recall = fmean([there.recall_at_1, back.recall_at_1])
    return Diagnosis(recall, float(cka), diagnose_transport(x, y, stage, divergence, device))


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
    length = max(len(h.tokens[stage]) for h in (*one, *other))
    own, own_mask = token_states(one, stage, length)
    its, its_mask = token_states(other, stage, length)
    origin = torch.cat([own, its]).float().mean(dim=0).to(device) if divergence.center else None
    weights = own_mask.float().to(device), its_mask.float().to(device)
    return transported(divergence, own.to(device), its.to(device), *weights, origin)


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
