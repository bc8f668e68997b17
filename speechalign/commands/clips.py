"""Recordings inside a page, as MP3, which all browsers play and which is the same every time."""

import base64
import io
from pathlib import Path

from speechalign.errors import UserError
from speechalign.interrupts import interrupts_held

RATE = 16_000  # Hz


def clip(place: str, start: float, duration: float) -> str | None:
    """Encode a recording as a data URL; None where it is not there or cannot be read.

    Args:
        place: Its file, or the archive with the file's name in it: `test.tar.gz/test/a.wav`.
        start: Seconds into the file.
        duration: Seconds; 0 for all of it.
    """
    import soundfile

    from speechalign.audio.io import load_audio

    try:
        samples = load_audio(content(place), start=start, duration=duration or None)
    except (UserError, OSError, ValueError):
        return None
    sound = io.BytesIO()
    with interrupts_held():
        soundfile.write(sound, samples.numpy(), RATE, format="MP3")
    return f"data:audio/mpeg;base64,{base64.b64encode(sound.getvalue()).decode()}"


def content(place: str) -> Path | bytes:
    """Find a recording, which may lie in an archive.

    Raises:
        UserError: If there is none.
    """
    from speechalign.data.archive import open_archive

    path = Path(place)
    archive = next((parent for parent in path.parents if parent.is_file()), None)
    if path.is_file() or archive is None:
        return path
    members = open_archive(archive)
    name = path.relative_to(archive).as_posix()
    if name not in members:
        raise UserError(f"{archive} has no {name}.")
    return members[name].read()
