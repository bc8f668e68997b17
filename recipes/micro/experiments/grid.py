"""What is compared: settings by name, each some configurations and options over a common base."""

from pathlib import Path
from typing import Any, NamedTuple

import yaml

from speechalign.errors import UserError

ROOT = Path(__file__).parents[3]
KEYS = {"baseline", "options", "settings", "steps"}


class Setting(NamedTuple):
    """One line of the table."""

    name: str
    configs: tuple[Path, ...]  # later ones lie over earlier ones
    options: tuple[str, ...]


class Grid(NamedTuple):
    """The lines of a table and the one that all are compared with."""

    baseline: str
    settings: tuple[Setting, ...]
    steps: int | None  # of each run; None: as in configs/micro.yaml


def read_grid(file: Path) -> Grid:
    """Read a grid.

        baseline: no OT             # that all others are compared with
        steps: 500                  # of each run; may be left out, as the next line
        options: [--data.max_train_sentences=400]       # of all settings
        settings:
          no OT: {configs: [ablation/no_ot]}            # of configs/, over configs/micro.yaml
          λ 3: {options: [--model.strength=3]}

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
    steps = told.get("steps")
    if steps is not None and (type(steps) is not int or steps < 1):
        raise UserError(f"{file}: `steps` is {steps!r}: expected a number of 1 or more.")
    common = texts(file, "options", told)
    settings = tuple(
        setting(file, str(name), about or {}, common) for name, about in told["settings"].items()
    )
    baseline = str(told.get("baseline"))
    if baseline not in {one.name for one in settings}:
        raise UserError(f"{file}: `baseline` must name one of the settings.")
    return Grid(baseline, settings, steps)


def texts(file: Path, name: str, told: dict[str, Any]) -> tuple[str, ...]:
    """Read a list of texts, which may be left out."""
    found = told.get(name) or []
    if not isinstance(found, list) or not all(isinstance(one, str) for one in found):
        raise UserError(f"{file}: `{name}` is {found!r}: expected a list of texts.")
    return tuple(found)


def setting(file: Path, name: str, about: dict[str, Any], common: tuple[str, ...]) -> Setting:
    """Read one line."""
    if not isinstance(about, dict) or about.keys() - {"configs", "options"}:
        raise UserError(f"{file}: {name} may have `configs` and `options`, nothing else.")
    configs = tuple(
        ROOT / "configs" / f"{one}.yaml" for one in ("micro", *texts(file, "configs", about))
    )
    for config in configs:
        if not config.exists():
            raise UserError(f"{file}: {name} needs {config}, which is not there.")
    return Setting(name, configs, (*common, *texts(file, "options", about)))
