"""The systems that `speechalign compare` is told of: their names, and the folders of their runs."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from speechalign.commands.finished import read_metrics
from speechalign.errors import UserError

if TYPE_CHECKING:  # they load much, for which no --help waits
    from speechalign.evaluation.comparison import System
    from speechalign.evaluation.presets import Convention

NAMED = re.compile(r"(?P<name>[^=/]+)=(?P<places>.*)", re.DOTALL)


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
    told = [places_of(one) for one in files]
    metrics = [[read_metrics(folder) for folder in folders] for _, folders in told]
    names = apart([
        (given, runs[0]["name"], str(folders[0]))
        for (given, folders), runs in zip(told, metrics, strict=True)
    ])
    return [
        Entry(name, folders, runs)
        for name, (_, folders), runs in zip(names, told, metrics, strict=True)
    ]


def apart(systems: Sequence[tuple[str | None, str, str]]) -> list[str]:
    """Name systems as they are told, else as their runs are named, or by place if that is taken.

    Args:
        systems: Of each the name that is told, if one is, that of its first run, and its place.

    Raises:
        UserError: If two of them still have one name.
    """
    wished = [given or own for given, own, _ in systems]
    names = [
        place if given is None and wished.count(own) > 1 else given or own
        for given, own, place in systems
    ]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise UserError(
            f"Two systems are called {twice!r}: give each a name of its own, as NAME=FOLDER."
        )
    return names


def places_of(told: str) -> tuple[str | None, list[Path]]:
    """Part a system's name, if it is told, from the folders of its runs.

    Raises:
        UserError: If there are no folders, or one twice.
    """
    found = None if Path(told.split(",")[0]).exists() else NAMED.fullmatch(told)
    folders = [Path(one) for one in (found["places"] if found else told).split(",") if one]
    if not folders:
        raise UserError(f"{told!r} names no folder: write FOLDER, or NAME=FOLDER,FOLDER.")
    twice = next((one for one in folders if folders.count(one) > 1), None)
    if twice is not None:
        raise UserError(f"{told!r} names {twice} twice: give each run of a system once.")
    return found and found["name"], folders


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


def check_place(output: Path, entries: Sequence[Entry]) -> None:
    """Refuse to write over the page and the tables of a run.

    Raises:
        UserError: If the place is the folder of a run.
    """
    if output.resolve() in {folder.resolve() for entry in entries for folder in entry.folders}:
        raise UserError(f"{output} is a run that is compared: give another --output-dir.")


def read_system(entry: Entry, convention: "Convention") -> "System":
    """Count the predictions of all runs of a system, with the scores of COMET that they keep."""
    from speechalign.commands.evaluation_output import COMET
    from speechalign.evaluation.comet import with_kept
    from speechalign.evaluation.comparison import System
    from speechalign.evaluation.counted import count
    from speechalign.evaluation.predictions import PREDICTIONS, read_predictions

    counted = [
        (folder, count(read_predictions(folder / PREDICTIONS), convention, processes=None))
        for folder in entry.folders
    ]
    runs = [with_kept(parts, folder / COMET) for folder, parts in counted]
    return System(entry.name, runs, [str(folder) for folder in entry.folders])
