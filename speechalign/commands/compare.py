"""`speechalign compare`: finished evaluations beside one another."""

import json
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from speechalign.commands.evaluate import check_numbers
from speechalign.commands.page import filled, write_told
from speechalign.commands.parsing import run
from speechalign.errors import UserError

if TYPE_CHECKING:  # they load much, for which no --help waits
    from speechalign.evaluation.comparison import System
    from speechalign.evaluation.presets import Convention

FILES = (
    "Folders that `speechalign evaluate` or `test` wrote: the first is what the others are compared"
    " with. Several runs of one system, one a seed, are told with commas, and a name may stand"
    " before them: baseline=base0,base1 ours=ours0,ours1."
)
NAMED = re.compile(r"(?P<name>[^=/]+)=(?P<places>.*)", re.DOTALL)


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
    from speechalign.evaluation.comparison import shared_pairs
    from speechalign.evaluation.presets import Convention, check_preset, has_spbleu

    if preset is not None:
        check_preset(preset)
    entries = entries_of(files)
    chosen = preset or common_preset(entries)
    convention = Convention(chosen, spbleu or has_spbleu())
    systems = [read_system(entry, convention) for entry in entries]
    pairs = shared_pairs(systems)
    compared = [system.only(pairs) for system in systems]
    runs = scored(entries, compared, convention, draws, seed)
    comparison = found_out(entries, systems, compared, runs[0], chosen, draws, seed)
    write(Path(output_dir), compared, comparison, runs, convention)


class Entry(NamedTuple):
    """A system as it was told, with what its runs tell of themselves."""

    name: str
    folders: list[Path]
    metrics: list[dict[str, Any]]  # of each run


def entries_of(files: Sequence[str]) -> list[Entry]:
    """Find the runs of each system, and a name for it.

    Raises:
        UserError: If a run is not there, or two systems have one name.
    """
    from speechalign.commands.evaluation_output import read_metrics

    told = [places_of(one) for one in files]
    metrics = [[read_metrics(folder) for folder in folders] for _, folders in told]
    given = [name for name, _ in told if name is not None]
    twice = next((name for name in given if given.count(name) > 1), None)
    if twice is not None:
        raise UserError(f"Two systems are called {twice!r}: give each a name of its own.")
    names = unique(
        [name or runs[0]["name"] for (name, _), runs in zip(told, metrics, strict=True)], files
    )
    return [
        Entry(name, folders, runs)
        for name, (_, folders), runs in zip(names, told, metrics, strict=True)
    ]


def common_preset(entries: Sequence[Entry]) -> str:
    """Tell the convention that all runs were scored by.

    Raises:
        UserError: If they were scored by several.
    """
    presets = {
        str(folder): metrics["preset"]
        for entry in entries
        for folder, metrics in zip(entry.folders, entry.metrics, strict=True)
    }
    if len(set(presets.values())) > 1:
        each = ", ".join(f"{folder} by {preset}" for folder, preset in presets.items())
        raise UserError(f"The runs were scored by several presets, {each}: choose one by --preset.")
    return next(iter(presets.values()))


def scored(
    entries: Sequence[Entry],
    systems: "Sequence[System]",
    convention: "Convention",
    draws: int,
    seed: int,
) -> list[dict[str, Any]]:
    """Score the first run of each system in what all have, with the groups of the first model."""
    from speechalign.evaluation.scoring import groups_of, summarize

    languages = [metrics["system"].get("languages", {}) for entry in entries
                 for metrics in entry.metrics]  # fmt: skip
    known = next(filter(None, languages), {})
    groups = groups_of(systems[0].runs[0], known.get("trained", ()), known.get("zero_shot", ()))
    return [
        {
            **entry.metrics[0],
            **summarize(system.runs[0], convention, groups, draws, seed),
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
        {
            "system": entry.name,
            "folder": str(folder),
            "preset": metrics["preset"],
            "left_out": sorted("-".join(p.pair) for p in run if "-".join(p.pair) not in pairs),
        }
        for entry, system in zip(entries, systems, strict=True)
        for folder, metrics, run in zip(entry.folders, entry.metrics, system.runs, strict=True)
    ]
    groups = groups_in(baseline)
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
        "systems": compare_systems(compared, groups, draws, seed),
    }


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
        "report.html": filled(TEMPLATE, view_of(runs, changed, comparison["systems"], notes)),
    }
    for name, content in files.items():
        write_told(str(output / name), content, "--output-dir")
    print(shown)
    print(f"Written: {output}/{', '.join(files)}")


def places_of(told: str) -> tuple[str | None, list[Path]]:
    """Part a system's name, if it is told, from the folders of its runs.

    Raises:
        UserError: If there are no folders.
    """
    found = None if Path(told.split(",")[0]).exists() else NAMED.fullmatch(told)
    folders = [Path(one) for one in (found["places"] if found else told).split(",") if one]
    if not folders:
        raise UserError(f"{told!r} names no folder: write FOLDER, or NAME=FOLDER,FOLDER.")
    return found and found["name"], folders


def unique(names: Sequence[str], places: Sequence[str]) -> list[str]:
    """Name systems apart: by their places where their names are alike."""
    alike = len(set(names)) < len(names)
    return [place.split(",")[0] for place in places] if alike else list(names)


def read_system(entry: Entry, convention: "Convention") -> "System":
    """Count the predictions of all runs of a system, with the scores of COMET that they keep."""
    from speechalign.commands.evaluation_output import COMET
    from speechalign.evaluation.comet import with_kept
    from speechalign.evaluation.comparison import System
    from speechalign.evaluation.counted import count
    from speechalign.evaluation.predictions import read_predictions

    processes = os.cpu_count() or 1
    counted = [
        (folder, count(read_predictions(folder / "predictions.jsonl"), convention, processes))
        for folder in entry.folders
    ]
    return System(entry.name, [with_kept(parts, folder / COMET) for folder, parts in counted])
