"""What each stage of a speech LLM makes of speech: pooled states, and tokens where they are wanted.

Stages are named in the order that speech takes: `encoder`, `encoder+bias`, `qformer.1`, …,
`projector`, `llm.1`, …, where a number counts blocks and means their output. Those of the LLM are
its states at the speech tokens, which no prompt has touched yet.
"""

from collections.abc import Collection, Iterator
from typing import Literal, NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from speechalign.errors import UserError
from speechalign.models.encoder import Frames
from speechalign.models.speech_llm import SpeechLLM

Pool = Literal["mean", "position"]


class Representation(NamedTuple):
    """U utterances at one stage."""

    pooled: Float[Tensor, "U D"]  # in at least float32
    tokens: Float[Tensor, "U n D"] | None  # where they were wanted
    mask: Bool[Tensor, "U n"] | None  # True where there is a token


def stages(model: SpeechLLM) -> list[str]:
    """Name the stages of a model, in their order."""
    return [
        "encoder",
        *(["encoder+bias"] if model.bias is not None else []),
        *(f"qformer.{block}" for block in range(1, model.qformer.depth + 1)),
        "projector",
        *(f"llm.{block}" for block in range(1, model.llm.depth + 1)),
    ]


@torch.no_grad()
def representations(
    model: SpeechLLM,
    frames: Frames,
    language: Int[Tensor, " U"],
    wanted: Collection[str] | None = None,
    tokens: Collection[str] = (),
    pool: Pool = "mean",
) -> dict[str, Representation]:
    """Follow speech through a model, and keep what is asked for.

    Nothing runs that no wanted stage needs: without one of the LLM's, the LLM does not. Dropout is
    as the model is set: say `model.eval()` before.

    Args:
        model: The speech LLM.
        frames: What its encoder says of the speech, uncompensated.
        language: Spoken language, row of LANGUAGES.
        wanted: Stages; by default all.
        tokens: Those of which the tokens are kept as well.
        pool: `mean` over the tokens of an utterance, or weights that grow with the `position`, as
            MEXA has it for causal LLMs, whose early tokens have seen little (arXiv:2410.05873).

    Raises:
        UserError: If the model has no such stage.
    """
    there = stages(model)
    asked = set(there if wanted is None else wanted) | set(tokens)
    unknown = sorted(asked - set(there))
    if unknown:
        raise UserError(f"No stage {unknown[0]!r}; this model has {', '.join(there)}.")
    found: dict[str, Representation] = {}
    for stage, states, mask in _run(model, frames, language, asked):
        if stage in asked:
            kept = (states, mask) if stage in tokens else (None, None)
            found[stage] = Representation(pooled(states, mask, pool), *kept)
    return found


def pooled(
    states: Float[Tensor, "U n D"], mask: Bool[Tensor, "U n"], pool: Pool = "mean"
) -> Float[Tensor, "U D"]:
    """Average the tokens of each utterance: equally, or token t with a weight of t."""
    states = states.to(torch.promote_types(states.dtype, torch.float32))
    weight = mask.to(states.dtype)
    if pool == "position":
        weight = weight.cumsum(dim=1) * weight
    return torch.einsum("utd,ut->ud", states, weight) / weight.sum(dim=1, keepdim=True)


def _run(
    model: SpeechLLM, frames: Frames, language: Int[Tensor, " U"], asked: set[str]
) -> Iterator[tuple[str, Tensor, Tensor]]:
    """Give states and mask of every stage, as far as is asked."""
    yield "encoder", frames.hidden, frames.mask
    if model.bias is not None:
        frames = model.bias(frames, language)
        yield "encoder+bias", frames.hidden, frames.mask
    if asked <= {"encoder", "encoder+bias"}:
        return
    prefix = model.listen(frames)
    mask = prefix.tokens.mask
    for block in range(1, model.qformer.depth + 1):
        yield f"qformer.{block}", prefix.tokens.layers[block], mask
    yield "projector", prefix.embeddings, mask
    if any(stage.startswith("llm.") for stage in asked):
        hidden = model.llm.hidden_states(prefix.embeddings, mask)
        for block in range(1, model.llm.depth + 1):
            yield f"llm.{block}", hidden[block], mask
