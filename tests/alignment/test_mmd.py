import geomloss
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import energy_distance
from torch.testing import assert_close

from speechalign.alignment.divergence import SinkhornDivergence
from speechalign.alignment.mmd import MMD
from speechalign.errors import UserError
from tests.alignment.problems import related, tokens


def double_loop(kernel, x, y, a, b):
    """E k(x, x') + E k(y, y') - 2 E k(x, y) of one pair."""

    def mean(one, other, p, q):
        return sum(
            p[i] * q[j] * kernel((one[i] - other[j]).norm())
            for i in range(len(one))
            for j in range(len(other))
        )

    return mean(x, x, a, a) + mean(y, y, b, b) - 2 * mean(x, y, a, b)


def gaussians(distance):
    return sum(torch.exp(-(distance**2) / (2 * width**2)) for width in (0.5, 2.0)) / 2


KERNELS = [(MMD(bandwidths=(0.5, 2.0), normalize=False), gaussians)]
KERNELS.append((MMD("energy", normalize=False), lambda distance: -distance))


@pytest.mark.parametrize(("loss", "kernel"), KERNELS, ids=["gaussian", "energy"])
def test_it_equals_a_double_loop(loss, kernel):
    x, y = tokens(2, 4, 3), tokens(2, 4, 3, seed=1)
    a, b = tokens(2, 2, 4, seed=2).softmax(dim=-1)
    for p, value in enumerate(loss(x, y, a, b)):
        assert_close(value, double_loop(kernel, x[p], y[p], a[p], b[p]))


@pytest.mark.parametrize("queries", [6, 80])
@pytest.mark.parametrize("kernel", ["gaussian", "energy"])
def test_it_is_twice_that_of_geomloss(kernel, queries):
    x = (0.3 * tokens(3, queries, 4)).requires_grad_()
    y = 0.3 * tokens(3, queries, 4, seed=1)
    a, b = tokens(2, 3, queries, seed=2).softmax(dim=-1)
    value = MMD(kernel, bandwidths=[0.7], normalize=False)(x, y, a, b)
    expected = 2 * geomloss.SamplesLoss(kernel, blur=0.7)(a, x, b, y)
    if kernel == "energy":  # in geomloss a token is 1e-4 from itself
        expected = expected + 1e-4 * (a.square() + b.square()).sum(dim=-1)
    assert_close(value, expected)
    gradients = [torch.autograd.grad(one.sum(), x)[0] for one in (value, expected)]
    assert_close(*gradients)


def test_energy_in_one_dimension_equals_scipy():
    x, y = tokens(1, 7, 1), tokens(1, 7, 1, seed=1)
    expected = energy_distance(x.flatten(), y.flatten()) ** 2
    assert MMD("energy", normalize=False)(x, y).item() == pytest.approx(expected)


def test_several_bandwidths_are_their_mean():
    x, y = tokens(2, 5, 3), tokens(2, 5, 3, seed=1)
    one, other = MMD(bandwidths=[0.2])(x, y), MMD(bandwidths=[3.0])(x, y)
    assert_close(MMD(bandwidths=[0.2, 3.0])(x, y), (one + other) / 2)


@settings(max_examples=30)
@given(seed=st.integers(0, 999), kernel=st.sampled_from(["gaussian", "energy"]))
def test_it_is_zero_for_equal_sets_alone(seed, kernel):
    x, y = tokens(2, 6, 3, seed), tokens(2, 6, 3, seed + 1000)
    order = torch.randperm(6, generator=torch.Generator().manual_seed(seed))
    loss = MMD(kernel)
    assert (loss(x, y) > 1e-3).all()
    assert_close(loss(x[:, order], y), loss(x, y))
    assert_close(loss(x, x[:, order]), torch.zeros(2).double())


@pytest.mark.parametrize("kernel", ["gaussian", "energy"])
def test_equal_tokens_in_float32_cost_nothing_and_have_small_gradients(kernel):
    x = tokens(2, 80, 768, dtype=torch.float32).requires_grad_()
    y = x.detach().roll(1, dims=1)
    value = MMD(kernel)(x, y)
    value.sum().backward()
    far = MMD(kernel)(x, related(y, None))
    assert x.grad is not None
    assert x.grad.isfinite().all()
    assert value.abs().max() < 1e-3 * far.min()


def test_a_token_may_be_split():
    """Two halves in one place weigh what one token does, which the unbiased estimate denies."""
    x, y = tokens(1, 3, 4), tokens(1, 3, 4, seed=1)
    weights = torch.tensor([[1.0, 2, 1]])
    split = MMD()(x[:, [0, 1, 1, 2]], y[:, [0, 1, 1, 2]])
    assert_close(MMD()(x, y, weights, weights), split)


def test_wide_bandwidths_tend_to_the_distance_of_means():
    """As does the Sinkhorn divergence at a high temperature, whose cost is ½‖x - y‖²."""
    x, y = tokens(2, 5, 3), tokens(2, 5, 3, seed=1)
    wide = 1e3**2 * MMD(bandwidths=[1e3])(x, y)
    hot = SinkhornDivergence(1e5, annealed=False, iterations=20)(x, y)
    assert_close(wide, 2 * hot, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("bandwidths", [(), (1.0, 0.0), (-1.0,)])
def test_a_wrong_setting_is_named(bandwidths):
    with pytest.raises(UserError, match="expected one or more, above 0"):
        MMD(bandwidths=bandwidths)
