"""`speechalign prepare fleurs`: fetch FLEURS, check it and lay it out as training reads it."""

import sys
from pathlib import Path

from huggingface_hub.utils import WeakFileLock, logging

from speechalign.data.hub import REVISION, Hub, UnreachableError, find_commit
from speechalign.data.obtain import how_to_get, obtain, plan
from speechalign.data.shelf import Obtained, Shelf, Wanted
from speechalign.data.store import Folder, Store
from speechalign.errors import UserError
from speechalign.languages import language


def fleurs(
    output: str,
    languages: str | list[str] = "",
    texts: str | list[str] = "",
    splits: str | list[str] = "train,dev,test",
    from_: str | None = None,
    revision: str | None = None,
    offline: bool = False,
) -> None:
    """Fetch FLEURS, or take it from a copy, check it and lay it out for training.

    Args:
        output: The folder to fill; the `root` of training. What is whole there is not fetched.
        languages: Languages whose speech is wanted, by any code, parted by commas; or `all`.
        texts: Languages whose texts are wanted alone, as those only translated into.
        splits: Of train, dev and test, parted by commas.
        from_: A folder with a copy, as released or in parquet, instead of the Hub.
        revision: Commit, branch or tag of google/fleurs; by default a commit known to be whole.
        offline: Only check what is there, and say what is missing.
    """
    if from_ and (revision or offline):
        raise UserError("--from is a copy on disk: leave out --revision and --offline.")
    logging.set_verbosity_error()
    wanted = plan(listed(languages), listed(texts), listed(splits))
    shelf = open_shelf(Path(output))
    shelf.held(revision)

    def open_store(missing: list[Wanted]) -> Store:
        return Folder(Path(from_)) if from_ else connect(shelf, missing, revision, offline)

    try:
        with WeakFileLock(shelf.lock, timeout=1):
            try:
                obtained = obtain(wanted, shelf, open_store, tell)
            finally:
                shelf.tidy()
    except TimeoutError as error:
        raise UserError(f"{output}: another call is filling it; wait for its end.") from error
    print(table(obtained))


def connect(shelf: Shelf, missing: list[Wanted], revision: str | None, offline: bool) -> Hub:
    """Open the commit that the shelf is of, or pin the shelf to one.

    Raises:
        UserError: If the Hub cannot be reached, with what to do without it.
    """
    asked = revision or shelf.record["revision"] or REVISION
    commit = shelf.held(revision)
    try:
        if offline:
            raise UnreachableError("--offline")
        commit = commit or find_commit(asked)
        hub = Hub(commit, shelf.scratch / commit)
    except UnreachableError as error:
        raise UserError(how_to_get(missing, shelf, commit or asked, str(error))) from error
    shelf.pin(asked, commit)
    return hub


def open_shelf(root: Path) -> Shelf:
    """Open the folder to fill.

    Raises:
        UserError: If it cannot be written.
    """
    try:
        return Shelf(root)
    except OSError as error:
        raise UserError(f"{root}: cannot be written ({error.strerror}).") from error


def listed(text: str | list[str]) -> list[str]:
    """Take `en,ja` for a list."""
    parts = text.split(",") if isinstance(text, str) else text
    return [part.strip() for part in parts if part.strip()]


def tell(line: str) -> None:
    """Tell of progress, apart from the result."""
    print(line, file=sys.stderr, flush=True)


def table(obtained: list[Obtained]) -> str:
    """Write what is there, a line a split."""
    lines = [f"{'locale':<13}{'split':<7}{'recordings':>10}{'in FLEURS':>11}{'bytes':>16}"]
    for (code, locale, split, audio), count, size in obtained:
        known = getattr(language(code).recordings, split)
        note = "" if audio else "  texts alone"
        lines.append(f"{locale:<13}{split:<7}{count:>10}{known:>11}{size:>16,}{note}")
    total = sum(each.size for each in obtained)
    return "\n".join([
        *lines,
        f"{'together':<20}{sum(o.recordings for o in obtained):>10}{total:>27,}",
    ])
