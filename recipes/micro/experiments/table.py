"""Results of a grid as a Markdown table: mean, spread over seeds, difference from the baseline."""

import statistics
from collections.abc import Sequence
from typing import Any

from recipes.micro.experiments.grid import Grid
from recipes.micro.experiments.running import GROUPS
from speechalign.evaluation.predictions import Prediction
from speechalign.evaluation.significance import Difference, Tally, compare, tally_of

DRAWS = 2000
HEAD = (
    "| setting | seeds | trained BLEU | against the baseline | zero-shot BLEU | against it "
    "| Recall@1 |\n|---|---|---|---|---|---|---|"
)


def table(grid: Grid, results: Sequence[dict[str, Any]]) -> str:
    """Write a line per setting that has results.

    Differences are over the seeds that both have, with intervals of 95 % by paired bootstrap over
    test sentences and seeds. Recall@1 is that of the Q-Former's last layer, between all languages,
    in both directions, among the sentences that `speechalign inspect` draws.
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
        scores = [row[group] for row in own.values() if row[group] is not None]
        cells.append(spread(scores, 1))
        seeds = [
            seed
            for seed in sorted(own.keys() & base.keys())
            if own is not base and comparable(own[seed], base[seed], group)
        ]
        cells.append(str(difference(own, base, seeds, group)) if seeds else "")
    recalls = (recall_of_last_layer(row) for row in own.values())
    cells.append(spread([recall for recall in recalls if recall is not None], 3))
    return f"| {' | '.join(cells)} |"


def comparable(own: dict[str, Any], base: dict[str, Any], group: str) -> bool:
    """Whether two runs have the same languages of a group, one at least."""
    return sorted(own["languages"][group]) == sorted(base["languages"][group]) != []


def recall_of_last_layer(row: dict[str, Any]) -> float | None:
    """Recall@1 where the Q-Former ends; None without one."""
    stages = reversed(row["recall_at_1"].items())
    return next((recall for stage, recall in stages if stage.startswith("qformer.")), None)


def difference(
    own: dict[int, dict[str, Any]], base: dict[int, dict[str, Any]], seeds: list[int], group: str
) -> Difference:
    """Compare a setting with the baseline on one group of languages."""
    system, baseline = ([answered(rows[seed], group) for seed in seeds] for rows in (own, base))
    return compare(system, baseline, draws=DRAWS)


def answered(result: dict[str, Any], group: str) -> Tally:
    """Take the answers of a run."""
    predictions = [Prediction(**row) for row in result["predictions"]]
    return tally_of(predictions, result["languages"][group])


def spread(values: Sequence[float], digits: int) -> str:
    """Write a mean with its standard deviation, as far as there are values."""
    if len(values) < 2:
        return "".join(f"{value:.{digits}f}" for value in values)
    return f"{statistics.mean(values):.{digits}f} ± {statistics.stdev(values):.{digits}f}"
