"""`quality.tsv`: what was found wrong in a corpus, what of it is left out, and why.

A header, and a line a recording: id, sentence id, action (`dropped` or `kept`), reason, the value
found, the limit, a note. The file is meant to be read and edited: a recording is left out of
training as long as its line says `dropped`. Where the corpus is checked anew so are its lines.
Beside a manifest, `train.quality.tsv` tells what was left out of it when it was written.
"""

import math
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from speechalign.data.records import Utterance
from speechalign.errors import UserError
from speechalign.files import write_text

REPORT = "quality.tsv"  # in the root of a corpus
HEADER = ("id", "sentence_id", "action", "reason", "value", "limit", "note")
DROPPED = "dropped"
ACTIONS = (DROPPED, "kept")
ESCAPES = {"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r"}  # as in many a TSV
RAW = {escape: character for character, escape in ESCAPES.items()}


class Finding(NamedTuple):
    """What is wrong with one recording."""

    utterance: Utterance
    reason: str
    value: float
    limit: float
    note: str = ""


class Line(NamedTuple):
    """One recording in the report."""

    id: str
    sentence_id: str
    action: str
    reason: str
    value: str
    limit: str
    note: str


def line(finding: Finding, drop: bool) -> Line:
    """Report a finding."""
    value, limit = ("" if math.isnan(n) else f"{n:.4g}" for n in (finding.value, finding.limit))
    who = finding.utterance
    return Line(
        who.id, who.sentence_id, ACTIONS[not drop], finding.reason, value, limit, finding.note
    )


def skipped(prefix: str, fault: str) -> Line:
    """Report a line of a corpus that could not be read, or has no recording.

    Args:
        prefix: What the ids of its part begin with.
        fault: `FILE:LINE: what is wrong`; file and line stand for the id.
    """
    place = re.match(r"(.*?:\d+): ", fault)
    name = Path(place[1]).name if place else ""
    return Line(f"{prefix}{name}", "", DROPPED, "faulty line", "", "", fault)


def write_report(file: Path, lines: Sequence[Line], judged: Iterable[str]) -> None:
    """Write the report; lines of an earlier one about other parts of the corpus stay.

    Args:
        file: The report.
        lines: Of the parts judged now.
        judged: Those parts: what their ids begin with, as `de_de/train/`.

    Raises:
        UserError: If an earlier one is malformed, or it cannot be written.
    """
    parts = tuple(judged)
    old = [one for one in read_report(file) if not one.id.startswith(parts)]
    table = [HEADER, *sorted([*old, *lines])]
    try:
        write_text(file, "".join("\t".join(map(escaped, row)) + "\n" for row in table))
    except OSError as error:
        raise UserError(f"{file}: cannot be written ({error.strerror}).") from error


def read_report(file: Path) -> list[Line]:
    """Read a report; one that is not there has no lines.

    What editors do to a file is let pass: a byte order mark, line ends of Windows, empty lines,
    and lines whose last columns are absent because they are empty.

    Raises:
        UserError: If it cannot be read, or a line is malformed, with its number.
    """
    try:
        rows = file.read_bytes().decode("utf-8-sig").split("\n")
    except FileNotFoundError:
        return []
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{file}: cannot be read ({error}); delete it and prepare anew.") from error
    header, *rest = (row.removesuffix("\r") for row in rows)
    if tuple(header.split("\t")) != HEADER:
        raise UserError(
            f"{file}:1: expected the header {', '.join(HEADER)}, parted by tabs; put it back, or"
            " delete the file and prepare anew."
        )
    return [parse(row, f"{file}:{n}") for n, row in enumerate(rest, start=2) if row.strip()]


def parse(row: str, place: str) -> Line:
    """Read one line; `place` names it in errors."""
    parts = [raw(part) for part in row.split("\t")]
    parts += [""] * (len(HEADER) - len(parts))
    if len(parts) != len(HEADER) or parts[2] not in ACTIONS:
        raise UserError(
            f"{place}: expected the columns {', '.join(HEADER)}, parted by tabs, the action one of"
            f" {', '.join(ACTIONS)}; mend the line, or delete the file and prepare anew."
        )
    return Line(*parts)


def escaped(text: str) -> str:
    """Write what would end a column or a line in two letters: a backslash and one more."""
    return re.sub(r"[\\\t\n\r]", lambda found: ESCAPES[found[0]], text)


def raw(text: str) -> str:
    """Undo `escaped`; other backslashes are what they are."""
    return re.sub(r"\\[\\tnr]", lambda found: RAW[found[0]], text)


def dropped(file: Path) -> set[str]:
    """Name the recordings that are left out of training, by id."""
    return {one.id for one in read_report(file) if one.action == DROPPED}


def summary(counts: dict[str, int], lines: dict[str, list[Line]]) -> str:
    """Write a table: for each part how many recordings, and how many of which reason.

    Args:
        counts: Recordings of each part, as `de_de/train`, those that were skipped too.
        lines: What was found in each.
    """
    table = []
    for part, total in counts.items():
        reasons = Counter(one.reason for one in lines[part])
        told = ", ".join(f"{count} {reason}" for reason, count in sorted(reasons.items()))
        left_out = sum(one.action == DROPPED for one in lines[part])
        table.append(f"{part:<20}{total:>11}{left_out:>9}  {told or 'nothing found'}")
    return "\n".join([f"{'part':<20}{'recordings':>11}{'dropped':>9}  found", *table])
