"""`speechalign prepare fleurs`: fetch FLEURS, check it and lay it out as training reads it."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Literal

from huggingface_hub.utils import WeakFileLock, logging

from speechalign.commands.parsing import run
from speechalign.commands.quality import Part, Rules, check_and_report, tell
from speechalign.data.fleurs import Fleurs
from speechalign.data.hub import REVISION, Hub, UnreachableError, find_commit
from speechalign.data.obtain import how_to_get, obtain, plan
from speechalign.data.quality import Limits
from speechalign.data.report import REPORT
from speechalign.data.selection import leaked_sentences
from speechalign.data.shelf import LOCK, Obtained, Shelf, Wanted
from speechalign.data.store import Folder, Store
from speechalign.errors import UserError
from speechalign.languages import language

LIMITS = Limits()


def main(verb: str, arguments: list[str]) -> None:
    """Run the command line."""
    run(fleurs, verb, arguments)


def fleurs(
    output: str,
    languages: str | list[str] = "",
    texts: str | list[str] = "",
    splits: str | list[str] = "train,dev,test",
    from_: str | None = None,
    revision: str | None = None,
    offline: bool = False,
    on_error: Literal["stop", "skip"] = "stop",
    keep_all: bool = False,
    limits: Limits = LIMITS,
) -> None:
    """Fetch FLEURS, or take it from a copy, check it and lay it out for training.

    Then listen to all of it: what is wrong is told in OUTPUT/quality.tsv, and dropped from
    training.

    Args:
        output: The folder to fill; the `root` of training. What is whole there is not fetched.
        languages: Languages whose speech is wanted, by any code, parted by commas; or `all`.
        texts: Languages whose texts are wanted alone, as those only translated into.
        splits: Of train, dev and test, parted by commas.
        from_: A folder with a copy, as released or in parquet, instead of the Hub.
        revision: Commit, branch or tag of google/fleurs; by default a commit known to be whole.
        offline: Only check what is there, and say what is missing.
        on_error: At a malformed line, or a recording that is missing or cannot be read, `stop`, or
            `skip` it and report it.
        keep_all: Drop nothing that sounds wrong, only report it.
        limits: From where on a recording is dropped.
    """
    if from_ and (revision or offline):
        raise UserError("--from is a copy on disk: leave out --revision and --offline.")
    copy = Folder(Path(from_)) if from_ else None
    logging.set_verbosity_error()
    wanted = plan(listed(languages), listed(texts), listed(splits))
    with open_shelf(Path(output), skip=on_error == "skip") as shelf:
        shelf.held(revision)

        def open_store(missing: list[Wanted]) -> Store:
            return copy or connect(shelf, missing, revision, offline)

        obtained = obtain(wanted, shelf, open_store, tell)
        print(table(obtained), flush=True)
        corpus = Fleurs(output, on_error=on_error, keep_all=True)
        parts = [part_of(corpus, each.wanted) for each in obtained if each.wanted.audio]
        rules = Rules(limits, on_error == "skip", keep_all)
        check_and_report(parts, Path(output) / REPORT, rules)


def part_of(corpus: Fleurs, wanted: Wanted) -> Part:
    """Open one split for the check of its quality."""
    utterances = corpus.utterances(wanted.code, wanted.split)
    held_out = wanted.split == "test"
    return Part(
        name=wanted.key,
        prefix=f"{wanted.key}/",
        utterances=utterances,
        lines=utterances.lines(),
        faults=utterances.skipped,
        trained=wanted.split == "train",
        leaked=set() if held_out else leaked_sentences(corpus, [wanted.code], [wanted.split]),
        to_end=True,
    )


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


@contextmanager
def open_shelf(root: Path, skip: bool) -> Iterator[Shelf]:
    """Open the folder to fill, for this call alone, and tidy it in the end.

    Its record is read when no other call can write it any more.

    Raises:
        UserError: If it cannot be written, or another call fills it.
    """
    with ExitStack() as held:
        try:
            root.mkdir(parents=True, exist_ok=True)
            try:
                held.enter_context(WeakFileLock(root / LOCK, timeout=1))
            except TimeoutError as error:
                raise UserError(f"{root}: another call is filling it; wait for its end.") from error
            shelf = Shelf(root, skip)
        except OSError as error:
            raise UserError(f"{root}: cannot be written ({error.strerror}).") from error
        held.callback(shelf.tidy)
        yield shelf


def listed(text: str | list[str]) -> list[str]:
    """Take `en,ja` for a list."""
    parts = text.split(",") if isinstance(text, str) else text
    return [part.strip() for part in parts if part.strip()]


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
