"""`speechalign compare`: finished evaluations beside one another."""

import json
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

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
    preset: str = "speechalign",
    spbleu: bool = False,
    draws: int = 1000,
    seed: int = 0,
) -> None:
    """Compare finished evaluations, with intervals and tests.

    Args:
        files: Folders of runs.
        output_dir: Folder for comparison.json, the tables and the page.
        preset: Convention of BLEU: speechalign, potsa, llm-srt, seamless or whisper.
        spbleu: Fetch the model of spBLEU if it is not there, and fail without it.
        draws: Of bootstrap and randomisation.
        seed: Of them.
    """
    if len(files) < 2:
        raise UserError("Name two runs or more: the first is what the others are compared with.")
    check_numbers({"--draws": draws}, {"--seed": seed})
    from speechalign.commands.evaluation_output import read_metrics
    from speechalign.evaluation.comparison import compare_systems
    from speechalign.evaluation.presets import Convention, check_preset, has_spbleu
    from speechalign.evaluation.scoring import groups_of, summarize

    check_preset(preset)
    convention = Convention(preset, spbleu or has_spbleu())
    named = [places_of(told) for told in files]
    metrics = [[read_metrics(folder) for folder in folders] for _, folders in named]
    names = unique(
        [name or told[0]["name"] for (name, _), told in zip(named, metrics, strict=True)], files
    )
    systems = [
        read_system(name, folders, convention)
        for name, (_, folders) in zip(names, named, strict=True)
    ]
    known = next((languages_of(told[0]) for told in metrics if languages_of(told[0])), {})
    groups = groups_of(systems[0].runs[0], known.get("trained", ()), known.get("zero_shot", ()))
    found = compare_systems(systems, groups, draws, seed)
    runs = [
        {**told[0], **summarize(system.runs[0], convention, groups, draws, seed), "name": name}
        for name, told, system in zip(names, metrics, systems, strict=True)
    ]
    write(Path(output_dir), systems, found, runs, {"preset": preset, "draws": draws}, convention)


def write(
    output: Path,
    systems: "Sequence[System]",
    found: list[dict[str, Any]],
    runs: list[dict[str, Any]],
    about: dict[str, Any],
    convention: "Convention",
) -> None:
    """Write what was found, as JSON, as tables and as a page, and print the table."""
    from speechalign.commands.evaluation_output import TEMPLATE, seen, view_of
    from speechalign.evaluation import tables
    from speechalign.evaluation.sentences import most_changed

    base = systems[0]
    text = json.dumps({"baseline": base.name, **about, "systems": found}, indent=1,
                      ensure_ascii=False, allow_nan=False)  # fmt: skip
    rows = tables.comparison_rows(base.name, found)
    changed = [
        seen(one) | {"system": system.name}
        for system in systems[1:]
        for one in most_changed(system.runs[0], base.runs[0], convention)
    ]
    files = {
        "comparison.json": f"{text}\n",
        "table.txt": tables.plain(rows) + "\n",
        "table.tex": tables.latex(rows, []),
        "report.html": filled(TEMPLATE, view_of(runs, changed, found)),
    }
    for name, content in files.items():
        write_told(str(output / name), content, "--output-dir")
    print(tables.plain(rows))
    print(f"\nWritten: {output}/{', '.join(files)}")


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


def languages_of(metrics: dict[str, Any]) -> dict[str, list[str]]:
    """Tell what a run's model was trained on, if it is known."""
    return metrics["system"].get("languages", {})


def unique(names: list[str], places: list[str]) -> list[str]:
    """Name systems apart: by their places where their names are alike."""
    alike = len(set(names)) < len(names)
    return [place.split(",")[0] for place in places] if alike else names


def read_system(name: str, folders: list[Path], convention: "Convention") -> "System":
    """Count the predictions of all runs of a system."""
    from speechalign.evaluation.comparison import System
    from speechalign.evaluation.counted import count
    from speechalign.evaluation.predictions import read_predictions

    processes = os.cpu_count() or 1
    files = [folder / "predictions.jsonl" for folder in folders]
    return System(name, [count(read_predictions(file), convention, processes) for file in files])
