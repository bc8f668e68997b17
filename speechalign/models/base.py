"""Which frozen model an adapter was trained on: its name, the hash of its weights, its shape.

An adapter answers nonsense on any other model, also on one of the same shape, so what it was
trained on is stored beside its weights and compared with what is there when it is loaded.

    {"path": "openai/whisper-small", "revision": commit, "sha256": …, "width": 768, "layers": 12}

The hash is that of the file of weights, as the Hub shows it, or of the list of hashes where there
are several files. So it does not depend on the number format that the weights are loaded in.
"""

import hashlib
import json
import re
from pathlib import Path
from typing import Any, Literal, NamedTuple

from huggingface_hub import try_to_load_from_cache

from speechalign.assets import PREFIX, resolve
from speechalign.errors import UserError

WEIGHTS = ("model.safetensors", "pytorch_model.bin")  # what transformers looks for, in its order
SHA256 = re.compile("[0-9a-f]{64}")
Place = Literal["package", "folder", "hub"]


class Base(NamedTuple):
    """A frozen model as it was when it was loaded."""

    path: str
    revision: str | None  # commit, if it is from the Hub
    sha256: str | None  # of its weights; None where no file of them was found
    width: int
    layers: int

    def __str__(self) -> str:
        """Name it as errors do."""
        revision = f" at {self.revision[:12]}" if self.revision else ""
        return (
            f"{self.path!r}{revision} (sha256 {(self.sha256 or 'unknown')[:12]}, "
            f"{self.layers} layers of width {self.width})"
        )


def base_of(path: str, config: Any, revision: str | None, width: int, layers: int) -> Base:
    """Tell which model was loaded.

    Args:
        path: Folder, Hub id or `assets:`.
        config: Of the loaded model, which knows the commit if it is from the Hub.
        revision: That was asked for.
        width: Of its states.
        layers: How many blocks it has.
    """
    commit = getattr(config, "_commit_hash", None)
    files = weight_files(resolve(path), commit or revision)
    return Base(path, commit, hash_of_files(files) if files else None, width, layers)


def weight_files(path: str, revision: str | None) -> list[Path]:
    """Find the files that a model's weights are in, of a folder or of what the Hub's cache has."""
    for name in WEIGHTS:
        whole = find(path, name, revision)
        if whole is not None:
            return [whole]
        index = find(path, f"{name}.index.json", revision)
        if index is not None:
            shards = json.loads(index.read_text(encoding="utf-8"))["weight_map"].values()
            found = [find(path, shard, revision) for shard in sorted(set(shards))]
            return [file for file in found if file is not None]
    return []


def find(path: str, name: str, revision: str | None) -> Path | None:
    """Find one file of a folder, or of a Hub id that is on this machine; None if it is not."""
    if Path(path).is_dir():
        file = Path(path) / name
        return file if file.is_file() else None
    cached = try_to_load_from_cache(path, name, revision=revision)
    return Path(cached) if isinstance(cached, str) else None


def hash_of_files(files: list[Path]) -> str:
    """Hash one file, or the list of the hashes of several."""
    hashes = [hash_of_file(file) for file in files]
    if len(hashes) == 1:
        return hashes[0]
    return hashlib.sha256("\n".join(hashes).encode()).hexdigest()


def hash_of_file(file: Path) -> str:
    """Hash a file by SHA-256; in the Hub's cache, large files are named by it already."""
    stored = file.resolve()
    if file.is_symlink() and stored.parent.name == "blobs" and SHA256.fullmatch(stored.name):
        return stored.name
    with stored.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def check_base(part: str, found: Base, wanted: dict[str, Any] | None) -> None:
    """See that a frozen model is the one that an adapter was trained on.

    Args:
        part: encoder or llm.
        found: What is there.
        wanted: What was stored with the adapter; None if it is older than that.

    Raises:
        UserError: If its weights or its shape are others.
    """
    if wanted is None:
        return
    try:
        then = Base(**wanted)
    except TypeError as error:
        raise UserError(
            f"What is stored of the {part} does not fit this version: {error}."
        ) from error
    shape = (found.width, found.layers) == (then.width, then.layers)
    hashes = {found.sha256, then.sha256} - {None}
    if not shape or len(hashes) > 1:
        what = "weights" if shape else "shapes"
        raise UserError(
            f"The {part} is {found}, but the adapter was trained on {then}: their {what} differ. "
            f"Give the one that it was trained on, as the {part}'s `path` in the adapter's "
            "config.json or in the configuration of the run."
        )


def place_of(path: str) -> Place:
    """Tell where others find a model: in this package, nowhere but on this machine, on the Hub."""
    if path.startswith(PREFIX):
        return "package"
    there = Path(path).expanduser()
    local = there.is_dir() or there.is_absolute() or path.startswith((".", "~"))
    return "folder" if local or path.count("/") > 1 else "hub"
