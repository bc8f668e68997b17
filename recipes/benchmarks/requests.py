"""Requests to a server: right ones with their answers, and wrong ones of every kind."""

import io
from typing import Any, NamedTuple

import soundfile
import torch
from torch import Tensor

from speechalign import Translator
from speechalign.audio.io import SAMPLE_RATE
from speechalign.data.examples import read_audio
from speechalign.data.fleurs import Fleurs

MODEL = "micro"
LANGUAGES = ("deu", "fra", "ita", "spa")
TRANSCRIPTIONS, TRANSLATIONS = "/v1/audio/transcriptions", "/v1/audio/translations"
TOGETHER = 15  # sentences of a long recording, of which there is one to twenty short ones
PAUSE = torch.zeros(3 * SAMPLE_RATE // 2)


class Request(NamedTuple):
    """What is sent, and what is to come back."""

    path: str
    content: dict[str, Any]  # of httpx
    text: str = ""
    seconds: float = 0.0  # of sound
    long: bool = False


def right(translator: Translator, recordings: int) -> list[Request]:
    """Make requests of sentences and of long recordings, and find their answers."""
    corpus, requests = Fleurs("assets:micro/fleurs"), []
    for code in LANGUAGES:
        utterances = list(corpus.utterances(code, "test"))[: max(1, recordings // len(LANGUAGES))]
        sounds = [read_audio(one) for one in utterances]
        long = [part for one in (sounds * TOGETHER)[:TOGETHER] for part in (one, PAUSE)]
        waveforms = [*sounds, torch.cat(long)]
        said = translator.transcribe(waveforms, from_=code)
        meant = translator.translate(waveforms, from_=code)
        for waveform, transcript, translation in zip(waveforms, said, meant, strict=True):
            for path, answer in ((TRANSCRIPTIONS, transcript), (TRANSLATIONS, translation)):
                content = sent(waveform, code)
                long_one = len(answer.segments) > 1
                requests.append(Request(path, content, answer.text, answer.duration, long_one))
    return requests


def sent(waveform: Tensor, code: str) -> dict[str, Any]:
    """Write a form with a recording."""
    buffer = io.BytesIO()
    soundfile.write(buffer, waveform.numpy(), SAMPLE_RATE, format="WAV", subtype="FLOAT")
    return {"files": {"file": ("speech.wav", buffer.getvalue())},
            "data": {"model": MODEL, "language": code}}  # fmt: skip


def wrong() -> list[Request]:
    """Make requests that cannot be answered, one of each kind."""
    buffer = io.BytesIO()
    soundfile.write(buffer, torch.zeros(SAMPLE_RATE).numpy(), SAMPLE_RATE, format="WAV")
    file, model = {"file": ("x.wav", buffer.getvalue())}, {"model": MODEL}
    form = {"content-type": "multipart/form-data; boundary=b"}
    contents: list[dict[str, Any]] = [
        {"data": model, "files": {"other": ("x", b"1")}},
        {"data": model, "files": {"file": ("x.wav", b"")}},
        {"data": model, "files": {"file": ("x.wav", b"letters " * 100)}},
        {"data": model, "files": {"file": ("x.wav", buffer.getvalue()[:1000])}},
        {"data": {"model": "whisper-1"}, "files": file},
        {"data": model | {"language": "klingon"}, "files": file},
        {"data": model | {"response_format": "xml"}, "files": file},
        {"data": model | {"temperature": "2"}, "files": file},
        {"data": model | {"colour": "blue"}, "files": file},
        {"data": model | {f"x{number}": "1" for number in range(100)}, "files": file},
        {"json": model},
        {"content": b"--b\r\nno form", "headers": form},
        {"content": b"", "headers": form},
    ]
    return [Request(TRANSCRIPTIONS, content) for content in contents]
