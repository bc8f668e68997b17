"""Problems of transport whose answers are known in closed form, or by SciPy."""

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linear_sum_assignment
from torch.nn import functional as F
from torch.testing import assert_close

from speechalign.alignment.divergence import SinkhornDivergence
from speechalign.alignment.sinkhorn import sinkhorn
from speechalign.alignment.solver import Solver
from tests.alignment.problems import tokens

WHOLE = {"normalize": False, "diameter": None}


@given(epsilon=st.floats(0.01, 100.0), seed=st.integers(0, 99))
@settings(max_examples=20)
def test_a_translation_costs_half_its_square(epsilon, seed):
    """At any temperature: the divergence of x and x + t is ½‖t‖²."""
    x, shift = tokens(2, 5, 3, seed), tokens(2, 1, 3, seed + 1)
    loss = SinkhornDivergence(epsilon, **WHOLE, cooling=0.5, iterations=3000, tolerance=1e-9)
    expected = 0.5 * shift.square().sum(dim=(1, 2))
    assert_close(loss(x, x + shift), expected, rtol=1e-4, atol=1e-6)


def test_diracs_cost_their_distance():
    x, y = tokens(3, 1, 4), tokens(3, 1, 4, seed=1)
    for debias in (True, False):
        values = SinkhornDivergence(0.3, debias=debias, **WHOLE)(x, y)
        assert_close(values, 0.5 * (x - y).square().sum(dim=(1, 2)))


def test_gaussians_tend_to_their_closed_form():
    """Equal variances: ½‖t‖² at any ε; the samples are independent, hence the tolerance."""
    x, y = tokens(1, 800, 2), tokens(1, 800, 2, seed=1) + torch.tensor([2.0, -1.0])
    value = SinkhornDivergence(0.5, **WHOLE)(x, y)
    assert_close(value, torch.tensor([2.5]).double(), rtol=0.1, atol=0)


def test_low_temperature_is_the_best_assignment_of_the_paper_size():
    x, y = (F.normalize(tokens(1, 80, 768, seed), dim=-1) for seed in (0, 1))
    cost = 1 - torch.bmm(x, y.mT)
    rows, columns = linear_sum_assignment(cost[0].numpy())
    ours = sinkhorn(cost, Solver(0.0002, cooling=0.5, iterations=2000))
    moved = (ours.plan * cost).sum()
    assert_close(moved, cost[0][rows, columns].mean(), rtol=1e-3, atol=0)
