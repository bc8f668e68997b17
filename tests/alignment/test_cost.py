import pytest
import torch
from torch.nn import functional as F
from torch.testing import assert_close

from speechalign.alignment.cost import (
    box_diameter,
    pairwise_cost,
    positional,
    promote,
    sizes,
)
from tests.alignment.problems import tokens


def test_half_squared_euclidean_equals_cdist():
    x, y = tokens(3, 5, 7), tokens(3, 4, 7, seed=1)
    assert_close(pairwise_cost(x, y), 0.5 * torch.cdist(x, y) ** 2)


def test_cosine_equals_torch():
    x, y = tokens(3, 5, 7), tokens(3, 4, 7, seed=1)
    expected = 1 - F.cosine_similarity(x.unsqueeze(2), y.unsqueeze(1), dim=-1)
    assert_close(pairwise_cost(x, y, "cosine"), expected)


def test_all_costs_agree_on_unit_tokens():
    x = F.normalize(tokens(2, 5, 7), dim=-1)
    y = F.normalize(tokens(2, 6, 7, seed=1), dim=-1)
    assert_close(pairwise_cost(x, y, "cosine"), pairwise_cost(x, y))


@pytest.mark.parametrize("kind", ["half_squared_euclidean", "cosine"])
def test_known_sizes_change_nothing(kind):
    x, y = tokens(2, 5, 7), tokens(2, 4, 7, seed=1)
    known = sizes(x, kind), sizes(y, kind)
    assert torch.equal(pairwise_cost(x, y, kind, known), pairwise_cost(x, y, kind))


def test_places_cost_the_square_of_their_distance():
    expected = 3 * torch.tensor([[0.0, 1, 4, 9], [4, 1, 0, 1]]) / 16
    assert_close(positional(torch.ones(1, 2), torch.ones(1, 4), 6.0), expected[None])
    padded = torch.tensor([[1.0, 0.5, 0, 0]]), torch.tensor([[1.0, 0, 2, 1, 0]])
    assert_close(positional(*padded, 6.0)[:, :2, :4], expected[None])


@pytest.mark.parametrize("kind", ["half_squared_euclidean", "cosine"])
def test_equal_tokens_cost_nothing_and_have_finite_gradients(kind):
    x = (100 * tokens(2, 60, 16, dtype=torch.float32)).requires_grad_()
    cost = pairwise_cost(x, x, kind)
    cost.sum().backward()
    assert (cost >= 0).all()
    scale = x.detach().square().sum(-1).max().item() if kind != "cosine" else 1.0
    assert cost.diagonal(dim1=1, dim2=2).max() < 1e-6 * scale
    assert x.grad is not None
    assert x.grad.isfinite().all()


@pytest.mark.parametrize("kind", ["half_squared_euclidean", "cosine"])
def test_gradients_equal_finite_differences(kind):
    x = tokens(2, 3, 4).requires_grad_()
    y = tokens(2, 5, 4, seed=1).requires_grad_()
    assert torch.autograd.gradcheck(lambda x, y: pairwise_cost(x, y, kind), (x, y))


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (torch.bfloat16, torch.float32),
        (torch.float16, torch.float32),
        (torch.float32, torch.float32),
        (torch.float64, torch.float64),
    ],
)
def test_only_half_precision_is_lifted(given, expected):
    assert promote(torch.ones(2, 3, dtype=given)).dtype == expected


def test_box_diameter_is_the_diagonal_of_the_box():
    x = torch.tensor([[[0.0, 0.0], [1.0, 2.0]], [[3.0, 1.0], [1.0, 1.0]]])
    y = torch.tensor([[[0.0, 4.0]], [[2.0, 2.0]]])
    assert box_diameter(x, y) == 5.0
