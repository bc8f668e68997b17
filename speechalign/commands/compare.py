"""`speechalign compare`: finished evaluations beside one another."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from speechalign.assets.templates import filled
from speechalign.commands.entries import (
    Entry,
    check_place,
    common_preset,
    entries_of,
    read_system,
)
from speechalign.commands.page import write_told
from speechalign.commands.parsing import run
from speechalign.commands.uses import check_numbers
from speechalign.errors import UserError

if TYPE_CHECKING:  # they load much, for which no --help waits
    from speechalign.evaluation.comparison import System
    from speechalign.evaluation.counted import Counted
    from speechalign.evaluation.presets import Convention

FILES = (
    "Folders that `speechalign evaluate` or `test` wrote: the first is what the others are compared"
    " with. Several runs of one system, one a seed, are told with commas, and a name may stand"
    " before them: baseline=base0,base1 ours=ours0,ours1."
)
ORIGIN = (  # told of a run where it is known
    *("checkpoint", "sha256", "predictions"),
    *("task", "decoding", "dtype", "llm_bits"),
)


def main(verb: str, arguments: list[str]) -> None:
    """Run the command line."""
    run(compare, verb, arguments, FILES)


def compare(
    files: list[str],
    output_dir: str = "comparison",
    preset: str | None = None,
    spbleu: bool = False,
    draws: int = 1000,
    seed: int = 0,
) -> None:
    """Compare finished evaluations, with intervals and tests.

    Args:
        files: Folders of runs.
        output_dir: Folder for comparison.json, the tables and the page.
        preset: Convention of BLEU: speechalign, potsa, llm-srt, seamless or whisper; by default
            that of the runs.
        spbleu: Fetch the model of spBLEU if it is not there, and fail without it.
        draws: Of bootstrap and randomisation.
        seed: Of them.
    """
    if len(files) < 2:
        raise UserError("Name two runs or more: the first is what the others are compared with.")
    check_numbers({"--draws": draws}, {"--seed": seed})
    from speechalign.evaluation.comparison import comparable
    from speechalign.evaluation.presets import Convention, check_preset, has_spbleu

    if preset is not None:
        check_preset(preset)
    entries = entries_of(files)
    check_place(Path(output_dir), entries)
    chosen = preset or common_preset(entries)
    convention = Convention(chosen, spbleu or has_spbleu())
    systems = [read_system(entry, convention) for entry in entries]
    compared = comparable(systems)
    runs = scored(entries, compared, convention, draws, seed)
    comparison = found_out(entries, systems, compared, runs[0], chosen, draws, seed)
    write(Path(output_dir), compared, comparison, runs, convention)


def scored(
    entries: Sequence[Entry],
    systems: "Sequence[System]",
    convention: "Convention",
    draws: int,
    seed: int,
) -> list[dict[str, Any]]:
    """Score the first run of each system in what all have, with the groups of the first model."""
    from speechalign.evaluation.scoring import groups_of, software, summarize

    languages = [metrics["system"].get("languages", {}) for entry in entries
                 for metrics in entry.metrics]  # fmt: skip
    known = next(filter(None, languages), {})
    groups = groups_of(systems[0].runs[0], known.get("trained", ()), known.get("zero_shot", ()))
    return [
        {
            **entry.metrics[0],
            **summarize(system.runs[0], convention, groups, draws, seed),
            "versions": software(),
            "name": entry.name,
        }
        for entry, system in zip(entries, systems, strict=True)
    ]


def found_out(
    entries: "Sequence[Entry]",
    systems: "Sequence[System]",
    compared: "Sequence[System]",
    baseline: dict[str, Any],
    preset: str,
    draws: int,
    seed: int,
) -> dict[str, Any]:
    """Compare, and tell what it takes to find the same again: what `comparison.json` holds."""
    from speechalign.evaluation.comparison import HOLM, compare_systems, draws_by_pair
    from speechalign.evaluation.scoring import software
    from speechalign.evaluation.tables import groups_in, signatures

    pairs = {
        pair: {kind: told[kind] for kind in ("recordings", "sentences")}
        for pair, told in baseline["pairs"].items()
    }
    runs = [
        about_run(entry, number, *runs)
        for entry, *sides in zip(entries, systems, compared, strict=True)
        for number, runs in enumerate(zip(*(side.runs for side in sides), strict=True))
    ]
    groups = groups_in(baseline)
    found = compare_systems(compared, groups, draws, seed)
    return {
        "baseline": entries[0].name,
        "preset": preset,
        "signatures": signatures(baseline),
        "draws": draws,
        "draws_by_pair": draws_by_pair(draws, len(pairs)),
        "seed": seed,
        "p_corrected": HOLM,
        "pairs": pairs,
        "groups": groups,
        "runs": runs,
        "versions": software(),
        "metrics_left_out": metrics_left_out(entries, found),
        "systems": found,
    }


def about_run(
    entry: Entry, number: int, run: "Sequence[Counted]", compared: "Sequence[Counted]"
) -> dict[str, Any]:
    """Tell of a run where it is, what made it, and how what is compared differs from it."""
    sentences = {part.pair: part.sentences for part in run}
    pairs = [part.pair for part in compared]
    metrics = entry.metrics[number]
    system = metrics["system"]
    return {
        "system": entry.name,
        "folder": str(entry.folders[number]),
        "preset": metrics["preset"],
        "data": metrics["data"],
        **{told: system[told] for told in ORIGIN if told in system},
        "left_out": ["-".join(pair) for pair in sentences if pair not in pairs],
        "regrouped": any(sentences[part.pair] != part.sentences for part in compared),
    }


def metrics_left_out(entries: Sequence[Entry], found: Sequence[dict[str, Any]]) -> list[str]:
    """Name the metrics that runs were scored by and that are not compared."""
    from speechalign.evaluation.tables import names_of

    compared = {name for system in found for told in system["pairs"].values() for name in told}
    scored = [name for entry in entries for run in entry.metrics for name in names_of(run)]
    return [name for name in dict.fromkeys(scored) if name not in compared]


def write(
    output: Path,
    systems: "Sequence[System]",
    comparison: dict[str, Any],
    runs: list[dict[str, Any]],
    convention: "Convention",
) -> None:
    """Write what was found, as JSON, as tables and as a page, and print the table."""
    from speechalign.commands.evaluation_output import TEMPLATE, seen, view_of
    from speechalign.evaluation import tables
    from speechalign.evaluation.comparison_tables import comparison_notes, comparison_rows
    from speechalign.evaluation.sentences import most_changed

    base = systems[0]
    rows = comparison_rows(base.name, comparison["systems"], comparison["groups"])
    notes = comparison_notes(comparison)
    changed = [
        seen(one) | {"system": system.name}
        for system in systems[1:]
        for one in most_changed(system.runs[0], base.runs[0], convention)
    ]
    text = json.dumps(comparison, indent=1, ensure_ascii=False, allow_nan=False)
    shown = tables.plain(rows) + "\n\n" + "\n".join(notes)
    files = {
        "comparison.json": f"{text}\n",
        "table.txt": f"{shown}\n",
        "table.tex": tables.latex(rows, notes),
        "report.html": filled(TEMPLATE, view_of(runs, changed, comparison)),
    }
    for name, content in files.items():
        write_told(str(output / name), content, "--output-dir")
    print(shown)
    print(f"Written: {output}/{', '.join(files)}")
