"""What commands write where an option says: pages that open offline, and other files."""

from pathlib import Path
from typing import Any

from speechalign.assets.templates import filled
from speechalign.errors import UserError
from speechalign.files import write_text


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
