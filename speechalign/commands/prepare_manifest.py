"""`speechalign prepare manifest`: listen to the recordings of manifests, and write those to use."""

from collections.abc import Iterable
from pathlib import Path
from typing import Literal

from speechalign.commands.parsing import run
from speechalign.commands.quality import Part, Rules, check_and_report
from speechalign.data.archive import ArchiveMember
from speechalign.data.manifest import LostError, utterance_of, write_manifest
from speechalign.data.manifest_lines import Placed, check_recordings, read_manifest
from speechalign.data.quality import Limits
from speechalign.data.records import Utterance
from speechalign.data.report import DROPPED
from speechalign.errors import UserError, noted

LIMITS = Limits()
UNREAD = "skipped lines"  # what the part of no language is called


def main(verb: str, arguments: list[str]) -> None:
    """Run the command line."""
    run(manifest, verb, arguments, files="Manifests of one split, side by side, in JSON lines.")


def manifest(
    files: list[str],
    output: str,
    on_error: Literal["stop", "skip"] = "stop",
    keep_all: bool = False,
    limits: Limits = LIMITS,
) -> None:
    """Listen to the recordings of manifests, and write one of those that are good.

    What is left out is told in a report beside it, `train.quality.tsv` for `train.jsonl`.

    Args:
        files: The manifests.
        output: The manifest to write.
        on_error: At a malformed line, or a recording that is missing or cannot be read, `stop`, or
            `skip` it and report it.
        keep_all: Drop nothing that sounds wrong, only report it, as for splits to test on.
        limits: From where on a recording is dropped.
    """
    written = Path(output)
    if any(Path(file).resolve() == written.resolve() for file in files):
        raise UserError(f"{output}: one of the manifests to read; give --output another name.")
    faults: list[UserError] | None = [] if on_error == "skip" else None
    read = [placed for file in files for placed in read_manifest(Path(file), faults)]
    good, spoken = recordings(check_recordings(read, faults), faults)
    rules = Rules(limits, on_error == "skip", keep_all)
    parts = parts_of(spoken, [str(fault) for fault in faults or ()])
    lines = check_and_report(parts, report_of(written), rules)
    dropped = {one.id for own in lines.values() for one in own if one.action == DROPPED}
    entries = [
        placed.entry._replace(audio=str(placed.audio.absolute()))
        for placed in good
        if placed.entry.id not in dropped
    ]
    if not entries:
        raise UserError(f"{output}: nothing is left to write; see {report_of(written)} for why.")
    write_manifest(written, entries)
    print(f"Written: {output}, {len(entries)} lines.")


def recordings(
    lines: Iterable[Placed], faults: list[UserError] | None
) -> tuple[list[Placed], list[tuple[Placed, Utterance]]]:
    """Find the audio of every line.

    Args:
        lines: Of all manifests.
        faults: Takes the errors of lines whose archive lacks their recording.

    Returns:
        The lines that have theirs; and each recording once, at its first line.

    Raises:
        UserError: If an archive is damaged: then none of it can be trusted.
    """
    archives: dict[Path, dict[str, ArchiveMember]] = {}
    good: list[Placed] = []
    spoken: dict[str, tuple[Placed, Utterance]] = {}
    for placed in lines:
        try:
            utterance = utterance_of(placed, archives)
        except LostError as fault:
            with noted(faults):
                raise fault
        else:
            good.append(placed)
            spoken.setdefault(utterance.id, (placed, utterance))
    return good, list(spoken.values())


def parts_of(spoken: Iterable[tuple[Placed, Utterance]], faults: list[str]) -> list[Part]:
    """Part recordings by language, as the rate of speech is that of one."""
    by_language: dict[str, list[tuple[Placed, Utterance]]] = {}
    for placed, utterance in spoken:
        by_language.setdefault(utterance.language, []).append((placed, utterance))
    parts = [
        Part(
            name=code,
            prefix="",
            utterances=[utterance for _, utterance in own],
            lines=[str(placed) for placed, _ in own],
            faults=[],
            trained=True,
            leaked=set(),
            to_end=False,  # a long file may have many recordings
        )
        for code, own in sorted(by_language.items())
    ]
    skipped = Part(UNREAD, "", [], [], faults, trained=True, leaked=set(), to_end=False)
    return [*parts, *[skipped] * bool(faults)]


def report_of(manifest: Path) -> Path:
    """Place the report beside the manifest."""
    return manifest.with_name(f"{manifest.name.removesuffix('.jsonl')}.quality.tsv")
