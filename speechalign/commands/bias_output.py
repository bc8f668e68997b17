"""The folder of a bias pack, which several calls may fill at the same time."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from huggingface_hub.utils import WeakFileLock, logging

from speechalign.errors import UserError
from speechalign.models.bias_pack import BiasPack, empty_pack, load_pack, save_pack
from speechalign.models.encoder import WhisperEncoder
from speechalign.models.moments import Moments

LOCK = ".lock"  # deleted, a call that waits for it would hold another file than the next one
PATIENCE = 60  # seconds; to read and write a pack takes less than one
Digests = frozenset[str]  # of recordings


@contextmanager
def held(folder: Path) -> Iterator[None]:
    """Hold a folder, made if absent, for this call alone while a pack is read and written.

    Raises:
        UserError: If it cannot be written, or another call does not let go of it.
    """
    logging.set_verbosity_error()  # of file systems where a lock is a file that must be absent
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with WeakFileLock(folder / LOCK, timeout=PATIENCE):
            yield
    except TimeoutError as error:
        raise UserError(f"{folder}: another call is writing to it; wait for its end.") from error
    except OSError as error:
        raise UserError(
            f"{folder}: cannot be written ({error.strerror}); give --output another folder."
        ) from error


def write(pack: BiasPack, folder: Path) -> None:
    """Write a pack in the place of whatever pack is there.

    Raises:
        UserError: If it cannot be written.
    """
    with held(folder):
        save_pack(pack, folder)


def begun(folder: Path, encoder: WhisperEncoder, pooling: str) -> BiasPack:
    """Open the pack to go on with, or begin one; nothing is written yet, but it is tried.

    Raises:
        UserError: If there is one of another encoder, or none can be written.
    """
    with held(folder):
        pack = there(folder)
    if pack is None:
        return empty_pack(encoder, pooling)
    pack.check(encoder, pooling)
    return pack


def add(pack: BiasPack, code: str, moments: Moments, recordings: Digests, folder: Path) -> BiasPack:
    """Write a language more into a folder; what another call wrote there meanwhile stays.

    Args:
        pack: As it was read from there.
        code: The language.
        moments: Of its recordings.
        recordings: Their digests.
        folder: The folder.

    Returns:
        What is there now.

    Raises:
        UserError: If it cannot be written, or is now of another encoder or has the language from
            other recordings.
    """
    nothing = pack._replace(centroids={}, scatter=torch.zeros_like(pack.scatter))
    one = nothing.add(code, moments, recordings)
    with held(folder):
        now = there(folder) or nothing
        if not knows(now, code, recordings, folder):
            now = now.merge(one)
            save_pack(now, folder)
    return now


def there(folder: Path) -> BiasPack | None:
    """Read the pack that is in a folder, if there is one.

    Raises:
        UserError: If it is damaged.
    """
    return load_pack(folder) if (folder / "bias.json").exists() else None


def knows(pack: BiasPack, code: str, recordings: Digests, folder: Path) -> bool:
    """Whether a pack has a language from these recordings.

    Raises:
        UserError: If it has it from others.
    """
    told = pack.centroids.get(code)
    if told is not None and told.recordings != recordings:
        raise UserError(
            f"{folder} has {code} from other recordings: name another --output, and put both"
            " together with `speechalign estimate-bias merge` if both are to count."
        )
    return told is not None
