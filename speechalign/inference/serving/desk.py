"""What answers the requests of a server: recordings are opened, cut, and understood in batches.

Sound is decoded in threads of its own, never where requests are received, and no thread is held by
a recording that waits for the model.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

import soundfile

from speechalign.audio.recording import Recording
from speechalign.audio.segment import Piece
from speechalign.errors import UserError
from speechalign.inference.answers import Segment
from speechalign.inference.serving.batching import Asked, Batcher, ClosedError, FullError, Lane
from speechalign.inference.serving.errors import RETRY_AFTER, RefusalError
from speechalign.inference.serving.limits import Limits
from speechalign.inference.serving.metrics import Metrics
from speechalign.inference.translator import Translator

DECODERS = 2  # threads; each holds a minute of sound at most

T = TypeVar("T")


class Desk:
    """A model and all that is kept about the requests to it.

    Args:
        translator: That answers.
        name: By which the model is served.
        limits: Of requests.
        batch_size: Pieces of speech that are understood together at most.
        key: That clients must have; None: anybody may ask.
    """

    def __init__(
        self, translator: Translator, name: str, limits: Limits, batch_size: int, key: str | None
    ) -> None:
        self.translator, self.name, self.limits, self.key = translator, name, limits, key
        self.metrics = Metrics()
        self.batcher = Batcher(
            translator.understand, batch_size, limits.requests, observe=self.metrics.understood
        )
        self.decoders = ThreadPoolExecutor(DECODERS, "speechalign-decoder")
        self.draining = False  # whether only what is begun is still answered

    async def stop(self) -> None:
        """Finish what the model has begun, and end all threads."""
        self.draining = True
        await asyncio.to_thread(self.batcher.stop)
        self.decoders.shutdown(wait=False, cancel_futures=True)

    @property
    def state(self) -> str:
        """What it can do: `ready`, `draining`, or nothing, `stopped`."""
        if self.draining:
            return "draining"
        return "ready" if self.batcher.alive else "stopped"

    def numbers(self) -> str:
        """Write the metrics."""
        return self.metrics.text({
            "queue_pieces": self.batcher.depth,
            "requests_in_flight": self.batcher.in_flight,
            "requests_limit": self.limits.requests,
            "draining": self.draining,
        })

    def lane(self) -> Lane:
        """Give a request its place.

        Raises:
            RefusalError: If there is none left, or the server is stopping.
        """
        try:
            if self.draining:
                raise ClosedError("This server is stopping: send the request again, to the next.")
            return self.batcher.lane()
        except FullError as error:
            raise RefusalError(429, str(error), None, "queue_full", RETRY_AFTER) from error
        except ClosedError as error:
            raise RefusalError(503, str(error), None, "draining", RETRY_AFTER) from error

    async def recording(self, file: Path, deadline: float) -> Recording:
        """Look at an upload.

        Args:
            file: On disk.
            deadline: On the event loop's clock.

        Raises:
            RefusalError: If it is no audio, too long, or time is up.
        """
        return await self.threaded(self._open, file, file=file, deadline=deadline)

    def _open(self, file: Path) -> Recording:
        with suppress(soundfile.SoundFileError, TypeError):  # of no audio, which `open` tells
            about = soundfile.info(str(file))
            self.limits.check_density(about.samplerate, about.channels)
        recording = Recording.open(file)
        self.limits.check_duration(recording.duration)
        return recording

    async def segments(
        self, recording: Recording, lane: Lane, asked: Asked, deadline: float
    ) -> AsyncIterator[Segment]:
        """Understand a recording, and tell each segment as soon as it and all before it are.

        Args:
            recording: By `recording`.
            lane: The place of its request.
            asked: What is wanted.
            deadline: On the event loop's clock.

        Raises:
            RefusalError: If it cannot be read to its end, or time is up.
            UserError: If the model cannot answer.
        """
        window = self.translator.model.encoder.window_samples
        pieces = asked.manner.segmenter(window).pieces(recording)
        under_way: deque[asyncio.Future[Segment]] = deque()
        file, ended = Path(str(recording.source)), False
        try:
            while not ended or under_way:
                while not ended and len(under_way) < self.batcher.share:
                    piece = await self.threaded(following, pieces, file=file, deadline=deadline)
                    if piece is None:
                        ended = True
                    else:
                        under_way.append(asyncio.wrap_future(lane.put(piece, asked)))
                if under_way:
                    yield await self.in_time(under_way[0], deadline)
                    under_way.popleft()
            self.metrics.heard(recording.duration)
        finally:
            for future in under_way:
                future.cancel()

    async def threaded(self, work: Callable[..., T], *told: Any, file: Path, deadline: float) -> T:
        """Work on an upload in a decoder's thread; its name on the disk is nobody's business.

        Raises:
            RefusalError: If the upload cannot be used, or time is up.
        """
        loop = asyncio.get_running_loop()
        try:
            return await self.in_time(loop.run_in_executor(self.decoders, work, *told), deadline)
        except RefusalError:
            raise
        except UserError as error:
            message = str(error).replace(repr(str(file)), "The uploaded file")
            raise RefusalError(400, message, "file", "invalid_audio") from error

    async def in_time(self, work: Awaitable[T], deadline: float) -> T:
        """Wait for something until time is up.

        Raises:
            RefusalError: If it is.
        """
        try:
            async with asyncio.timeout_at(deadline):
                return await work
        except TimeoutError as error:
            raise RefusalError(
                504,
                f"This took longer than {self.limits.timeout:g} s, the most that a request may"
                " take: try again when there is less to do, or send the recording in parts.",
                None,
                "timeout",
                RETRY_AFTER,
            ) from error


def following(pieces: Iterator[Piece]) -> Piece | None:
    """Cut the next piece; none at the end."""
    return next(pieces, None)
