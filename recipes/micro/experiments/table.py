"""Results of a grid as a Markdown table: mean, spread over seeds, difference from the baseline."""

import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from recipes.micro.experiments.grid import Grid
from speechalign.evaluation.predictions import read_predictions
from speechalign.evaluation.significance import Interval, Run, compare_runs

GROUPS = ("trained", "zero_shot")
HEAD = (
    "| setting | seeds | trained BLEU | against the baseline | zero-shot BLEU | against it |\n"
    "|---|---|---|---|---|---|"
)


def table(grid: Grid, results: Sequence[dict[str, Any]]) -> str:
    """Write a line per setting that has results.

    Differences are over the seeds that both have, with intervals of 95 % by paired bootstrap over
    test sentences and seeds.
    """
    by_setting = {
        one.name: {row["seed"]: row for row in results if row["setting"] == one.name}
        for one in grid.settings
    }
    base = by_setting[grid.baseline]
    return "\n".join([HEAD, *(line(name, own, base) for name, own in by_setting.items() if own)])


def line(name: str, own: dict[int, dict[str, Any]], base: dict[int, dict[str, Any]]) -> str:
    """Write one line."""
    cells = [name, str(len(own))]
    for group in GROUPS:
        cells.append(spread([row[group] for row in own.values()]))
        seeds = sorted(own.keys() & base.keys()) if own is not base else []
        cells.append(str(difference(own, base, seeds, group)) if seeds else "")
    return f"| {' | '.join(cells)} |"


def difference(
    own: dict[int, dict[str, Any]], base: dict[int, dict[str, Any]], seeds: list[int], group: str
) -> Interval:
    """Compare a setting with the baseline on one group of languages."""
    system, baseline = ([answered(rows[seed], group) for seed in seeds] for rows in (own, base))
    return compare_runs(system, baseline)


def answered(result: dict[str, Any], group: str) -> Run:
    """Read the answers of a run again."""
    return Run(read_predictions(Path(result["predictions"])), result["languages"][group])


def spread(values: Sequence[float]) -> str:
    """Write a mean with its standard deviation, as far as there are values."""
    if len(values) < 2:
        return f"{values[0]:.1f}"
    return f"{statistics.mean(values):.1f} ± {statistics.stdev(values):.1f}"
