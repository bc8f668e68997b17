"""Time opening a corpus of FLEURS' full size and the order of an epoch, each in a fresh process.

`python -m recipes.benchmarks.index`. The tables have as many rows as FLEURS (384,060 in 102
languages); the recordings are empty files in folders, since nothing is heard here.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from recipes.benchmarks.tables import write_tables

TABLES = (
    ("opening", "all tables, the first time"),
    ("opening", "all tables, later"),
    ("order items", "train_items, 101 languages"),
)
ORDERS = ("default", "recordings=all", "batch_seconds")


def measure(step: str, root: str, cache: str) -> dict[str, float]:
    """Take one step in a fresh process.

    Args:
        step: The module here, and what it is to do if it can do several things.
        root: The corpus.
        cache: Where its tables are kept.
    """
    module, *arguments = step.split()
    command = [sys.executable, "-m", f"recipes.benchmarks.{module}", *arguments, root, cache]
    return json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)


def compare(root: str, cache: str) -> None:
    """Print a line a step: first the tables, then the orders of an epoch."""
    print(f"\n{'':<30}{'rows':>9}{'s':>9}{'GB':>7}{'imports alone':>15}")
    for step, name in TABLES:
        told = measure(step, root, cache)
        memory = f"{told['peak']:>7.2f}{told['imports']:>15.2f}"
        print(f"{name:<30}{told['rows']:>9,}{told['seconds']:>9.3f}{memory}")
    print(f"\n{'order':<30}{'rows':>9}{'batches':>9}{'sampler':>9}{'epoch':>9}{'resumed':>9}")
    for name in ORDERS:
        told = measure(f"order {name}", root, cache)
        counts = f"{told['rows']:>9,}{told['batches']:>9,}"
        times = "".join(f"{told[part]:>9.3f}" for part in ("sampler", "epoch", "resumed"))
        print(f"{name:<30}{counts}{times}")


def main() -> None:
    """Read the options, write the corpus, and compare."""
    parser = argparse.ArgumentParser(description="Time a corpus of FLEURS' full size.")
    parser.add_argument("--rows", type=float, default=1.0, help="share of FLEURS' rows")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "fleurs"
        start = time.perf_counter()
        rows = write_tables(root, options.rows)
        print(f"{rows:,} recordings, written in {time.perf_counter() - start:.1f} s.")
        compare(str(root), str(Path(folder) / "cache"))


if __name__ == "__main__":
    main()
