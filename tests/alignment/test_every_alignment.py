"""What holds of every `Alignment`, whatever it computes."""

from functools import partial

import pytest
import torch
from torch.nn import functional as F
from torch.testing import assert_close

from speechalign.alignment.contrastive import Contrastive
from speechalign.alignment.controls import Cosine, MeanSquaredError
from speechalign.alignment.divergence import SinkhornDivergence
from speechalign.alignment.mmd import MMD
from speechalign.alignment.pooled import PooledSinkhorn
from tests.alignment.problems import related, tokens, with_gradients

CONVERGED = {"epsilon": 2.0, "iterations": 50, "tolerance": 1e-12}
KINDS = {
    "sinkhorn": (SinkhornDivergence, CONVERGED),
    "pooled sinkhorn": (PooledSinkhorn, CONVERGED),
    "squares": (MeanSquaredError, {}),
    "cosine": (Cosine, {}),
    "contrastive": (Contrastive, {}),
    "contrastive by index": (Contrastive, {"pooled": False}),
    "gaussian": (MMD, {}),
    "energy": (MMD, {"kernel": "energy"}),
}


@pytest.fixture(params=KINDS)
def make(request):
    """Build one of them, with options of the base class if wanted."""
    kind, options = KINDS[request.param]
    return lambda **of_tokens: kind(**options, **of_tokens)


def test_one_value_a_pair_and_none_for_none(make):
    x, y = tokens(3, 6, 4), tokens(3, 6, 4, seed=1)
    assert make()(x, y).shape == (3,)
    assert make()(x[:0], y[:0]).shape == (0,)


def test_layers_and_pairs_are_one_batch(make):
    x, y = tokens(6, 5, 4).reshape(2, 3, 5, 4), tokens(6, 5, 4, seed=1).reshape(2, 3, 5, 4)
    weights, loss = tokens(2, 3, 5, seed=2).exp(), make()
    if loss.of_one_layer:
        with pytest.raises(ValueError, match="pairs of one layer"):
            loss(x, y, weights, weights)
        return
    alone = [loss(*of) for of in zip(x, y, weights, weights, strict=True)]
    assert_close(loss(x, y, weights, weights), torch.stack(alone))


def test_the_sides_can_be_swapped(make):
    x, y = tokens(3, 6, 4), tokens(3, 6, 4, seed=1)
    a, b = tokens(2, 3, 6, seed=2).exp()
    value, x_grad, y_grad = with_gradients(make(), x, y, a, b)
    assert_close(with_gradients(make(), y, x, b, a), (value, y_grad, x_grad))


def test_gradients_equal_finite_differences(make):
    x, y = tokens(2, 5, 3).requires_grad_(), tokens(2, 5, 3, seed=1).requires_grad_()
    a, b = tokens(2, 2, 5, seed=2).exp()
    a[0, 3:] = 0
    for normalize in (True, False):
        call = partial(make(normalize=normalize), x_weights=a, y_weights=b)
        assert torch.autograd.gradcheck(call, (x, y), atol=1e-6, fast_mode=True)


def test_gradients_of_weights_equal_finite_differences(make):
    x, y = tokens(2, 5, 3), tokens(2, 5, 3, seed=1)
    a, b = tokens(2, 2, 5, seed=2).exp()
    loss = make()
    inputs = a.requires_grad_(), b.requires_grad_()
    call = partial(loss, x, y)
    assert torch.autograd.gradcheck(call, inputs, atol=1e-6, fast_mode=True)


def test_padding_changes_nothing(make):
    x, y = tokens(2, 9, 4), tokens(2, 9, 4, seed=1)
    weights = tokens(1, 2, 9, seed=2)[0].exp()
    weights[:, 5:] = 0
    alone = with_gradients(make(), x[:, :5], y[:, :5], weights[:, :5], weights[:, :5])
    padded = with_gradients(make(), x, y, weights, weights)
    assert_close(padded[0], alone[0])
    for short, long in zip(alone[1:], padded[1:], strict=True):
        assert_close(long[:, :5], short)
        assert long[:, 5:].abs().max() == 0


def test_padding_of_zeros_is_finite(make):
    x = tokens(2, 9, 4, dtype=torch.float32)
    x[:, 3:] = 0
    weights = torch.tensor([[1.0] * 3 + [0.0] * 6] * 2)
    for normalize in (True, False):
        for result in with_gradients(make(normalize=normalize), x, related(x, 0.1), weights):
            assert result.isfinite().all()


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_is_lifted_under_autocast(make, dtype):
    x = tokens(2, 6, 8, dtype=dtype)
    y = related(x, 0.5)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        value = make()(x, y)
    assert value.dtype == torch.float32
    assert torch.equal(value, make()(x.float(), y.float()))


def test_centred_tokens_are_what_their_query_does_not_always_answer(make):
    x, y, origin = tokens(2, 6, 4), tokens(2, 6, 4, seed=1), 10 * tokens(1, 6, 4, seed=2)[0]
    loss = make(center=True)
    assert_close(loss(x + origin, y + origin, origin=origin), make()(x, y))
    with pytest.raises(ValueError, match="mean answer"):
        loss(x, y)


def test_a_side_that_is_stopped_gets_no_gradient(make):
    x, y = tokens(2, 6, 4), tokens(2, 6, 4, seed=1)
    value, x_grad, y_grad = with_gradients(make(), x, y)
    assert_close(with_gradients(make(stop="first"), x, y), (value, None, y_grad))
    assert_close(with_gradients(make(stop="second"), x, y), (value, x_grad, None))


def test_normalized_tokens_have_no_length(make):
    x, y = tokens(2, 6, 4), tokens(2, 6, 4, seed=1)
    lengths = tokens(2, 6, 1, seed=2).exp()
    assert_close(make(normalize=True)(lengths * x, y), make(normalize=True)(x, y))
    unit = F.normalize(x, dim=-1), F.normalize(y, dim=-1)
    assert_close(make(normalize=True)(x, y), make(normalize=True)(*unit))
