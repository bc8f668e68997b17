"""Any audio file, bytes or array, turned into what the models hear: 16 kHz, mono, float32.

Files are read by libsndfile: wav, flac, ogg (Vorbis, Opus), mp3, aiff and their kin. It reads what
is there of a file that was cut short; here that is an error, because half a sentence is not the
sentence.
"""

import io
import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple, Protocol, runtime_checkable

import librosa
import numpy as np
import soundfile
import torch
from jaxtyping import Float
from torch import Tensor

from speechalign.audio.truncation import is_cut_short
from speechalign.errors import UserError
from speechalign.interrupts import interrupts_held

SAMPLE_RATE = 16_000  # Hz
MARGIN = 0.5  # seconds decoded around a slice: the resampler's filter and Opus (80 ms) need them
MP3_SLACK = 2 * 1152  # samples: an mp3 tells its length to within two frames
SOUNDS = (".wav", ".flac", ".ogg", ".opus", ".mp3", ".aiff", ".aif")  # of a folder with other files
CONVERT = "convert it to WAV first, e.g. `ffmpeg -i in.m4a out.wav`"


@runtime_checkable
class Readable(Protocol):
    """A file opened with `rb`, or anything else that gives bytes."""

    def read(self, size: int = -1, /) -> bytes:
        """Give `size` bytes, or all that are left."""
        ...


Seconds = float | int
AudioSource = str | Path | bytes | Readable | np.ndarray | Tensor


class AudioError(UserError):
    """Audio that cannot be used, told in one line that names it and says what to do."""


class _Piece(NamedTuple):
    """The input samples to decode, and which of the output made from them to keep."""

    begin: int
    end: int
    skip: int
    keep: int


def load_audio(
    source: AudioSource,
    *,
    sample_rate: int | None = None,
    start: Seconds = 0.0,
    duration: Seconds | None = None,
) -> Float[Tensor, " samples"]:
    """Read a recording as mono at 16 kHz, in [-1, 1], on the CPU.

    Channels are averaged; other rates are converted by soxr. A slice equals the same slice of the
    whole recording (of Opus to about 0.002, as its decoder remembers), and what is far from it is
    not decoded.

    Args:
        source: A path, a file's bytes, a file opened with `rb` (read from where it stands to its
            end), or samples as array or tensor: `(samples,)`, `(channels, samples)` or
            `(samples, channels)`, the shorter axis being the channels. Float samples are taken as
            they are; int8, int16, int32 and uint8 are scaled to [-1, 1].
        sample_rate: Rate of an array in Hz, 16000 if not given. A file tells its own.
        start: Where to begin, in seconds.
        duration: How many seconds at most; to the end if not given.

    Raises:
        AudioError: If the source is missing, empty, cut short, not audio, holds NaN or infinite
            samples, or ends before `start`.
    """
    _check_span(start, duration)
    if isinstance(source, np.ndarray | Tensor):
        rate = SAMPLE_RATE if sample_rate is None else sample_rate
        if rate < 1:
            raise AudioError(f"A sample rate of {rate} Hz was given: give a positive number.")
        samples = _as_columns(source)
        piece = _plan("The audio array", len(samples), rate, start, duration)
        return _finish("The audio array", samples[piece.begin : piece.end], rate, piece)
    if sample_rate is not None:
        raise AudioError("A file tells its own sample rate: give `sample_rate` with arrays only.")
    if isinstance(source, str | Path):
        return _from_path(Path(source), start, duration)
    if isinstance(source, bytes):
        return _decode("The audio given as bytes", io.BytesIO(source), start, duration)
    path, content = getattr(source, "name", None), source.read()
    name = repr(path) if path else "The audio file object"
    if not isinstance(content, bytes):
        raise AudioError(f"{name} was opened as text: open it with mode 'rb'.")
    return _decode(name, io.BytesIO(content), start, duration)


def _check_span(start: Seconds, duration: Seconds | None) -> None:
    if not (math.isfinite(start) and start >= 0):
        raise AudioError(f"Audio cannot start at {start} s: give 0 or more seconds.")
    if duration is not None and not (math.isfinite(duration) and duration * SAMPLE_RATE >= 1):
        raise AudioError(f"A duration of {duration} s was asked for: give one sample or more.")


def _as_columns(source: np.ndarray | Tensor) -> np.ndarray:
    """Scale to float32 and arrange as (samples, channels)."""
    if isinstance(source, Tensor):
        source = source.detach().cpu()
        source = (source.float() if source.is_floating_point() else source).numpy()
    kind, bits = source.dtype.kind, 8 * source.dtype.itemsize
    if kind == "f":
        samples = source.astype(np.float32)
    elif kind == "i" and bits <= 32:
        samples = source.astype(np.float32) / 2.0 ** (bits - 1)
    elif kind == "u" and bits == 8:
        samples = (source.astype(np.float32) - 128.0) / 128.0
    else:
        raise AudioError(f"Samples of type {source.dtype}: give floats in [-1, 1], or int16.")
    if samples.ndim == 1 or not samples.size:
        return samples.reshape(-1, 1)
    if samples.ndim != 2 or samples.shape[0] == samples.shape[1] > 1:
        raise AudioError(
            f"The audio array has shape {samples.shape}: give (samples,), (channels, samples) or "
            "(samples, channels), with fewer channels than samples."
        )
    return samples if samples.shape[0] >= samples.shape[1] else samples.T


def load_slices(
    path: Path, seconds: Seconds, duration: Seconds
) -> Iterator[Float[Tensor, " samples"]]:
    """Read a file as `load_audio` does, slice by slice, opening it once.

    A seek in an MP3 that was just opened decodes it from its start.

    Args:
        path: Of the file.
        seconds: Of a slice; the last is shorter.
        duration: Of the file.

    Raises:
        AudioError: As by `load_audio`, at the slice that it is about.
    """
    name = repr(str(path))
    with _on_disk(name, path) as handle, _opened(name, handle) as file:
        for number in range(math.ceil(duration / seconds)):
            yield _slice(name, file, handle, number * seconds, seconds)


def _from_path(path: Path, start: Seconds, duration: Seconds | None) -> Float[Tensor, " samples"]:
    name = repr(str(path))
    with _on_disk(name, path) as handle:
        return _decode(name, handle, start, duration)


@contextmanager
def _on_disk(name: str, path: Path) -> Iterator[io.BufferedReader]:
    try:
        with path.open("rb") as handle:
            yield handle
    except (FileNotFoundError, NotADirectoryError) as error:  # or in an archive that lacks it
        raise AudioError(f"{name} does not exist: check the path of the audio file.") from error
    except IsADirectoryError as error:
        raise AudioError(f"{name} is a folder: give an audio file in it.") from error
    except OSError as error:
        raise AudioError(f"{name} cannot be read ({error.strerror}): check the file.") from error


def _decode(
    name: str, handle: io.BytesIO | io.BufferedReader, start: Seconds, duration: Seconds | None
) -> Float[Tensor, " samples"]:
    with _opened(name, handle) as file:
        return _slice(name, file, handle, start, duration)


@contextmanager
def _opened(name: str, handle: io.BytesIO | io.BufferedReader) -> Iterator[soundfile.SoundFile]:
    if handle.seek(0, io.SEEK_END) == 0:
        raise AudioError(f"{name} is empty (0 bytes): record, copy or download it again.")
    handle.seek(0)
    try:
        with interrupts_held():
            file = soundfile.SoundFile(handle)
    except soundfile.LibsndfileError as error:
        raise _unreadable(name, error.error_string) from error
    except TypeError as error:  # soundfile's answer to *.raw
        raise AudioError(f"{name} has no header: {CONVERT}.") from error
    try:
        if is_cut_short(file, handle):
            raise _cut_short(name)
        if file.frames > 2**62:
            raise AudioError(f"{name} does not say how long it is: {CONVERT}.")
        yield file
    finally:
        with interrupts_held():
            file.close()


def _slice(
    name: str,
    file: soundfile.SoundFile,
    handle: io.BytesIO | io.BufferedReader,
    start: Seconds,
    duration: Seconds | None,
) -> Float[Tensor, " samples"]:
    piece = _plan(name, file.frames, file.samplerate, start, duration)
    try:
        with interrupts_held():
            samples = _read(name, file, piece)
    except soundfile.LibsndfileError as error:
        raise _unreadable(name, error.error_string) from error
    if piece.end == file.frames and file.format == "MP3":
        place = handle.tell()
        if place < 0.9 * handle.seek(0, io.SEEK_END):
            raise AudioError(f"{name} holds more sound than its header says: {CONVERT}.")
    return _finish(name, samples, file.samplerate, piece)


def _unreadable(name: str, reason: str) -> AudioError:
    """Advise by what the name promises: to convert a .wav to WAV would help nobody."""
    told = f"{name} is not readable audio ({reason.rstrip('.')})"
    if name.strip("'\"").lower().endswith(SOUNDS):
        told += ", it is damaged or of another format than its name says: copy it again, or"
        return AudioError(f"{told} {CONVERT}.")
    return AudioError(f"{told}: {CONVERT}.")


def _cut_short(name: str) -> AudioError:
    return AudioError(
        f"{name} is truncated, it holds less sound than its header says: copy or download it again."
    )


def _read(name: str, file: soundfile.SoundFile, piece: _Piece) -> np.ndarray:
    """Decode the samples of `piece`, as (samples, channels)."""
    file.seek(piece.begin)
    try:
        samples = file.read(piece.end - piece.begin, dtype="float32", always_2d=True)
    except soundfile.LibsndfileError as error:
        raise _cut_short(name) from error
    slack = MP3_SLACK if file.format == "MP3" else 0
    if len(samples) < piece.end - piece.begin - slack:
        raise _cut_short(name)
    return samples


def _plan(name: str, total: int, rate: int, start: Seconds, duration: Seconds | None) -> _Piece:
    """Place a slice, with a margin, where input and output samples coincide."""
    if total == 0:
        raise AudioError(f"{name} holds no samples: record, copy or download it again.")
    length = -(-total * SAMPLE_RATE // rate)
    first = round(start * SAMPLE_RATE)
    if first >= length:
        raise AudioError(f"{name} lasts {total / rate:.2f} s: it cannot start at {start} s.")
    last = length if duration is None else min(length, first + round(duration * SAMPLE_RATE))
    period = rate // math.gcd(rate, SAMPLE_RATE)  # input samples to a whole number of output ones
    margin = math.ceil(MARGIN * rate)
    begin = max(0, first * rate // SAMPLE_RATE - margin) // period * period
    end = min(total, -(-last * rate // SAMPLE_RATE) + margin)
    return _Piece(begin, end, skip=first - begin * SAMPLE_RATE // rate, keep=last - first)


def _finish(name: str, samples: np.ndarray, rate: int, piece: _Piece) -> Float[Tensor, " samples"]:
    """Average the channels, resample, and cut the margins off."""
    if not np.isfinite(samples).all():
        raise AudioError(f"{name} holds NaN or infinite samples: mend or leave out the recording.")
    mono = samples[:, 0] if samples.shape[1] == 1 else samples.mean(axis=1)
    if rate != SAMPLE_RATE:
        mono = librosa.resample(mono, orig_sr=rate, target_sr=SAMPLE_RATE, res_type="soxr_hq")
    kept = mono[piece.skip : piece.skip + piece.keep]
    if len(kept) < len(mono):  # or a slice would keep all of its recording in memory
        kept = kept.copy()
    if not len(kept):
        raise AudioError(f"{name} ends before the slice that was asked for: check its start.")
    return torch.from_numpy(kept)
