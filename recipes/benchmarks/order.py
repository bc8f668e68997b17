"""What is trained on and in which order, as `recipes.benchmarks.index` measures it.

`python -m recipes.benchmarks.order STEP ROOT CACHE` prints what one of STEPS took, as JSON.
"""

import json
import sys
from collections.abc import Callable

import numpy as np

from recipes.benchmarks.opening import Told, all_tables, take, timed
from speechalign.assets import resolve
from speechalign.audio.io import SAMPLE_RATE
from speechalign.commands.demo import quiet_lightning
from speechalign.data.datamodule import SpeechDataModule
from speechalign.data.draw import EpochDraw, Recordings
from speechalign.data.fleurs import Fleurs
from speechalign.data.pairs import PairSampler
from speechalign.data.records import columns
from speechalign.languages import LANGUAGES
from speechalign.models.loading import load_tokenizer

TARGET = "eng"
BATCH = 32
BATCH_SECONDS = 400.0  # about as many recordings


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
    "items": train_items,
    "default": order,
    "recordings=all": lambda source: order(source, recordings="all"),
    "batch_seconds": lambda source: order(source, batch_seconds=BATCH_SECONDS),
}


if __name__ == "__main__":
    name, *places = sys.argv[1:]
    with quiet_lightning():
        print(json.dumps(take(STEPS[name], *places)))
