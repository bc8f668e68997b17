"""The two terms of the loss, as sums over one process: callers divide by global counts."""

from torch import Tensor
from torch.nn.functional import cross_entropy

from speechalign.alignment.base import Alignment
from speechalign.alignment.cost import promote
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
    alignment: Alignment,
    tokens: Tensor,
    mask: Tensor,
    pairs: Tensor,
    sentence: Tensor,
    origin: Tensor | None,
) -> Tensor:
    """Sum over this process's pairs of the distance between their tokens.

    Args:
        alignment: Between the two sides of a pair, or among all pairs.
        tokens: Of each utterance.
        mask: Which tokens are not padding.
        pairs: Rows that say the same in two languages.
        sentence: Equal numbers where two utterances say the same. A sentence of four languages can
            be two pairs of one batch, which is no matter for a distance within pairs.
        origin: Mean answer of each query, to centre tokens.
    """
    if not len(pairs):
        return promote(tokens.new_zeros(()))  # as the distances are: processes exchange them
    one, other = pairs.unbind(dim=1)
    weights = mask[one].float(), mask[other].float()
    return alignment(tokens[one], tokens[other], *weights, origin, sentence[one]).sum()
