"""CKA, MEXA and DALI against their definitions written as loops, and their invariances."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import ortho_group, pearsonr
from torch.testing import assert_close

from speechalign.alignment.agreement import dali, linear_cka, mexa
from speechalign.alignment.retrieval import pooled_cosine, retrieve
from tests.alignment.problems import related, tokens

seeds = st.integers(0, 2**16)


def states(n: int, width: int, seed: int = 0) -> torch.Tensor:
    return tokens(1, n, width, seed)[0]


@given(n=st.integers(4, 9), d=st.integers(1, 6), e=st.integers(1, 6), seed=seeds)
def test_cka_equals_the_centring_matrix_formula(n, d, e, seed):
    """tr(K H M H) over its norms, with H = 1 - 11ᵀ/n (Kornblith et al., eq. 3 and 5)."""
    x, y = states(n, d, seed).numpy(), states(n, e, seed + 1).numpy()
    h = np.eye(n) - 1 / n

    def hsic(k, m):
        return np.trace(k @ h @ m @ h)

    k, m = x @ x.T, y @ y.T
    expected = hsic(k, m) / math.sqrt(hsic(k, k) * hsic(m, m))
    assert linear_cka(torch.from_numpy(x), torch.from_numpy(y)).item() == pytest.approx(expected)


def test_cka_of_one_number_is_the_squared_correlation():
    x = states(20, 1)
    y = related(x[None], 0.7)[0]
    correlation = pearsonr(x[:, 0], y[:, 0]).statistic
    assert linear_cka(x, y).item() == pytest.approx(correlation**2)


@given(seed=seeds, scale=st.floats(0.01, 100), unbiased=st.booleans())
def test_cka_does_not_see_rotation_scale_and_shift(seed, scale, unbiased):
    x, y = states(12, 5, seed), states(12, 5, seed + 1)
    q = torch.from_numpy(ortho_group.rvs(5, random_state=seed))
    before = linear_cka(x, y, unbiased)
    assert_close(linear_cka(scale * x @ q + 3, y, unbiased), before, atol=1e-8, rtol=1e-6)
    assert_close(linear_cka(x, x @ q * scale, unbiased), torch.tensor(1.0).double())


@given(n=st.integers(4, 7), seed=seeds)
def test_unbiased_cka_averages_over_distinct_items(n, seed):
    """The U-statistic over all i, j, q, r that differ: k_ij (m_ij + m_qr - 2 m_iq)."""
    x, y = states(n, 3, seed).numpy(), states(n, 3, seed + 1).numpy()

    def product(k, m):
        return np.mean([
            k[i, j] * (m[i, j] + m[q, r] - 2 * m[i, q])
            for i in range(n) for j in range(n) for q in range(n) for r in range(n)
            if len({i, j, q, r}) == 4
        ])  # fmt: skip

    k, m = x @ x.T, y @ y.T
    expected = product(k, m) / math.sqrt(product(k, k) * product(m, m))
    told = linear_cka(torch.from_numpy(x), torch.from_numpy(y), unbiased=True)
    assert told.item() == pytest.approx(expected, abs=1e-9)


def test_unrelated_states_agree_only_by_the_biased_estimate():
    x, y = states(16, 768).float(), states(16, 768, 1).float()
    assert linear_cka(x, y) == pytest.approx(0.98, abs=0.01)
    assert abs(linear_cka(x, y, unbiased=True)) < 0.1


@pytest.mark.parametrize("value", [0.0, 1.0, 0.1])  # the mean of 7 x 0.1 is not 0.1
def test_cka_of_states_that_are_alike_is_undefined(value):
    alike, other = torch.full((7, 3), value).double(), states(7, 3)
    for unbiased in (False, True):
        assert linear_cka(alike, other, unbiased).isnan()
        assert linear_cka(other, alike, unbiased).isnan()


def test_unbiased_cka_is_undefined_where_all_items_are_equally_far_or_few():
    q = torch.from_numpy(ortho_group.rvs(6, random_state=0))
    assert linear_cka(q, q).item() == pytest.approx(1)
    assert linear_cka(q, q, unbiased=True).isnan()
    assert linear_cka(states(3, 3), states(3, 3), unbiased=True).isnan()


def mexa_by_loops(c: np.ndarray) -> float:
    n = len(c)
    return np.mean([
        all(c[i, i] > max(c[i, j], c[j, i]) for j in range(n) if j != i) for i in range(n)
    ])


@given(n=st.integers(2, 8), noise=st.floats(0.1, 2), seed=seeds)
def test_mexa_equals_its_definition(n, noise, seed):
    x = tokens(1, n, 4, seed)
    c = pooled_cosine(x[0], related(x, noise, seed + 1)[0])
    score = mexa(c, torch.arange(n), torch.arange(n))
    assert score == pytest.approx(mexa_by_loops(c.numpy()))
    assert mexa(c.T, torch.arange(n), torch.arange(n)) == pytest.approx(score)
    assert score <= retrieve(c, torch.arange(n), torch.arange(n)).recall_at_1


def test_mexa_with_several_recordings():
    """The second recording of sentence 0 is drawn to the candidate that says 1."""
    c = torch.tensor([[0.9, 0.1, 0.2], [0.5, 0.6, 0.2], [0.1, 0.3, 0.7]])
    x, y = torch.tensor([0, 0, 1]), torch.tensor([0, 1, 1])
    assert mexa(c, x, y) == pytest.approx(2 / 3)
    assert math.isnan(mexa(c, x, y + 5))
    assert mexa(torch.full((3, 3), torch.nan), x, y) == 0


def dali_by_loops(x, y, strict: bool) -> bool:
    def s(u, v):
        return u @ v / math.sqrt((u @ u) * (v @ v))

    n = len(x)
    different = [(i, j) for i in range(n) for j in range(n) if i != j]
    told = all(s(x[i], y[i]) > s(x[i], y[j]) for i, j in different)
    if not strict:
        return told
    within = max(max(s(x[i], x[j]), s(y[i], y[j])) for i, j in different)
    return told and all(s(x[i], y[i]) > within for i in range(n))


@given(n=st.integers(2, 5), noise=st.floats(0.1, 2), seed=seeds, strict=st.booleans())
def test_dali_equals_its_definition(n, noise, seed, strict):
    x = tokens(6, n, 4, seed)
    y = related(x, noise, seed + 1)
    expected = [dali_by_loops(a.numpy(), b.numpy(), strict) for a, b in zip(x, y, strict=True)]
    assert dali(x, y, strict).tolist() == expected


def test_strict_dali_sees_a_common_direction():
    """All states share a direction: neighbours of one language are nearer than translations."""
    x = torch.eye(2).repeat(1, 1, 2)
    x[..., 2:] = 0
    y = x.clone()
    x[..., 2], y[..., 3] = 2, 2  # each language has its own direction
    assert dali(x, y).tolist() == [True]
    assert dali(x, y, strict=True).tolist() == [False]
