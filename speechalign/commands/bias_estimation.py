"""Estimate what each language adds to the frames of an encoder, and write it as a pack."""

import os
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from speechalign.commands.bias_output import add, begun, knows
from speechalign.commands.quality import tell
from speechalign.commands.unlabelled import Recordings
from speechalign.data.frames import FrameCache, FrameForm
from speechalign.data.records import Utterance
from speechalign.models import artifact
from speechalign.models.bias import LanguageBias, Pooling, check_pooling
from speechalign.models.bias_pack import BiasPack
from speechalign.models.encoder import WhisperEncoder
from speechalign.models.moments import Moments, join
from speechalign.training.encoding import cache_folder, hear


class Estimator(NamedTuple):
    """What a process needs to estimate."""

    encoder: dict[str, Any]  # settings
    pooling: Pooling
    batch_size: int
    device: torch.device
    cache: Path | None


def fill(
    output: Path,
    speech: Iterable[tuple[str, Recordings]],
    tools: Estimator,
    processes: int,
    encoder: WhisperEncoder,
) -> BiasPack:
    """Estimate the languages that a pack lacks, and write it after each.

    Raises:
        UserError: If it is of another encoder, has a language from other recordings, or cannot be
            written.
    """
    pack = begun(output, encoder, tools.pooling)
    for code, found in speech:
        recordings = frozenset(found)
        if knows(pack, code, recordings, output):
            tell(f"{code}: {len(found)} utterances, as before")
            continue
        moments = estimated(tools, list(found.values()), processes, encoder)
        pack = add(pack, code, moments, recordings, output)
        tell(f"{code}: {moments.number} utterances")
    return pack


def heard_with(
    checkpoint: str,
    encoder: str | None,
    attend: Literal["window", "speech"],
    pooling: Pooling | None,
) -> tuple[Pooling, WhisperEncoder]:
    """Load the encoder, and say how its frames are pooled.

    What nobody says, an encoder alone or a checkpoint without a bias, is `valid`.

    Raises:
        UserError: If there is no such model, or its frames cannot be pooled so.
    """
    if encoder is not None:
        pooled, whisper = pooling or "valid", WhisperEncoder(encoder, attend=attend)
    else:
        parts = artifact.read(checkpoint).parts
        pooled = pooling or (parts["bias"] or {}).get("pooling", "valid")
        whisper = artifact.make(parts, "encoder")
    check_pooling(pooled, whisper)
    return pooled, whisper


def estimated(
    tools: Estimator, utterances: list[Utterance], processes: int, encoder: WhisperEncoder
) -> Moments:
    """Estimate one language, in this process or in several."""
    ordered = sorted(utterances, key=lambda utterance: (utterance.duration, utterance.id))
    if processes == 1:
        return of_share(tools, ordered, encoder)
    shares = [ordered[rank::processes] for rank in range(processes)]
    with ProcessPoolExecutor(processes, get_context("spawn"), limit_threads, (processes,)) as pool:
        parts = pool.map(in_process, [tools] * processes, shares)
        moments = [Moments(n, torch.from_numpy(m), torch.from_numpy(s)) for n, m, s in parts]
    return join(moments, encoder.width)


def limit_threads(processes: int) -> None:
    """Leave the other processes their cores."""
    torch.set_num_threads(max(1, (os.cpu_count() or 1) // processes))


def in_process(
    tools: Estimator, utterances: list[Utterance]
) -> tuple[int, NDArray[np.float64], NDArray[np.float64]]:
    """Estimate from a share of the recordings, in a process of its own."""
    found = of_share(tools, utterances, WhisperEncoder(**tools.encoder))
    return found.number, found.mean.numpy(), found.scatter.numpy()


def of_share(tools: Estimator, utterances: list[Utterance], encoder: WhisperEncoder) -> Moments:
    """Estimate from some recordings."""
    bias = LanguageBias(encoder.width, tools.pooling)
    cache = FrameCache(tools.cache) if tools.cache else None
    padded, device = tools.pooling == "all", tools.device
    heard = hear(encoder.to(device), utterances, tools.batch_size, device, cache, padded)
    return bias.moments(heard)


def kept_where(folder: Path, encoder: WhisperEncoder, pooling: Pooling) -> Path | None:
    """Find the frames that trainings kept, in a form that can be pooled so."""
    there = cache_folder(folder, FrameForm(), encoder).parent
    kinds = ("all", "valid") if pooling == "valid" else ("all",)
    forms = [there / f"{kind}-{dtype}" for kind in kinds for dtype in ("float32", "bfloat16")]
    found = next((form for form in forms if form.is_dir()), None)
    tell(f"Kept frames: {found or f'none of this encoder in {folder}'}")
    return found
