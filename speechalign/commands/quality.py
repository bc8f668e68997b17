"""The quality of a corpus, as the commands that prepare one check it."""

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from speechalign.data.measure import measure
from speechalign.data.quality import Limits, judge
from speechalign.data.records import Utterance
from speechalign.data.report import Line, line, skipped, write_report


class Part(NamedTuple):
    """Recordings of one language in one split."""

    name: str  # what the ids of its recordings begin with, as `de_de/train`
    utterances: Sequence[Utterance]
    trained: bool  # only of what is trained on anything is dropped: tests stay comparable
    leaked: set[str]  # sentences that a held-out split has too
    faults: Sequence[str]  # lines that were skipped


def check(
    parts: Sequence[Part], limits: Limits, keep_all: bool, tell: Callable[[str], None]
) -> list[Line]:
    """Read every recording, and report what is wrong with which.

    What is measured of a part is kept (`index`), so a check that was interrupted goes on with the
    next part, and other limits cost no reading.

    Args:
        parts: Of the corpus.
        limits: From where on a recording is bad.
        keep_all: Drop nothing, only tell.
        tell: Called with a line for each part.
    """
    lines: list[Line] = []
    for part in parts:
        tell(f"{part.name}: listening to {len(part.utterances)} recordings")
        measures = measure(part.utterances, threads=os.cpu_count() or 1)
        found = judge(part.utterances, measures, limits, part.leaked)
        lines += [line(finding, drop=part.trained and not keep_all) for finding in found]
        lines += [skipped(part.name, fault) for fault in part.faults]
    return lines


def check_and_report(
    parts: Sequence[Part],
    report: Path,
    limits: Limits,
    keep_all: bool,
    tell: Callable[[str], None],
) -> list[Line]:
    """Check, and write the report; arguments as for `check`."""
    lines = check(parts, limits, keep_all, tell)
    write_report(report, lines, [f"{part.name}/" for part in parts])
    return lines
