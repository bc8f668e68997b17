"""Ogg Opus whose bytes depend on the sound alone."""

import io
import struct

import numpy as np
import soundfile

from recipes.micro.speech import SAMPLE_RATE

OPUS_LEVEL = 0.985  # about 10 kb/s; a little lower and the codec drops everything over 4 kHz
SERIAL = 1  # of the Ogg stream; libsndfile would draw one


def opus(wave: np.ndarray) -> bytes:
    """Encode 16 kHz mono speech as Ogg Opus, the same bytes every time."""
    buffer = io.BytesIO()
    soundfile.write(
        buffer, wave, SAMPLE_RATE, format="OGG", subtype="OPUS", compression_level=OPUS_LEVEL
    )
    return fix_serial(buffer.getvalue())


def fix_serial(stream: bytes) -> bytes:
    """Replace the random serial number of an Ogg stream and mend the checksum of each page.

    A page (RFC 3533, section 6) has the serial at byte 14, the checksum at 22, the number of
    segments at 26 and their lengths from 27 on.
    """
    pages, start = bytearray(stream), 0
    while start < len(pages):
        segments = pages[start + 26]
        end = start + 27 + segments + sum(pages[start + 27 : start + 27 + segments])
        struct.pack_into(
            "<II", pages, start + 14, SERIAL, *struct.unpack_from("<I", pages, start + 18)
        )
        struct.pack_into("<I", pages, start + 22, 0)
        struct.pack_into("<I", pages, start + 22, _checksum(pages[start:end]))
        start = end
    return bytes(pages)


def _checksum(page: bytearray) -> int:
    """Compute Ogg's CRC-32: polynomial 0x04c11db7, not reflected, starting at zero."""
    value = 0
    for byte in page:
        value = (value << 8 & 0xFFFFFFFF) ^ _CRC[value >> 24 ^ byte]
    return value


def _crc_entry(byte: int) -> int:
    value = byte << 24
    for _ in range(8):
        value = (value << 1) ^ (0x104C11DB7 if value & 0x80000000 else 0)
    return value


_CRC = tuple(_crc_entry(byte) for byte in range(256))
