"""Exported models on the Hugging Face Hub: found by id, fetched, and pushed.

Only the files of an artifact are ever fetched, none of which can hold code. huggingface_hub knows
the server (`HF_ENDPOINT`), the token, proxies, the cache and HF_HUB_OFFLINE.
"""

import re
import sys
from pathlib import Path

from huggingface_hub import HfApi, constants, snapshot_download
from huggingface_hub.errors import (
    GatedRepoError,
    HfHubHTTPError,
    HFValidationError,
    LocalEntryNotFoundError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from huggingface_hub.utils import disable_progress_bars
from huggingface_hub.utils import logging as hub_logging

from speechalign.assets import resolve
from speechalign.errors import UserError

CONFIG, WEIGHTS, CARD = "config.json", "model.safetensors", "README.md"
FILES = (CONFIG, WEIGHTS, CARD)  # of an artifact
ID = re.compile(r"(?P<id>[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*)(?:@(?P<revision>[\w./-]+))?")
LOG_IN = "log in by `hf auth login` or set HF_TOKEN"


def located(path: str | Path, revision: str | None = None) -> Path:
    """Find a checkpoint or an exported model; fetch it where it is not on this machine.

    Args:
        path: A file or folder, `assets:…`, or a Hub id as `user/model` or `user/model@revision`.
        revision: Commit, tag or branch of the Hub id; the default is its main branch.

    Raises:
        UserError: If there is nothing there.
    """
    found = Path(resolve(path))
    named = ID.fullmatch(str(path))
    if named is None or found.exists() or found.suffix == ".ckpt":
        if revision is not None:
            raise UserError(f"{str(path)!r} is on this machine: a revision is of a Hub id only.")
        if not found.exists():
            raise UserError(f"There is no checkpoint {str(path)!r}: check the path.")
        return found
    if revision is not None and named["revision"] not in (None, revision):
        raise UserError(f"{str(path)!r} with revision {revision!r}: say the revision once.")
    return fetch(named["id"], revision or named["revision"])


def fetch(repository: str, revision: str | None) -> Path:
    """Bring an artifact from the Hub into its cache, and give the folder there.

    Raises:
        UserError: If it cannot be had, with what to do about it.
    """
    quiet()
    try:
        cached_only = constants.HF_HUB_OFFLINE or not answers(repository, revision)
        return Path(
            snapshot_download(
                repository,
                revision=revision,
                allow_patterns=list(FILES),
                local_files_only=cached_only,
            )
        )
    except Exception as error:  # of httpx or httpx2, by the version of huggingface_hub
        raise UserError(why_not_fetched(error, repository, revision)) from error


def quiet() -> None:
    """Let the Hub's library show how far it is on a terminal, and nothing else."""
    hub_logging.set_verbosity_error()  # each retry of a request would be told
    if not sys.stderr.isatty():
        disable_progress_bars()


def answers(repository: str, revision: str | None) -> bool:
    """Ask the Hub once, since its library would go on for half a minute without a network."""
    try:
        HfApi().file_exists(repository, CONFIG, revision=revision)
    except (HfHubHTTPError, HFValidationError):
        return True  # what is wrong is told where it is fetched
    except Exception:  # noqa: BLE001  of httpx or httpx2, by the version of huggingface_hub
        return False
    return True


def why_not_fetched(error: Exception, repository: str, revision: str | None) -> str:
    """Say in one line why a model could not be had, and what to do."""
    elsewhere = (
        f"download it on another machine (`hf download {repository} --local-dir FOLDER`) and give "
        "the folder"
    )
    match error:
        case GatedRepoError():
            return (
                f"{repository} is gated: ask for access on {constants.ENDPOINT}/{repository} and "
                f"{LOG_IN}."
            )
        case RepositoryNotFoundError():
            return (
                f"There is no checkpoint {repository!r}, neither as a file or folder here nor on "
                f"the Hugging Face Hub: check the name; if it is private, {LOG_IN}."
            )
        case RevisionNotFoundError():
            return f"{repository} has no revision {revision!r}: give a commit, tag or branch of it."
        case LocalEntryNotFoundError() if constants.HF_HUB_OFFLINE:
            return (
                f"{repository} is neither a file or folder nor in the Hub's cache on this machine, "
                f"and HF_HUB_OFFLINE is set: unset it, or {elsewhere}."
            )
        case LocalEntryNotFoundError():
            return (
                f"{repository} is not on this machine and the Hugging Face Hub does not answer: "
                f"try again with a network, or {elsewhere}."
            )
    return f"{repository} cannot be fetched: {told(error)}; try again, or {elsewhere}."


def check_id(repository: str) -> None:
    """See that something can be the id of a model to push to.

    Raises:
        UserError: If it cannot.
    """
    named = ID.fullmatch(repository)
    if named is None or named["revision"]:
        raise UserError(f"{repository!r} is no Hub id: write user/model.")


def push(folder: Path, repository: str, private: bool = False) -> str:
    """Put an exported folder on the Hub, as one commit.

    Args:
        folder: That was exported.
        repository: Id of the model, which is made if absent.
        private: Whether it is hidden from others when it is made.

    Returns:
        Address of the commit.

    Raises:
        UserError: If it cannot be put there, with what to do about it.
    """
    check_id(repository)
    if constants.HF_HUB_OFFLINE:
        raise UserError("HF_HUB_OFFLINE is set: unset it to push.")
    quiet()
    try:
        hub = HfApi()
        hub.create_repo(repository, private=private, exist_ok=True)
        commit = hub.upload_folder(
            repo_id=repository,
            folder_path=folder,
            allow_patterns=list(FILES),
            commit_message="Model exported by speechalign",
        )
    except Exception as error:  # as above
        raise UserError(why_not_pushed(error, repository)) from error
    return commit.commit_url


def why_not_pushed(error: Exception, repository: str) -> str:
    """Say in one line why a model could not be pushed, and what to do."""
    status = error.response.status_code if isinstance(error, HfHubHTTPError) else None
    if status in (401, 403):
        return (
            f"{constants.ENDPOINT} does not let you write {repository}: {LOG_IN}, with a token "
            "that may write."
        )
    return f"{repository} cannot be pushed to {constants.ENDPOINT}: {told(error)}; try again."


def told(error: Exception) -> str:
    """Shorten what a library says to its first line."""
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__
