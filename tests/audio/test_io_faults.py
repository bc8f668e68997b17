"""load_audio: every fault of a file is told in one line, and what only looks like one is read."""

import io
import os
import re
import signal
import struct
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from speechalign.audio.io import SAMPLE_RATE, AudioError, load_audio
from tests.audio.sounds import FORMATS, sound, write


def refused(source, message: str) -> None:
    """The fault is told in one line that names the file and says what to do after a colon."""
    with pytest.raises(AudioError, match=message) as caught:
        load_audio(source)
    told = str(caught.value)
    assert "\n" not in told
    assert re.search(r": (check|copy|give|record|convert|mend|open|put)", told)
    if isinstance(source, Path):
        assert str(source) in told


def test_a_missing_file_is_refused(tmp_path):
    refused(tmp_path / "none.wav", "does not exist")
    refused(str(tmp_path / "none.wav"), "does not exist")


def test_a_folder_is_refused(tmp_path):
    refused(tmp_path, "is a folder")


def test_a_name_that_cannot_be_one_is_refused():
    refused("a" * 5_000, "cannot be read")


def test_an_empty_file_is_refused(tmp_path):
    (tmp_path / "a.wav").touch()
    refused(tmp_path / "a.wav", "is empty")
    refused(b"", "is empty")
    refused(io.BytesIO(), "is empty")


@pytest.mark.parametrize("name", ["pcm.wav", "a.aiff", "float.wav"])
def test_a_file_without_samples_is_refused(name, tmp_path):
    refused(write(tmp_path, name, np.zeros(0, np.float32)), "holds no samples")


@pytest.mark.parametrize("name", ["a.wav", "a.mp3", "a.txt", "a.raw", "a.m4a"])
@pytest.mark.parametrize("content", [b"This is not audio. " * 99, b"\0" * 999, b"RIFF", b"x"])
def test_what_is_not_audio_is_refused(name, content, tmp_path):
    (tmp_path / name).write_bytes(content)
    refused(tmp_path / name, "(not readable audio|has no header).*ffmpeg -i in.m4a out.wav")


def test_a_wav_that_is_none_is_not_told_to_become_one_first(tmp_path):
    (tmp_path / "a.wav").write_bytes(b"This is not audio. " * 99)
    refused(tmp_path / "a.wav", "damaged or of another format than its name says: copy it again")


@pytest.mark.parametrize("rate", [16_000, 44_100])
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_file_with_nan_or_infinite_samples_is_refused(bad, rate, tmp_path):
    samples = sound(0.5, rate)
    samples[100] = bad
    refused(write(tmp_path, "float.wav", samples, rate), "NaN or infinite")


@pytest.mark.parametrize("part", [0.3, 0.5, 0.8, 0.9, 0.99])
@pytest.mark.parametrize("name", [name for name in FORMATS if name != "a.mp3"])
def test_a_truncated_file_is_refused(name, part, tmp_path):
    path = write(tmp_path, name, sound(3.0))
    content = path.read_bytes()
    path.write_bytes(content[: int(part * len(content))])
    refused(path, "truncated|not readable")
    refused(path.read_bytes(), "truncated|not readable")


def test_a_truncated_mp3_is_refused(tmp_path):
    path = write(tmp_path, "a.mp3", sound(3.0))
    path.write_bytes(path.read_bytes()[:5_000])
    refused(path, "truncated")


def test_a_slice_keeps_no_more_memory_than_it_needs(tmp_path):
    piece = load_audio(write(tmp_path, "pcm.wav", sound(3.0)), start=1.0, duration=0.5)
    assert piece.untyped_storage().nbytes() == 4 * 8_000


def test_a_slice_of_a_truncated_file_is_refused_too(tmp_path):
    path = write(tmp_path, "pcm.wav", sound(3.0))
    path.write_bytes(path.read_bytes()[:48_000])
    with pytest.raises(AudioError, match="truncated"):
        load_audio(path, duration=0.5)


@pytest.mark.parametrize("size", [0xFFFFFFFF, 0x7FFFFFFF, 0x7FFFF000])
def test_a_wav_that_was_written_to_a_pipe_is_whole(size, tmp_path):
    content = bytearray(write(tmp_path, "pcm.wav", sound(0.5)).read_bytes())
    expected = load_audio(bytes(content))
    assert content[36:40] == b"data"
    content[4:8] = content[40:44] = struct.pack("<I", size)
    assert torch.equal(load_audio(bytes(content)), expected)


def test_a_wav_with_something_after_the_sound_is_whole(tmp_path):
    content = write(tmp_path, "pcm.wav", sound(0.5)).read_bytes()
    assert torch.equal(load_audio(content + b"LIST\x04\0\0\0abcd"), load_audio(content))


def test_an_ogg_with_a_tag_after_the_last_page_is_refused_or_whole(tmp_path):
    content = write(tmp_path, "vorbis.ogg", sound(0.5)).read_bytes()
    assert torch.equal(load_audio(content + b"TAG" + bytes(125)), load_audio(content))


def test_a_flac_without_its_length_is_refused(tmp_path):
    content = bytearray(write(tmp_path, "a.flac", sound(0.5)).read_bytes())
    content[21] &= 0xF0  # the 36 bits of STREAMINFO that hold the number of samples
    content[22:26] = bytes(4)
    refused(bytes(content), "does not say how long it is")


def test_an_mp3_longer_than_its_header_says_is_refused(tmp_path):
    content = write(tmp_path, "a.mp3", sound(3.0)).read_bytes()
    refused(content + content, "more sound than its header says")


def test_a_file_opened_as_text_is_refused(tmp_path):
    refused(io.StringIO("text"), "opened as text")
    (tmp_path / "a.wav").write_text("text")
    with (tmp_path / "a.wav").open() as handle:
        refused(handle, "a.wav' was opened as text")


def test_a_file_object_is_read_from_where_it_stands(tmp_path):
    content = write(tmp_path, "pcm.wav", sound(0.2)).read_bytes()
    handle = io.BytesIO(b"prefix" + content)
    handle.seek(6)
    assert torch.equal(load_audio(handle), load_audio(content))


def test_an_object_that_cannot_seek_is_read():
    class Pipe:
        def __init__(self, content):
            self.read = io.BytesIO(content).read

    buffer = io.BytesIO()
    soundfile.write(buffer, sound(0.2), SAMPLE_RATE, format="WAV")
    assert len(load_audio(Pipe(buffer.getvalue()))) == 3_200


class Interrupting(io.BytesIO):
    """Bytes during whose reading Ctrl-C is pressed."""

    def readinto(self, buffer):
        os.kill(os.getpid(), signal.SIGINT)
        return super().readinto(buffer)


def test_an_interrupted_read_is_no_truncated_file(tmp_path, monkeypatch):
    path = write(tmp_path, "pcm.wav", sound(0.5))
    content, handler = path.read_bytes(), signal.getsignal(signal.SIGINT)
    with monkeypatch.context() as patched:
        patched.setattr(io, "BytesIO", Interrupting)
        patched.setattr(Path, "open", lambda self, mode: Interrupting(content))
        for source in (path, str(path), content, bytes(content[:4_000])):
            with pytest.raises(KeyboardInterrupt):
                load_audio(source)
    assert signal.getsignal(signal.SIGINT) is handler
    assert len(load_audio(content)) == 8_000


def test_a_thread_reads_and_leaves_interrupts_to_the_first(tmp_path):
    path = write(tmp_path, "pcm.wav", sound(0.5))
    with ThreadPoolExecutor(1) as pool:
        assert torch.equal(pool.submit(load_audio, path).result(), load_audio(path))
