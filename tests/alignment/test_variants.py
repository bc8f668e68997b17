"""Variants of transport against POT, geomloss, closed forms and finite differences."""

import subprocess
import sys
from dataclasses import replace

import geomloss
import ot
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional as F
from torch.testing import assert_close

from speechalign.alignment.divergence import SinkhornDivergence
from speechalign.alignment.sinkhorn import sinkhorn
from speechalign.alignment.solver import Solver
from speechalign.errors import UserError
from tests.alignment.problems import problem, related, tokens, with_gradients

CONVERGED = {"cooling": 0.5, "iterations": 500}
WHOLE = {"normalize": False, "diameter": None}


@pytest.mark.parametrize("debias", [True, False])
def test_reach_equals_geomloss(debias):
    x, y = tokens(2, 8, 3), tokens(2, 8, 3, seed=1)
    a, b = tokens(2, 2, 8, seed=2).softmax(dim=-1)
    peer = geomloss.SamplesLoss("sinkhorn", blur=1.0, reach=1.5, debias=debias, scaling=0.999)
    ours = SinkhornDivergence(1.0, debias=debias, reach=1.5, **WHOLE, **CONVERGED)
    theirs = with_gradients(lambda x, y: peer(a, x, b, y), x, y)
    value, *gradients = with_gradients(ours, x, y, a, b)
    assert_close(value, theirs[0], rtol=1e-3, atol=1e-4)
    # Finite differences of geomloss' own value give our gradient, which is its times a constant.
    ratio = (1.5**2 + 1) / (1.5**2 + 0.5)
    for one, other in zip(gradients, theirs[1:], strict=True):
        assert_close(one, ratio * other, rtol=1e-2, atol=1e-3)


@pytest.mark.parametrize("reach", [0.3, 1.0])
def test_reach_gives_the_plan_of_pot(reach):
    cost, a, b = problem(2, 5, 7, seed=0)
    ours = sinkhorn(cost, Solver(0.05, reach=reach, iterations=200), a, b)
    for p in range(2):
        plan = ot.unbalanced.sinkhorn_unbalanced(
            a[p], b[p], cost[p], 0.05, reach**2, reg_type="kl", numItermax=5000, stopThr=1e-13
        )
        assert_close(ours.plan[p], plan, rtol=1e-5, atol=1e-8)


def test_a_long_reach_moves_all_mass_and_a_short_one_none():
    cost, a, b = problem(2, 5, 6, seed=0)
    exact = sinkhorn(cost, Solver(0.05, iterations=200), a, b)
    long = sinkhorn(cost, Solver(0.05, iterations=200, reach=1e3), a, b)
    short = sinkhorn(cost + 1, Solver(0.05, iterations=200, reach=0.03), a, b)
    assert_close(long.value, exact.value, rtol=1e-4, atol=1e-5)
    assert_close(long.plan, exact.plan, rtol=0, atol=1e-5)
    assert short.plan.sum(dim=(1, 2)).max() < 1e-3


@pytest.mark.parametrize("mass", [0.3, 0.75])
def test_mass_gives_the_cheapest_share_as_epsilon_falls(mass):
    cost, a, b = problem(3, 6, 6, seed=1)
    solver = Solver(0.001, mass=mass, cooling=0.5, iterations=2000)
    ours = sinkhorn(cost, solver, a, b)
    for p in range(3):
        plan = ot.partial.partial_wasserstein(a[p].numpy(), b[p].numpy(), cost[p].numpy(), m=mass)
        best = (torch.from_numpy(plan) * cost[p]).sum()
        assert_close((ours.plan[p] * cost[p]).sum(), best, atol=3e-3, rtol=0)
        assert_close(ours.value[p], best, atol=1e-2, rtol=0)
    assert_close(ours.plan.sum(dim=(1, 2)), torch.full((3,), mass).double(), atol=5e-3, rtol=0)
    assert (ours.plan.sum(dim=2) <= a + 1e-3).all()
    assert (ours.plan.sum(dim=1) <= b + 1e-3).all()


@pytest.mark.parametrize("mass", [0.1, 0.3, 0.75])
@pytest.mark.parametrize("noise", [None, 0.3])
def test_the_usual_sweeps_move_the_share(mass, noise):
    """At the paper's size and ε, where sweeps that begin from 0 move nothing at all."""
    x = tokens(2, 80, 768, dtype=torch.float32)
    y = related(x, noise)
    solved = SinkhornDivergence(mass=mass, debias=False).transport(x, y)
    assert_close(solved.plan.sum(dim=(1, 2)), torch.full((2,), mass), rtol=0.05, atol=0)
    many = {"annealed": False, "iterations": 3000}
    exact = SinkhornDivergence(mass=mass, debias=False, **many).transport(x.double(), y.double())
    assert_close(solved.value.double(), exact.value, rtol=1e-4, atol=0)


def test_a_far_reach_takes_no_more_sweeps():
    x, y = tokens(2, 20, 16), tokens(2, 20, 16, seed=1)
    usual, many = (SinkhornDivergence(reach=3.0, iterations=k)(x, y) for k in (10, 20_000))
    assert_close(usual, many, rtol=1e-3, atol=0)


def test_all_of_the_mass_is_the_whole_problem():
    cost, a, b = problem(2, 5, 6, seed=0)
    most = sinkhorn(cost, Solver(0.05, mass=1 - 1e-9, iterations=500), a, b)
    assert_close(
        most.plan, sinkhorn(cost, Solver(0.05, iterations=500), a, b).plan, atol=1e-5, rtol=0
    )


@pytest.mark.parametrize("variant", [{}, {"reach": 0.5}, {"mass": 0.5}])
def test_gradients_of_variants_equal_finite_differences(variant):
    solver = Solver(0.3, iterations=200, **variant)
    for gradient in ("envelope", "last"):
        chosen = Solver(0.3, iterations=200, gradient=gradient, **variant)
        cost, a, b = problem(2, 3, 4, seed=0, zeros=True)
        scores = torch.zeros_like(a).requires_grad_()

        def value(cost, scores, a=a, b=b, chosen=chosen):
            weights = a * scores.exp()
            return sinkhorn(cost, chosen, weights / weights.sum(1, keepdim=True), b).value

        assert torch.autograd.gradcheck(value, (cost.requires_grad_(), scores), atol=1e-6)
        assert_close(value(cost, scores), sinkhorn(cost, solver, a, b).value)


@pytest.mark.parametrize(
    "options",
    [
        {"reach": 0.7},
        {"reach": 0.7, "debias": False},
        {"position": 2.0},
        {"gradient": "last"},
        {"mass": 0.6, "debias": False},
        {"normalize": False, "cost": "cosine", "position": 1.0},
    ],
)
def test_gradients_of_the_divergence_equal_finite_differences(options):
    loss = SinkhornDivergence(2.0, iterations=100, **options)
    x = (0.5 * tokens(2, 3, 2)).requires_grad_()
    y = (0.5 * tokens(2, 3, 2, seed=1)).requires_grad_()
    a = tokens(1, 2, 3, seed=2)[0].exp()
    b = torch.tensor([[1.0, 2, 0], [0, 1, 1]]).double()
    assert torch.autograd.gradcheck(
        lambda x, y, a: loss(x, y, a, b), (x, y, a.requires_grad_()), atol=1e-6
    )


def test_the_last_sweep_agrees_with_the_envelope():
    x = tokens(2, 12, 6)
    y = related(x, 0.5)
    for options in ({}, {"reach": 0.5}, {"debias": False}):
        envelope = with_gradients(SinkhornDivergence(0.05, **CONVERGED, **options), x, y)
        last = with_gradients(
            SinkhornDivergence(0.05, gradient="last", **CONVERGED, **options), x, y
        )
        assert_close(last, envelope, rtol=1e-3, atol=1e-5)


def test_a_start_that_is_near_saves_sweeps():
    cost, a, b = problem(2, 6, 7, seed=0)
    solver = Solver(0.02, iterations=5000, tolerance=1e-8)
    cold = sinkhorn(cost, solver, a, b)
    warm = sinkhorn(cost, solver, a, b, start=(cold.f, cold.g))
    with pytest.raises(UserError, match="POT starts from nothing"):
        sinkhorn(cost, replace(solver, backend="pot", start=None), a, b, start=(cold.f, cold.g))
    assert warm.iterations < cold.iterations / 2
    assert_close(warm.plan, cold.plan, atol=1e-6, rtol=0)


@pytest.mark.parametrize("variant", [{}, {"reach": 0.5}, {"mass": 0.7}])
def test_pots_solvers_agree(variant):
    cost, a, b = problem(2, 5, 6, seed=0, zeros=not variant)
    ours = sinkhorn(cost, Solver(0.05, iterations=2000, **variant), a, b)
    theirs = sinkhorn(cost, Solver(0.05, iterations=5000, backend="pot", **variant), a, b)
    assert_close(theirs.plan, ours.plan, atol=1e-6, rtol=0)
    assert_close(theirs.value, ours.value, atol=1e-7, rtol=1e-6)


@pytest.mark.parametrize("n", [80, 57])
def test_the_paper_size_equals_pot(n):
    x = F.normalize(tokens(2, 80, 768), dim=-1)
    y = F.normalize(related(tokens(2, 80, 768), 3.0)[:, :n], dim=-1)
    options = {"normalize": True, "debias": False, "iterations": 1000, "cooling": 0.5}
    cost = 1 - torch.bmm(x, y.mT)
    ours = sinkhorn(cost, Solver(0.01, cooling=0.5, iterations=1000))
    theirs = sinkhorn(cost, Solver(0.01, iterations=3000, backend="pot"))
    assert_close(theirs.plan, ours.plan, atol=1e-6, rtol=0)
    if n == 80:
        pot = SinkhornDivergence(0.01, backend="pot", **options | {"iterations": 3000})
        assert_close(
            with_gradients(pot, x, y),
            with_gradients(SinkhornDivergence(0.01, **options), x, y),
            atol=1e-6,
            rtol=1e-4,
        )


@given(
    n=st.integers(1, 9),
    m=st.integers(1, 9),
    epsilon=st.floats(0.0005, 10.0),
    dtype=st.sampled_from([torch.float32, torch.float64]),
    variant=st.sampled_from([{}, {"reach": 0.01}, {"reach": 1.0}, {"mass": 0.05}, {"mass": 0.5}]),
    seed=st.integers(0, 999),
)
def test_nothing_leaves_the_range_of_numbers(n, m, epsilon, dtype, variant, seed):
    """Costs to 100 at any temperature."""
    cost, a, b = (tensor.to(dtype) for tensor in problem(2, n, m, seed, zeros=seed % 2 == 0))
    ours = sinkhorn(100 * cost, Solver(epsilon, **variant), a, b)
    assert all(tensor.isfinite().all() for tensor in ours[:5])
    if variant:
        return
    assert (ours.plan.sum(dim=2) - a).abs().sum() + (ours.plan.sum(dim=1) - b).abs().sum() <= 4
    assert_close(ours.plan.sum(dim=(1, 2)), torch.ones(2, dtype=dtype), rtol=1e-3, atol=0)


@given(factor=st.floats(0.01, 100.0), seed=st.integers(0, 99))
def test_cost_and_temperature_scale_together(factor, seed):
    cost, a, b = problem(2, 4, 5, seed)
    one = sinkhorn(cost, Solver(0.05, 0.1), a, b)
    scaled = sinkhorn(factor * cost, Solver(0.05 * factor, 0.1 * factor), a, b)
    assert_close(scaled.value, factor * one.value)
    assert_close(scaled.plan, one.plan)


def test_order_of_tokens_orders_the_plan():
    cost, a, b = problem(2, 5, 6, seed=0)
    order = torch.tensor([3, 0, 4, 1, 2])
    ours = sinkhorn(cost, Solver(0.05), a, b)
    assert_close(sinkhorn(cost[:, order], Solver(0.05), a[:, order], b).plan, ours.plan[:, order])


def test_places_draw_the_plan_to_the_diagonal():
    x, y = tokens(3, 8, 4), tokens(3, 8, 4, seed=1)
    diagonal = torch.eye(8).double() / 8
    far = SinkhornDivergence(0.01, position=0.0).transport(x, y).plan
    near = SinkhornDivergence(0.01, position=1e3, iterations=100).transport(x, y).plan
    assert (far - diagonal).abs().sum() > 1
    assert_close(near, diagonal.expand(3, 8, 8), atol=1e-3, rtol=0)


def test_padding_does_not_move_places():
    x, y = tokens(2, 8, 4), tokens(2, 8, 4, seed=1)
    mask = torch.tensor([[1.0] * 6 + [0, 0], [1.0] * 5 + [0, 0, 0]]).double()
    for options in ({}, {"gradient": "last"}):
        loss = SinkhornDivergence(0.05, position=2.0, **options)
        alone = [loss(x[p : p + 1, :n], y[p : p + 1, :n]) for p, n in enumerate((6, 5))]
        assert_close(loss(x, y, mask, mask), torch.cat(alone))


def test_zeros_alone_weigh_as_given():
    x, zeros = tokens(1, 3, 4), torch.zeros(1, 3, 4).double()
    given = torch.tensor([[1.0, 2, 0]]).double()
    solved = SinkhornDivergence(0.05, weighting="norm", debias=False).transport(zeros, x, given)
    assert_close(solved.plan.sum(dim=2), given / 3)


def test_weights_by_length_are_those_lengths():
    x, y = tokens(2, 6, 4), tokens(2, 6, 4, seed=1)
    by_length = SinkhornDivergence(0.05, weighting="norm")
    given = torch.tensor([[1.0, 1, 1, 1, 1, 0], [1, 2, 1, 1, 1, 1]]).double()
    expected = SinkhornDivergence(0.05)(x, y, given * x.norm(dim=-1), y.norm(dim=-1))
    assert_close(by_length(x, y, given), expected)


COMPILED = """
import torch
from speechalign.alignment.divergence import SinkhornDivergence

torch.manual_seed(0)
x, y = (torch.randn(2, 6, 4, requires_grad=True) for _ in range(2))
for debias in (True, False):
    loss = SinkhornDivergence(debias=debias)
    compiled = torch.compile(loss, backend="eager", fullgraph=True)
    of = torch.autograd.grad(loss(x, y).sum(), (x, y))
    torch.testing.assert_close(compiled(x, y), loss(x, y))
    torch.testing.assert_close(torch.autograd.grad(compiled(x, y).sum(), (x, y)), of)
"""


def test_the_divergence_compiles_in_one_graph():
    """In a process of its own, where no shapes are checked: the checks do not compile."""
    subprocess.run([sys.executable, "-c", COMPILED], check=True)
