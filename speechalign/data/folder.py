"""Unlabelled audio: files in a folder, cut into pieces that an encoder can hear."""

import io
import math
from collections.abc import Iterable, Iterator
from pathlib import Path

import soundfile

from speechalign.audio.io import SOUNDS
from speechalign.data.archive import ArchiveMember
from speechalign.data.records import Utterance
from speechalign.errors import UserError, noted
from speechalign.interrupts import interrupts_held
from speechalign.languages import language


def recordings(
    path: Path, code: str, window: float, faults: list[UserError] | None = None
) -> list[Utterance]:
    """List the recordings of one language in a folder and its subfolders, in order of their names.

    Args:
        path: The folder, or a single file.
        code: The language spoken.
        window: Seconds; a longer file becomes several utterances of equal length.
        faults: Takes the errors of files that are no audio, which are then passed over.

    Raises:
        UserError: If there is no audio, or a file is none.
    """
    if not path.exists():
        raise UserError(f"{path}: no such file or folder; give audio of {code!r}.")
    files = [path] if path.is_file() else sorted(path.rglob("*"))
    sounds = [file for file in files if file.suffix.lower() in SOUNDS]
    if not sounds:
        raise UserError(f"{path}: no audio in it ({', '.join(SOUNDS)}).")
    found: list[Utterance] = []
    for file in sounds:
        with noted(faults):
            found += pieces(whole(file, code), window)
    return found


def whole(file: Path, code: str) -> Utterance:
    """Take a file for one utterance of a language.

    Raises:
        UserError: If it is no audio.
    """
    return Utterance(
        id=str(file),
        sentence_id=str(file),
        language=language(code).code,
        audio=file,
        start=0.0,
        duration=seconds_in(file),
        text="",
        normalized_text="",
        speaker_gender="other",
    )


def cut(
    utterances: Iterable[Utterance], window: float, faults: list[UserError] | None = None
) -> list[Utterance]:
    """Cut recordings into `pieces`; arguments and errors as for `recordings`."""
    found: list[Utterance] = []
    for utterance in utterances:
        with noted(faults):
            found += pieces(utterance, window)
    return found


def pieces(utterance: Utterance, window: float) -> Iterator[Utterance]:
    """Cut a recording into equal pieces without a text, as few as fit into the window.

    Of one that is told to be longer than the window the file has the last word: cut by a wrong
    length, pieces would begin behind its end.

    Raises:
        UserError: If it is told to be longer, and its file is no audio.
    """
    if utterance.duration <= window:
        yield utterance
        return
    there = seconds_in(utterance.audio) - utterance.start
    if 0 < there < utterance.duration:
        utterance = utterance._replace(duration=there)
    count = max(1, math.ceil(utterance.duration / window))
    if count == 1:
        yield utterance
        return
    seconds = utterance.duration / count
    for number in range(count):
        yield utterance._replace(
            id=f"{utterance.id}#{number}",
            start=utterance.start + number * seconds,
            duration=seconds,
            text="",
            normalized_text="",
        )


def seconds_in(audio: Path | ArchiveMember) -> float:
    """Tell how long a file is.

    Raises:
        UserError: If it is no audio.
    """
    packed = isinstance(audio, ArchiveMember)
    try:
        sound = io.BytesIO(audio.read()) if packed else str(audio)
        with interrupts_held():
            return soundfile.info(sound).duration
    except (RuntimeError, OSError) as error:
        place = f"{audio.source}/{audio.name}" if packed else audio
        raise UserError(f"{place}: no audio that can be read ({error}).") from error
