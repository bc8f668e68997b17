"""The quality of a corpus, as the commands that prepare one check it."""

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from speechalign.data.quality import UNREADABLE, Limits, Measures, judge
from speechalign.data.records import Utterance
from speechalign.data.report import Line, line, read_report, skipped, summary, write_report
from speechalign.errors import UserError
from speechalign.plurals import so_many


class Part(NamedTuple):
    """Recordings of one language in one split."""

    name: str  # as it is told
    prefix: str  # what the ids of its recordings begin with, as `de_de/train/`
    utterances: Sequence[Utterance]
    lines: Sequence[str]  # where each of them is written, as `train.tsv:7`
    faults: Sequence[str]  # of lines that were skipped
    trained: bool  # only of what is trained on a sound is dropped: tests stay comparable
    leaked: set[str]  # sentences that a held-out split has too
    to_end: bool  # each recording has a file of its own


class Rules(NamedTuple):
    """What becomes of what is found."""

    limits: Limits
    skip: bool  # recordings that cannot be read are reported and dropped, and no end of it all
    keep_all: bool  # what sounds wrong is reported, and not dropped


def check_and_report(parts: Sequence[Part], report: Path, rules: Rules) -> dict[str, list[Line]]:
    """Read every recording, write down what is wrong with which, and print a summary.

    What is measured of a part is kept (`index`), so a check that was interrupted goes on with the
    next part, and other limits cost no reading.

    Args:
        parts: Of the corpus.
        report: The file to write; what it says of other parts stays.
        rules: What becomes of what is found.

    Returns:
        What the report says of each part, by its name.

    Raises:
        UserError: If a recording cannot be read and is not to be skipped, with its line, or the
            report is malformed or cannot be written.
    """
    read_report(report)  # so that a fault in it is told before hours of reading
    lines = {part.name: check(part, rules) for part in parts}
    found = [one for own in lines.values() for one in own]
    write_report(report, found, [part.prefix for part in parts])
    if parts:
        counts = {part.name: len(part.utterances) + len(part.faults) for part in parts}
        print(f"\n{summary(counts, lines)}\nWritten: {report}, {so_many(len(found), 'finding')}.")
    return lines


def check(part: Part, rules: Rules) -> list[Line]:
    """Read the recordings of one part; arguments and errors as for `check_and_report`."""
    from speechalign.data.measure import measure  # it loads torch, for which no --help waits

    tell(f"{part.name}: listening to {so_many(len(part.utterances), 'recording')}")
    measures = placed(part, measure(part.utterances, os.cpu_count() or 1, part.to_end))
    if not rules.skip:
        refuse_unreadable(measures)
    drop = part.trained and not rules.keep_all
    return [skipped(part.prefix, fault) for fault in part.faults] + [
        line(finding, drop or finding.reason == UNREADABLE)
        for finding in judge(part.utterances, measures, rules.limits, part.leaked)
    ]


def placed(part: Part, measures: Sequence[Measures]) -> list[Measures]:
    """Put before each fault the line it comes from."""
    return [
        one._replace(fault=f"{place}: {one.fault}") if one.fault else one
        for place, one in zip(part.lines, measures, strict=True)
    ]


def refuse_unreadable(measures: Sequence[Measures]) -> None:
    """Stop at the first recording that cannot be read.

    Raises:
        UserError: If there is one, with its line, and how many others there are.
    """
    faults = [one.fault for one in measures if one.fault]
    if faults:
        others = f" {len(faults) - 1} more of {len(measures)} cannot be read." * (len(faults) > 1)
        raise UserError(f"{faults[0]}{others} Or leave such out: --on-error skip.")


def tell(line: str) -> None:
    """Tell of progress, apart from the result."""
    print(line, file=sys.stderr, flush=True)
