"""What a server takes at most, and from whom: sizes, times, and a key."""

import hmac
import os
from dataclasses import dataclass
from pathlib import Path

from starlette.datastructures import Headers

from speechalign.errors import UserError
from speechalign.inference.serving.errors import RefusalError

KEY_VARIABLE = "SPEECHALIGN_API_KEY"
MEBIBYTE = 2**20


@dataclass(frozen=True)
class Limits:
    """Bounds of what one server takes.

    Attributes:
        upload: Bytes of a request.
        seconds: Of a recording.
        requests: In flight at once; further ones are told to come again.
        timeout: Seconds that a request may take, its upload included.
        fields: Of a form, beside the file.
        field: Bytes of one of them.
        samples: A second of a recording, channels and all: what is decoded at once fits in memory.
    """

    upload: int = 100 * MEBIBYTE
    seconds: float = 3600.0
    requests: int = 128
    timeout: float = 300.0
    fields: int = 24
    field: int = 16 * 1024
    samples: int = 768_000  # as eight channels of 96 kHz

    def __post_init__(self) -> None:
        told = {"upload": self.upload, "seconds": self.seconds, "requests": self.requests,
                "timeout": self.timeout}  # fmt: skip
        for name, value in told.items():
            if not value > 0:
                raise UserError(f"The limit of {name} is {value}: give more than 0.")

    def too_large(self) -> RefusalError:
        """Refuse an upload for its size."""
        return RefusalError(
            413,
            f"The upload is larger than {self.upload / MEBIBYTE:g} MiB, the most that is taken:"
            " send a compressed format such as ogg or flac, or parts of the recording.",
            "file",
            "file_too_large",
        )

    def check_length(self, headers: Headers) -> None:
        """Look at what a request says of its size, before any of it is read.

        Raises:
            RefusalError: If it is too large.
        """
        told = headers.get("content-length", "0")
        if not told.isascii() or not told.isdigit():
            raise RefusalError(400, f"The header Content-Length is {told!r}: give bytes.")
        if int(told) > self.upload:
            raise self.too_large()

    def check_density(self, rate: int, channels: int) -> None:
        """Look at how many samples a second a recording's header tells, before any is decoded.

        Args:
            rate: Of its samples, in Hz.
            channels: Their number.

        Raises:
            RefusalError: If they are more than sound needs.
        """
        if rate * channels > self.samples:
            raise RefusalError(
                400,
                f"The recording has {channels} channels of {rate} Hz, more than is taken: send one"
                " channel of 16000 Hz, which is what the model hears.",
                "file",
                "audio_too_dense",
            )

    def check_duration(self, seconds: float) -> None:
        """Look at how long a recording is, before it is decoded.

        Raises:
            RefusalError: If it is too long.
        """
        if seconds > self.seconds:
            raise RefusalError(
                400,
                f"The recording lasts {seconds:.1f} s, but {self.seconds:g} s are the most that is"
                " taken: send it in parts.",
                "file",
                "audio_too_long",
            )


def stored_key(file: Path | None) -> str | None:
    """Read the key that clients must have, from a file or the environment; never an argument.

    Everybody sees the arguments of a process. The file goes before `SPEECHALIGN_API_KEY`.

    Raises:
        UserError: If the file cannot be read or either is empty.
    """
    key, place = os.environ.get(KEY_VARIABLE), KEY_VARIABLE
    if file is not None:
        place = str(file)
        try:
            key = file.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise UserError(
                f"{place} cannot be read as a key ({error}): give a text file."
            ) from error
    if key is None:
        return None
    if not key.strip() or len(key.split()) > 1:
        raise UserError(f"{place} must hold one key, without spaces: write one into it.")
    return key.strip()


def check_key(headers: Headers, key: str | None) -> None:
    """Compare the key of a request, in a time that tells nothing about it.

    Raises:
        RefusalError: If it is not the one.
    """
    if key is None:
        return
    scheme, _, given = headers.get("authorization", "").partition(" ")
    sent = given.strip().encode("latin-1")  # the bytes as they were
    right = hmac.compare_digest(sent, key.encode())
    if scheme.lower() != "bearer" or not right:
        raise RefusalError(
            401,
            "The API key is missing or wrong: send the header 'Authorization: Bearer KEY'.",
            code="invalid_api_key",
        )
