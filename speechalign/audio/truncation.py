"""Whether a file of sound was cut short, which libsndfile does not mind."""

import io
import re

import soundfile

HEADER_SLACK = 64  # bytes: some writers count their header as sound
OGG_PAGE = 27 + 255 + 255 * 255  # bytes: the largest page
STREAMED = (
    0x7FFF0000  # bytes: from here on a size means "unknown", written by ffmpeg or sox to a pipe
)
PROMISE = re.compile(
    r"^\s*(?:data|SSND|riff|Data Size)\s*: (\d+) \(should be (\d+)\)", re.MULTILINE
)


def is_cut_short(file: soundfile.SoundFile, handle: io.BytesIO | io.BufferedReader) -> bool:
    """Tell by libsndfile's log of the header, or by the last page.

    An mp3 without a length in its first frame and an Ogg cut between two pages cannot be told from
    whole ones.

    Args:
        file: As it was opened.
        handle: Its bytes; it stands where it stood, afterwards.
    """
    sizes = [(int(said), int(found)) for said, found in PROMISE.findall(file.extra_info)]
    if any(said < STREAMED and said - found > HEADER_SLACK for said, found in sizes):
        return True
    return file.format == "OGG" and last_page_is_cut(handle)


def last_page_is_cut(handle: io.BytesIO | io.BufferedReader) -> bool:
    """Compare the size of the last Ogg page with what its header says (RFC 3533, section 6)."""
    place = handle.tell()
    handle.seek(max(0, handle.seek(0, io.SEEK_END) - OGG_PAGE))
    tail = handle.read()
    handle.seek(place)
    page = tail[tail.rfind(b"OggS") :]
    segments = page[26] if len(page) > 26 else 0
    return len(page) < 27 + segments + sum(page[27 : 27 + segments])
