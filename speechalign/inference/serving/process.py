"""A server as a process: it finishes what is begun before it stops, and refuses what comes then."""

import logging
import socket
from types import FrameType

import uvicorn
from fastapi import FastAPI
from typing_extensions import override

from speechalign.errors import UserError
from speechalign.inference.serving.desk import Desk

SECONDS_TO_CLOSE = 5  # of connections, when there is nothing left to answer


class Server(uvicorn.Server):
    """Answers until SIGTERM or Ctrl-C; a second one does not wait.

    Args:
        app: By `build_app`.
        welcome: What is printed when it begins to answer.
    """

    def __init__(self, app: FastAPI, welcome: str | None = None) -> None:
        super().__init__(
            uvicorn.Config(
                app,
                http="h11",  # which reads a refused body to its end, so that clients see why
                ws="none",
                log_level="warning",
                timeout_graceful_shutdown=SECONDS_TO_CLOSE,
            )
        )
        self.desk: Desk = app.state.desk
        self.welcome = welcome
        # it has a line for each malformed form, of which its client is told
        logging.getLogger("python_multipart").setLevel(logging.ERROR)

    @override
    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to answer, and say so."""
        await super().startup(sockets)
        if self.welcome is not None:
            print(self.welcome, flush=True)  # noqa: T201 (whoever waits for it reads it there)

    @override
    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Begin to stop: `/health` says so, and what is new is refused."""
        if self.desk.draining:
            super().handle_exit(sig, frame)
        self.desk.draining = True

    @override
    async def on_tick(self, counter: int) -> bool:
        """Stop when all is answered. Each request has its time, so that this does not last."""
        if self.desk.draining and not self.desk.batcher.in_flight:
            self.should_exit = True
        return await super().on_tick(counter)


def bound(host: str, port: int) -> socket.socket:
    """Take a port, so that nobody else can; who connects waits until a server answers.

    Args:
        host: Name or address.
        port: 0 takes any that is free.

    Raises:
        UserError: If it cannot be had.
    """
    if not 0 <= port < 2**16:
        raise UserError(f"There is no port {port}: give one from 0 to {2**16 - 1}.")
    try:
        family, kind, _, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
    except (OSError, UnicodeError) as error:
        raise UserError(
            f"There is no address {host!r} ({error}): give --host as of a network of this machine."
        ) from error
    taken = socket.socket(family, kind)
    try:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        taken.bind(address)
        taken.listen()  # one that is only bound can be had twice
    except OSError as error:
        taken.close()
        raise UserError(
            f"Port {port} of {host} cannot be used ({error.strerror}): give another --port, or"
            " --host."
        ) from error
    return taken


def address(taken: socket.socket) -> str:
    """Write where a port is reached."""
    host, port = taken.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
