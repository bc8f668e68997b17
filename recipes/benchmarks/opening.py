"""What `recipes.benchmarks.index` measures, each in a process of its own.

`python -m recipes.benchmarks.opening STEP ROOT CACHE` prints seconds, and the peak of the process'
memory with the imports alone and in the end, as JSON.
"""

import json
import logging
import resource
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np

from speechalign.assets import resolve
from speechalign.audio.io import SAMPLE_RATE
from speechalign.data.datamodule import SpeechDataModule
from speechalign.data.draw import EpochDraw, Recordings
from speechalign.data.fleurs import Fleurs
from speechalign.data.pairs import PairSampler
from speechalign.data.records import Utterances, columns
from speechalign.languages import LANGUAGES
from speechalign.models.loading import load_tokenizer

TARGET = "eng"
BATCH = 32
BATCH_SECONDS = 400.0  # about as many recordings
KIBIBYTE = 1024 if sys.platform.startswith("linux") else 1  # what ru_maxrss counts in

Told = dict[str, float]


@contextmanager
def timed(told: Told, name: str) -> Iterator[None]:
    """Tell the seconds of a block."""
    start = time.perf_counter()
    yield
    told[name] = time.perf_counter() - start


def open_tables(source: Fleurs) -> Told:
    """Open every split of every language."""
    told: Told = {}
    with timed(told, "seconds"):
        found = all_tables(source)
    return told | {"rows": sum(len(one) for one in found)}


def all_tables(source: Fleurs) -> list[Utterances]:
    """Open every split of every language."""
    return [source.utterances(c, s) for c in source.languages() for s in source.splits(c)]


def train_items(source: Fleurs) -> Told:
    """List what is trained on when all languages but English are translated into English."""
    others = [language.code for language in LANGUAGES if language.code != TARGET]
    data = SpeechDataModule(source, others, target=TARGET)
    data.configure(load_tokenizer(resolve("assets:micro/llm"), None), 30 * SAMPLE_RATE)
    told: Told = {}
    with timed(told, "seconds"):
        items = data.train_items()
    return told | {"rows": len(items)}


def order(
    source: Fleurs, recordings: Recordings = "one", batch_seconds: float | None = None
) -> Told:
    """Make the sampler of all recordings, list an epoch, and begin in its middle."""
    tables = all_tables(source)
    found = [columns(one) for one in tables]
    sentences = [sentence for one in found for sentence in one.sentence_ids]
    languages = [one[0].language for one in tables for _ in range(len(one))]
    durations = np.concatenate([one.durations for one in found])
    told: Told = {}
    with timed(told, "sampler"):
        draw = EpochDraw(sentences, languages, recordings=recordings)
        sampler = PairSampler(draw, BATCH, durations=durations, batch_seconds=batch_seconds)
    with timed(told, "epoch"):
        batches = list(sampler)
    middle = len(batches) // 2
    sampler.resume(0, middle)
    with timed(told, "resumed"):
        first = next(iter(sampler))
    if first != batches[middle]:
        raise SystemExit("A resumed epoch is another one.")
    return told | {"rows": sum(len(batch.rows) for batch in batches), "batches": len(batches)}


STEPS: dict[str, Callable[[Fleurs], Told]] = {
    "open": open_tables,
    "items": train_items,
    "default": order,
    "recordings=all": lambda source: order(source, recordings="all"),
    "batch_seconds": lambda source: order(source, batch_seconds=BATCH_SECONDS),
}


def peak() -> float:
    """Tell the most memory that this process had so far, in GB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * KIBIBYTE / 1e9


def take(step: str, root: str, cache: str) -> Told:
    """Take one step."""
    before = peak()
    return STEPS[step](Fleurs(root, cache_dir=cache)) | {"imports": before, "peak": peak()}


if __name__ == "__main__":
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    print(json.dumps(take(*sys.argv[1:])))
