"""`speechalign compare`: finished evaluations beside one another."""

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from speechalign.commands.parsing import run
from speechalign.errors import UserError

if TYPE_CHECKING:  # it loads much, for which no --help waits
    from speechalign.evaluation.comparison import System

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
    if draws < 1:
        raise UserError(f"--draws is {draws}: give 1 or more.")
    from speechalign.commands.evaluation_output import TEMPLATE, read_metrics, seen, view_of
    from speechalign.commands.page import write_page, write_told
    from speechalign.evaluation import tables
    from speechalign.evaluation.comparison import compare_systems
    from speechalign.evaluation.presets import Convention, check_preset, has_spbleu
    from speechalign.evaluation.scoring import groups_of, summarize
    from speechalign.evaluation.sentences import most_changed

    check_preset(preset)
    convention = Convention(preset, spbleu or has_spbleu())
    named = [NAMED.fullmatch(told) for told in files]
    places = [one["places"] if one else told for one, told in zip(named, files, strict=True)]
    folders = [[Path(one) for one in told.split(",") if one] for told in places]
    metrics = [[read_metrics(folder) for folder in system] for system in folders]
    names = unique([system[0]["name"] for system in metrics], places)
    names = [one["name"] if one else name for one, name in zip(named, names, strict=True)]
    systems = [
        read_system(name, system, convention) for name, system in zip(names, folders, strict=True)
    ]
    known = next(
        (one["system"]["languages"] for one in metrics[0] if "languages" in one["system"]), {}
    )
    groups = groups_of(systems[0].runs[0], known.get("trained", ()), known.get("zero_shot", ()))
    found = compare_systems(systems, convention, groups, draws, seed)
    shown = [
        {**told[0], **summarize(system.runs[0], convention, groups, draws, seed), "name": name}
        for name, told, system in zip(names, metrics, systems, strict=True)
    ]
    output = Path(output_dir)
    told = {"baseline": names[0], "preset": preset, "draws": draws, "systems": found}
    text = json.dumps(told, indent=1, ensure_ascii=False, allow_nan=False)
    write_told(str(output / "comparison.json"), f"{text}\n", "--output-dir")
    rows = tables.comparison_rows(names[0], found)
    write_told(str(output / "table.txt"), tables.plain(rows) + "\n", "--output-dir")
    write_told(str(output / "table.tex"), tables.latex(rows, []), "--output-dir")
    changed = [
        seen(one) | {"system": system.name}
        for system in systems[1:]
        for one in most_changed(system.runs[0], systems[0].runs[0], convention)
    ]
    write_page(TEMPLATE, view_of(shown, changed, found), str(output / "report.html"))
    print(tables.plain(rows))
    print(f"\nWritten: {output}/comparison.json, table.txt, table.tex, report.html")


def unique(names: list[str], places: list[str]) -> list[str]:
    """Name systems apart: by their places where their names are alike."""
    alike = len(set(names)) < len(names)
    return [place.split(",")[0] for place in places] if alike else names


def read_system(name: str, folders: list[Path], convention: Any) -> "System":
    """Count the predictions of all runs of a system."""
    from speechalign.evaluation.comparison import System
    from speechalign.evaluation.counted import count
    from speechalign.evaluation.predictions import read_predictions

    files = [folder / "predictions.jsonl" for folder in folders]
    return System(name, [count(read_predictions(file), convention) for file in files])
