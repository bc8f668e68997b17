"""Comparisons to paste: differences from a baseline as rows, and notes on how they were found."""

import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from speechalign.evaluation.notes import corpora, decoding, sizes, versions
from speechalign.evaluation.tables import label, mean_titles, title


def comparison_rows(
    baseline: str, systems: Sequence[Mapping[str, Any]], groups: Mapping[str, Sequence[str]]
) -> list[list[str]]:
    """Write differences from a baseline: a head, then a line a pair and a line a group.

    Args:
        baseline: Its name.
        systems: What `compare_systems` found.
        groups: Languages that were averaged over, by the group's name.
    """
    tests = ["p (randomisation)", "p (bootstrap)", "p (Holm)"]
    rows = [["", "metric", baseline, "score", "difference", *tests]]
    means = mean_titles(groups)
    for system in systems:
        runs = "" if system["runs"] == 1 else f", {system['runs']} runs"
        told = {title(pair): metrics for pair, metrics in system["pairs"].items()}
        averages = system["averages"]
        told |= {called: averages[group] for group, called in means.items() if group in averages}
        for where, metrics in told.items():
            for name, one in metrics.items():
                rows.append([
                    f"{system['name']}{runs}: {where}",
                    label(name),
                    spread(one["baseline"]),
                    spread(one["scores"]),
                    f"{one['value']:+.1f} [{one['low']:+.1f}, {one['high']:+.1f}]",
                    probability(one["p_randomization"]),
                    probability(one["p_bootstrap"]),
                    probability(one.get("p_corrected")),
                ])
    return rows


def comparison_notes(comparison: Mapping[str, Any]) -> list[str]:
    """Tell, a line each, what it takes to find the same differences again.

    Args:
        comparison: What `comparison.json` holds.
    """
    presets = {run["preset"] for run in comparison["runs"]}
    how = "as the runs were" if presets == {comparison["preset"]} else "whatever the runs were by"
    return [
        f"scored by the preset {comparison['preset']}, {how}",
        *comparison["signatures"],
        *sizes(comparison["pairs"]),
        *notes_on_tests(comparison),
        *corpora([run["data"] for run in comparison["runs"]]),
        *dict.fromkeys(line for run in comparison["runs"] for line in decoding(run)),
        versions(comparison["versions"]),
    ]


def notes_on_tests(comparison: Mapping[str, Any]) -> list[str]:
    """Tell, a line each, how to read the differences: draws, correction, and what is left out.

    Args:
        comparison: What `comparison.json` holds.
    """
    draws, by_pair = comparison["draws"], comparison["draws_by_pair"]
    more = "" if by_pair == draws else f" ({by_pair} for single pairs of languages)"
    return [
        f"{draws} draws{more}, seed {comparison['seed']}",
        f"p (Holm): {comparison['p_corrected']}",
        *pairs_left_out(comparison["runs"]),
        *runs_regrouped(comparison["runs"]),
        *metrics_left_out(comparison["metrics_left_out"]),
    ]


def pairs_left_out(runs: Sequence[Mapping[str, Any]]) -> list[str]:
    """List, run by run, the pairs of languages that are not compared."""
    return [
        f"left out of {run['folder']}, not in all runs: {', '.join(map(title, run['left_out']))}"
        for run in runs
        if run["left_out"]
    ]


def runs_regrouped(runs: Sequence[Mapping[str, Any]]) -> list[str]:
    """List the runs that told otherwise than the first which recordings say the same."""
    return [
        f"sentences of {run['folder']}: drawn by the sentence_ids of {runs[0]['folder']}"
        for run in runs
        if run["regrouped"]
    ]


def metrics_left_out(names: Sequence[str]) -> list[str]:
    """List the metrics that runs were scored by and that are not compared, if there are any."""
    return (
        [f"not compared, though in metrics.json: {', '.join(map(label, names))}"] if names else []
    )


def spread(scores: Sequence[float]) -> str:
    """Write a mean over runs with its standard deviation, if there are several."""
    if len(scores) == 1:
        return f"{scores[0]:.1f}"
    return f"{statistics.mean(scores):.1f} ± {statistics.stdev(scores):.1f}"


def probability(p: float | None) -> str:
    """Write a p-value."""
    if p is None:
        return ""
    return "< 0.001" if p < 0.001 else f"{p:.3f}"
