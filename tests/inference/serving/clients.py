"""A real server on a free port, in a thread, and requests to it, for tests."""

import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import httpx
from openai import OpenAI
from typing_extensions import override

from speechalign.assets import resolve
from speechalign.inference.answers import Segment
from speechalign.inference.serving.app import build_app
from speechalign.inference.serving.desk import Desk
from speechalign.inference.serving.process import Server, bound
from speechalign.inference.serving.upload import PREFIX
from speechalign.inference.translator import Translator

CLIPS = resolve("assets:micro/clips")
MODEL = {"model": "speechalign"}


class Held(Translator):
    """A translator that can be kept from answering."""

    def __init__(self, *parts: Any) -> None:
        super().__init__(*parts)
        self.free = threading.Event()
        self.free.set()
        self.asked = 0  # pieces

    @override
    def understand(self, pieces: Any, *how: Any, **more: Any) -> list[Segment]:
        self.asked += len(pieces)
        assert self.free.wait(30)
        return super().understand(pieces, *how, **more)

    @contextmanager
    def busy(self) -> Iterator[None]:
        """Answer nobody within a block."""
        self.free.clear()
        try:
            yield
        finally:
            self.free.set()


class Serving(NamedTuple):
    """A server that answers."""

    port: int
    desk: Desk
    server: Server
    thread: threading.Thread

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def openai(self, key: str = "none") -> OpenAI:
        return OpenAI(base_url=f"{self.url}/v1", api_key=key, max_retries=0)

    def post(self, verb: str = "transcriptions", **what: Any) -> httpx.Response:
        return httpx.post(f"{self.url}/v1/audio/{verb}", timeout=60, **what)

    def get(self, path: str, **what: Any) -> httpx.Response:
        return httpx.get(self.url + path, timeout=60, **what)

    def send(self, sound: bytes, verb: str = "transcriptions", **fields: str) -> httpx.Response:
        """Send a recording as a form."""
        return self.post(verb, files={"file": ("x", sound)}, data=MODEL | fields)


@contextmanager
def serving(translator: Any, **how: Any) -> Iterator[Serving]:
    """Serve within a block; see `build_app`."""
    app, taken = build_app(translator, **how), bound("127.0.0.1", 0)
    port = taken.getsockname()[1]
    server = Server(app)
    thread = threading.Thread(target=server.run, args=([taken],), daemon=True)
    thread.start()
    until(lambda: server.started)
    try:
        yield Serving(port, app.state.desk, server, thread)
    finally:
        server.handle_exit(15, None)
        thread.join(20)
        assert not thread.is_alive()


def until(fact: Callable[[], Any], seconds: float = 20) -> None:
    """Wait until something is so."""
    end = time.monotonic() + seconds
    while not fact():
        assert time.monotonic() < end, "it never came to be"
        time.sleep(0.01)


def clip(name: str = "deu") -> bytes:
    """The bytes of a packaged recording."""
    return Path(CLIPS, f"{name}.ogg").read_bytes()


def uploads() -> list[Path]:
    """What uploads have left on the disk."""
    return list(Path(tempfile.gettempdir()).glob(f"{PREFIX}*"))
