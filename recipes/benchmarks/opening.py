"""Opening all tables of a corpus, as `recipes.benchmarks.index` measures it in a fresh process.

`python -m recipes.benchmarks.opening ROOT CACHE` prints seconds, and the peak of the process'
memory with the imports alone and in the end, as JSON. Only what opening needs is imported.
"""

import json
import resource
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from speechalign.data.fleurs import Fleurs
from speechalign.data.records import Utterances

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


def peak() -> float:
    """Tell the most memory that this process had so far, in GB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * KIBIBYTE / 1e9


def take(step: Callable[[Fleurs], Told], root: str, cache: str) -> Told:
    """Take one step, and tell of the memory too."""
    before = peak()
    return step(Fleurs(root, cache_dir=cache)) | {"imports": before, "peak": peak()}


if __name__ == "__main__":
    print(json.dumps(take(open_tables, *sys.argv[1:])))
