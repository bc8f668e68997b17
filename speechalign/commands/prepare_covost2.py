"""`speechalign prepare covost2`: manifests of CoVoST 2 over Common Voice's clips."""

import sys
from pathlib import Path
from typing import Literal

from speechalign.commands.parsing import run
from speechalign.data.covost2 import ClipError, Clips, direction_of, import_covost2
from speechalign.data.manifest import write_manifest
from speechalign.errors import UserError

SHOWN = 5  # faults of clips that are told one by one


def main(verb: str, arguments: list[str]) -> None:
    """Run the command line."""
    run(covost2, verb, arguments, files="Files covost_v2.<src>_<tgt>[.<split>].tsv, side by side.")


def covost2(
    files: list[str], clips: str, output: str, on_error: Literal["stop", "skip"] = "stop"
) -> None:
    """Write the manifests of CoVoST 2, one a direction and split.

    Args:
        files: Translations, as released or as CoVoST's script splits them; all of one source
            language.
        clips: Common Voice's folder `clips`. Beside it are `validated.tsv`, which translations as
            released need, and `clip_durations.tsv`, which spares the look into each clip.
        output: Folder of the manifests, `<src>_<tgt>.<split>.jsonl`.
        on_error: What becomes of clips that are missing or cannot be read, and of rows without a
            text: `stop` at the first, or `skip` (leave out and count) them.
    """
    recordings = Clips(Path(clips))
    written: set[Path] = set()
    for file in map(Path, files):
        left_out: list[str] = []
        skip = left_out if on_error == "skip" else None
        try:
            splits = import_covost2(file, recordings, skip)
        except ClipError as fault:
            raise UserError(f"{fault} Say --on-error skip to leave such rows out.") from fault
        for split, entries in splits.items():
            manifest = Path(output) / f"{direction_of(file).name}.{split}.jsonl"
            if manifest in written:
                raise UserError(f"{file}: {split} of it was in an earlier file; give one of them.")
            write_manifest(manifest, entries)
            written.add(manifest)
            hours = sum(entry.duration for entry in entries) / 3600
            print(f"Written: {manifest}, {len(entries)} lines, {hours:.2f} h.")
        if left_out:
            print(*left_out[:SHOWN], *["..."] * (len(left_out) > SHOWN), sep="\n", file=sys.stderr)
            print(f"Left out of {file}: {len(left_out)} rows.")
