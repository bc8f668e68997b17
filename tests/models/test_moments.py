"""Moments add up, and the covariance is scikit-learn's."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.covariance import oas
from torch.testing import assert_close

from speechalign.models.moments import covariance, join, moments_of


def vectors(count: int, width: int = 5, seed: int = 0) -> torch.Tensor:
    draw = np.random.default_rng(seed)
    mixed = draw.normal(size=(count, width)) @ draw.normal(size=(width, width))
    return torch.from_numpy(mixed + 100 * draw.normal(size=width))


@given(st.lists(st.integers(0, 6), min_size=1, max_size=6), st.integers(0, 99))
def test_moments_of_parts_are_those_of_the_whole(counts, seed):
    whole = vectors(sum(counts), seed=seed)
    joined = join([moments_of(part) for part in whole.split(counts)], 5)
    assert joined.number == len(whole)
    if len(whole):
        assert_close(joined.mean, whole.mean(dim=0))
    if len(whole) > 1:
        expected = torch.from_numpy(np.cov(whole.numpy().T, ddof=0)) * len(whole)
        assert_close(joined.scatter, expected, atol=1e-6, rtol=1e-6)


@pytest.mark.parametrize(("count", "width"), [(40, 5), (8, 12), (300, 3), (2, 4)])
def test_the_covariance_is_that_of_the_oracle_approximating_shrinkage(count, width):
    centred = vectors(count, width)
    centred -= centred.mean(dim=0)
    expected, _ = oas(centred.numpy(), assume_centered=True)
    found = covariance(moments_of(centred).scatter, count)
    assert_close(found, torch.from_numpy(expected))
    torch.linalg.cholesky(found)  # can be inverted, also from fewer vectors than they are wide


def test_what_scatters_alike_in_all_directions_is_taken_so():
    assert_close(covariance(torch.eye(3), 7), torch.eye(3, dtype=torch.float64) / 7)
