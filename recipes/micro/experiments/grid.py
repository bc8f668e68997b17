"""What is compared: settings by name, each some configurations and options over a common base."""

from pathlib import Path
from typing import Any, NamedTuple

import yaml

from speechalign.errors import UserError

ROOT = Path(__file__).parents[3]
KEYS = {"after", "baseline", "first_seed", "options", "settings", "steps"}
KEYS_OF_SETTING = {"configs", "options", "steps"}


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
    first_seed: int = 0


def read_grid(file: Path) -> Grid:
    """Read a grid.

        baseline: no OT             # that all others are compared with
        steps: 500                  # of each run; may be left out, as the next two lines
        after: Spanish              # all others go on from its best checkpoint, of the same seed
        options: [--data.max_train_sentences=400]       # of all, but for the one that is first
        first_seed: 8               # if others have been used to choose what is compared here
        settings:
          Spanish: {options: ["--data.languages=[spa]"]}
          no OT: {configs: [ablation/no_ot]}            # of configs/, over configs/micro.yaml
          λ 3: {options: [--model.strength=3], steps: 900}

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
            f"{file}: expected `settings`, `baseline` and, if need be, `after`, `first_seed`,"
            f" `options` and `steps`{also}."
        )
    first = None if told.get("after") is None else str(told["after"])
    names = {str(name) for name in told["settings"]}
    for role, name in (("baseline", str(told.get("baseline"))), ("after", first)):
        if name is not None and name not in names:
            raise UserError(f"{file}: `{role}` must name one of the settings.")
    common, steps = texts(file, "options", told), number(file, "steps", told, 1)
    settings = tuple(
        setting(file, str(name), about or {}, common, steps, first)
        for name, about in told["settings"].items()
    )
    return Grid(str(told["baseline"]), settings, number(file, "first_seed", told, 0) or 0)


def number(file: Path, name: str, told: dict[str, Any], least: int) -> int | None:
    """Read a whole number, which may be left out."""
    found = told.get(name)
    if found is not None and (type(found) is not int or found < least):
        raise UserError(f"{file}: `{name}` is {found!r}: expected a number of {least} or more.")
    return found


def texts(file: Path, name: str, told: dict[str, Any]) -> tuple[str, ...]:
    """Read a list of texts, which may be left out."""
    found = told.get(name) or []
    if not isinstance(found, list) or not all(isinstance(one, str) for one in found):
        raise UserError(f"{file}: `{name}` is {found!r}: expected a list of texts.")
    return tuple(found)


def setting(
    file: Path,
    name: str,
    about: dict[str, Any],
    common: tuple[str, ...],
    steps: int | None,
    first: str | None,
) -> Setting:
    """Read one line; `common` options and the setting to go on from are not for the `first` one."""
    if not isinstance(about, dict) or about.keys() - KEYS_OF_SETTING:
        raise UserError(f"{file}: {name} may have `configs`, `options` and `steps`, nothing else.")
    configs = tuple(
        ROOT / "configs" / f"{one}.yaml" for one in ("micro", *texts(file, "configs", about))
    )
    for config in configs:
        if not config.exists():
            raise UserError(f"{file}: {name} needs {config}, which is not there.")
    options = texts(file, "options", about)
    steps = number(file, "steps", about, 1) or steps
    if name == first:
        return Setting(name, configs, options, steps)
    return Setting(name, configs, (*common, *options), steps, first)
