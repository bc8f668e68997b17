"""Many and long recordings: in order, whole, the same in any batch and from any thread."""

import json
import random
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import pytest
import soundfile
import torch

from speechalign import Translator
from speechalign.assets import resolve
from speechalign.audio.io import SAMPLE_RATE, AudioError, load_audio
from speechalign.audio.recording import Recording
from speechalign.data.examples import read_audio
from speechalign.data.fleurs import Fleurs
from speechalign.errors import UserError
from speechalign.evaluation.metrics import Bleu
from speechalign.inference.answers import Segment, put_together
from speechalign.inference.long_audio import collect, understand_all
from speechalign.inference.manner import Manner

CLIPS = Path(resolve("assets:micro/clips"))
GOLDEN = json.loads((Path(__file__).parents[1] / "golden" / "micro_clips.json").read_text())
PLACES = [CLIPS / name for name in GOLDEN]


@pytest.fixture(scope="module")
def translator():
    return Translator.from_pretrained()


@pytest.fixture(scope="module")
def sentences():
    corpus = Fleurs("assets:micro/fleurs")
    return [
        read_audio(utterance)
        for code in ("deu", "fra", "nld", "swe")
        for utterance in list(corpus.utterances(code, "test"))[:12]
    ]


def said(answers):
    return [(answer.text, answer.language) for answer in answers]


def test_neither_batch_nor_order_matters(translator, sentences):
    alone = said(translator.translate(sentences, batch_size=1))
    for size in (7, 32):
        assert said(translator.translate(sentences, batch_size=size)) == alone
    order = list(range(len(sentences)))
    random.Random(0).shuffle(order)
    shuffled = said(translator.translate([sentences[at] for at in order], batch_size=5))
    assert shuffled == [alone[at] for at in order]


@pytest.fixture(scope="module")
def long(tmp_path_factory, sentences):
    """Sentences of German with pauses, four minutes of them; where each is; and its sound."""
    file, places, place = tmp_path_factory.mktemp("long") / "long.wav", [], 0.0
    draw = random.Random(1)
    german = [sentences[draw.randrange(12)] for _ in range(48)]
    hush = torch.Generator().manual_seed(0)
    with soundfile.SoundFile(file, "w", SAMPLE_RATE, 1, subtype="PCM_16") as out:
        for sentence in german:
            pause = 1e-4 * torch.randn(draw.randrange(22_000, 64_000), generator=hush)
            out.write(pause.numpy())
            out.write(sentence.numpy())
            place += len(pause) / SAMPLE_RATE
            places.append((place, place + len(sentence) / SAMPLE_RATE))
            place += len(sentence) / SAMPLE_RATE
    return file, places, german


def test_a_long_recording_is_complete_in_order_and_in_time(translator, long):
    file, places, german = long
    answer = translator.translate(file, from_="deu")
    assert len(answer.segments) == len(places)
    for segment, (start, end) in zip(answer.segments, places, strict=True):
        assert segment.start == pytest.approx(start, abs=0.3)
        assert segment.end == pytest.approx(end, abs=0.3)
    alone = [one.text for one in translator.translate(german, from_="deu")]
    assert Bleu("13a").of([segment.text for segment in answer.segments], alone) > 90
    assert answer.text == " ".join(segment.text for segment in answer.segments)


def test_sentences_far_apart_are_understood_one_by_one_in_a_short_recording_too(translator):
    first, second = (load_audio(CLIPS / f"{code}.ogg") for code in ("deu", "fra"))
    both = torch.cat([first, 1e-4 * torch.randn(3 * SAMPLE_RATE), second])
    assert len(both) < translator.model.encoder.window_samples
    answer = translator.translate(both)
    assert said(answer.segments) == said(translator.translate([first, second]))
    assert translator.translate(both, pause=5.0).segments[0].end > 5


def test_what_comes_with_the_text(translator, long):
    file, *_ = long
    answer = translator.translate(file, from_="deu", transcripts=True, words=True)
    for segment in answer.segments:
        assert segment.source_text
        assert " ".join(word.text for word in segment.words) == segment.text
        bounds = [time for word in segment.words for time in (word.start, word.end)]
        assert bounds == sorted(bounds)
        assert bounds[0] == pytest.approx(segment.start)
        assert bounds[-1] == pytest.approx(segment.end)
        assert 0 < segment.probability <= 1
    plain = translator.translate(file, from_="deu")
    assert plain.text == answer.text
    assert all(segment.source_text is None and not segment.words for segment in plain.segments)


def test_threads_get_what_one_gets(translator):
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda place: translator.translate(place).text, PLACES * 3))
    assert found == [translator.translate(place).text for place in PLACES] * 3


def test_an_iterator_is_answered_as_it_goes(translator):
    opened = []

    def recordings():
        for place in PLACES * 4:
            opened.append(place)
            yield place

    answers = translator.translate(recordings(), batch_size=2)
    assert next(answers).text == translator.translate(PLACES[0]).text
    assert len(opened) < 4 * len(PLACES)
    assert len(list(answers)) == 4 * len(PLACES) - 1
    assert translator.translate([]) == []


def test_a_faulty_recording_does_not_hide_those_before_it(translator, tmp_path):
    (tmp_path / "bad.wav").write_text("no audio")
    answers = translator.translate(iter([PLACES[0], tmp_path / "bad.wav", PLACES[1]]))
    assert next(answers).text
    with pytest.raises(AudioError, match=r"bad\.wav"):
        next(answers)
    told = list(translator.tell([tmp_path / "bad.wav", PLACES[1]], "translation", "eng", "auto",
                                Manner()))  # fmt: skip
    assert [(one.recording, one.error is not None) for one in told] == [
        (0, True), (1, False), (1, False)
    ]  # fmt: skip


def test_no_more_is_held_than_a_few_batches(translator):
    held, most, ended = [], [], []

    def understand(pieces):
        most.append(sum(len(piece.waveform) for piece in held))
        ended.extend(pieces)
        for piece in pieces:
            held[:] = [one for one in held if one is not piece]
        return [Segment(p.start, p.end, "x", "deu", None, 1.0) for p in pieces]

    class Watched:
        longest = 99

        def pieces(self, recording):
            for piece in Manner(detector="none", longest=1.0).segmenter(16_000).pieces(recording):
                held.append(piece)
                yield piece

    told = understand_all([lambda: Recording.open(torch.ones(100 * SAMPLE_RATE))], Watched(),
                          understand, 4)  # fmt: skip
    count = sum(one.segment is not None for one in told)
    assert count == len(ended) > 100
    assert held == []
    assert max(most) <= 16 * SAMPLE_RATE
    assert len(most) > 5


def test_recordings_without_speech_are_told_as_they_are_heard():
    opened = []

    def silence(number):
        opened.append(number)
        return Recording.open(torch.zeros(SAMPLE_RATE))

    openers = [partial(silence, number) for number in range(9)]
    told = understand_all(openers, Manner().segmenter(16_000), None, 4)
    assert next(told).recording == 0
    assert opened == [0]
    assert [one.recording for one in told] == list(range(1, 9))


def test_what_is_let_go_of_cannot_be_asked():
    with Translator.from_pretrained() as once:
        assert once.translate(PLACES[0]).text
        once.close()
    once.close()
    with pytest.raises(UserError, match="was let go of"):
        once.translate(PLACES[0])
    with pytest.raises(AttributeError, match="no attribute 'colour'"):
        once.colour  # noqa: B018 (to ask is what fails)


def test_segments_are_put_together_by_time():
    segments = (
        Segment(0.0, 1.0, "one", "fra", 0.5, 1.0),
        Segment(2.0, 6.0, "two", "deu", 0.9, 1.0),
        Segment(7.0, 9.0, "", "deu", 0.6, 1.0),
    )
    answer = put_together(segments, 10.0)
    assert (answer.text, answer.language) == ("one two", "deu")
    assert answer.certainty == pytest.approx(0.8)
    assert put_together(segments, 10.0, "").text == "onetwo"
    nothing = put_together((), 3.0)
    assert nothing.no_speech
    assert (nothing.text, nothing.language, nothing.certainty) == ("", "", None)
    assert list(collect([], "translation", " ")) == []


@pytest.mark.parametrize(
    ("options", "told"),
    [({"batch_size": 0}, "must be 1 or more"), ({"detector": "ears"}, "no detector 'ears'")],
)
def test_a_manner_that_cannot_be_is_told(options, told):
    with pytest.raises(UserError, match=told):
        Manner(**options)
