import math

import torch
from torch.testing import assert_close

from speechalign.alignment.controls import Cosine
from speechalign.alignment.diagnostics import (
    collapse,
    diagonal_mass,
    margin,
    plan_entropy,
    transported,
)
from speechalign.alignment.divergence import SinkhornDivergence
from tests.alignment.problems import problem, related, tokens


def test_collapse_is_the_mean_cosine_of_unlike_items():
    """Pooled states along 0, 0, 60 and 90 degrees; the first two say the same."""
    angles = torch.tensor([0.0, 0.0, math.pi / 3, math.pi / 2])
    pooled = torch.stack([angles.cos(), angles.sin()], dim=1)
    lengths = torch.tensor([1.0, 5.0, 0.5, 2.0]).unsqueeze(1)
    offset = torch.tensor([[[10.0, -3.0]], [[-10.0, 3.0]]]).transpose(0, 1)  # pools to 0
    states = (pooled * lengths).unsqueeze(1) + offset
    cosines = [0.5, 0.0, 0.5, 0.0, math.cos(math.pi / 6)]
    expected = torch.tensor(sum(cosines) / 5)
    assert_close(collapse(states, torch.tensor([7, 7, 8, 9])), expected)


def test_collapse_of_equal_states_is_one_and_of_independent_ones_zero():
    sentence = torch.arange(6)
    assert_close(collapse(torch.ones(6, 4, 8), sentence), torch.tensor(1.0))
    random = tokens(40, 4, 512, dtype=torch.bfloat16)
    assert collapse(random, torch.arange(40)).abs() < 0.02


def test_collapse_without_unlike_items_is_undefined():
    assert collapse(torch.ones(2, 4, 8), torch.zeros(2, dtype=torch.long)).isnan()


def test_plan_entropy_of_a_matching_and_of_independence():
    matching = torch.eye(8)[torch.randperm(8)] / 8
    assert_close(plan_entropy(matching[None]), torch.zeros(1), atol=1e-6, rtol=0)
    _, a, _ = problem(2, 5, 4, seed=0)
    spread = a.unsqueeze(2).expand(2, 5, 4) / 4
    assert_close(plan_entropy(spread), torch.full((2,), math.log(4)).double())
    assert_close(plan_entropy(0.3 * spread), plan_entropy(spread))  # of which a share is moved


def test_diagonal_mass():
    plan = torch.stack([torch.eye(4) / 4, torch.full((4, 4), 1 / 16), torch.eye(4).flip(0)])
    assert_close(diagonal_mass(plan), torch.tensor([1.0, 0.25, 0.0]))


def test_margin_is_the_difference_to_the_next_pair():
    x = tokens(3, 5, 8)
    y = related(x, 0.1)
    own, other = Cosine()(x, y), Cosine()(x, y[[2, 0, 1]])
    assert_close(margin(Cosine(), x, y), other - own)
    assert (margin(Cosine(), x, y) > 0).all()
    assert margin(Cosine(), x[:1], y[:1]) == 0


def test_margin_heeds_padding():
    x = tokens(3, 5, 8)
    y = related(x, 0.1)
    weights = torch.ones(3, 5).double()
    for row, length in enumerate((2, 3, 5)):
        weights[row, length:] = x[row, length:] = y[row, length:] = 0
    divergence = SinkhornDivergence(epsilon=0.1, iterations=200)
    told = margin(divergence, x, y, weights, weights)
    own = [divergence(x[[p], :n], y[[p], :n]) for p, n in enumerate((2, 3, 5))]
    for p in range(3):
        cross = divergence(x[[p]], y[[p - 1]], weights[[p]], weights[[p - 1]])
        assert_close(told[[p]], cross - own[p], atol=1e-4, rtol=1e-3)


def test_transported_is_the_mean_of_single_answers():
    x = tokens(4, 5, 8)
    y = related(x, 0.3)
    divergence = SinkhornDivergence(epsilon=0.1, iterations=50, center=True)
    origin = x.mean(dim=0)
    told = transported(divergence, x, y, origin=origin)
    plans = divergence.transport(x, y, origin=origin).plan
    missing = (plans.sum(dim=2) - 0.2).abs().sum(dim=1) + (plans.sum(dim=1) - 0.2).abs().sum(dim=1)
    expected = {
        "cost": [divergence(x[[p]], y[[p]], origin=origin) for p in range(4)],
        "margin": [
            divergence(x[[p]], y[[p - 1]], origin=origin)
            - divergence(x[[p]], y[[p]], origin=origin)
            for p in range(4)
        ],
        "plan_entropy": plan_entropy(plans),
        "diagonal_mass": diagonal_mass(plans),
        "marginal_error": missing,
    }
    for name, values in expected.items():
        assert math.isclose(getattr(told, name), sum(values) / 4, rel_tol=1e-4), name
    assert told.margin > 0.1
    assert told.diagonal_mass > 0.7
