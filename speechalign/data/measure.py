"""What is measured of a recording to tell whether it is one: levels, lengths, clipping."""

import math
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pyarrow as pa
import torch
from torch import Tensor

from speechalign.audio.io import SAMPLE_RATE
from speechalign.data.examples import read_audio
from speechalign.data.frames import identity
from speechalign.data.index import indexed
from speechalign.data.quality import Measures
from speechalign.data.records import Utterance
from speechalign.errors import UserError
from speechalign.files import digest

FORMAT = 1  # of the measures; another number makes all of them anew
WINDOW = SAMPLE_RATE // 40  # samples over which a level is taken: 25 ms
FLOOR = -200.0  # dB, of digital silence
FULL_SCALE = 0.999  # of the loudest sample that is not clipped


def measure(
    utterances: Sequence[Utterance], threads: int, to_end: bool, cache_dir: Path | None = None
) -> list[Measures]:
    """Measure recordings, or take what was found of the same files before.

    What could not be read is tried again each time: a disk may have been away.

    Args:
        utterances: The recordings.
        threads: How many are read at the same time.
        to_end: Whether each has a file of its own, which is then read to its end; else only as
            much of it is read as the recording is told to be long.
        cache_dir: Where the measures are kept; by default `default_cache_dir()`.
    """
    if not utterances:
        return []
    names = digest("".join(map(state, utterances)))

    def build() -> pa.Table:
        columns = zip(*measured_all(utterances, threads, to_end), strict=True)
        return pa.table(dict(zip(Measures._fields, map(list, columns), strict=True)))

    table = indexed(f"measures {FORMAT} {to_end} {names}", (), build, cache_dir)
    found = [Measures(*row.values()) for row in table.to_pylist()]
    again = [row for row, one in enumerate(found) if one.fault]
    retried = measured_all([utterances[row] for row in again], threads, to_end)
    for row, one in zip(again, retried, strict=True):
        found[row] = one
    return found


def state(utterance: Utterance) -> str:
    """Tell a recording from what it was before, even where its file is gone."""
    try:
        return identity(utterance)
    except UserError as error:
        return str(error)


def measured_all(utterances: Sequence[Utterance], threads: int, to_end: bool) -> Iterator[Measures]:
    """Read recordings and measure them, in order; arguments as for `measure`."""

    def one(utterance: Utterance) -> Measures:
        try:
            return measured(read_audio(utterance, to_end))
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
        peak=decibels(float(size.max()) ** 2),
        level=decibels(float(loud)),
        swing=decibels(float(loud)) - decibels(float(quiet)),
        clipped=float((size >= FULL_SCALE).double().mean()),
        fault="",
    )


def decibels(power: float) -> float:
    """Tell a power in dB, no less than FLOOR."""
    return max(10 * math.log10(power), FLOOR) if power > 0 else FLOOR
