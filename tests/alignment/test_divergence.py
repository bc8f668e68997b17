import geomloss
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from torch.nn import functional as F
from torch.testing import assert_close

from speechalign.alignment.divergence import SinkhornDivergence
from speechalign.errors import UserError
from tests.alignment.problems import related, tokens, with_gradients

EXACT = {"iterations": 1000, "tolerance": 1e-11}
SLOWLY = {"scaling": 0.98}  # geomloss' descent, in steps so small that it converges


def peer(blur=0.05, **options):
    """The paper's development code: geomloss on tokens of unit length."""
    loss = geomloss.SamplesLoss("sinkhorn", p=2, blur=blur, **options)

    def call(x, y, a=None, b=None):
        x, y = F.normalize(x, dim=-1), F.normalize(y, dim=-1)
        return loss(x, y) if a is None else loss(a, x, b, y)

    return call


def assert_agree(ours, theirs, value=1e-3, cosine=0.999):
    assert_close(ours[0], theirs[0], rtol=value, atol=0)
    for one, other in zip(ours[1:], theirs[1:], strict=True):
        assert F.cosine_similarity(one.flatten(), other.flatten(), dim=0) >= cosine
        assert_close(one.norm(), other.norm(), rtol=value, atol=0)


@pytest.mark.parametrize("noise", [0.05, 0.3, 1.0])
def test_value_and_gradient_equal_geomloss_with_its_defaults(noise):
    x = tokens(2, 80, 768, dtype=torch.float32)
    y = related(x, noise)
    ours = with_gradients(SinkhornDivergence(), x, y)
    assert_agree(ours, with_gradients(peer(), x, y))


def error(result, exact):
    """Relative errors of the value and of both gradients."""
    return [
        ((one - other).norm() / other.norm()).item()
        for one, other in zip(result, exact, strict=True)
    ]


@pytest.mark.parametrize("diameter", [2.0, None])
def test_independent_tokens_are_nearer_to_convergence_than_geomloss(diameter):
    x, y = (tokens(2, 80, 768, seed) for seed in (0, 1))
    exact = with_gradients(SinkhornDivergence(cooling=0.5, iterations=2000), x, y)
    ours = with_gradients(SinkhornDivergence(diameter=diameter), x.float(), y.float())
    theirs = with_gradients(peer(), x, y)
    for near, far in zip(error(ours, exact), error(theirs, exact), strict=True):
        assert near < far / 10
    assert max(error(ours, exact)) < 0.03


@pytest.mark.parametrize("debias", [True, False])
def test_padding_weights_equal_geomloss(debias):
    x = tokens(2, 80, 768, dtype=torch.float32)
    y = related(x, 0.5)
    a, b = tokens(2, 2, 80, seed=2, dtype=torch.float32).exp()
    a[:, 60:], b[:, :10] = 0, 0
    theirs = with_gradients(
        peer(blur=1.0, debias=debias, diameter=2.0, **SLOWLY),
        x,
        y,
        a / a.sum(1, keepdim=True),
        b / b.sum(1, keepdim=True),
    )
    ours = with_gradients(SinkhornDivergence(1.0, debias=debias), x, y, a, b)
    assert_agree(ours, theirs)
    assert ours[1][:, 60:].abs().max() == 0


def test_raw_tokens_equal_geomloss():
    x, y = tokens(2, 10, 4), tokens(2, 10, 4, seed=1)
    loss = geomloss.SamplesLoss("sinkhorn", p=2, blur=1.0, **SLOWLY)
    ours = with_gradients(SinkhornDivergence(1.0, normalize=False, diameter=None), x, y)
    assert_agree(ours, with_gradients(loss, x, y), value=5e-3)


def test_raw_transport_is_the_value_of_its_plan():
    x, y = tokens(2, 12, 6), tokens(2, 12, 6, seed=1)
    raw = SinkhornDivergence(0.2, debias=False, **EXACT)
    assert_close(raw(x, y), raw.transport(x, y).value)
    debiased = SinkhornDivergence(0.2, **EXACT)
    assert_close(debiased(x, y), raw(x, y) - 0.5 * raw(x, x) - 0.5 * raw(y, y))


@settings(max_examples=15)
@example(seed=100, epsilon=0.2, annealed=False)
@given(seed=st.integers(0, 999), epsilon=st.floats(0.2, 2.0), annealed=st.booleans())
def test_it_is_a_divergence(seed, epsilon, annealed):
    """S(x, x) = 0 < S(x, y) = S(y, x), whatever the order of the tokens."""
    x, y = tokens(2, 6, 3, seed), tokens(2, 6, 3, seed + 1000)
    loss = SinkhornDivergence(epsilon, annealed=annealed, iterations=3000, tolerance=1e-9)
    values = loss(x, y)
    order = torch.randperm(6, generator=torch.Generator().manual_seed(seed))
    assert (values > 0).all()
    assert_close(loss(y, x), values, atol=1e-6, rtol=0)
    assert_close(loss(x[:, order], y), values, atol=1e-6, rtol=0)
    assert_close(loss(x, x[:, order]), torch.zeros(2).double(), atol=1e-6, rtol=0)


def test_equal_sequences_cost_nothing_in_the_papers_setting():
    x = tokens(2, 80, 768, dtype=torch.float32)
    values, x_grad, y_grad = with_gradients(SinkhornDivergence(), x, x)
    assert values.abs().max() < 1e-6
    assert max(x_grad.abs().max(), y_grad.abs().max()) < 1e-6
    raw = SinkhornDivergence(debias=False)(x, x)
    assert_close(
        raw, torch.full((2,), 0.0025 * torch.log(torch.tensor(80.0)).item()), rtol=1e-3, atol=0
    )


def test_high_temperature_tends_to_the_distance_of_means():
    x, y = tokens(3, 8, 5), tokens(3, 9, 5, seed=1)[:, :8]
    loss = SinkhornDivergence(1e6, normalize=False, annealed=False, iterations=20)
    means = 0.5 * (x.mean(1) - y.mean(1)).square().sum(-1)
    assert_close(loss(x, y), means, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize(
    ("cost", "normalize", "debias"),
    [
        ("half_squared_euclidean", True, True),
        ("half_squared_euclidean", False, True),
        ("half_squared_euclidean", False, False),
        ("cosine", False, True),
    ],
)
def test_gradients_equal_finite_differences(cost, normalize, debias):
    loss = SinkhornDivergence(
        2.0, cost, debias, normalize=normalize, iterations=100, tolerance=1e-12
    )
    x = (0.5 * tokens(2, 3, 2)).requires_grad_()
    y = (0.5 * tokens(2, 3, 2, seed=1)).requires_grad_()
    a = tokens(1, 2, 3, seed=2)[0].exp()
    b = torch.tensor([[1.0, 2, 0], [0, 1, 1]]).double()
    assert torch.autograd.gradcheck(
        lambda x, y, a: loss(x, y, a, b), (x, y, a.requires_grad_()), atol=1e-6
    )


def test_padding_changes_nothing():
    loss = SinkhornDivergence(0.05, iterations=100)
    x, y = tokens(2, 5, 4), tokens(2, 5, 4, seed=1)
    weights = torch.tensor([[1.0, 1, 1, 0, 0], [1, 1, 1, 0, 0]])
    alone = with_gradients(loss, x[:, :3], y[:, :3])
    padded = with_gradients(loss, x, y, weights, weights)
    for short, long in zip(alone[1:], padded[1:], strict=True):
        assert_close(long[:, :3], short)
        assert long[:, 3:].abs().max() == 0
    assert_close(padded[0], alone[0])


def test_padding_of_zeros_is_finite():
    x = tokens(1, 4, 3)
    x[:, 2:] = 0
    weights = torch.tensor([[1.0, 1, 0, 0]])
    for normalize in (True, False):
        loss = SinkhornDivergence(normalize=normalize)
        for result in with_gradients(loss, x, related(x, 0.1), weights, weights):
            assert result.isfinite().all()


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_equals_float32_of_the_same_numbers(dtype):
    x = tokens(2, 20, 32, dtype=dtype)
    y = related(x.float(), 0.3).to(dtype)
    loss = SinkhornDivergence()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        value = loss(x.requires_grad_(), y)
        plan = loss.transport(x, y).plan
    value.sum().backward()
    full = with_gradients(loss, x.detach().float(), y.float())
    assert value.dtype == torch.float32
    assert torch.equal(value, full[0])
    assert torch.equal(x.grad, full[1].to(dtype))
    assert torch.equal(plan, loss.transport(x.float(), y.float()).plan)


def test_pairs_do_not_touch_one_another():
    x, y = tokens(3, 6, 4), tokens(3, 6, 4, seed=1)
    loss = SinkhornDivergence()
    assert_close(loss(x, y)[:1], loss(x[:1], y[:1]))
    assert loss(x[:0], y[:0]).shape == (0,)


def test_transport_matches_a_shuffled_copy():
    x = tokens(1, 10, 16)
    order = torch.randperm(10, generator=torch.Generator().manual_seed(0))
    plan = SinkhornDivergence().transport(x, x[:, order]).plan[0]
    assert torch.equal(plan.argmax(dim=0), order)
    assert_close(plan.sum(), torch.tensor(1.0).double())


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"diameter": 0.0}, "diameter is 0.0"),
        ({"annealed": False, "iterations": 0}, "set iterations"),
        ({"mass": 0.5}, "debiased"),
        ({"epsilon": -1.0}, "epsilon is -1.0"),
        ({"position": -5.0}, "position is -5.0"),
        ({"position": float("nan")}, "position is nan"),
    ],
)
def test_a_wrong_setting_is_named(wrong, message):
    with pytest.raises(UserError, match=message):
        SinkhornDivergence(**wrong)


def test_tokens_of_zeros_have_no_direction():
    x = tokens(2, 5, 3)
    x[:, 1] = 0
    y = tokens(2, 5, 3, seed=1)
    y[:, [0, 4]] = 0
    loss = SinkhornDivergence(0.2, iterations=500)
    assert_close(loss(x, x), torch.zeros(2).double(), atol=1e-9, rtol=0)
    scaled = SinkhornDivergence(0.2, normalize=False, iterations=500)
    expected = with_gradients(
        lambda x, y: scaled(F.normalize(x, dim=-1), F.normalize(y, dim=-1)), x, y
    )
    values, x_grad, y_grad = with_gradients(loss, x, y)
    assert_close(values, expected[0])
    for found, wanted, zeros in ((x_grad, expected[1], [1]), (y_grad, expected[2], [0, 4])):
        assert (found[:, zeros] == 0).all()  # there is no direction to turn in
        rest = [row for row in range(5) if row not in zeros]
        assert_close(found[:, rest], wanted[:, rest], atol=1e-6, rtol=1e-4)


def test_a_measured_diameter_is_that_of_what_is_transported():
    x, y = tokens(2, 12, 6), tokens(2, 12, 6, seed=1)
    unmeasured = SinkhornDivergence(0.05)(x, y)
    for scale in (1e-3, 1e3):
        measured = SinkhornDivergence(0.05, diameter=None)(scale * x, scale * y)
        assert_close(measured, unmeasured)


def test_an_infinite_token_gives_no_number_and_does_not_hang():
    x, y = tokens(1, 4, 3), tokens(1, 4, 3, seed=1)
    x[0, 0, 0] = torch.inf
    value = SinkhornDivergence(normalize=False, diameter=None)(x, y)
    assert not torch.isfinite(value).any()
    with pytest.raises(UserError, match="start at inf"):
        SinkhornDivergence(diameter=float("inf"))
