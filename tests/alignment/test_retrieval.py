"""Retrieval against loops that follow the definitions, closed forms and invariances."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.distance import cdist
from torch.testing import assert_close

from speechalign.alignment.contrastive import Contrastive
from speechalign.alignment.controls import Cosine
from speechalign.alignment.divergence import SinkhornDivergence
from speechalign.alignment.retrieval import (
    pooled_cosine,
    ranks,
    retrieve,
    shared_rows,
    transport_similarity,
    xsim_error,
)
from speechalign.errors import UserError
from tests.alignment.problems import related, tokens

seeds = st.integers(0, 2**16)
sizes = st.integers(1, 9)


def scene(n: int, m: int, seed: int, levels: int | None = None):
    """Similarities above 0 (of few levels: with many ties) and sentences, some of them shared."""
    generator = torch.Generator().manual_seed(seed)
    similarity = torch.rand(n, m, generator=generator, dtype=torch.float64) + 0.1
    if levels is not None:
        similarity = torch.randint(1, levels + 1, (n, m), generator=generator).double()
    queries = torch.randint(0, 6, (n,), generator=generator)
    candidates = torch.randint(0, 6, (m,), generator=generator)
    return similarity, queries, candidates


def ranks_by_sorting(similarity, queries, candidates) -> list[int]:
    found = []
    for row, query in zip(similarity.tolist(), queries.tolist(), strict=True):
        # at equal similarity, what says something else comes first
        order = sorted(
            (-s, candidate == query) for s, candidate in zip(row, candidates.tolist(), strict=True)
        )
        first = next((at for at, (_, right) in enumerate(order) if right), None)
        found.append(0 if first is None else 1 + sum(not right for _, right in order[:first]))
    return found


@given(n=sizes, m=sizes, seed=seeds, levels=st.sampled_from([None, 3]))
def test_ranks_equal_those_of_a_sorted_list(n, m, seed, levels):
    problem = scene(n, m, seed, levels)
    assert ranks(*problem).tolist() == ranks_by_sorting(*problem)


@given(n=sizes, m=sizes, seed=seeds)
def test_means_are_over_queries_with_a_positive(n, m, seed):
    similarity, queries, candidates = scene(n, m, seed, 4)
    found = [r for r in ranks_by_sorting(similarity, queries, candidates) if r]
    told = retrieve(similarity, queries, candidates)
    assert told.queries == len(found)
    if found:
        assert told.recall_at_1 == pytest.approx(np.mean([r <= 1 for r in found]))
        assert told.recall_at_5 == pytest.approx(np.mean([r <= 5 for r in found]))
        assert told.mrr == pytest.approx(np.mean([1 / r for r in found]))
    else:
        assert all(math.isnan(value) for value in told[:3])


@given(n=sizes, m=sizes, seed=seeds, scale=st.sampled_from([0.25, 8.0]))
def test_order_of_candidates_and_scale_do_not_matter(n, m, seed, scale):
    similarity, queries, candidates = scene(n, m, seed, 3)
    order = torch.randperm(m, generator=torch.Generator().manual_seed(seed))
    moved = scale * similarity[:, order], queries, candidates[order]
    before, after = retrieve(similarity, queries, candidates), retrieve(*moved)
    assert before == pytest.approx(after, nan_ok=True)
    for margin in ("ratio", "distance", "absolute"):
        error = xsim_error(similarity, queries, candidates, margin)
        assert xsim_error(*moved, margin) == pytest.approx(error, nan_ok=True)


def test_orthogonal_codes_are_found_and_collapsed_ones_are_not():
    codes, sentences = torch.linalg.qr(tokens(1, 12, 12)[0]).Q, torch.arange(12)
    assert retrieve(pooled_cosine(codes, 3 * codes), sentences, sentences)[:3] == (1, 1, 1)
    assert xsim_error(pooled_cosine(codes, codes), sentences, sentences, "distance") == 0
    alike = torch.ones(12, 5)
    told = retrieve(pooled_cosine(alike, alike), sentences, sentences)
    assert told == (0, 0, pytest.approx(1 / 12), 12)
    assert xsim_error(pooled_cosine(alike, alike), sentences, sentences) == 1


def test_what_is_not_a_number_finds_nothing():
    sentences = torch.arange(7)
    assert retrieve(torch.full((7, 7), torch.nan), sentences, sentences).recall_at_5 == 0


def test_random_codes_find_by_chance():
    x, y = tokens(1, 400, 64)[0], tokens(1, 400, 64, seed=1)[0]
    told = retrieve(pooled_cosine(x, y), torch.arange(400), torch.arange(400))
    assert told.recall_at_1 < 0.02  # 1 / 400 is expected: 8 or more of 400 in 1 of 10^5 cases
    assert told.recall_at_5 < 0.05
    assert told.mrr == pytest.approx(sum(1 / r for r in range(1, 401)) / 400, abs=0.015)


def test_another_recording_of_the_sentence_counts():
    """The nearest says the same by another voice; without it, the true one would be second."""
    similarity = torch.tensor([[0.7, 0.9, 0.8]])
    query = torch.tensor([4])
    assert ranks(similarity, query, torch.tensor([4, 4, 5])).tolist() == [1]
    assert ranks(similarity, query, torch.tensor([4, 6, 5])).tolist() == [3]
    assert ranks(similarity, query, torch.tensor([6, 4, 4])).tolist() == [1]
    assert ranks(similarity, query, torch.tensor([6, 4, 4]) + 10).tolist() == [0]


def test_pooled_cosine_equals_scipy():
    x, y = tokens(1, 4, 6)[0], tokens(1, 5, 6, seed=1)[0]
    assert_close(pooled_cosine(x, y), torch.from_numpy(1 - cdist(x, y, "cosine")))
    assert pooled_cosine(x.bfloat16(), y.bfloat16()).dtype == torch.float32


def xsim_by_loops(similarity, queries, candidates, ratio: bool, k: int) -> float:
    s = similarity.numpy()
    n, m = s.shape
    wrong, asked = 0, 0
    for i in range(n):
        if queries[i] not in candidates:
            continue
        asked += 1
        near = sorted(range(m), key=lambda j: -s[i, j])[:k]
        row = np.mean(sorted(s[i])[-k:])
        scores = {}
        for j in near:
            around = (row + np.mean(sorted(s[:, j])[-k:])) / 2
            scores[j] = s[i, j] / around if ratio else s[i, j] - around
        wrong += candidates[max(scores, key=lambda j: scores[j])].item() != queries[i].item()
    return wrong / asked if asked else math.nan


@given(n=sizes, m=sizes, seed=seeds, ratio=st.booleans(), k=st.integers(1, 5))
def test_xsim_equals_loops(n, m, seed, ratio, k):
    similarity, queries, candidates = scene(n, m, seed)
    error = xsim_error(similarity, queries, candidates, "ratio" if ratio else "distance", k)
    truth = xsim_by_loops(similarity, queries, candidates, ratio, k)
    assert error == pytest.approx(truth, nan_ok=True)


def test_the_margin_sees_through_a_hub():
    """Candidate 0 is near to all queries, which the cosine falls for and the margin does not."""
    similarity = torch.full((6, 6), 0.1).fill_diagonal_(0.5)
    similarity[:, 0] = 0.6
    similarity[0, 0] = 0.8
    sentences = torch.arange(6)
    assert xsim_error(similarity, sentences, sentences, "absolute") == pytest.approx(5 / 6)
    assert xsim_error(similarity, sentences, sentences) == 0
    assert xsim_error(similarity, sentences, sentences, "distance") == 0


def test_xsim_looks_at_the_nearest_alone():
    """By margin, query 0 would prefer candidate 1, which is not among its nearest."""
    similarity, sentences = torch.tensor([[0.9, 0.85], [1.0, 0.1]]), torch.arange(2)
    assert xsim_error(similarity, sentences, sentences, neighbours=1) == 0.5
    assert xsim_by_loops(similarity, sentences, sentences, True, 1) == 0.5


def test_ratios_of_costs_are_refused():
    with pytest.raises(UserError, match="distance"):
        xsim_error(-torch.rand(3, 3), torch.arange(3), torch.arange(3))


@pytest.mark.parametrize("at_once", [1, 4, 64])
def test_transport_of_all_pairs_equals_one_at_a_time(at_once):
    x, y = tokens(3, 5, 8), tokens(4, 5, 8, seed=1)
    x_mask, y_mask = torch.ones(3, 5, dtype=torch.bool), torch.ones(4, 5, dtype=torch.bool)
    x_mask[1, 3:] = y_mask[2, 1:] = False
    divergence = SinkhornDivergence(iterations=20)
    similarity = transport_similarity(divergence, x, y, x_mask, y_mask, at_once=at_once)
    for i in range(3):
        for j in range(4):
            own, other = x[i : i + 1, x_mask[i]], y[j : j + 1, y_mask[j]]
            if own.shape == other.shape:
                assert_close(similarity[i, j], -divergence(own, other)[0])
    assert similarity.shape == (3, 4)


def test_transport_finds_tokens_in_another_order():
    """Pooled states are all 0 and tokens are permuted: only the transport can tell."""
    x = tokens(6, 8, 16)
    x -= x.mean(dim=1, keepdim=True)
    y = related(x, 0.1)[:, torch.randperm(8, generator=torch.Generator().manual_seed(0))]
    sentences = torch.arange(6)
    found = retrieve(transport_similarity(SinkhornDivergence(), x, y), sentences, sentences)
    assert found.recall_at_1 == 1
    by_index = retrieve(transport_similarity(Cosine(), x, y), sentences, sentences)
    with pytest.raises(UserError, match="is of a batch, no distance"):
        transport_similarity(Contrastive(), x, y)
    assert by_index.recall_at_1 < 1


def test_all_recordings_of_drawn_sentences_are_kept():
    x, y = torch.tensor([5, 1, 2, 2, 9, 3]), torch.tensor([2, 3, 1, 1, 8, 2, 5])
    assert [rows.tolist() for rows in shared_rows(x, y)] == [[0, 1, 2, 3, 5], [0, 1, 2, 3, 5, 6]]
    kept: set[int] = set()
    for most in range(5):
        x_rows, y_rows = shared_rows(x, y, most, seed=3)
        assert len(x[x_rows].unique()) == most
        assert set(x[x_rows].tolist()) == set(y[y_rows].tolist())
        assert all((x == s).sum() == (x[x_rows] == s).sum() for s in x[x_rows])
        assert kept <= set(x_rows.tolist())
        kept = set(x_rows.tolist())
    draws = {tuple(shared_rows(x, y, 2, seed)[0].tolist()) for seed in range(20)}
    assert len(draws) > 1
