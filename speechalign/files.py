"""Files that appear whole or not at all, whatever happens while they are written."""

import os
from pathlib import Path


def write_text(file: Path, text: str) -> None:
    """Write UTF-8 text to a file, whose folder is made if absent."""
    write_bytes(file, text.encode())


def write_bytes(file: Path, content: bytes) -> None:
    """Write bytes to a file, whose folder is made if absent."""
    file.parent.mkdir(parents=True, exist_ok=True)
    scratch = file.with_name(f".{file.name}.{os.getpid()}")
    try:
        scratch.write_bytes(content)
        scratch.replace(file)
    except OSError:  # a full disk, a folder in the file's place
        scratch.unlink(missing_ok=True)
        raise
