"""Pages that open offline: a template of the package, filled with what is shown."""

import json
from pathlib import Path
from typing import Any

from speechalign.assets import FOLDER
from speechalign.errors import UserError
from speechalign.files import write_text

DATA = "{{data}}"  # stands in the template for what is shown
SHARED = {"{{style}}": FOLDER / "page.css", "{{script}}": FOLDER / "page.js"}


def write_page(template: Path, view: dict[str, Any], output: str) -> None:
    """Fill a template and write it.

    Raises:
        UserError: If it cannot be written there.
    """
    write_told(output, filled(template, view), "--output")


def write_told(file: str, text: str, option: str) -> None:
    """Write a file that an option names.

    Raises:
        UserError: If it cannot be written there.
    """
    try:
        write_text(Path(file), text)
    except OSError as error:
        raise UserError(
            f"{file} cannot be written ({error.strerror}): give {option} another place."
        ) from error


def filled(template: Path, view: dict[str, Any]) -> str:
    """Fill a template; what is shown cannot end the script that it stands in."""
    page = template.read_text(encoding="utf-8")
    for place, file in SHARED.items():
        page = page.replace(place, file.read_text(encoding="utf-8").rstrip("\n"))
    data = json.dumps(view, ensure_ascii=False, allow_nan=False).replace("<", "\\u003c")
    return page.replace(DATA, data)
