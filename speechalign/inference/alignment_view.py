"""Two recordings seen side by side: what each token hears, and to which one transport moves it."""

from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from speechalign.alignment.diagnostics import diagonal_mass, plan_entropy
from speechalign.alignment.divergence import SinkhornDivergence
from speechalign.audio.features import FRAME
from speechalign.audio.io import SAMPLE_RATE
from speechalign.errors import UserError
from speechalign.inference.translator import Translator
from speechalign.languages import LANGUAGES, Language
from speechalign.models.encoder import Frames
from speechalign.models.qformer import QFormer

BARS = 400  # of a waveform's outline
SWEEPS = 500  # at most: a plan that is looked at is one whose columns are right too
MIDDLE = FRAME / 2 / SAMPLE_RATE  # seconds from the start of a frame


@torch.inference_mode()
def view_pair(
    translator: Translator,
    waveforms: tuple[Tensor, Tensor],
    names: tuple[str, str],
    sources: tuple[Language | None, Language | None],
    divergence: SinkhornDivergence,
) -> dict[str, Any]:
    """Follow two recordings through a model, and transport one's tokens to the other's.

    Args:
        translator: The model.
        waveforms: The recordings, 16 kHz, each within the encoder's window.
        names: What they are called.
        sources: Their languages; None: guessed.
        divergence: The transport.

    Returns:
        Plain numbers and texts, ready for JSON: `sides` with name, language, duration, outline and
        translation, and `layers` with the divergence, entropy, diagonal mass, marginal error, the
        plan (scaled so that a row sums to 1), and for each side the seconds that its tokens
        listen to.

    Raises:
        UserError: If the model has no Q-Former.
    """
    qformer = translator.model.qformer
    if not isinstance(qformer, QFormer):
        raise UserError("This model has no Q-Former, whose tokens could be aligned.")
    sides, tokens, times = [], [], []
    for waveform, name, source in zip(waveforms, names, sources, strict=True):
        with translator.lock:
            frames, rows, (certainty,) = translator.frames([waveform], source)
            tokens.append(translator.model.listen(frames).tokens.layers)
            times.append([centroids(weights, frames) for weights in qformer.attention(frames)])
        spoken = LANGUAGES[int(rows)]
        sides.append({
            "name": name,
            "language": spoken.name,
            "certainty": certainty,
            "duration": len(waveform) / SAMPLE_RATE,
            "outline": outline(waveform),
            "translation": translator.translate(waveform, from_=spoken.code).text,
        })
    layers = [
        {
            "layer": layer,
            "times": [rounded(side[layer - 1][0], 3) for side in times],
            **compare(tokens[0][layer], tokens[1][layer], divergence),
        }
        for layer in range(1, qformer.depth + 1)
    ]
    return {"epsilon": divergence.solver.epsilon, "sides": sides, "layers": layers}


def outline(waveform: Float[Tensor, " samples"]) -> list[float]:
    """Draw a waveform as bars: the loudest sample of each stretch."""
    stretches = np.array_split(waveform.abs().numpy(), min(BARS, len(waveform)))
    return [round(float(stretch.max()), 4) for stretch in stretches]


def centroids(weights: Float[Tensor, "U Q T"], frames: Frames) -> Float[Tensor, "U Q"]:
    """Seconds that each query listens to, in the mean."""
    seconds = torch.arange(frames.hidden.shape[1], device=weights.device) * FRAME / SAMPLE_RATE
    return weights.float() @ (seconds + MIDDLE)


def compare(
    x: Float[Tensor, "1 Q D"], y: Float[Tensor, "1 Q D"], divergence: SinkhornDivergence
) -> dict[str, Any]:
    """Transport the tokens of one layer."""
    solved = divergence.transport(x, y)
    return {
        "divergence": divergence(x, y).item(),
        "entropy": plan_entropy(solved.plan).item(),
        "diagonal": diagonal_mass(solved.plan).item(),
        "marginal_error": solved.marginal_error.item(),
        "plan": rounded(solved.plan[0] * solved.plan.shape[1], 4),
    }


def rounded(values: Tensor, digits: int) -> Any:
    """Nested lists of numbers with few digits, to keep the page small."""
    return np.round(values.double().cpu().numpy(), digits).tolist()
