import math

import pytest
import torch
from torch.nn import functional as F
from torch.testing import assert_close

from speechalign.alignment.contrastive import Contrastive
from speechalign.errors import UserError
from tests.alignment.problems import related, tokens


def by_hand(similarity, x, y, temperature, drawn=lambda p, q: True):
    """Cross-entropy of each row and column, over the candidates that are `drawn`."""
    values = []
    for p in range(len(x)):
        rivals = [q for q in range(len(x)) if q == p or drawn(p, q)]
        there = torch.stack([similarity(x[p], y[q]) for q in rivals]) / temperature
        back = torch.stack([similarity(x[q], y[p]) for q in rivals]) / temperature
        right = torch.tensor(rivals.index(p))
        values.append(0.5 * (F.cross_entropy(there, right) + F.cross_entropy(back, right)))
    return torch.stack(values)


def pooled(x, y):
    unit = F.normalize(x, dim=-1).mean(dim=0), F.normalize(y, dim=-1).mean(dim=0)
    return F.cosine_similarity(*unit, dim=0)


def by_index(x, y):
    return F.cosine_similarity(x, y, dim=-1).mean()


@pytest.mark.parametrize("similarity", [pooled, by_index])
@pytest.mark.parametrize("temperature", [0.07, 1.0])
def test_it_equals_torchs_cross_entropy(similarity, temperature):
    x = tokens(4, 5, 7)
    y = related(x, 0.5)
    ours = Contrastive(temperature, pooled=similarity is pooled)(x, y)
    assert_close(ours, by_hand(similarity, x, y, temperature))


@pytest.mark.parametrize("similarity", [pooled, by_index])
def test_pairs_of_one_sentence_are_not_pushed_apart(similarity):
    """Pairs 0 and 2 say the same, and so do 3 and 4."""
    x, y = tokens(5, 4, 6), tokens(5, 4, 6, seed=1)
    sentence = torch.tensor([7, 1, 7, 3, 3])
    loss = Contrastive(pooled=similarity is pooled)
    expected = by_hand(similarity, x, y, 0.07, lambda p, q: bool(sentence[p] != sentence[q]))
    assert_close(loss(x, y, sentence=sentence), expected)
    assert_close(loss(x, y, sentence=torch.arange(5)), loss(x, y))
    assert (loss(x, y) > expected).tolist() == [True, False, True, True, True]


def test_where_all_say_the_same_nothing_is_learnt():
    x, y = tokens(3, 4, 6).requires_grad_(), tokens(3, 4, 6, seed=1)
    loss = Contrastive()(x, y, sentence=torch.tensor([2, 2, 2]))
    loss.sum().backward()
    assert torch.equal(loss, torch.zeros(3).double())
    assert x.grad is not None
    assert x.grad.abs().max() == 0


@pytest.mark.parametrize("pooled", [True, False])
def test_a_pair_alone_costs_nothing(pooled):
    x, y = tokens(1, 4, 6), tokens(1, 4, 6, seed=1)
    assert torch.equal(Contrastive(pooled=pooled)(x, y), torch.zeros(1).double())


@pytest.mark.parametrize("pooled", [True, False])
def test_collapsed_tokens_cost_the_log_of_the_pairs(pooled):
    same = tokens(1, 4, 6).expand(8, -1, -1)
    assert_close(Contrastive(pooled=pooled)(same, same), torch.full((8,), math.log(8)).double())


def test_partners_that_are_alone_alike_cost_nothing():
    x = torch.eye(8).double().unsqueeze(1).expand(-1, 3, -1)
    assert Contrastive(0.01)(x, 2 * x).max() < 1e-40
    assert Contrastive(0.01)(x, x.roll(1, dims=0)).min() > 99


def test_weights_are_those_of_the_means():
    x, y = tokens(3, 4, 6), tokens(3, 4, 6, seed=1)
    a, b = torch.tensor([[1.0, 2, 0, 1]] * 3), torch.tensor([[0.0, 1, 1, 0]] * 3)
    repeated = Contrastive()(x[:, [0, 1, 1, 3]], y[:, [1, 2, 1, 2]])
    assert_close(Contrastive()(x, y, a, b), repeated)


def test_only_what_both_sides_have_is_compared_by_index():
    x, y = tokens(2, 5, 4), tokens(2, 5, 4, seed=1)
    left = torch.tensor([[1.0, 1, 1, 0, 1]] * 2)
    right = torch.tensor([[1.0, 1, 1, 1, 0]] * 2)
    loss = Contrastive(pooled=False)
    assert_close(loss(x, y, left, right), loss(x[:, :3], y[:, :3]))


@pytest.mark.parametrize("temperature", [0.0, -1.0, math.nan])
def test_a_wrong_setting_is_named(temperature):
    with pytest.raises(UserError, match=f"temperature is {temperature}"):
        Contrastive(temperature)
