"""The server's right answers: OpenAI's own client, every form, and the texts of `Translator`."""

import io
import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import soundfile
import srt
import torch
import webvtt

from speechalign.data.examples import read_audio
from speechalign.data.fleurs import Fleurs
from tests.inference.serving.clients import CLIPS, clip, until, uploads

GOLDEN = json.loads((Path(__file__).parents[2] / "golden" / "micro_clips.json").read_text())
CODES = [Path(name).stem for name in GOLDEN]

# of OpenAI's client, which calls its endpoint of translations old
pytestmark = pytest.mark.filterwarnings("ignore:deprecated:DeprecationWarning")


def wav(samples) -> bytes:
    """Write samples as a file."""
    buffer = io.BytesIO()
    soundfile.write(buffer, samples, 16_000, format="WAV")
    return buffer.getvalue()


@pytest.fixture(scope="module")
def long() -> bytes:
    """Five German sentences with pauses between them, as a file of some 20 s."""
    corpus = Fleurs("assets:micro/fleurs")
    sounds = [read_audio(one) for one in list(corpus.utterances("deu", "test"))[:5]]
    return wav(torch.cat([part for one in sounds for part in (one, torch.zeros(24_000))]).numpy())


@pytest.mark.parametrize("code", CODES)
def test_texts_are_those_of_the_translator(served, code):
    audio, golden = served.openai().audio, GOLDEN[f"{code}.ogg"]
    asked = {"model": "speechalign", "file": (f"{code}.ogg", clip(code))}
    assert audio.transcriptions.create(**asked, language=code).text == golden["transcript"]
    told = audio.translations.create(**asked, extra_body={"language": code})
    assert told.text == golden["translation"]


def test_many_at_once_are_answered_as_alone(held, served):
    def ask(number: int) -> str:
        return served.send(clip(CODES[number % len(CODES)]), "translations").json()["text"]

    alone = [held.translate(f"{CLIPS}/{code}.ogg").text for code in CODES]
    with ThreadPoolExecutor(16) as threads:
        texts = list(threads.map(ask, range(32)))
    assert texts == [alone[n % len(CODES)] for n in range(32)]
    assert "speechalign_batch_size_count" in served.get("/metrics").text


@pytest.mark.parametrize("code", ["de", "deu", "de_de", "de-DE", "German", "auto", None])
def test_any_code_names_a_language(served, code):
    fields = {} if code is None else {"language": code}
    assert served.send(clip(), **fields).json()["text"] == GOLDEN["deu.ogg"]["transcript"]


def test_a_long_recording_is_cut_and_told_in_order(held, served, long):
    answer = held.translate(long, words=True)
    told = served.openai().audio.translations.create(
        model="speechalign", file=long, response_format="verbose_json"
    )
    assert told.text == answer.text
    assert told.language == "english"
    assert told.duration == pytest.approx(answer.duration, abs=0.01)
    assert [one.text for one in told.segments] == [one.text for one in answer.segments]
    assert [one.start for one in told.segments] == [round(one.start, 3) for one in answer.segments]
    assert len(told.segments) == 5
    assert np.exp([one.avg_logprob for one in told.segments]) == pytest.approx(
        [one.probability for one in answer.segments], abs=1e-4
    )


def test_each_segment_tells_the_temperature_it_was_found_at(held, served, monkeypatch):
    (said,) = held.transcribe(clip()).segments
    found = [said._replace(temperature=0.4)]
    monkeypatch.setattr(served.desk.batcher, "_understand", lambda *_: found)
    (told,) = served.send(clip(), response_format="verbose_json").json()["segments"]
    assert told["temperature"] == 0.4


def test_words_have_times_where_they_are_asked_for(held, served):
    create = served.openai().audio.transcriptions.create
    asked = {"model": "speechalign", "file": clip(), "response_format": "verbose_json"}
    both = create(**asked, timestamp_granularities=["word", "segment"])
    (segment,) = held.transcribe(clip(), words=True).segments
    assert [(one.word, one.start) for one in both.words] == [
        (one.text, round(one.start, 3)) for one in segment.words
    ]
    assert len(both.segments) == 1
    assert both.language == "german"
    assert create(**asked, timestamp_granularities=["word"]).segments is None
    assert create(**asked).words is None


def test_subtitles_are_read_by_their_readers(served, long):
    shown = list(srt.parse(served.send(long, response_format="srt").text))
    assert len(shown) == 5
    captions = webvtt.from_string(served.send(long, response_format="vtt").text)
    assert [one.text for one in captions] == [one.content for one in shown]


def test_text_is_text(served):
    told = served.send(clip(), response_format="text")
    assert told.text == GOLDEN["deu.ogg"]["transcript"] + "\n"
    assert told.headers["content-type"].startswith("text/plain")


@pytest.mark.parametrize("verb", ["transcriptions", "translations"])
def test_a_stream_tells_segments_and_then_all(held, served, long, verb):
    method = held.transcribe if verb == "transcriptions" else held.translate
    told = served.send(long, verb, stream="true").text.split("\n\n")[:-1]
    events = [json.loads(one.split("data: ", 1)[1]) for one in told]
    assert [one.split("\n")[0] for one in told] == [f"event: {one['type']}" for one in events]
    *deltas, done = events
    assert done["type"] == "transcript.text.done"
    assert done["text"] == method(long).text
    assert len(deltas) == 5
    assert "".join(one["delta"] for one in deltas) == done["text"]


def test_openais_client_reads_the_stream(served):
    stream = served.openai().audio.transcriptions.create(
        model="speechalign", file=clip(), stream=True
    )
    told = list(stream)
    assert [one.type for one in told] == ["transcript.text.delta", "transcript.text.done"]
    assert told[0].delta == told[1].text == GOLDEN["deu.ogg"]["transcript"]


def test_where_nobody_speaks_nothing_is_written(served):
    silence = wav(np.zeros(32_000))
    assert served.send(silence).json()["text"] == ""
    told = served.send(silence, response_format="verbose_json").json()
    assert (told["segments"], told["language"], told["duration"]) == ([], "", 2.0)
    stream = served.send(silence, stream="true").text
    assert stream.count("data: ") == 1
    assert served.send(silence, response_format="srt").text == ""


def test_what_had_no_effect_or_is_a_guess_is_told(served):
    assert "cautions" not in served.send(clip()).json()
    told = served.send(clip(), prompt="Blumen", language="pol").json()["cautions"]
    assert "Polish is a guess" in told[0]
    assert "prompt had no effect" in told[1]
    into = served.send(clip(), "translations", to="fra").json()["cautions"]
    assert "may not be in French" in into[0]


def test_the_model_is_listed_and_described(served):
    assert [one.id for one in served.openai().models.list()] == ["speechalign"]
    assert served.openai().models.retrieve("speechalign").id == "speechalign"
    assert served.get("/v1/models/whisper-1").status_code == 404
    schema = served.get("/openapi.json").json()["paths"]["/v1/audio/translations"]["post"]
    form = schema["requestBody"]["content"]["multipart/form-data"]["schema"]["properties"]
    assert {"file", "model", "language", "to", "stream"} <= form.keys()


def test_health_and_metrics_say_what_is(served):
    assert served.get("/health").json() == {"status": "ready"}
    before = numbers(served)
    served.send(clip())
    served.send(b"")
    served.get("/somewhere")
    after = numbers(served)
    path = 'speechalign_requests_total{path="/v1/audio/transcriptions",status='
    assert after[path + '"200"}'] - before[path + '"200"}'] == 1
    assert after[path + '"400"}'] - before.get(path + '"400"}', 0) == 1
    assert after['speechalign_requests_total{path="other",status="404"}'] >= 1
    name = "speechalign_audio_seconds_total"
    assert after[name] - before[name] == pytest.approx(1.59, abs=0.01)
    count = "speechalign_request_seconds_count"
    assert after[count] == after['speechalign_request_seconds_bucket{le="+Inf"}'] > before[count]


def numbers(served) -> dict[str, float]:
    """Read the metrics."""
    rows = [row for row in served.get("/metrics").text.splitlines() if not row.startswith("#")]
    return {name: float(value) for name, value in (row.rsplit(" ", 1) for row in rows)}


def test_nothing_is_left(served):
    until(lambda: not served.desk.batcher.in_flight)
    assert served.desk.batcher.depth == 0
    assert uploads() == []
