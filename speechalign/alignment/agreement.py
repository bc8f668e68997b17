"""How far two languages' pooled states agree in one layer: linear CKA, MEXA and DALI."""

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn import functional as F

from speechalign.alignment.cost import promote


def linear_cka(
    x: Float[Tensor, "N D"], y: Float[Tensor, "N E"], unbiased: bool = False
) -> Float[Tensor, ""]:
    """Linear centred kernel alignment of two representations of the same N items.

    ‖YᵀX‖² / (‖XᵀX‖ ‖YᵀY‖), Frobenius norms of centred columns (Kornblith et al. 2019,
    arXiv:1905.00414): 1 if one is the other rotated, shifted and scaled, near 0 if they have
    nothing in common. With fewer items than widths it is large for unrelated states too: 0.98 for
    16 items of random 768 numbers. `unbiased` replaces each product by an estimator that expects 0
    there (Song et al. 2012, JMLR 13, eq. 5), may be negative, and needs 4 items.

    Args:
        x: States of N items, row by row.
        y: Other states of the same items, of any width.
        unbiased: See above; the choice for small batches.

    Returns:
        In float64; NaN if the rows of a side are all the same, or there are too few; and for
        `unbiased`, if they are all equally far apart.
    """
    product = _unbiased_product if unbiased else _product
    k, m = (_gram(states.double()) for states in (x, y))
    norms = [product(gram, gram) for gram in (k, m)]
    # what is left of nothing by rounding is no norm to divide by
    told = all(norm > 1e-12 * gram.square().sum() for norm, gram in zip(norms, (k, m), strict=True))
    return product(k, m) / (norms[0] * norms[1]).sqrt() if told else k.new_tensor(torch.nan)


def _gram(states: Float[Tensor, "N D"]) -> Float[Tensor, "N N"]:
    """Inner products of centred states; 0 where centring leaves no more than rounding."""
    centred = states - states.mean(dim=0)
    centred = centred * (centred.norm() > 1e-12 * states.norm())
    return centred @ centred.mT


def _product(k: Float[Tensor, "N N"], m: Float[Tensor, "N N"]) -> Float[Tensor, ""]:
    """HSIC of two Gram matrices of centred states, but for a factor that cancels in a ratio."""
    return (k * m).sum()


def _unbiased_product(k: Float[Tensor, "N N"], m: Float[Tensor, "N N"]) -> Float[Tensor, ""]:
    """HSIC₁ of two Gram matrices, but for a factor that cancels in a ratio."""
    n = len(k)
    if n < 4:
        return k.new_tensor(torch.nan)
    k, m = k - k.diag().diag(), m - m.diag().diag()
    return (
        (k * m).sum()
        + k.sum() * m.sum() / ((n - 1) * (n - 2))
        - 2 * (k.sum(dim=0) @ m.sum(dim=1)) / (n - 2)
    )


def mexa(
    similarity: Float[Tensor, "N M"],
    x_sentences: Int[Tensor, " N"],
    y_sentences: Int[Tensor, " M"],
) -> float:
    """Share of items that are more like their parallel than any two that are not parallel.

    An item i of x counts if it has a parallel j with s_ij above all s_ik and s_kj of pairs that do
    not say the same (Kargaran et al. 2024, arXiv:2410.05873); there, sentences have one recording
    and y is English. Unlike retrieval, it asks for both directions at once.

    Args:
        similarity: Cosines of pooled states; the authors pool an LLM's by position.
        x_sentences: Equal numbers where two items say the same, on both sides.
        y_sentences: Likewise, for the other side.

    Returns:
        Over items of x that have a parallel; NaN if none has.
    """
    parallel = x_sentences[:, None] == y_sentences[None]
    others = similarity.masked_fill(parallel, -torch.inf)
    rows, columns = others.amax(dim=1, keepdim=True), others.amax(dim=0, keepdim=True)
    aligned = (parallel & (similarity > rows) & (similarity > columns)).any(dim=1)
    return aligned[parallel.any(dim=1)].double().mean().item()


def dali(
    x: Float[Tensor, "G n D"], y: Float[Tensor, "G n D"], strict: bool = False
) -> Bool[Tensor, " G"]:
    """Whether all items of a group are told from the others in the other language: DALI.

    A group counts if cos(x_i, y_i) > cos(x_i, y_j) for all i and j ≠ i of its n items (Ravisankar
    et al. 2025, arXiv:2504.09378). There, a group is a question, its items are the question with
    each of its answers; here, they are sentences of whatever grouping, as is the case in speech
    without questions. So only scores of equal n compare; the mean over groups is the score.

    Args:
        x: Pooled states, n items in each of G groups.
        y: States of the same items in the other language, or English.
        strict: Whether, as in the authors' DALI_S, all cos(x_i, y_i) must be above all
            cos(x_i, x_j) and cos(y_i, y_j) of the group as well.
    """
    x, y = F.normalize(promote(x), dim=-1), F.normalize(promote(y), dim=-1)
    same = torch.eye(x.shape[1], dtype=torch.bool, device=x.device)
    across = x @ y.mT
    matched = across.diagonal(dim1=1, dim2=2)
    told = ((matched[:, :, None] > across) | same).all(dim=(1, 2))
    if not strict:
        return told
    within = torch.cat([x @ x.mT, y @ y.mT]).masked_fill(same, -torch.inf).amax(dim=(1, 2))
    return told & (matched.amin(dim=1) > within.unflatten(0, (2, -1)).amax(dim=0))
