"""Files that travel inside the package: the table of languages and the micro world."""

from pathlib import Path

from speechalign.errors import UserError

FOLDER = Path(__file__).parent
PREFIX = "assets:"
PACKAGED = "assets:micro/adapter"  # the trained model


def resolve(path: str | Path) -> str:
    """Turn `assets:micro/llm` into the folder inside the package, and `~` into the home folder.

    Other paths stay as they are.

    Raises:
        UserError: If nothing of that name travels with the package.
    """
    if not str(path).startswith(PREFIX):
        return str(Path(path).expanduser()) if str(path).startswith("~") else str(path)
    found = FOLDER / str(path).removeprefix(PREFIX)
    if not found.exists():
        raise UserError(f"{path!s} is not in this installation ({found} is missing): reinstall it.")
    return str(found)
