"""The two terms of the loss, as sums over one process: callers divide by global counts."""

from torch import Tensor
from torch.nn.functional import cross_entropy

from speechalign.alignment.divergence import Alignment
from speechalign.data.batch import IGNORE
from speechalign.models.llm import Predictions


def summed_cross_entropy(predicted: Predictions) -> tuple[Tensor, Tensor]:
    """Sum the cross-entropy over labelled tokens, in fp32: (sum, number of tokens)."""
    losses = cross_entropy(
        predicted.logits.flatten(0, 1).float(),
        predicted.labels.flatten(),
        ignore_index=IGNORE,
        reduction="sum",
    )
    return losses, (predicted.labels != IGNORE).sum()


def pair_costs(
    alignment: Alignment, tokens: Tensor, mask: Tensor, pairs: Tensor, origin: Tensor | None
) -> Tensor:
    """Sum over this process's pairs of the distance between their tokens."""
    if not len(pairs):
        return tokens.new_zeros(())
    one, other = pairs.unbind(dim=1)
    weights = mask[one].float(), mask[other].float()
    return alignment(tokens[one], tokens[other], *weights, origin).sum()
