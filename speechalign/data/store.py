"""Where files of a corpus come from: the interface, and a folder on disk."""

import os
import shutil
from abc import ABC, abstractmethod
from pathlib import Path

from speechalign.data.layout import PREFIXES
from speechalign.errors import UserError


class Store(ABC):
    """A copy of FLEURS, here or elsewhere."""

    name: str  # for people and for the record

    @abstractmethod
    def files(self, locale: str) -> dict[str, int]:
        """Map the paths of the files of one locale to their sizes in bytes."""

    @abstractmethod
    def bring(self, path: str) -> Path:
        """Make one file readable on this machine, whole, and say where it is.

        Raises:
            UserError: If it cannot be had.
        """


class Folder(Store):
    """A copy on disk, whose files stay where they are."""

    def __init__(self, root: Path):
        """Take a folder.

        Raises:
            UserError: If there is none.
        """
        if not root.is_dir():
            raise UserError(f"{root}: no such folder; --from is a folder that has FLEURS.")
        self.root = root
        self.name = str(root.absolute())

    def files(self, locale: str) -> dict[str, int]:
        """List what is below the locale's folders."""
        found = (
            path
            for prefix in PREFIXES
            for path in (self.root / f"{prefix}{locale}").rglob("*")
            if path.is_file()
        )
        return {path.relative_to(self.root).as_posix(): path.stat().st_size for path in found}

    def bring(self, path: str) -> Path:
        """Name the file itself, and what it links to if it is a link."""
        return (self.root / path).resolve()


def adopt(file: Path, target: Path, scratch: Path) -> None:
    """Put a file into its place in one step: moved out of `scratch`, else linked, else copied."""
    target.parent.mkdir(parents=True, exist_ok=True)
    if scratch in file.parents:
        file.replace(target)
        return
    twin = scratch.joinpath(*target.parts[-3:-1], f"{target.name}.copy")
    twin.parent.mkdir(parents=True, exist_ok=True)
    twin.unlink(missing_ok=True)
    try:
        os.link(file, twin)
    except OSError:  # another disk, or a file system without links
        shutil.copyfile(file, twin)
    twin.replace(target)
    twin.unlink(missing_ok=True)  # left by the system where both are links to one file
