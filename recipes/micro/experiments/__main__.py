"""Run a grid of settings and seeds in the micro world, and print the table.

    python -m recipes.micro.experiments recipes/micro/experiments/paper.yaml --seeds 5 --jobs 2

Every run has the budget of `speechalign demo` unless `--steps` says other. A run that was stopped
goes on from its last checkpoint, a finished one is not run again unless its configuration changed.
Seeds come one after the other, so that an early table has all settings. results.jsonl in the
output folder has a line a run.
"""

import argparse
import json
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import Any

from recipes.micro.experiments.grid import read_grid
from recipes.micro.experiments.running import Run, run
from recipes.micro.experiments.table import table
from speechalign.errors import UserError
from speechalign.files import write_text


def main(arguments: Sequence[str] | None = None) -> None:
    """Run what is missing and print the table."""
    parser = argparse.ArgumentParser(
        prog="python -m recipes.micro.experiments",
        description=__doc__,
        formatter_class=argparse.RawTextHelpFormatter,
    )
    parser.add_argument("grid", type=Path, help="YAML file, see grid.py")
    parser.add_argument("--output", type=Path, default=Path("runs/experiments"))
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--steps", type=int, help="by default as in configs/micro.yaml")
    parser.add_argument("--jobs", type=int, default=2, help="runs side by side, one thread each")
    parser.add_argument("--table", action="store_true", help="of what is finished; run nothing")
    given = parser.parse_args(arguments)
    if given.jobs < 1 or given.seeds < 1:
        parser.error("give --jobs and --seeds of 1 or more")
    try:
        grid = read_grid(given.grid)
    except UserError as error:
        parser.error(str(error))
    runs = [
        Run(setting, seed, given.steps, given.output)
        for seed in range(given.seeds)
        for setting in grid.settings
    ]
    if not given.table:
        run_all(runs, given.jobs)
    results = [run(one) for one in runs if one.result.exists()]
    lines = (json.dumps(row, ensure_ascii=False) for row in results)
    write_text(given.output / "results.jsonl", "".join(f"{one}\n" for one in lines))
    print(table(grid, results))


def run_all(runs: Sequence[Run], jobs: int) -> None:
    """Run side by side, and print each result as it comes."""
    with ThreadPoolExecutor(jobs) as pool:
        try:
            for finished in as_completed([pool.submit(run, one) for one in runs]):
                print(told(finished.result()), flush=True)
        except BaseException:  # say so now, and not after all the others
            pool.shutdown(cancel_futures=True)
            raise


def told(result: dict[str, Any]) -> str:
    """Tell one result in a line."""
    scores = f"{result['trained']:.1f} / {result['zero_shot']:.1f}"
    return f"{result['setting']}, seed {result['seed']}: {scores}"


if __name__ == "__main__":
    main()
