import pytest
import torch
from torch.nn import functional as F
from torch.testing import assert_close

from speechalign.alignment.controls import Cosine, MeanSquaredError
from speechalign.alignment.divergence import SinkhornDivergence
from tests.alignment.problems import related, tokens


def test_mean_squared_error_equals_torch():
    x, y = tokens(3, 5, 7), tokens(3, 5, 7, seed=1)
    for p, value in enumerate(MeanSquaredError()(x, y)):
        assert_close(value, F.mse_loss(x[p], y[p]))
    unit = MeanSquaredError(normalize=True)(x, y)
    assert_close(unit, Cosine()(x, y) * 2 / 7)


@pytest.mark.parametrize("normalize", [True, False])
def test_cosine_equals_torch(normalize):
    x, y = tokens(3, 5, 7), tokens(3, 5, 7, seed=1)
    ones = torch.ones(5)
    for p, value in enumerate(Cosine(normalize)(x, y)):
        assert_close(value, F.cosine_embedding_loss(x[p], y[p], ones))


def test_cosine_is_transport_that_moves_no_index():
    x = tokens(1, 20, 64)
    y = related(x, 0.1)
    raw = SinkhornDivergence(1e-4, debias=False, diameter=None)
    assert_close(Cosine()(x, y), raw(x, y), atol=1e-4 * 3.1, rtol=0)


def test_tokens_without_direction_are_half_of_all_others_and_nothing_from_their_like():
    x, zero = tokens(1, 1, 4), torch.zeros(1, 1, 4, dtype=torch.double, requires_grad=True)
    assert Cosine()(zero, x) == 0.5
    assert Cosine()(zero, 0 * x) == 0
    Cosine()(zero, x).sum().backward()
    assert zero.grad is not None
    assert (zero.grad == 0).all()


def test_near_tokens_keep_their_digits():
    x = tokens(1, 5, 4, dtype=torch.float32)
    y = related(x, 1e-4)
    assert_close(Cosine()(x, y).double(), Cosine()(x.double(), y.double()), rtol=1e-2, atol=0)


@pytest.mark.parametrize("control", [MeanSquaredError(), Cosine()])
def test_padding_on_either_side_changes_nothing(control):
    x, y = tokens(2, 5, 4), tokens(2, 5, 4, seed=1)
    left = torch.tensor([[1.0, 1, 1, 0, 1]] * 2)
    right = torch.tensor([[1.0, 1, 1, 1, 0]] * 2)
    assert_close(control(x, y, left, right), control(x[:, :3], y[:, :3]))
    apart = torch.tensor([[0.0, 0, 0, 1, 0]] * 2), torch.tensor([[0.0, 0, 0, 0, 1]] * 2)
    assert (control(x, y, *apart) == 0).all()
