import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional as F
from torch.testing import assert_close

from speechalign.alignment.divergence import SinkhornDivergence
from speechalign.alignment.pooled import PooledSinkhorn, spans
from speechalign.errors import UserError
from tests.alignment.problems import tokens


def by_hand(x, weights, window, stride):
    """Means and masses of one sequence, span by span until the last token is reached."""
    end = int(weights.nonzero().max()) + 1
    means, masses, start = [], [], 0
    while True:
        part = slice(start, min(start + window, end))
        masses.append(weights[part].sum())
        means.append((weights[part].unsqueeze(1) * x[part]).sum(0) / masses[-1])
        if start + window >= end:
            return torch.stack(means), torch.stack(masses)
        start += stride


def test_tokens_may_weigh_by_length():
    x, y = tokens(2, 8, 4), tokens(2, 8, 4, seed=1)
    by_length = PooledSinkhorn(weighting="norm")(x, y)
    assert_close(by_length, PooledSinkhorn()(x, y, x.norm(dim=-1), y.norm(dim=-1)))


def test_uniform_spans_equal_average_pooling():
    x = tokens(2, 80, 5)
    means, mass = spans(x, torch.full((2, 80), 1 / 80).double(), 4, 2)
    assert means.shape == (2, 39, 5)
    assert_close(means, F.avg_pool1d(x.mT, 4, 2).mT)
    assert_close(mass, torch.full((2, 39), 4 / 80).double())


@given(
    queries=st.integers(1, 14),
    padding=st.integers(0, 5),
    window=st.integers(1, 5),
    overlap=st.integers(0, 4),
    seed=st.integers(0, 99),
)
def test_spans_equal_those_by_hand(queries, padding, window, overlap, seed):
    stride = max(1, window - overlap)
    x = tokens(1, queries + padding, 3, seed)
    weights = tokens(1, 1, queries + padding, seed + 1)[0].exp()
    weights[:, queries:] = 0
    means, mass = spans(x, weights, window, stride)
    expected_means, expected_mass = by_hand(x[0], weights[0], window, stride)
    count = len(expected_mass)
    assert_close(means[0, :count], expected_means)
    assert_close(mass[0, :count], expected_mass)
    assert mass[0, count:].abs().sum() == 0


@given(
    queries=st.integers(1, 12),
    window=st.integers(1, 5),
    overlap=st.integers(0, 4),
    seed=st.integers(0, 99),
)
def test_every_token_of_weight_is_in_a_span(queries, window, overlap, seed):
    """Also where weights are 0 between others; each token is marked by a width of its own."""
    generator = torch.Generator().manual_seed(seed)
    weights = torch.randint(0, 2, (1, queries), generator=generator).double()
    weights[0, seed % queries] = 1
    marks = torch.eye(queries).double().unsqueeze(0)
    means, mass = spans(marks, weights, window, max(1, window - overlap))
    assert torch.equal((mass.unsqueeze(-1) * means).sum(dim=1) > 0, weights > 0)


@pytest.mark.parametrize("normalize", [True, False])
def test_it_is_the_divergence_between_spans(normalize):
    options = {"epsilon": 0.1, "iterations": 50, "debias": False, "normalize": normalize}
    x, y = tokens(2, 11, 6), tokens(2, 11, 6, seed=1)
    a, b = tokens(2, 2, 11, seed=2).softmax(dim=-1)
    ours = PooledSinkhorn(3, 2, **options)(x, y, a, b)
    if normalize:
        x, y = F.normalize(x, dim=-1), F.normalize(y, dim=-1)
    for p in range(2):
        x_spans, x_mass = by_hand(x[p], a[p], 3, 2)
        y_spans, y_mass = by_hand(y[p], b[p], 3, 2)
        sides = (x_spans, y_spans, x_mass, y_mass)
        expected = SinkhornDivergence(**options)(*(side.unsqueeze(0) for side in sides))
        assert_close(ours[p : p + 1], expected)


def test_spans_of_one_token_are_tokens():
    x, y = tokens(2, 6, 4), tokens(2, 6, 4, seed=1)
    assert_close(PooledSinkhorn(1, 1)(x, y), SinkhornDivergence()(x, y))


def test_a_long_window_compares_the_means():
    x, y = tokens(2, 6, 4), tokens(2, 6, 4, seed=1)
    one = [F.normalize(side, dim=-1).mean(dim=1) for side in (x, y)]
    assert_close(PooledSinkhorn(8, 2)(x, y), 1 - F.cosine_similarity(*one, dim=-1))


def test_the_order_of_tokens_matters():
    """Spans keep together what stood together, which tokens by themselves do not know of."""
    x = tokens(2, 20, 16)
    shuffled = x[:, torch.randperm(20, generator=torch.Generator().manual_seed(0))]
    assert (PooledSinkhorn()(x, x) < 1e-6).all()
    assert (SinkhornDivergence()(x, shuffled) < 1e-6).all()
    assert (PooledSinkhorn()(x, shuffled) > 0.1).all()


@pytest.mark.parametrize(("window", "stride"), [(4, 0), (2, 3), (0, 0)])
def test_a_wrong_setting_is_named(window, stride):
    with pytest.raises(UserError, match=f"stride is {stride} and window {window}"):
        PooledSinkhorn(window, stride)


def test_a_wrong_setting_of_the_divergence_is_named():
    with pytest.raises(UserError, match="epsilon is -1"):
        PooledSinkhorn(epsilon=-1.0)
