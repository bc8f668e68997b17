"""The alignment term as the sum over pairs of rows."""

import pytest
import torch
from torch.testing import assert_close

from speechalign.alignment.contrastive import Contrastive
from speechalign.alignment.controls import Cosine
from speechalign.alignment.divergence import SinkhornDivergence
from speechalign.training.losses import pair_costs
from tests.alignment.problems import tokens

SPEECH = tokens(7, 5, 4, dtype=torch.float32)
MASK = torch.arange(5) < torch.tensor([5, 3, 4, 4, 5, 2, 5]).unsqueeze(1)
PAIRS = torch.tensor([[0, 1], [2, 3], [5, 4]])  # 6 is a single
SENTENCE = torch.tensor([8, 8, 8, 8, 3, 3, 8])


@pytest.mark.parametrize("alignment", [SinkhornDivergence(), Cosine()])
def test_distances_are_summed_pair_by_pair(alignment):
    expected = sum(
        alignment(SPEECH[[one]], SPEECH[[other]], 1.0 * MASK[[one]], 1.0 * MASK[[other]])
        for one, other in PAIRS.tolist()
    )
    total = pair_costs(alignment, SPEECH, MASK, PAIRS, SENTENCE, None)
    assert_close(total, expected[0])


def sides(rows):
    one, other = PAIRS[rows].unbind(dim=1)
    return SPEECH[one], SPEECH[other], MASK[one].float(), MASK[other].float()


def test_pairs_of_one_sentence_are_no_negatives():
    """The first two pairs are told from the third alone, which is told from both."""
    loss = Contrastive()
    first, second = loss(*sides([0, 2]))[0], loss(*sides([1, 2]))[0]
    third = loss(*sides([0, 1, 2]))[2]
    total = pair_costs(loss, SPEECH, MASK, PAIRS, SENTENCE, None)
    assert_close(total, first + second + third)
    assert total < pair_costs(loss, SPEECH, MASK, PAIRS, torch.arange(7), None)


def test_without_pairs_it_is_zero():
    for dtype in (torch.bfloat16, torch.float32):
        total = pair_costs(Contrastive(), SPEECH.to(dtype), MASK, PAIRS[:0], SENTENCE, None)
        assert total == 0
        assert total.dtype == torch.float32  # what another process with pairs has
