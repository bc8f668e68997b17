"""Whether one split of FLEURS is whole: its lines, its recordings, and how many there should be."""

import warnings
from pathlib import Path

from speechalign.data.archive import list_members
from speechalign.data.fleurs import read_tsv
from speechalign.errors import Caution, UserError
from speechalign.languages import language


def check_split(code: str, split: str, tsv: Path, audio: Path | None) -> int:
    """Count the recordings of a split after finding every one of them.

    A number that differs from the published one is told and no error, since revisions differ.

    Args:
        code: Its language.
        split: Its name.
        tsv: Its lines.
        audio: Its archive, or the folder with its recordings; None if texts alone are wanted.

    Raises:
        DamagedArchiveError: If the archive is cut short or broken.
        UserError: If a line is malformed, or its recording is missing, with file and line.
    """
    rows = read_tsv(tsv)
    if not rows:
        raise UserError(f"{tsv}: empty; delete it and fetch it again.")
    if audio is not None:
        names = recordings_in(audio, split)
        lacking = [row for row in rows if row.file not in names]
        if lacking:
            raise UserError(
                f"{lacking[0].place}: {lacking[0].file!r} is not among the {len(names)} recordings"
                f" of {audio}; {len(lacking)} of {len(rows)} lines lack theirs. Delete both files"
                " and fetch them again."
            )
    known = getattr(language(code).recordings, split)
    if len(rows) != known:
        warnings.warn(
            Caution(_difference(f"{language(code).fleurs}/{split}", len(rows), known)), stacklevel=2
        )
    return len(rows)


def recordings_in(audio: Path, split: str) -> set[str]:
    """Name the recordings of an archive or a folder, as the TSV names them."""
    if audio.is_dir():
        return {path.name for path in audio.iterdir()}
    return {name.removeprefix(f"{split}/") for name in list_members(audio)}


def _difference(name: str, found: int, known: int) -> str:
    if found > known:
        return f"{name}: {found} recordings where FLEURS has {known}: is it another revision?"
    return (
        f"{name}: {found} recordings where FLEURS has {known}, so {known - found} are missing:"
        " its TSV is of another revision, or cut short; if so delete it and fetch it again."
    )
