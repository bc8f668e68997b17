"""What a server refuses: each with a status, a reason in OpenAI's form, and nothing left behind."""

import io
import socket

import httpx
import numpy as np
import openai
import pytest
import soundfile

from speechalign.audio.recording import Recording
from speechalign.errors import UserError
from speechalign.inference.serving.limits import Limits, stored_key
from tests.inference.serving.clients import MODEL, clip, serving, until, uploads

FILE = {"file": ("x.ogg", clip())}
TEXT = {"file": ("x.wav", b"No sound at all, but letters. " * 50)}


def told(response: httpx.Response, status: int) -> dict[str, str]:
    """Check the form of a refusal and give its reason."""
    assert response.status_code == status, response.text
    error = response.json()["error"]
    assert error.keys() == {"message", "type", "param", "code"}
    assert error["type"] == "invalid_request_error"
    assert error["message"]
    return error


@pytest.mark.parametrize(
    ("fields", "status", "param", "reason"),
    [
        ({"model": ""}, 400, "model", "send 'speechalign'"),
        ({"model": "whisper-1"}, 404, "model", "'whisper-1' is not served here"),
        ({"language": "germn"}, 400, "language", "Did you mean"),
        ({"to": "eng"}, 400, "to", "Unknown field"),
        ({"langage": "deu"}, 400, "langage", "did you mean 'language'"),
        ({"response_format": "xml"}, 400, "response_format", "'json' or 'text'"),
        ({"temperature": "0.7"}, 400, "temperature", "decodes at 0"),
        ({"temperature": "hot"}, 400, "temperature", "decodes at 0"),
        ({"stream": "perhaps"}, 400, "stream", "true or false"),
        ({"stream": "true", "response_format": "srt"}, 400, "stream", "cannot be streamed"),
        ({"timestamp_granularities[]": "word"}, 400, "timestamp_granularities[]", "verbose_json"),
        (
            {"timestamp_granularities[]": "letter", "response_format": "verbose_json"},
            400,
            "timestamp_granularities[]",
            "'segment' or 'word'",
        ),
        ({"chunking_strategy": "none"}, 400, "chunking_strategy", "'auto'"),
        ({"language": ["deu", "fra"]}, 400, "language", "2 times"),
        ({"include[]": "logprobs"}, 400, "include[]", "Unknown field"),
    ],
)
def test_a_field_that_cannot_be_followed_is_named(served, fields, status, param, reason):
    error = told(served.post(files=FILE, data=MODEL | fields), status)
    assert error["param"] == param
    assert reason in error["message"]


def test_a_language_to_translate_into_must_be_one(served):
    error = told(served.send(clip(), "translations", to="klingon"), 400)
    assert (error["param"], error["code"]) == ("to", "unknown_language")


@pytest.mark.parametrize(
    ("request_", "status", "code"),
    [
        ({"data": MODEL, "files": {"other": ("x", b"1")}}, 400, "missing_file"),
        ({"files": {"file": (None, "text")} | {"model": (None, "speechalign")}}, 400,
         "missing_file"),
        ({"data": MODEL, "files": {"file": ("x", b"")}}, 400, "empty_file"),
        ({"data": MODEL, "files": TEXT}, 400, "invalid_audio"),
        ({"data": MODEL, "files": {"file": ("x.wav", clip()[:200])}}, 400, "invalid_audio"),
        ({"data": MODEL, "files": [("file", ("a", b"1")), ("file", ("b", b"2"))]}, 400, None),
        ({"data": MODEL | {f"x{n}": "1" for n in range(30)}, "files": FILE}, 400, None),
        ({"data": MODEL | {"prompt": "a" * 20_000}, "files": FILE}, 400, None),
        ({"json": MODEL}, 415, None),
        ({"content": b"file=1", "headers": {"content-type": "text/plain"}}, 415, None),
        ({"content": b"file=1"}, 400, None),
        ({"content": b"x", "headers": {"content-type": "multipart/form-data"}}, 400, None),
        ({"content": b"--b\r\nno form", "headers": {
            "content-type": "multipart/form-data; boundary=b"}}, 400, None),
        ({"content": b"", "headers": {"content-type": "multipart/form-data; boundary=b"}}, 400,
         "missing_file"),
    ],
)  # fmt: skip
def test_a_malformed_request_has_a_reason(served, request_, status, code):
    assert told(served.post(**request_), status)["code"] == code


def test_the_place_of_an_upload_is_nobodys_business(served):
    message = told(served.post(data=MODEL, files=TEXT), 400)["message"]
    assert message.startswith("The uploaded file is not readable audio")
    assert "/" not in message.replace("e.g.", "")


def test_the_name_of_a_file_is_not_used(served):
    files = {"file": ("../../etc/passwd", clip())}
    assert served.post(files=files, data=MODEL).status_code == 200
    assert served.post(files={"file": ("a\nb.raw", clip())}, data=MODEL).status_code == 200


def test_other_ways_lead_nowhere(served):
    assert told(served.get("/v1/audio/transcriptions"), 405)
    assert told(served.get("/v1/chat/completions"), 404)
    assert served.get("/v1/audio/transcriptions").headers["allow"] == "POST"


def head(served, *lines: str) -> bytes:
    """Send the head of a request, and nothing of its body."""
    with socket.create_connection(("127.0.0.1", served.port), timeout=20) as connection:
        sent = ["POST /v1/audio/transcriptions HTTP/1.1", "Host: x", *lines,
                "Content-Type: multipart/form-data; boundary=b", "", ""]  # fmt: skip
        connection.sendall("\r\n".join(sent).encode())
        answer = b""
        while b"}}" not in answer and (more := connection.recv(65_536)):
            answer += more
        return answer


def test_two_gigabytes_are_refused_by_their_head(served):
    answer = head(served, f"Content-Length: {2 * 2**30}")
    assert answer.startswith(b"HTTP/1.1 413")
    assert b"larger than 100 MiB" in answer
    assert head(served, "Content-Length: many").startswith(b"HTTP/1.1 400")
    assert served.desk.batcher.in_flight == 0


def wav(seconds: float, rate: int = 16_000, channels: int = 1) -> bytes:
    """Silence of some length."""
    buffer = io.BytesIO()
    soundfile.write(buffer, np.zeros((int(seconds * rate), channels)), rate, format="WAV")
    return buffer.getvalue()


def test_uploads_and_recordings_have_bounds(held, monkeypatch):
    with serving(held, limits=Limits(upload=100_000, seconds=2.0, samples=50_000)) as served:
        error = told(served.send(wav(4.0)), 413)
        assert error["code"] == "file_too_large"

        def chunks():
            yield b"--b\r\n" + b'Content-Disposition: form-data; name="file"; filename="x"\r\n\r\n'
            for _ in range(200):
                yield b"0" * 1000

        header = {"content-type": "multipart/form-data; boundary=b"}
        error = told(served.post(content=chunks(), headers=header), 413)
        assert error["code"] == "file_too_large"
        error = told(served.send(wav(2.5)), 400)
        assert "lasts 2.5 s, but 2 s" in error["message"]
        assert told(served.send(wav(0.1, 48_000, 2)), 400)["code"] == "audio_too_dense"
        assert served.send(wav(1.9)).status_code == 200
        monkeypatch.setattr(Recording, "open", None)  # whatever follows is seen by the header
        assert told(served.send(wav(0.001, 40_000_000)), 400)["code"] == "audio_too_dense"
        until(lambda: not served.desk.batcher.in_flight)
    assert uploads() == []


def test_a_key_is_asked_for(held):
    with serving(held, key="sésame") as served:
        for headers in ({}, {"authorization": "Bearer nothing"}, {"authorization": "sésame"}):
            headers = {name: value.encode() for name, value in headers.items()}
            response = served.post(files=FILE, data=MODEL, headers=headers)
            assert told(response, 401)["code"] == "invalid_api_key"
            assert response.headers["www-authenticate"] == "Bearer"
        assert told(served.get("/v1/models"), 401)
        with pytest.raises(openai.AuthenticationError, match="API key is missing or wrong"):
            served.openai("wrong").audio.transcriptions.create(model="speechalign", file=clip())
        right = {"authorization": "Bearer sésame".encode()}
        assert served.get("/v1/models", headers=right).status_code == 200
        assert served.get("/health").status_code == 200


def test_a_key_is_read_from_a_file_or_the_environment(tmp_path, monkeypatch):
    monkeypatch.delenv("SPEECHALIGN_API_KEY", raising=False)
    assert stored_key(None) is None
    monkeypatch.setenv("SPEECHALIGN_API_KEY", "of the air"[:2])
    assert stored_key(None) == "of"
    file = tmp_path / "key"
    file.write_text("of-the-file\n")
    assert stored_key(file) == "of-the-file"
    file.write_text("\n")
    with pytest.raises(UserError, match="must hold one key"):
        stored_key(file)
    with pytest.raises(UserError, match="cannot be read as a key"):
        stored_key(tmp_path / "nowhere")


@pytest.mark.parametrize("limit", ["upload", "seconds", "requests", "timeout"])
def test_a_limit_of_nothing_is_refused(limit):
    with pytest.raises(UserError, match=f"limit of {limit} is 0"):
        Limits(**{limit: 0})
