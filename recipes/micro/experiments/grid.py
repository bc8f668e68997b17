"""What is compared: settings by name, each some configurations and options over a common base."""

from pathlib import Path
from typing import Any, NamedTuple

import yaml

from speechalign.errors import UserError

ROOT = Path(__file__).parents[3]
KEYS = {"baseline", "options", "settings", "steps"}
KEYS_OF_SETTING = {"configs", "options", "steps", "after"}


class Setting(NamedTuple):
    """One line of the table."""

    name: str
    configs: tuple[Path, ...]  # later ones lie over earlier ones
    options: tuple[str, ...]
    steps: int | None = None  # None: as in configs/micro.yaml
    after: str | None = None  # the setting whose best checkpoint of the same seed it goes on from


class Grid(NamedTuple):
    """The lines of a table and the one that all are compared with."""

    baseline: str
    settings: tuple[Setting, ...]


def read_grid(file: Path) -> Grid:
    """Read a grid.

        baseline: no OT             # that all others are compared with
        steps: 500                  # of each run; may be left out, as the next line
        options: [--data.max_train_sentences=400]       # of all settings
        settings:
          no OT: {configs: [ablation/no_ot]}            # of configs/, over configs/micro.yaml
          λ 3: {options: [--model.strength=3], steps: 900}
          more: {after: no OT}      # goes on from its best checkpoint, of the same seed

    Raises:
        UserError: If it is not such a file; names what is wrong.
    """
    try:
        told = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise UserError(f"{file} is not a readable YAML file ({error}).") from error
    unknown = told.keys() - KEYS if isinstance(told, dict) else set()
    if unknown or not isinstance(told, dict) or not isinstance(told.get("settings"), dict):
        also = f", not {', '.join(sorted(map(str, unknown)))}" if unknown else ""
        raise UserError(
            f"{file}: expected `settings`, `baseline` and, if need be, `options` and `steps`{also}."
        )
    common, steps = texts(file, "options", told), number(file, told)
    settings = tuple(
        setting(file, str(name), about or {}, common, steps)
        for name, about in told["settings"].items()
    )
    baseline = str(told.get("baseline"))
    names = {one.name for one in settings}
    if baseline not in names:
        raise UserError(f"{file}: `baseline` must name one of the settings.")
    first = {one.name for one in settings if one.after is None}
    for one in settings:
        if one.after is not None and one.after not in first:
            why = "goes on from another itself" if one.after in names else "is no setting"
            raise UserError(f"{file}: {one.name} is after {one.after}, which {why}.")
    return Grid(baseline, settings)


def number(file: Path, told: dict[str, Any]) -> int | None:
    """Read a number of steps, which may be left out."""
    steps = told.get("steps")
    if steps is not None and (type(steps) is not int or steps < 1):
        raise UserError(f"{file}: `steps` is {steps!r}: expected a number of 1 or more.")
    return steps


def texts(file: Path, name: str, told: dict[str, Any]) -> tuple[str, ...]:
    """Read a list of texts, which may be left out."""
    found = told.get(name) or []
    if not isinstance(found, list) or not all(isinstance(one, str) for one in found):
        raise UserError(f"{file}: `{name}` is {found!r}: expected a list of texts.")
    return tuple(found)


def setting(
    file: Path, name: str, about: dict[str, Any], common: tuple[str, ...], steps: int | None
) -> Setting:
    """Read one line."""
    if not isinstance(about, dict) or about.keys() - KEYS_OF_SETTING:
        raise UserError(
            f"{file}: {name} may have `configs`, `options`, `steps` and `after`, nothing else."
        )
    configs = tuple(
        ROOT / "configs" / f"{one}.yaml" for one in ("micro", *texts(file, "configs", about))
    )
    for config in configs:
        if not config.exists():
            raise UserError(f"{file}: {name} needs {config}, which is not there.")
    after = None if about.get("after") is None else str(about["after"])
    options = (*common, *texts(file, "options", about))
    return Setting(name, configs, options, number(file, about) or steps, after)
