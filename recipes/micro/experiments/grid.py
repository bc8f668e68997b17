"""What is compared: settings by name, each some configurations and options over a common base."""

from pathlib import Path
from typing import Any, NamedTuple

import yaml

from speechalign.errors import UserError

ROOT = Path(__file__).parents[3]
KEYS = {"baseline", "options", "settings"}


class Setting(NamedTuple):
    """One line of the table."""

    name: str
    configs: tuple[Path, ...]  # later ones lie over earlier ones
    options: tuple[str, ...]


class Grid(NamedTuple):
    """The lines of a table and the one that all are compared with."""

    baseline: str
    settings: tuple[Setting, ...]


def read_grid(file: Path) -> Grid:
    """Read a grid.

        baseline: no OT             # that all others are compared with
        options: [--data.max_train_sentences=400]       # of all settings; may be left out
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
    if not isinstance(told, dict) or not told.get("settings") or told.keys() - KEYS:
        raise UserError(f"{file}: expected `settings`, `baseline` and, if need be, `options`.")
    common = tuple(told.get("options", ()))
    settings = tuple(
        setting(file, str(name), about or {}, common) for name, about in told["settings"].items()
    )
    if told.get("baseline") not in told["settings"]:
        raise UserError(f"{file}: `baseline` must name one of the settings.")
    return Grid(told["baseline"], settings)


def setting(file: Path, name: str, about: dict[str, Any], common: tuple[str, ...]) -> Setting:
    """Read one line."""
    if about.keys() - {"configs", "options"}:
        raise UserError(f"{file}: {name} may have `configs` and `options`, nothing else.")
    configs = tuple(
        ROOT / "configs" / f"{one}.yaml" for one in ("micro", *about.get("configs", ()))
    )
    for config in configs:
        if not config.exists():
            raise UserError(f"{file}: {name} needs {config}, which is not there.")
    return Setting(name, configs, (*common, *about.get("options", ())))
