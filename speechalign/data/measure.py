"""What is measured of a recording to tell whether it is one: levels, lengths, clipping."""

import math
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import pyarrow as pa
import torch
from torch import Tensor

from speechalign.audio.io import SAMPLE_RATE
from speechalign.data.examples import read_audio
from speechalign.data.frames import digest, identity
from speechalign.data.index import indexed
from speechalign.data.records import Utterance
from speechalign.errors import UserError

FORMAT = 1  # of the measures; another number makes all of them anew
WINDOW = SAMPLE_RATE // 40  # samples over which a level is taken: 25 ms
FLOOR = -200.0  # dB, of digital silence
FULL_SCALE = 0.999  # of the loudest sample that is not clipped


class Measures(NamedTuple):
    """One recording in numbers; nan where it could not be read."""

    seconds: float  # found in the file
    peak: float  # dB under full scale of the loudest sample
    level: float  # dB of the tenth loudest of a hundred windows: that of speech
    swing: float  # dB between the tenth loudest and the tenth quietest of a hundred windows
    clipped: float  # share of samples at full scale
    fault: str  # why it could not be read, or nothing


def measure(utterances: Sequence[Utterance], threads: int) -> list[Measures]:
    """Measure recordings, or take what was found of the same files before.

    Args:
        utterances: The recordings.
        threads: How many are read at the same time.

    Raises:
        UserError: If the file of one is gone.
    """
    names = digest("".join(map(identity, utterances)))

    def build() -> pa.Table:
        columns = zip(*measured_all(utterances, threads), strict=True)
        return pa.table(dict(zip(Measures._fields, map(list, columns), strict=True)))

    if not utterances:
        return []
    table = indexed(f"measures {FORMAT} {names}", (), build)
    return [Measures(*row.values()) for row in table.to_pylist()]


def measured_all(
    utterances: Sequence[Utterance],
    threads: int,
    read: Callable[[Utterance], Tensor] = read_audio,
) -> Iterator[Measures]:
    """Read recordings and measure them, one after another as they are given.

    Args:
        utterances: The recordings.
        threads: How many are read at the same time.
        read: Gives one as 16 kHz mono.
    """

    def one(utterance: Utterance) -> Measures:
        try:
            return measured(read(utterance))
        except UserError as error:
            return Measures(*[math.nan] * 5, fault=str(error))

    with ThreadPoolExecutor(threads) as pool:
        yield from pool.map(one, utterances)


def measured(waveform: Tensor) -> Measures:
    """Measure 16 kHz mono audio in [-1, 1]."""
    seconds = len(waveform) / SAMPLE_RATE
    if not len(waveform):
        return Measures(seconds, FLOOR, FLOOR, 0.0, 0.0, "")
    size = waveform.abs()
    windows = waveform[: len(waveform) // WINDOW * WINDOW].reshape(-1, WINDOW)
    power = (windows if len(windows) else waveform[None]).square().mean(dim=1)
    quiet, loud = torch.quantile(power.double(), torch.tensor([0.1, 0.9], dtype=torch.double))
    return Measures(
        seconds=seconds,
        peak=2 * decibels(float(size.max())),
        level=decibels(float(loud)),
        swing=decibels(float(loud)) - decibels(float(quiet)),
        clipped=float((size >= FULL_SCALE).double().mean()),
        fault="",
    )


def decibels(power: float) -> float:
    """Tell a power in dB, no less than FLOOR."""
    return max(10 * math.log10(power), FLOOR) if power > 0 else FLOOR
