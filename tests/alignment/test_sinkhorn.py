import math

import ot
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import linear_sum_assignment
from torch.testing import assert_close

from speechalign.alignment.sinkhorn import marginal_error, sinkhorn
from speechalign.alignment.solver import Solver
from speechalign.errors import UserError
from tests.alignment.problems import problem

EXACT = {"iterations": 2000, "tolerance": 1e-11}
sizes = st.integers(1, 7)


def pot_plan(cost, a, b, epsilon):
    solve = ot.sinkhorn if epsilon > 0.05 else ot.bregman.sinkhorn_log
    plan = solve(a.numpy(), b.numpy(), cost.numpy(), epsilon, numItermax=50_000, stopThr=1e-13)
    return torch.from_numpy(plan)


@pytest.mark.parametrize("start", [None, 4.0])
@pytest.mark.parametrize("epsilon", [0.02, 0.1, 1.0])
@pytest.mark.parametrize(("n", "m"), [(5, 5), (5, 7), (8, 3)])
def test_plan_and_value_equal_pot(n, m, epsilon, start):
    cost, a, b = problem(3, n, m, seed=n)
    ours = sinkhorn(cost, Solver(epsilon, start, **EXACT), a, b)
    for p in range(3):
        plan = pot_plan(cost[p], a[p], b[p], epsilon)
        assert_close(ours.plan[p], plan, atol=1e-6, rtol=0)
        divergence = (plan * (plan / torch.outer(a[p], b[p])).log()).sum()
        value = (plan * cost[p]).sum() + epsilon * divergence
        assert_close(ours.value[p], value, atol=1e-8, rtol=1e-7)


def test_potentials_give_the_plan_and_the_value():
    epsilon = 0.1
    cost, a, b = problem(2, 4, 6, seed=0)
    ours = sinkhorn(cost, Solver(epsilon, **EXACT), a, b)
    sums = ours.f.unsqueeze(2) + ours.g.unsqueeze(1)
    plan = a.unsqueeze(2) * b.unsqueeze(1) * torch.exp((sums - cost) / epsilon)
    assert_close(ours.plan, plan)
    assert_close(ours.value, (a * ours.f).sum(1) + (b * ours.g).sum(1))


@given(n=sizes, m=sizes, epsilon=st.floats(0.05, 1.0), zeros=st.booleans(), seed=st.integers(0, 99))
def test_plan_has_the_given_marginals(n, m, epsilon, zeros, seed):
    cost, a, b = problem(2, n, m, seed, zeros)
    ours = sinkhorn(cost, Solver(epsilon, iterations=200, tolerance=1e-7), a, b)
    assert (ours.plan >= 0).all()
    assert_close(ours.plan.sum(dim=2), a, atol=1e-4, rtol=0)
    assert_close(ours.plan.sum(dim=1), b, atol=1e-4, rtol=0)
    assert_close(ours.marginal_error, marginal_error(ours.plan, a, b))
    assert (ours.plan[a == 0] == 0).all()
    assert (ours.plan.mT[b == 0] == 0).all()


def test_default_weights_are_uniform():
    cost, _, _ = problem(2, 4, 5, seed=0)
    given = sinkhorn(cost, Solver(), torch.full((2, 4), 1 / 4), torch.full((2, 5), 1 / 5))
    assert_close(sinkhorn(cost, Solver()).plan, given.plan)


def test_low_temperature_tends_to_the_best_assignment():
    cost, _, _ = problem(3, 8, 8, seed=0)
    ours = sinkhorn(cost, Solver(0.0005, iterations=2000, tolerance=1e-6))
    for p in range(3):
        rows, columns = linear_sum_assignment(cost[p].numpy())
        best = cost[p][rows, columns].sum() / 8
        assert_close(ours.value[p], best, atol=0.0005 * math.log(8) + 1e-6, rtol=0)
        assert_close(
            ours.plan[p][rows, columns], torch.full((8,), 1 / 8).double(), atol=1e-3, rtol=0
        )


def test_high_temperature_tends_to_independence():
    cost, a, b = problem(2, 4, 5, seed=0)
    ours = sinkhorn(cost, Solver(1e6, start=None, iterations=10), a, b)
    product = a.unsqueeze(2) * b.unsqueeze(1)
    assert_close(ours.plan, product, atol=1e-6, rtol=1e-5)
    assert_close(ours.value, (product * cost).sum((1, 2)), atol=1e-6, rtol=1e-5)


def test_gradient_is_the_plan_whatever_the_number_of_sweeps():
    for iterations in (0, 3, 500):
        cost, a, b = problem(2, 4, 5, seed=0)
        ours = sinkhorn(cost.requires_grad_(), Solver(0.05, iterations=iterations), a, b)
        ours.value.sum().backward()
        assert_close(cost.grad, ours.plan)
        assert not ours.plan.requires_grad


def graph_size(value):
    """Count the nodes that autograd keeps for `value`."""
    seen, ahead = set(), [value.grad_fn]
    while ahead:
        node = ahead.pop()
        if node is not None and node not in seen:
            seen.add(node)
            ahead.extend(parent for parent, _ in node.next_functions)
    return len(seen)


def test_graph_does_not_grow_with_the_sweeps():
    cost, _, _ = problem(1, 4, 4, seed=0)
    cost.requires_grad_()
    few = sinkhorn(cost, Solver(0.05, iterations=1)).value
    many = sinkhorn(cost, Solver(0.05, iterations=200, tolerance=0.0)).value
    assert graph_size(few) == graph_size(many)


def test_gradients_equal_finite_differences():
    """Weights are perturbed on the simplex; the second problem has tokens of weight 0."""
    solver = Solver(0.5, iterations=200, tolerance=1e-12)
    for zeros in (False, True):
        cost, a, b = problem(2, 3, 4, seed=0, zeros=zeros)

        def value(cost, scores, a=a, b=b):
            weights = a * scores.exp()
            return sinkhorn(cost, solver, weights / weights.sum(1, keepdim=True), b).value

        scores = torch.zeros_like(a).requires_grad_()
        assert torch.autograd.gradcheck(value, (cost.requires_grad_(), scores), atol=1e-6)


def test_tokens_of_weight_zero_change_nothing():
    cost, a, b = problem(2, 4, 5, seed=0)
    padded = torch.nn.functional.pad(cost, (0, 3, 0, 2), value=-1e4)  # tempting, if it counted
    alone = sinkhorn(cost, Solver(0.05, iterations=20), a, b)
    wide_a, wide_b = (torch.nn.functional.pad(w, (0, k)) for w, k in ((a, 2), (b, 3)))
    together = sinkhorn(padded.requires_grad_(), Solver(0.05, iterations=20), wide_a, wide_b)
    together.value.sum().backward()
    assert_close(together.value, alone.value)
    assert_close(together.plan[:, :4, :5], alone.plan)
    assert together.plan[:, 4:].abs().sum() + together.plan[:, :, 5:].abs().sum() == 0
    assert_close(padded.grad, together.plan)
    assert_close(together.marginal_error, alone.marginal_error)


def test_half_precision_is_lifted_under_autocast():
    cost, _, _ = problem(2, 6, 6, seed=0)
    low = cost.bfloat16()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        ours = sinkhorn(low, Solver(0.01))
    expected = sinkhorn(low.float(), Solver(0.01))
    assert ours.value.dtype == torch.float32
    assert torch.equal(ours.value, expected.value)
    assert torch.equal(ours.plan, expected.plan)


def test_sweeps_end_at_the_tolerance():
    cost, _, _ = problem(2, 6, 6, seed=0)
    early = sinkhorn(cost, Solver(0.1, start=None, iterations=1000, tolerance=1e-3))
    late = sinkhorn(cost, Solver(0.1, start=None, iterations=1000, tolerance=1e-9))
    assert early.iterations < late.iterations < 1000
    assert early.marginal_error.max() <= 1e-3
    assert late.marginal_error.max() <= 1e-9


@pytest.mark.parametrize("seed", [3, 57, 118])
def test_uneven_weights_do_not_end_sweeps_early(seed):
    """On a kernel that is cut off, sweeps may look converged that are not (118 did)."""
    draw = torch.Generator().manual_seed(seed)
    cost = torch.rand(1, 8, 8, generator=draw, dtype=torch.double)
    a, b = ((3 * torch.randn(1, 8, generator=draw, dtype=torch.double)).exp() for _ in range(2))
    weights = a / a.sum(), b / b.sum()
    solved = sinkhorn(cost, Solver(0.0025, iterations=3000, tolerance=1e-5), *weights)
    assert solved.iterations < 3000
    assert solved.marginal_error.max() <= 1e-5


def test_problems_do_not_touch_one_another():
    cost, a, b = problem(3, 5, 5, seed=0)
    together = sinkhorn(cost, Solver(0.05, iterations=30, tolerance=0.0), a, b)
    alone = sinkhorn(cost[:1], Solver(0.05, iterations=30, tolerance=0.0), a[:1], b[:1])
    assert_close(together.plan[:1], alone.plan)


def test_no_problems_have_no_values():
    for backend in ("own", "pot"):
        for variant in ({}, {"reach": 1.0}, {"mass": 0.5}):
            solver = Solver(iterations=10, backend=backend, **variant)
            assert sinkhorn(torch.zeros(0, 4, 4), solver).value.shape == (0,)


def test_descent_ends_above_epsilon():
    assert Solver(0.5, start=4.0, cooling=0.25).temperatures() == [4.0, 1.0]
    assert Solver(0.5, start=0.5).temperatures() == []
    assert Solver(0.5, start=None).temperatures() == []


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"epsilon": 0.0}, "epsilon is 0.0"),
        ({"iterations": -1}, "must not be negative"),
        ({"tolerance": -1.0}, "must not be negative"),
        ({"start": None, "iterations": 0}, "set iterations"),
        ({"cooling": 1.0}, "between 0 and 1"),
        ({"epsilon": math.inf}, "epsilon is inf"),
        ({"reach": 0.0}, "reach is 0.0"),
        ({"reach": math.inf}, "None to move all"),
        ({"backend": "pot", "iterations": 0}, "POT makes no descent"),
        ({"mass": 0.0}, "mass is 0.0"),
        ({"mass": 0.5, "reach": 1.0}, "set one of them"),
    ],
)
def test_a_wrong_setting_is_named(wrong, message):
    with pytest.raises(UserError, match=message):
        Solver(**wrong)
