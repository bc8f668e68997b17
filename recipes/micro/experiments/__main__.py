"""Run a grid of settings and seeds in the micro world, and print the table.

    python -m recipes.micro.experiments recipes/micro/experiments/paper.yaml --seeds 5 --jobs 2

A run that was stopped goes on from its last checkpoint, a finished one is not run again unless its
configuration changed. Seeds come one after the other, so that an early table has all settings;
those that others go on from come first.
Finished runs are kept beside the grid, in <grid>.jsonl.xz: a line each, with scores and answers.
"""

import argparse
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import Any

from recipes.micro.experiments.grid import Grid, read_grid
from recipes.micro.experiments.running import Run, read_rows, run, train, write_rows
from recipes.micro.experiments.table import table
from speechalign.errors import UserError


def main(arguments: Sequence[str] | None = None) -> None:
    """Run what is missing and print the table."""
    parser = argparse.ArgumentParser(
        prog="python -m recipes.micro.experiments",
        description=__doc__,
        formatter_class=argparse.RawTextHelpFormatter,
    )
    parser.add_argument("grid", type=Path, help="YAML file, see grid.py")
    parser.add_argument(
        "--output", type=Path, default=Path("runs/experiments"), help="folder of the runs"
    )
    parser.add_argument("--results", type=Path, help="file of finished runs [<grid>.jsonl.xz]")
    parser.add_argument("--seeds", type=int, help="how many [5; of a table, all that there are]")
    parser.add_argument("--steps", type=int, help="of each run, for trials [as the grid says]")
    parser.add_argument("--jobs", type=int, default=2, help="runs side by side, one thread each")
    parser.add_argument(
        "--table", action="store_true", help="print it of what is finished, run nothing"
    )
    given = parser.parse_args(arguments)
    if any(number is not None and number < 1 for number in (given.jobs, given.seeds, given.steps)):
        parser.error("give --jobs, --seeds and --steps of 1 or more")
    results = given.results or given.grid.with_suffix(".jsonl.xz")
    try:
        grid = read_grid(given.grid)
        rows = read_rows(results)
    except UserError as error:
        parser.error(str(error))
    there = [row["seed"] + 1 - grid.first_seed for row in rows.values()] if given.table else []
    seeds = given.seeds or max(there, default=5)
    wanted = runs_of(grid, seeds, given.steps, given.output)
    try:
        if not given.table:
            missing = [one for one in wanted if one.name not in rows]
            starts = {one.start.name: one.start for one in missing if one.start is not None}
            in_parallel(train, list(starts.values()), given.jobs)
            in_parallel(run_and_tell, missing, given.jobs)
    except UserError as error:
        parser.exit(1, f"{error}\n")
    finally:
        finished = [run(one) for one in wanted if one.name not in rows and one.result.exists()]
        if finished:
            rows |= {row["run"]: row for row in finished}
            write_rows(results, rows.values())
    found = [rows[one.name] for one in wanted if one.name in rows]
    print(table(grid, found) if found else f"Nothing of this grid is finished in {results}.")


def runs_of(grid: Grid, seeds: int, steps: int | None, folder: Path) -> list[Run]:
    """List the runs of a grid, seed after seed; `steps` stands in for those of the grid."""
    settings = [one if steps is None else one._replace(steps=steps) for one in grid.settings]
    runs = []
    for seed in range(grid.first_seed, grid.first_seed + seeds):
        by_name = {one.name: Run(one, seed, folder) for one in settings if one.after is None}
        runs += [
            by_name[one.name] if one.after is None else Run(one, seed, folder, by_name[one.after])
            for one in settings
        ]
    return runs


def run_and_tell(one: Run) -> None:
    """Run, and print the result."""
    print(told(run(one)), flush=True)


def in_parallel(work: Callable[[Run], None], runs: Sequence[Run], jobs: int) -> None:
    """Work on several runs side by side; the first that fails ends all."""
    with ThreadPoolExecutor(jobs) as pool:
        try:
            for finished in as_completed([pool.submit(work, one) for one in runs]):
                finished.result()
        except BaseException:  # say so now, and not after all the others
            pool.shutdown(cancel_futures=True)
            raise


def told(result: dict[str, Any]) -> str:
    """Tell one result in a line."""
    found = (result["trained"], result["zero_shot"])
    scores = ("-" if one is None else f"{one:.1f}" for one in found)
    return f"{result['setting']}, seed {result['seed']}: {' / '.join(scores)}"


if __name__ == "__main__":
    main()
