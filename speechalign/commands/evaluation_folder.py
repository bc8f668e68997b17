"""The folder of an evaluation: looked at first, made late, and how much is kept in it."""

import json
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Self

from speechalign.errors import UserError
from speechalign.evaluation.predictions import PREDICTIONS
from speechalign.plurals import so_many

METRICS = "metrics.json"
WORK = ".answers"  # folder of what is kept until all is answered
QUIET = 30.0  # seconds after which a line is due where no terminal shows the count


def check_folder(folder: Path) -> None:
    """See that a folder is there or can be made, without making it.

    Raises:
        UserError: If not.
    """
    places = (folder, *folder.absolute().parents)
    try:
        there = next(place for place in places if place.exists())
    except OSError as error:  # a name that is too long
        raise unusable(folder, error.strerror) from error
    if not there.is_dir():
        raise unusable(folder, f"{there} is a file")
    if not os.access(there, os.W_OK):
        raise unusable(folder, f"nothing may be written in {there}")


def unusable(folder: Path, reason: str | None) -> UserError:
    """Say why a folder cannot be had."""
    return UserError(f"{folder} cannot be made ({reason}): give another --output-dir.")


def make_folder(folder: Path) -> None:
    """Make a folder, if it is not there.

    Raises:
        UserError: If it cannot be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise unusable(folder, error.strerror) from error


class Tally:
    """Counts the recordings whose answers are kept, whichever process gave them.

    Args:
        work: Folder of the answers; need not be there.
    """

    def __init__(self, work: Path) -> None:
        self.work = work
        self.read: dict[Path, int] = {}  # bytes of each file, which are not read again
        self.answered: set[tuple[str, str]] = set()  # languages and recording

    def count(self) -> int:
        """Count what is kept by now."""
        for file in self.work.glob("answers-*.jsonl"):
            with file.open("rb") as lines:
                lines.seek(self.read.get(file, 0))
                for line in lines:
                    if not line.endswith(b"\n"):  # it is being written, or a kill cut it
                        break
                    self.read[file] = self.read.get(file, 0) + len(line)
                    with suppress(ValueError):
                        told = json.loads(line)
                        self.answered |= {(told["pair"], row[0]) for row in told["answers"]}
        return len(self.answered)


class Progress:
    """Tells how many recordings are answered: on a terminal at once, elsewhere now and then.

    Args:
        work: Folder of the answers.
        total: Recordings in all.
    """

    def __init__(self, work: Path, total: int) -> None:
        self.tally, self.total = Tally(work), total
        self.before = self.tally.count()
        self.started = self.told = time.monotonic()
        self.terminal = sys.stderr.isatty()

    def __enter__(self) -> Self:
        """Say what was there before."""
        if self.before:
            print(f"Going on: answers are kept, {self.before} of {self.total}.", file=sys.stderr)
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: Any) -> None:
        """Leave the line that moves; where there is none, say that all is answered."""
        if self.terminal and self.told > self.started:
            print(file=sys.stderr)
        elif not self.terminal and kind is None:
            print(self.line(time.monotonic()), file=sys.stderr, flush=True)

    def tell(self) -> None:
        """Tell how far it is, if that is due."""
        now = time.monotonic()
        if not self.terminal and now - self.told < QUIET:
            return
        self.told = now
        line = self.line(now)
        text = f"\r{line:<60}" if self.terminal else f"{line}\n"  # blanks cover a longer line
        print(text, end="", file=sys.stderr, flush=True)

    def line(self, now: float) -> str:
        """Write how many are answered, and how fast."""
        done = self.tally.count()
        rate = (done - self.before) / max(now - self.started, 1e-3)
        return f"{done} of {so_many(self.total, 'recording')}, {rate:.1f} a second"


@contextmanager
def telling_what_is_kept(folder: Path) -> Iterator[None]:
    """After Ctrl-C, say what is kept in a folder and how to go on."""
    try:
        yield
    except KeyboardInterrupt:
        print(f"speechalign: interrupted. {kept(folder)}", file=sys.stderr)
        raise


def kept(folder: Path) -> str:
    """Say what of an evaluation is in its folder, and how to go on."""
    if (folder / PREDICTIONS).exists():
        return f"All answers are kept in {folder / PREDICTIONS}: the same command goes on."
    answered = Tally(folder / WORK).count()
    if answered:
        return f"{so_many(answered, 'answer')} kept in {folder}: the same command goes on."
    return "Nothing was answered yet: the same command begins anew."
