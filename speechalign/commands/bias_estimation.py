"""Estimate what each language adds to the frames of an encoder, and write it as a pack."""

import os
import random
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from speechalign.audio.io import SAMPLE_RATE
from speechalign.commands.quality import tell
from speechalign.data.fleurs import Fleurs
from speechalign.data.folder import pieces, recordings
from speechalign.data.frames import FrameCache, FrameForm, content
from speechalign.data.manifest import Manifest
from speechalign.data.records import Utterance
from speechalign.errors import UserError
from speechalign.files import digest
from speechalign.languages import language
from speechalign.models import artifact
from speechalign.models.bias import LanguageBias, Pooling, check_pooling
from speechalign.models.bias_pack import BiasPack, empty_pack, load_pack, save_pack
from speechalign.models.encoder import WhisperEncoder
from speechalign.models.moments import Moments, join
from speechalign.training.encoding import cache_folder, hear

Speech = dict[str, list[Utterance]]  # by language


class Estimator(NamedTuple):
    """What a process needs to estimate."""

    encoder: dict[str, Any]  # settings
    pooling: Pooling
    batch_size: int
    device: torch.device
    cache: Path | None


def fill(
    output: Path, speech: Speech, tools: Estimator, processes: int, encoder: WhisperEncoder
) -> BiasPack:
    """Estimate the languages that a pack lacks, and write it after each.

    Raises:
        UserError: If it is of another encoder, or has a language from other recordings.
    """
    pack = begun(output, encoder, tools.pooling)
    for code, found in speech.items():
        audio = digest("".join(sorted(map(content, found))))
        told = pack.centroids.get(code)
        if told is not None and told.audio == audio:
            tell(f"{code}: {told.utterances} utterances, as before")
            continue
        if told is not None:
            raise UserError(
                f"{output} has {code} from other recordings: name another --output, and put both"
                " together with `speechalign estimate-bias merge` if both are to count."
            )
        moments = estimated(tools, found, processes, encoder)
        pack = pack.add(code, moments, audio)
        save_pack(pack, output)
        tell(f"{code}: {moments.number} utterances")
    return pack


def drawn(speech: Speech, limit: int | None, seed: int) -> Speech:
    """Draw so many recordings of each language, where there are more."""
    if limit is None:
        return speech
    return {
        code: random.Random(f"bias/{seed}").sample(found, min(limit, len(found)))
        for code, found in speech.items()
    }


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


def gather_speech(files: list[str], languages: str, split: str, window_samples: int) -> Speech:
    """List the speech of each language, in pieces that fit into the encoder's window.

    Raises:
        UserError: If there is no place of that kind, or a language has none.
    """
    wanted = [language(code.strip()).code for code in languages.split(",") if code.strip()]
    speech: Speech = {}
    window = window_samples / SAMPLE_RATE
    for file in files:
        code, equals, path = file.partition("=")
        if equals and not Path(file).exists():
            name = language(code).code
            found = {name: recordings(Path(path), name, window)}
        elif file.endswith(".jsonl"):
            found = corpus_speech(Manifest({split: [file]}), wanted, split, window)
        elif Path(file).is_dir() or file.startswith("assets:"):
            found = corpus_speech(Fleurs(file), wanted, split, window)
        else:
            raise UserError(
                f"{file!r} is no place of speech: give CODE=FOLDER, a FLEURS folder or a manifest."
            )
        for name, utterances in found.items():
            known = {utterance.id for utterance in speech.setdefault(name, [])}
            speech[name] += [utterance for utterance in utterances if utterance.id not in known]
    silent = [code for code, found in speech.items() if not found]
    if silent or not speech:
        raise UserError(
            f"No audio of {', '.join(silent) or 'any language'} in {', '.join(files)} (split"
            f" {split}): name another --split, or a folder of audio as CODE=FOLDER."
        )
    return speech


def corpus_speech(
    corpus: Fleurs | Manifest, wanted: list[str], split: str, window: float
) -> Speech:
    """List the speech of a corpus; what is longer than the window is cut."""
    codes = wanted or [code for code in corpus.languages() if is_spoken(corpus, code, split)]
    return {
        code: [piece for u in corpus.utterances(code, split) for piece in pieces(u, window)]
        for code in codes
    }


def is_spoken(corpus: Fleurs | Manifest, code: str, split: str) -> bool:
    """Whether a corpus has recordings of a language, and not its texts alone."""
    if split not in corpus.splits(code):
        return False
    return not isinstance(corpus, Fleurs) or corpus.has_audio(code, split)


def begun(output: Path, encoder: WhisperEncoder, pooling: Pooling) -> BiasPack:
    """Open the pack to go on with, or begin one.

    Raises:
        UserError: If there is one of another encoder.
    """
    if not (output / "bias.json").exists():
        return empty_pack(encoder, pooling)
    pack = load_pack(output)
    pack.check(encoder, pooling)
    return pack


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
