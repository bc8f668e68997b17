"""A server of transcripts and translations, with the audio endpoints of OpenAI's API.

What comes in is a form with a recording; what goes out is text, subtitles, JSON, or events. All
requests in flight share the batches of one model.
"""

import asyncio
import time
from collections.abc import AsyncIterable, AsyncIterator, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Annotated, Any, NamedTuple, TypeVar

from fastapi import Depends, FastAPI
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from speechalign.inference.answers import Segment
from speechalign.inference.asking import Wanted
from speechalign.inference.serving.batching import Lane
from speechalign.inference.serving.desk import Desk
from speechalign.inference.serving.errors import GONE, RefusalError, install
from speechalign.inference.serving.fields import GRANULARITIES, fields_of, read_wish
from speechalign.inference.serving.limits import Limits, check_key
from speechalign.inference.serving.metrics import TYPE
from speechalign.inference.serving.responses import events, finished, written
from speechalign.inference.serving.upload import received
from speechalign.inference.translator import Translator
from speechalign.version import __version__

TRANSCRIPTIONS, TRANSLATIONS = "/v1/audio/transcriptions", "/v1/audio/translations"
MODELS, HEALTH, METRICS = "/v1/models", "/health", "/metrics"
PATHS = (TRANSCRIPTIONS, TRANSLATIONS, MODELS, HEALTH, METRICS)
NAME = "speechalign"

T = TypeVar("T")


class Seat(NamedTuple):
    """The place of one request, until its last byte is sent."""

    lane: Lane
    stack: AsyncExitStack  # of what ends with the request
    deadline: float  # on the event loop's clock


def build_app(
    translator: Translator,
    name: str = NAME,
    limits: Limits | None = None,
    batch_size: int = 16,
    key: str | None = None,
    page: bool = False,
) -> FastAPI:
    """Make the app; its desk is `app.state.desk`.

    Args:
        translator: That answers; others may use it meanwhile, which takes its lock.
        name: By which clients ask for the model.
        limits: Of requests.
        batch_size: Pieces of speech that are understood together at most; no effect on texts.
        key: That clients must have; None: anybody may ask.
        page: Whether there is a page for readers, at `/page` (of the extra `page`).
    """
    desk = Desk(translator, name, limits or Limits(), batch_size, key)

    @asynccontextmanager
    async def working(_: FastAPI) -> AsyncIterator[None]:
        desk.batcher.start()
        try:
            yield
        finally:
            await desk.stop()

    app = FastAPI(title="speechalign", version=__version__, lifespan=working)
    app.state.desk = desk
    app.add_middleware(Counted, desk=desk)
    install(app)

    @app.post(TRANSCRIPTIONS, openapi_extra=form("transcript"))
    async def transcriptions(request: Request, seat: Annotated[Seat, Depends(take_seat)]) -> Any:
        """Write down speech in its own language."""
        return await respond(request, seat, "transcript")

    @app.post(TRANSLATIONS, openapi_extra=form("translation"))
    async def translations(request: Request, seat: Annotated[Seat, Depends(take_seat)]) -> Any:
        """Translate speech."""
        return await respond(request, seat, "translation")

    @app.get(MODELS)
    async def models(request: Request) -> Any:
        """List the one model."""
        check_key(request.headers, desk.key)
        return {"object": "list", "data": [card(desk)]}

    @app.get(f"{MODELS}/{{model:path}}")
    async def model(request: Request, model: str) -> Any:
        """Tell about the model."""
        check_key(request.headers, desk.key)
        if model != desk.name:
            reason = f"The model {model[:64]!r} is not served here: ask for {desk.name!r}."
            raise RefusalError(404, reason, "model", "model_not_found")
        return card(desk)

    @app.get(HEALTH)
    async def health() -> Any:
        """Tell whether requests are answered."""
        return JSONResponse({"status": desk.state}, 200 if desk.state == "ready" else 503)

    @app.get(METRICS)
    async def metrics() -> Any:
        """Tell what has been done, for Prometheus."""
        return PlainTextResponse(desk.numbers(), media_type=TYPE)

    if page:
        from speechalign.inference.serving.page import mount  # of an extra of its own

        mount(app, desk)
    return app


async def take_seat(request: Request) -> AsyncIterator[Seat]:
    """Let a request in, and give its place free when it has been answered or has gone.

    Raises:
        RefusalError: If it is not let in; nothing of its body has then been read.
    """
    desk: Desk = request.app.state.desk
    check_key(request.headers, desk.key)
    desk.limits.check_length(request.headers)
    deadline = asyncio.get_running_loop().time() + desk.limits.timeout
    with desk.lane() as lane:
        async with AsyncExitStack() as stack:
            yield Seat(lane, stack, deadline)


async def respond(request: Request, seat: Seat, wanted: Wanted) -> Response:
    """Answer one request.

    Raises:
        RefusalError: If it cannot be answered.
        ClientDisconnect: If its client has gone.
    """
    desk: Desk = request.app.state.desk
    try:
        async with asyncio.timeout_at(seat.deadline):
            upload = await seat.stack.enter_async_context(received(request, desk.limits))
    except TimeoutError as error:
        raise RefusalError(
            408,
            f"The upload took longer than {desk.limits.timeout:g} s: send less, or faster.",
            "file",
            "timeout",
        ) from error
    wish = read_wish(upload.fields, wanted, desk.translator, desk.name)
    recording = await unless_gone(request, desk.recording(upload.file, seat.deadline))
    told = desk.segments(recording, seat.lane, wish.asked, seat.deadline)
    if wish.stream:
        return StreamingResponse(
            events(told, recording.duration, wish),
            media_type="text/event-stream",
            headers={"Cache-Control": "no-cache", "X-Accel-Buffering": "no"},
        )
    segments = await unless_gone(request, gathered(told))
    answer = finished(segments, recording.duration, wish)
    return written(answer, wish)


async def gathered(told: AsyncIterable[Segment]) -> list[Segment]:
    """Wait for all segments."""
    return [segment async for segment in told]


async def unless_gone(request: Request, work: Coroutine[Any, Any, T]) -> T:
    """Work as long as the client waits for it.

    Raises:
        ClientDisconnect: If it does not; the work is then cancelled.
    """
    task, gone = asyncio.create_task(work), asyncio.create_task(disconnected(request))
    try:
        await asyncio.wait({task, gone}, return_when=asyncio.FIRST_COMPLETED)
        if not task.done():
            raise ClientDisconnect
        return task.result()
    finally:
        task.cancel()
        gone.cancel()
        await asyncio.gather(task, gone, return_exceptions=True)


async def disconnected(request: Request) -> None:
    """Wait until a client, whose request has been read, has gone."""
    while (await request.receive())["type"] != "http.disconnect":
        pass


def card(desk: Desk) -> dict[str, Any]:
    """Describe the model, with OpenAI's names where it has them."""
    translator = desk.translator
    return {
        "id": desk.name,
        "object": "model",
        "created": 0,  # a checkpoint does not tell
        "owned_by": "speechalign",
        "languages": {
            "trained": translator.languages,
            "zero_shot": translator.zero_shot,
            "target": translator.target,
        },
    }


def form(wanted: Wanted) -> dict[str, Any]:
    """Describe the form of an endpoint, for its page at /docs."""
    fields: dict[str, Any] = {
        name: {"type": "string", "description": told} for name, told in fields_of(wanted).items()
    }
    fields[GRANULARITIES] |= {"type": "array", "items": {"type": "string"}}
    fields["file"] = {"type": "string", "format": "binary", "description": "wav, flac, ogg, mp3"}
    schema = {"type": "object", "required": ["file", "model"], "properties": fields}
    return {"requestBody": {"content": {"multipart/form-data": {"schema": schema}}}}


class Counted:
    """Counts the requests that an app answers, by path, status and time."""

    def __init__(self, app: ASGIApp, desk: Desk) -> None:
        self.app, self.desk = app, desk

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, and count."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        path = scope["path"] if scope["path"] in PATHS else "other"  # else clients could name many
        status, start = GONE, time.monotonic()

        async def noted(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self.app(scope, receive, noted)
        except Exception:
            status = 500  # told by what is around this
            raise
        finally:
            self.desk.metrics.answered(path, status, time.monotonic() - start)
