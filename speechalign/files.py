"""Text files that appear whole or not at all, whatever happens while they are written."""

import tempfile
from pathlib import Path


def write_text(file: Path, text: str) -> None:
    """Write UTF-8 text to a file, whose folder is made if absent."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(
        "w", encoding="utf-8", newline="\n", dir=file.parent, delete=False
    ) as scratch:
        scratch.write(text)
    try:
        Path(scratch.name).chmod(0o644)
        Path(scratch.name).replace(file)
    except OSError:
        Path(scratch.name).unlink()
        raise
