"""What a finished run tells of itself: its scores, and what made its answers."""

import json
from pathlib import Path
from typing import Any

from speechalign.commands.asked import about_corpus
from speechalign.commands.claims import ORDER, check_unchanged, read_order
from speechalign.commands.evaluation_folder import METRICS
from speechalign.errors import UserError
from speechalign.evaluation.predictions import DIGEST, PREDICTIONS


def read_metrics(folder: Path) -> dict[str, Any]:
    """Read the scores of a finished run.

    Raises:
        UserError: If there are none, or not the predictions beside them that they are of.
    """
    for name in (METRICS, PREDICTIONS):
        if not (folder / name).is_file():
            raise no_run(folder, f"has no {name}" if folder.is_dir() else "is no folder")
    told = metrics_in(folder)
    if told is None:
        raise no_run(folder, f"has no {METRICS} that can be read")
    if not {"preset", "pairs"} <= told.keys():
        raise no_run(folder, f"has a {METRICS} without preset and pairs")
    check_unchanged(folder / PREDICTIONS, told["system"])
    return told


def metrics_in(folder: Path) -> dict[str, Any] | None:
    """Read what a folder has of scores, with what an older one does not tell; None if nothing."""
    try:
        told = json.loads((folder / METRICS).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    known = {"name": folder.name, "system": {}, "data": {}}
    ours = isinstance(told, dict) and isinstance(told.get("system", {}), dict)
    return known | (told if ours else {})


def no_run(folder: Path, why: str) -> UserError:
    """Say of a folder that it is not what was expected."""
    return UserError(
        f"{folder} is no finished run, it {why}: name a folder with the {METRICS} and the"
        f" {PREDICTIONS} that `speechalign evaluate` or `test` wrote."
    )


def maker_of(file: Path) -> dict[str, Any] | None:
    """Tell what made predictions, if they lie where a run of ours wrote them.

    Returns:
        `name`, `system` and `data`, as in `metrics.json`.

    Raises:
        UserError: If they were changed since.
    """
    if file.name != PREDICTIONS:
        return None
    folder = file.parent
    scored, order = metrics_in(folder), read_order(folder / ORDER)
    if scored is not None and DIGEST in scored["system"]:
        told = {key: scored[key] for key in ("name", "system", "data")}
    elif order is not None:  # it was interrupted while it was scored
        data = about_corpus(order["data"], order["split"])
        told = {"name": folder.name, "system": order, "data": data}
    else:
        return None
    check_unchanged(file, told["system"])
    return told
