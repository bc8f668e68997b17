"""Pieces of speech of many requests, gathered into batches while a model is at work.

Each request has a lane. One thread takes a piece of every lane in turn, so that a recording of an
hour does not keep a sentence waiting, and has the model understand them together. What is waiting
when the model is free is a batch; if that is less than a full one, company is waited for, for a few
milliseconds.
"""

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from itertools import chain, takewhile, zip_longest
from typing import NamedTuple, Self

from speechalign.audio.segment import Piece
from speechalign.errors import UserError
from speechalign.inference.answers import Segment
from speechalign.inference.asking import Question
from speechalign.inference.manner import Manner
from speechalign.languages import Language

COMPANY = 0.005  # seconds that a piece waits for others to be understood with it
AHEAD = 2  # batches, or pieces of a request: one is understood, the next is ready

Understand = Callable[[Sequence[Piece], Question, Language | None, Manner], list[Segment]]


class FullError(UserError):
    """There are as many requests as may be; another may come later."""


class ClosedError(UserError):
    """Nothing more is understood: the work has been stopped."""


class Asked(NamedTuple):
    """What pieces must have in common to be understood together."""

    question: Question
    source: Language | None  # of the speech; None: to be guessed
    manner: Manner


class Waiting(NamedTuple):
    """A piece that waits for its turn."""

    piece: Piece
    asked: Asked
    future: "Future[Segment]"
    since: float  # on the monotonic clock


class Lane:
    """The place of one request: its pieces wait here, and go with it when it is left.

    A context manager: to leave it drops what has not begun.
    """

    def __init__(self, batcher: "Batcher") -> None:
        self._batcher = batcher
        self.waiting: deque[Waiting] = deque()

    def put(self, piece: Piece, asked: Asked) -> "Future[Segment]":
        """Have a piece understood.

        Returns:
            What becomes its segment, or the error that the model raised. It is cancelled if the
            lane is closed before its turn.

        Raises:
            ClosedError: If the lane or the batcher is.
        """
        return self._batcher.put(self, Waiting(piece, asked, Future(), time.monotonic()))

    def close(self) -> None:
        """Give the place free, and drop what is waiting in it."""
        self._batcher.leave(self)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class Batcher:
    """One thread that understands the pieces of all lanes, batch by batch.

    A context manager: to leave it is to stop it.

    Args:
        understand: Answers one batch, as `Translator.understand` does; called by one thread only.
        batch_size: Pieces that are understood together at most.
        lanes: Requests in flight at most.
        company: Seconds that a piece waits for others while the batch is not full.
        observe: Told the size of each batch and the seconds that it took.
    """

    def __init__(
        self,
        understand: Understand,
        batch_size: int = 16,
        lanes: int = 128,
        company: float = COMPANY,
        observe: Callable[[int, float], None] | None = None,
    ) -> None:
        if batch_size < 1 or lanes < 1:
            raise UserError(
                f"Batches of {batch_size} for {lanes} requests cannot be: give 1 or more of each."
            )
        self.batch_size, self.lanes, self.company = batch_size, lanes, company
        self._understand, self._observe = understand, observe
        self._open: list[Lane] = []  # whose turn it is, the next one first
        self._changed = threading.Condition()
        self._stopping = False
        self._thread = threading.Thread(target=self._work, name="speechalign-batches", daemon=True)

    def start(self) -> None:
        """Begin to work."""
        self._thread.start()

    def stop(self) -> None:
        """Understand what is waiting, take nothing more, and end the thread."""
        with self._changed:
            self._stopping = True
            self._changed.notify_all()
        if self._thread.is_alive():
            self._thread.join()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def alive(self) -> bool:
        """Whether the thread is at work."""
        return self._thread.is_alive()

    @property
    def in_flight(self) -> int:
        """Lanes that are open."""
        return len(self._open)

    @property
    def depth(self) -> int:
        """Pieces that wait for their turn."""
        with self._changed:
            return sum(len(lane.waiting) for lane in self._open)

    @property
    def share(self) -> int:
        """Pieces that one request should have under way: its part of what keeps the model busy.

        However many requests there are, their sound then needs little more memory than that of few.
        """
        return max(AHEAD, AHEAD * self.batch_size // max(1, len(self._open)))

    def lane(self) -> Lane:
        """Give a request its place.

        Raises:
            FullError: If there are as many requests as may be.
            ClosedError: If the batcher has been stopped.
        """
        with self._changed:
            if self._stopping:
                raise ClosedError("Nothing more is understood here: ask another server, or later.")
            if len(self._open) >= self.lanes:
                raise FullError(
                    f"{self.lanes} requests are being answered, as many as may be: try again later."
                )
            lane = Lane(self)
            self._open.append(lane)
            return lane

    def put(self, lane: Lane, waiting: Waiting) -> "Future[Segment]":
        """Put a piece into a lane; see `Lane.put`."""
        with self._changed:
            if self._stopping or lane not in self._open:
                raise ClosedError(
                    "This request has ended, and no further piece of it is understood."
                )
            lane.waiting.append(waiting)
            self._changed.notify_all()
        return waiting.future

    def leave(self, lane: Lane) -> None:
        """Close a lane; see `Lane.close`."""
        with self._changed:
            if lane in self._open:
                self._open.remove(lane)
            dropped = list(lane.waiting)
            lane.waiting.clear()
            self._changed.notify_all()
        for one in dropped:  # outside the lock: who waits for them may call back
            one.future.cancel()

    def _work(self) -> None:
        while batch := self._next():
            start = time.monotonic()
            self._answer(batch)
            if self._observe is not None:
                self._observe(len(batch), time.monotonic() - start)

    def _next(self) -> list[Waiting]:
        """Wait for the next batch, and take it; nothing at the end of all work."""
        with self._changed:
            while True:
                picked = self._pick()
                if not picked and self._stopping:
                    return []
                if self._ready(picked):
                    self._take(picked)
                    begun = [one for one in picked if one.future.set_running_or_notify_cancel()]
                    if begun:
                        return begun

    def _ready(self, picked: Sequence[Waiting]) -> bool:
        """Tell whether a batch is to begin now; if not, wait until something has changed."""
        if not picked:
            self._changed.wait()
            return False
        patience = min(one.since for one in picked) + self.company - time.monotonic()
        if len(picked) == self.batch_size or patience <= 0 or self._stopping:
            return True
        self._changed.wait(patience)
        return False

    def _take(self, picked: Sequence[Waiting]) -> None:
        """Take pieces out of their lanes, which then wait for their next turn."""
        taken = {id(one) for one in picked}
        served = [lane for lane in self._open if lane.waiting and id(lane.waiting[0]) in taken]
        for lane in served:
            while lane.waiting and id(lane.waiting[0]) in taken:
                lane.waiting.popleft()
        self._open = [lane for lane in self._open if lane not in served] + served

    def _pick(self) -> list[Waiting]:
        """Choose a batch: what the first lane asks, of each lane that asks the same in turn."""
        lanes = [lane for lane in self._open if lane.waiting]
        if not lanes:
            return []
        asked = lanes[0].waiting[0].asked
        fitting = [takewhile(lambda one: one.asked == asked, lane.waiting) for lane in lanes]
        turns = chain.from_iterable(zip_longest(*fitting))
        return [one for one in turns if one is not None][: self.batch_size]

    def _answer(self, batch: Sequence[Waiting]) -> None:
        """Understand a batch; where it fails, piece by piece, so that one harms no other."""
        try:
            segments = self._understand([one.piece for one in batch], *batch[0].asked)
        except Exception as error:  # noqa: BLE001 (whatever it is, it is told to who asked)
            if len(batch) == 1:
                batch[0].future.set_exception(error)
                return
            for one in batch:
                self._answer([one])
            return
        for one, segment in zip(batch, segments, strict=True):
            one.future.set_result(segment)
