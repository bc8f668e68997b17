"""What a speech LLM makes of many recordings: their states by stage, one recording at a time."""

from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from speechalign.data.frames import FrameCache, kept_frames
from speechalign.data.records import Utterance
from speechalign.languages import language
from speechalign.models.encoder import Frames
from speechalign.models.representations import Pool, representations
from speechalign.models.speech_llm import SpeechLLM
from speechalign.training.encoding import encode


class Heard(NamedTuple):
    """One recording in the states of a model, on the CPU."""

    utterance: Utterance
    pooled: dict[str, Tensor]  # by stage: D numbers
    tokens: dict[str, Tensor]  # by stage, where they were wanted: n tokens of D numbers


def collect(
    model: SpeechLLM,
    utterances: Sequence[Utterance],
    wanted: Collection[str] | None = None,
    tokens: Collection[str] = (),
    pool: Pool = "mean",
    batch_size: int = 16,
    cache: FrameCache | None = None,
) -> Iterator[Heard]:
    """Follow recordings through a model, batch by batch, shortest first.

    Args:
        model: In eval mode, on whatever device.
        utterances: The recordings, each within the encoder's window.
        wanted: Stages whose pooled states are kept (`representations.stages`); by default all.
        tokens: Stages whose tokens are kept as well.
        pool: How states are averaged over tokens; see `representations`.
        batch_size: Recordings at a time.
        cache: Has the frames of some recordings, which are then not encoded.

    Raises:
        UserError: If a recording cannot be read, or the model has no such stage.
    """
    ordered = sorted(utterances, key=lambda utterance: (utterance.duration, utterance.id))
    device = next(model.projector.parameters()).device
    for start in range(0, len(ordered), batch_size):
        part = ordered[start : start + batch_size]
        frames = _frames(model, part, device, cache)
        rows = torch.tensor([language(u.language).row for u in part], device=device)
        found = representations(model, frames, rows, wanted, tokens, pool)
        for row, utterance in enumerate(part):
            # a copy of each row: a view of the batch would keep, and send, all of the batch
            averages = {name: one.pooled[row].to("cpu", copy=True) for name, one in found.items()}
            sequences = {
                name: one.tokens[row][one.mask[row]].cpu()
                for name, one in found.items()
                if one.tokens is not None and one.mask is not None
            }
            yield Heard(utterance, averages, sequences)


def _frames(
    model: SpeechLLM, part: Sequence[Utterance], device: torch.device, cache: FrameCache | None
) -> Frames:
    """Give the frames of one batch, kept ones if all of them were kept."""
    kept = kept_frames(cache, part)
    if not kept:
        (frames,) = encode(model.encoder, part, len(part), device)
        return frames
    hidden = pad_sequence([frames[:valid] for frames, valid in kept], batch_first=True)
    lengths = torch.tensor([valid for _, valid in kept], device=device)
    return Frames(hidden.to(device), lengths)


def pooled_states(heard: Iterable[Heard], stage: str) -> Tensor:
    """Put the pooled states of N recordings at one stage together: N x D."""
    return torch.stack([one.pooled[stage] for one in heard])


def token_states(heard: Iterable[Heard], stage: str, length: int = 0) -> tuple[Tensor, Tensor]:
    """Pad the tokens of N recordings at one stage: (N x n x D, mask N x n).

    Args:
        heard: The recordings.
        stage: At which tokens were kept.
        length: Pad to so many tokens, if none has more.
    """
    sequences = [one.tokens[stage] for one in heard]
    counts = torch.tensor([len(one) for one in sequences])
    padded = pad_sequence(sequences, batch_first=True)
    missing = max(0, length - padded.shape[1])
    padded = torch.nn.functional.pad(padded, (0, 0, 0, missing))
    return padded, torch.arange(padded.shape[1]) < counts[:, None]


def sentence_numbers(*sides: Sequence[Heard]) -> list[Tensor]:
    """Number the sentences of several sides alike: equal numbers say the same."""
    names = sorted({one.utterance.sentence_id for side in sides for one in side})
    numbers = {name: number for number, name in enumerate(names)}
    return [torch.tensor([numbers[one.utterance.sentence_id] for one in side]) for side in sides]


def parallel(x: Iterable[Heard], y: Iterable[Heard]) -> tuple[list[Heard], list[Heard]]:
    """Pair one recording of each sentence that both sides have, the first by id, in one order."""
    first_x, first_y = (
        {h.utterance.sentence_id: h for h in sorted(side, key=lambda h: h.utterance.id)[::-1]}
        for side in (x, y)
    )
    shared = sorted(first_x.keys() & first_y.keys())
    return [first_x[sentence] for sentence in shared], [first_y[sentence] for sentence in shared]
