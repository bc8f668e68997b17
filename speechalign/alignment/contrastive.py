"""Contrastive alignment: a sentence is to be nearer its partner than the others of the batch."""

from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from speechalign.alignment.base import Alignment
from speechalign.alignment.controls import common
from speechalign.alignment.cost import unit
from speechalign.errors import UserError


class Contrastive(Alignment):
    """InfoNCE both ways (van den Oord et al. 2018, arXiv:1807.03748), one value a pair.

    L_p = -½ log softmax_q(s_pq / τ)[p] - ½ log softmax_q(s_qp / τ)[p], where s_pq is the similarity
    of x_p and y_q: the other pairs of the call are the negatives. So the value of a pair depends on
    its neighbours, it is about log P where nothing is aligned yet, and 0 for a pair alone, from
    which nothing is learnt. Each process has its own pairs only.

    The sentence of a pair may come twice in a batch, in four languages or by other recordings. Tell
    `sentence`, and such pairs are neither drawn together nor pushed apart; without it they would
    be taken for different sentences, which is wrong.
    """

    of_one_layer = True

    def __init__(self, temperature: float = 0.07, pooled: bool = True, **tokens: Any):
        """Choose how utterances are compared.

        Args:
            temperature: τ, in units of the cosine; the smaller, the more the nearest negatives
                count.
            pooled: Whether the similarity is the cosine of the mean tokens, whatever their order;
                else the mean of the cosines of token i and token i.
            tokens: What of the tokens is compared; see `Alignment`.

        Raises:
            UserError: If the temperature is not above 0.
        """
        super().__init__(**tokens)
        if not temperature > 0:
            raise UserError(f"temperature is {temperature}, but must be above 0.")
        self.temperature = temperature
        self.similarity = cosine_of_means if pooled else mean_of_cosines

    def compare(
        self,
        x: Float[Tensor, "P Q D"],
        y: Float[Tensor, "P Q D"],
        a: Float[Tensor, "P Q"],
        b: Float[Tensor, "P Q"],
    ) -> Float[Tensor, " P"]:
        """Tell each pair from all others."""
        return self.compare_batch(x, y, a, b, None)

    def compare_batch(
        self,
        x: Float[Tensor, "P Q D"],
        y: Float[Tensor, "P Q D"],
        a: Float[Tensor, "P Q"],
        b: Float[Tensor, "P Q"],
        sentence: Int[Tensor, " P"] | None,
    ) -> Float[Tensor, " P"]:
        """Average the cross-entropies of finding y_p among all y and x_p among all x."""
        logits = self.similarity(x, y, a, b) / self.temperature
        if sentence is not None:
            same = (sentence.unsqueeze(0) == sentence.unsqueeze(1)).fill_diagonal_(False)
            logits = logits.masked_fill(same, -torch.inf)
        both_ways = logits.log_softmax(dim=1) + logits.log_softmax(dim=0)
        return -0.5 * both_ways.diagonal()


def cosine_of_means(
    x: Float[Tensor, "P Q D"],
    y: Float[Tensor, "P Q D"],
    a: Float[Tensor, "P Q"],
    b: Float[Tensor, "P Q"],
) -> Float[Tensor, "P P"]:
    """s_pq = cos(Σ_i a_pi x_pi, Σ_i b_qi y_qi)."""
    one, other = (a.unsqueeze(-1) * x).sum(dim=1), (b.unsqueeze(-1) * y).sum(dim=1)
    return unit(one) @ unit(other).T


def mean_of_cosines(
    x: Float[Tensor, "P Q D"],
    y: Float[Tensor, "P Q D"],
    a: Float[Tensor, "P Q"],
    b: Float[Tensor, "P Q"],
) -> Float[Tensor, "P P"]:
    """s_pq = Σ_i w_i cos(x_pi, y_qi), with the weights that both share."""
    cosines = torch.einsum("pid,qid->pqi", unit(x), unit(y))
    return (common(a.unsqueeze(1), b.unsqueeze(0)) * cosines).sum(dim=-1)
