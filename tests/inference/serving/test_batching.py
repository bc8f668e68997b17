"""Dynamic batches: full, fair, bounded, and of nothing that nobody waits for."""

import threading
import time
from concurrent.futures import CancelledError

import pytest
import torch

from speechalign import Translator
from speechalign.audio.segment import Piece
from speechalign.errors import UserError
from speechalign.inference.answers import Segment
from speechalign.inference.asking import Question
from speechalign.inference.manner import Manner
from speechalign.inference.serving.batching import Asked, Batcher, ClosedError, FullError
from speechalign.languages import language

GERMAN = Asked(Question("st", "translation", "eng"), language("deu"), Manner())
FRENCH = GERMAN._replace(source=language("fra"))


def piece(number: float) -> Piece:
    """A piece whose start says which it is."""
    return Piece(float(number), number + 1.0, torch.zeros(1600), float(number))


class Model:
    """Takes note of its batches, and waits where it is told to."""

    def __init__(self) -> None:
        self.batches: list[list[float]] = []
        self.free = threading.Event()
        self.free.set()
        self.began = threading.Event()

    def __call__(self, pieces, question, source, manner):
        self.batches.append([one.start for one in pieces])
        self.began.set()
        assert self.free.wait(10)
        if any(one.start == 13 for one in pieces):
            raise UserError("Thirteen is no good.")
        return [Segment(one.start, one.end, str(one.start), source.code, None, 1.0)
                for one in pieces]  # fmt: skip

    def busy(self, batcher: Batcher):
        """Hold the model by a first piece, so that others gather."""
        self.free.clear()
        self.began.clear()
        future = batcher.lane().put(piece(-1), GERMAN)
        assert self.began.wait(10)
        return future


@pytest.fixture
def model() -> Model:
    return Model()


def test_what_gathers_meanwhile_is_one_batch(model):
    with Batcher(model, batch_size=8) as batcher:
        model.busy(batcher)
        futures = [batcher.lane().put(piece(n), GERMAN) for n in range(6)]
        assert batcher.depth == 6
        model.free.set()
        assert [one.result(10).text for one in futures] == [f"{n}.0" for n in range(6)]
    assert model.batches == [[-1], [0, 1, 2, 3, 4, 5]]


def test_a_long_request_does_not_starve_a_short_one(model):
    with Batcher(model, batch_size=4) as batcher:
        model.busy(batcher)
        long = batcher.lane()
        many = [long.put(piece(n), GERMAN) for n in range(100, 112)]
        short = batcher.lane().put(piece(0), GERMAN)
        other = batcher.lane().put(piece(1), GERMAN)
        model.free.set()
        assert short.result(10)
        assert other.result(10)
        assert [one.result(10).start for one in many] == list(range(100, 112))
    assert model.batches[1] == [100, 0, 1, 101]


def test_only_what_asks_the_same_shares_a_batch_and_others_are_next(model):
    with Batcher(model, batch_size=2) as batcher:
        model.busy(batcher)
        german, french = batcher.lane(), batcher.lane()
        futures = [german.put(piece(n), GERMAN) for n in range(4)]
        futures.append(french.put(piece(9), FRENCH))
        model.free.set()
        for one in futures:
            one.result(10)
        assert futures[-1].result().language == "fra"
    assert model.batches == [[-1], [0, 1], [9], [2, 3]]


def test_company_is_waited_for_but_not_for_long(model):
    with Batcher(model, company=0.2) as batcher:
        start = time.monotonic()
        first = batcher.lane().put(piece(0), GERMAN)
        time.sleep(0.05)
        second = batcher.lane().put(piece(1), GERMAN)
        first.result(10)
        second.result(10)
        assert 0.15 < time.monotonic() - start < 5
    assert model.batches == [[0, 1]]


def test_what_a_closed_lane_held_is_dropped_and_its_place_is_free(model):
    with Batcher(model, lanes=2) as batcher:
        model.busy(batcher)
        with batcher.lane() as lane:
            future = lane.put(piece(1), GERMAN)
            with pytest.raises(FullError, match="try again later"):
                batcher.lane()
        assert (batcher.depth, batcher.in_flight) == (0, 1)
        with pytest.raises(CancelledError):
            future.result(1)
        with pytest.raises(ClosedError):
            lane.put(piece(2), GERMAN)
        lane.close()  # twice is once
        model.free.set()
        batcher.lane().put(piece(3), GERMAN).result(10)
    assert model.batches == [[-1], [3]]


def test_a_cancelled_piece_is_not_understood(model):
    with Batcher(model) as batcher:
        model.busy(batcher)
        lane = batcher.lane()
        dropped, kept = lane.put(piece(1), GERMAN), lane.put(piece(2), GERMAN)
        dropped.cancel()
        model.free.set()
        kept.result(10)
    assert model.batches == [[-1], [2]]


def test_a_fault_of_one_piece_is_its_own(model):
    with Batcher(model) as batcher:
        model.busy(batcher)
        futures = [batcher.lane().put(piece(n), GERMAN) for n in (12, 13, 14)]
        model.free.set()
        assert [futures[at].result(10).text for at in (0, 2)] == ["12.0", "14.0"]
        with pytest.raises(UserError, match="Thirteen"):
            futures[1].result(10)
        assert batcher.lane().put(piece(15), GERMAN).result(10)


def test_to_stop_finishes_what_waits_and_takes_nothing_more(model):
    batcher = Batcher(model, batch_size=1)
    batcher.start()
    model.busy(batcher)
    lane = batcher.lane()
    futures = [lane.put(piece(n), GERMAN) for n in range(3)]
    threading.Timer(0.1, model.free.set).start()
    batcher.stop()
    assert [one.result(0).start for one in futures] == [0, 1, 2]
    assert not batcher.alive
    with pytest.raises(ClosedError):
        lane.put(piece(4), GERMAN)
    with pytest.raises(ClosedError):
        batcher.lane()


def test_the_more_requests_the_smaller_the_share_of_each(model):
    batcher = Batcher(model, batch_size=8, lanes=40)
    shares = []
    for _ in range(40):
        batcher.lane()
        shares.append(batcher.share)
    assert (shares[0], shares[1], shares[-1]) == (16, 8, 2)


def test_sizes_are_told(model):
    told: list[tuple[int, float]] = []
    with Batcher(model, observe=lambda *one: told.append(one)) as batcher:
        batcher.lane().put(piece(1), GERMAN).result(10)
    assert [size for size, _ in told] == [1]


@pytest.mark.parametrize("sizes", [{"batch_size": 0}, {"lanes": 0}])
def test_nothing_at_once_is_refused(model, sizes):
    with pytest.raises(UserError, match="1 or more"):
        Batcher(model, **sizes)


def test_answers_are_those_of_the_translator():
    from speechalign.data.examples import read_audio
    from speechalign.data.fleurs import Fleurs

    translator = Translator.from_pretrained(beams=1)
    corpus = Fleurs("assets:micro/fleurs")
    sounds = [read_audio(one) for one in list(corpus.utterances("deu", "test"))[:6]]
    alone = [translator.translate(sound, from_="deu", detector="none").text for sound in sounds]
    with Batcher(translator.understand, batch_size=4) as batcher:
        pieces = [Piece(0.0, len(sound) / 16_000, sound, 0.0) for sound in sounds]
        futures = [batcher.lane().put(one, GERMAN) for one in pieces]
        assert [one.result(60).text for one in futures] == alone
