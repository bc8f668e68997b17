"""FLEURS on the Hugging Face Hub: what a revision has, and downloads that go on where they stopped.

huggingface_hub knows the server (`HF_ENDPOINT`), the token, proxies and HF_HUB_OFFLINE, and lists
the files. Its downloads begin anew in every process (seen in 2.4), which does not do for archives
of gigabytes; so the bytes are asked for here, from where the file on disk ends.
"""

import hashlib
import time
from pathlib import Path
from typing import NamedTuple

from huggingface_hub import HfApi, hf_hub_url
from huggingface_hub.errors import OfflineModeIsEnabled, RevisionNotFoundError
from huggingface_hub.hf_api import RepoFile
from huggingface_hub.utils import build_hf_headers, get_session, tqdm
from typing_extensions import override

from speechalign.data.store import Store
from speechalign.errors import UserError

REPOSITORY = "google/fleurs"
REVISION = "70bb2e84b976b7e960aa89f1c648e09c59f894dd"  # TSV with tar.gz, and parquet
TIMEOUT = 20.0  # seconds without an answer or a byte
WAITS = (1.0, 3.0, 9.0)  # seconds before a broken download is taken up again
PIECE = 1 << 18  # bytes written at once, and lost at most when killed


class UnreachableError(UserError):
    """The Hub cannot be asked, for want of a network or by wish."""


class Blob(NamedTuple):
    """One file of the repository."""

    size: int  # bytes
    sha256: str | None  # of the content, where the file is large
    sha1: str  # git's, of a header and the content, where it is small


class Hub(Store):
    """One commit of the repository."""

    def __init__(self, commit: str, scratch: Path):
        """List the files of a commit; what is brought goes to `scratch`, under its own path.

        Raises:
            UserError: If the Hub cannot be reached.
        """
        self.commit = commit
        self.scratch = scratch
        self.name = f"{REPOSITORY}@{commit}"
        find_commit(commit)  # the list is asked for again and again where there is no network
        try:
            tree = HfApi().list_repo_tree(
                REPOSITORY, recursive=True, revision=commit, repo_type="dataset"
            )
            self.blobs = {entry.path: _blob(entry) for entry in tree if isinstance(entry, RepoFile)}
        except Exception as error:  # of httpx or httpx2, by the version of huggingface_hub
            raise UnreachableError(_told(error)) from error

    @override
    def files(self, locale: str) -> dict[str, int]:
        here = f"/{locale}/"
        return {path: blob.size for path, blob in self.blobs.items() if here in f"/{path}"}

    @override
    def bring(self, path: str) -> Path:
        file, blob = self.scratch / path, self.blobs[path]
        if file.is_file() and file.stat().st_size == blob.size:
            return file
        file.parent.mkdir(parents=True, exist_ok=True)
        part = file.with_name(f"{file.name}.{(blob.sha256 or blob.sha1)[:12]}.part")
        self._download(path, part, blob)
        if not _is(part, blob):
            part.unlink()
            raise UserError(f"{path} of {self.name} came damaged: run the same command again.")
        part.replace(file)
        return file

    def _download(self, path: str, part: Path, blob: Blob) -> None:
        """Fill `part`, with a few pauses where the connection breaks."""
        url = hf_hub_url(REPOSITORY, path, repo_type="dataset", revision=self.commit)
        part.touch()
        waits = list(WAITS)
        while part.stat().st_size != blob.size:
            before = part.stat().st_size
            try:
                _continue(url, part, blob.size)
            except Exception as error:  # as above
                if part.stat().st_size > before:
                    waits = list(WAITS)
                if isinstance(error, UserError):
                    raise
                if not waits:
                    raise UserError(
                        f"{path} of {self.name}: the download broke off at {part.stat().st_size} of"
                        f" {blob.size} bytes ({_told(error)}); the next call goes on from there."
                    ) from error
                time.sleep(waits.pop(0))


def find_commit(revision: str) -> str:
    """Ask the Hub for the commit that a branch, tag or commit means.

    Raises:
        UnreachableError: If the Hub does not answer.
        UserError: If there is no such revision.
    """
    try:
        commit = HfApi().dataset_info(REPOSITORY, revision=revision, timeout=TIMEOUT).sha
    except RevisionNotFoundError as error:
        raise UserError(f"{REPOSITORY} has no revision {revision!r}.") from error
    except OfflineModeIsEnabled as error:
        raise UnreachableError("HF_HUB_OFFLINE is set") from error
    except Exception as error:  # as above
        raise UnreachableError(_told(error)) from error
    return commit or revision


def _blob(entry: RepoFile) -> Blob:
    return Blob(entry.size, entry.lfs.sha256 if entry.lfs else None, entry.blob_id)


def _continue(url: str, part: Path, size: int) -> None:
    """Ask for the bytes that `part` lacks, and append them."""
    start = part.stat().st_size
    headers = build_hf_headers() | {"Accept-Encoding": "identity"}
    if start:
        headers["Range"] = f"bytes={start}-"
    name = part.name.rsplit(".", 2)[0]
    bar = tqdm(total=size, initial=start, unit="B", unit_scale=True, disable=None, desc=name)
    with get_session().stream("GET", url, headers=headers, timeout=TIMEOUT) as answer, bar:
        if answer.status_code not in (200, 206):
            refused = 400 <= answer.status_code < 500 and answer.status_code not in (408, 416, 429)
            kind = UserError if refused else ConnectionError
            raise kind(f"{url}: the Hub answers with status {answer.status_code}.")
        with part.open("ab" if answer.status_code == 206 else "wb") as file:
            for piece in answer.iter_bytes(PIECE):
                file.write(piece)
                bar.update(len(piece))
    if part.stat().st_size > size:
        part.write_bytes(b"")
    if not start < part.stat().st_size:
        raise ConnectionError(f"{url}: the Hub sent nothing that could be used.")


def _is(file: Path, blob: Blob) -> bool:
    """Hold the content of a file against the hash that the Hub tells."""
    digest = hashlib.sha256() if blob.sha256 else hashlib.sha1(usedforsecurity=False)
    if not blob.sha256:
        digest.update(f"blob {blob.size}\0".encode())
    with file.open("rb") as content:
        while piece := content.read(1 << 20):
            digest.update(piece)
    return digest.hexdigest() == (blob.sha256 or blob.sha1)


def _told(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__
