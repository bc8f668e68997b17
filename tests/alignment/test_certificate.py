"""The certificate's numbers, against SciPy and against faults that it has to find."""

import numpy as np
import pytest
import torch
from scipy.optimize import linear_sum_assignment
from torch.testing import assert_close

from speechalign.alignment import certificate
from speechalign.alignment.cost import pairwise_cost
from speechalign.alignment.divergence import SinkhornDivergence

SETTINGS = {"epsilon": 0.05}


@pytest.fixture(autouse=True)
def few_sweeps(monkeypatch):
    monkeypatch.setitem(certificate.CONVERGED, "iterations", 300)  # small problems need no more


@pytest.fixture
def related():
    return certificate.example_tokens(2, 8, 16, 0.3)


def test_example_tokens_are_what_is_said():
    x, y = certificate.example_tokens(3, 5, 7, None)
    assert x.shape == y.shape == (3, 5, 7)
    assert_close(x.norm(dim=-1), torch.ones(3, 5).double())
    x, y = certificate.example_tokens(2, 40, 600, 0.5)
    cosine = (x * y).sum(-1).mean().item()
    assert cosine == pytest.approx(1 / np.sqrt(1.25), abs=0.01)


def test_exact_transport_is_the_best_assignment():
    x, y = certificate.example_tokens(3, 9, 4, None)
    cost = pairwise_cost(x, y, "cosine")
    for found, one in zip(certificate.exact_transport(cost), cost.numpy(), strict=True):
        assert found.item() == pytest.approx(one[linear_sum_assignment(one)].mean())


def test_bias_falls_with_the_temperature():
    x, y = certificate.example_tokens(2, 9, 4, None)
    rows = certificate.biases(x, y, (0.5, 0.05, 0.005))
    for row in rows:
        assert row.exact - 1e-4 <= row.moved <= row.raw
        assert row.raw - row.exact <= row.epsilon * np.log(9) + 1e-6
    assert [row.moved for row in rows] == sorted((row.moved for row in rows), reverse=True)
    assert rows[-1].debiased == pytest.approx(rows[-1].exact, rel=0.05)


def test_more_sweeps_are_nearer_to_convergence():
    x, y = certificate.example_tokens(2, 12, 6, None)
    rows = certificate.errors(x, y, SETTINGS, (0, 10, 200))
    assert rows[0].gradient > rows[1].gradient > rows[2].gradient
    assert rows[2].value < 1e-5
    assert rows[2].gradient < 1e-3
    assert rows[2].cosine > 1 - 1e-5
    assert rows[0].marginal > rows[2].marginal < 1e-4


def test_a_wrong_gradient_is_found(related, monkeypatch):
    assert certificate.gradient_error(*related, SETTINGS) < 1e-5
    right = SinkhornDivergence.forward

    def wrong(self, x, y):
        return right(self, x, y) + 0.01 * (x.detach() * x).sum(dim=(1, 2))

    monkeypatch.setattr(SinkhornDivergence, "forward", wrong)
    assert certificate.gradient_error(*related, SETTINGS) > 1e-3


def test_time_is_taken(related):
    assert 0 < certificate.milliseconds(*related, SETTINGS, repeats=3) < 60_000
