"""`quality.tsv`: what was found wrong in a corpus, what of it is left out, and why.

A header, and a line a recording: id, sentence id, action (`dropped` or `kept`), reason, the value
found, the limit, a note. The file is meant to be read and edited: a recording is left out of
training as long as its line says `dropped`.
"""

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from speechalign.data.quality import Finding
from speechalign.errors import UserError
from speechalign.files import write_text

REPORT = "quality.tsv"  # in the root of a corpus
HEADER = ("id", "sentence_id", "action", "reason", "value", "limit", "note")
DROPPED = "dropped"
ACTIONS = (DROPPED, "kept")


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
    note = " ".join(finding.note.split())
    who = finding.utterance
    return Line(who.id, who.sentence_id, ACTIONS[not drop], finding.reason, value, limit, note)


def skipped(part: str, fault: str) -> Line:
    """Report a line of a corpus that could not be read, or has no recording."""
    return Line(f"{part}/", "", DROPPED, "faulty line", "", "", " ".join(fault.split()))


def write_report(file: Path, lines: Sequence[Line], judged: Iterable[str]) -> None:
    """Write the report; lines of an earlier one about other parts of the corpus stay.

    Args:
        file: The report.
        lines: Of the parts judged now.
        judged: Those parts: what their ids begin with, as `de_de/train/`.
    """
    parts = tuple(judged)
    old = [one for one in read_report(file) if not one.id.startswith(parts)]
    table = [HEADER, *sorted([*old, *lines])]
    write_text(file, "".join("\t".join(row) + "\n" for row in table))


def read_report(file: Path) -> list[Line]:
    """Read a report; one that is not there has no lines.

    Raises:
        UserError: If a line is malformed, with its number.
    """
    try:
        rows = file.read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        return []
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{file}: cannot be read ({error}); delete it and prepare anew.") from error
    lines = []
    for number, row in enumerate(rows[1:], start=2):
        parts = row.split("\t")
        if len(parts) != len(HEADER) or parts[2] not in ACTIONS:
            raise UserError(
                f"{file}:{number}: expected {len(HEADER)} columns ({', '.join(HEADER)}), the action"
                f" one of {', '.join(ACTIONS)}; mend the line, or prepare the corpus anew."
            )
        lines.append(Line(*parts))
    return lines


def dropped(file: Path) -> set[str]:
    """Name the recordings that are left out of training, by id."""
    return {one.id for one in read_report(file) if one.action == DROPPED}


def summary(counts: dict[str, int], lines: Sequence[Line]) -> str:
    """Write a table: for each part how many recordings, and how many of which reason.

    Args:
        counts: Recordings of each part, as `de_de/train`.
        lines: Of these parts.
    """
    table = []
    for part, total in counts.items():
        own = [one for one in lines if one.id.startswith(f"{part}/")]
        reasons = Counter(one.reason for one in own)
        told = ", ".join(f"{count} {reason}" for reason, count in sorted(reasons.items()))
        left_out = sum(one.action == DROPPED for one in own)
        table.append(f"{part:<20}{total:>11}{left_out:>9}  {told or 'nothing found'}")
    return "\n".join([f"{'part':<20}{'recordings':>11}{'dropped':>9}  found", *table])
