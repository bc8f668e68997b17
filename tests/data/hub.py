"""A small Hub on 127.0.0.1: the tree, the commit and the files of one dataset, by range."""

import hashlib
import json
import re
import threading
import time
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import NamedTuple
from urllib.parse import unquote, urlsplit

COMMIT = "c0ffee" + 34 * "0"
PAGE = 4  # entries a page of the tree
SMALL = 300  # bytes: what is larger is told by its SHA-256, as LFS does


class Request(NamedTuple):
    """What was asked for."""

    path: str
    range: str | None
    status: int


class FakeHub(ThreadingHTTPServer):
    """Serves `files`; what it is asked for is in `log`."""

    daemon_threads = True

    def __init__(self, files: dict[str, bytes]):
        super().__init__(("127.0.0.1", 0), Handler)
        self.files = files
        self.revisions = {"main": COMMIT, COMMIT: COMMIT}
        self.log: list[Request] = []
        self.cut_at: int | None = None  # bytes of an archive after which connections break
        self.pause = 0.0  # seconds after each piece
        self.sent = 0  # bytes of files, in all
        self.ranges = True

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def asked(self, ending: str) -> list[Request]:
        return [request for request in self.log if request.path.endswith(ending)]


class Handler(BaseHTTPRequestHandler):
    server: FakeHub
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # else each answer waits 40 ms between its head and its body

    def log_message(self, *args):
        """Keep quiet."""

    def do_GET(self):
        path = unquote(urlsplit(self.path).path)
        api = re.fullmatch(r"/api/datasets/google/fleurs/(revision|tree)/(.+)", path)
        file = re.fullmatch(r"/datasets/google/fleurs/resolve/([^/]+)/(.+)", path)
        revision = api[2] if api else file[1] if file else ""
        stored = path.removeprefix("/cdn/")
        if stored in self.server.files:
            self.send_content(self.server.files[stored], path)
        elif revision not in self.server.revisions:
            self.fail("RevisionNotFound")
        elif file and len(self.server.files.get(file[2], b"")) > SMALL:
            self.send_elsewhere(f"{self.server.endpoint}/cdn/{file[2]}")
        elif file and file[2] in self.server.files:
            self.send_content(self.server.files[file[2]], path)
        elif api and api[1] == "revision":
            self.send_json({"id": "google/fleurs", "sha": self.server.revisions[revision]})
        elif api:
            self.send_tree()
        else:
            self.fail("EntryNotFound")

    def fail(self, code: str):
        self.send_response(404)
        self.send_header("X-Error-Code", code)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def send_elsewhere(self, address: str):
        """Large files are not on the Hub itself."""
        self.send_response(302)
        self.send_header("Location", address)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def send_json(self, value, next_page: str | None = None):
        content = json.dumps(value).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.send_header("Content-Type", "application/json")
        if next_page:
            self.send_header("Link", f'<{next_page}>; rel="next"')
        self.end_headers()
        self.wfile.write(content)

    def send_tree(self):
        cursor = re.search(r"cursor=(\d+)", self.path)
        start = int(cursor[1]) if cursor else 0
        entries = [entry(path, content) for path, content in sorted(self.server.files.items())]
        more = f"{self.server.endpoint}{urlsplit(self.path).path}?cursor={start + PAGE}"
        self.send_json(entries[start : start + PAGE], more if start + PAGE < len(entries) else None)

    def send_content(self, content: bytes, path: str):
        asked = self.headers.get("Range")
        start = int(re.fullmatch(r"bytes=(\d+)-", asked)[1]) if asked and self.server.ranges else 0
        self.server.log.append(Request(path, asked, 206 if start else 200))
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(content) - start))
        self.send_header("X-Repo-Commit", COMMIT)
        self.send_header("ETag", hashlib.sha256(content).hexdigest())
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        self.end_headers()
        end = len(content)
        if self.server.cut_at is not None and path.endswith(".gz"):
            end = min(end, self.server.cut_at)
            self.close_connection = True
        for piece in range(start, end, 1 << 15):
            self.server.sent += self.wfile.write(content[piece : min(piece + (1 << 15), end)])
            time.sleep(self.server.pause)

    def handle(self):
        try:
            super().handle()
        except (ConnectionError, BrokenPipeError):
            """The client was killed."""


def entry(path: str, content: bytes) -> dict:
    """Describe a file as the Hub's tree does."""
    told = {"type": "file", "path": path, "size": len(content)}
    if len(content) > SMALL:
        digest = hashlib.sha256(content).hexdigest()
        lfs = {"oid": digest, "size": len(content), "pointerSize": 134}
        return told | {"oid": 40 * "0", "lfs": lfs}
    header = f"blob {len(content)}\0".encode()
    return told | {"oid": hashlib.sha1(header + content).hexdigest()}


@contextmanager
def serve(files: dict[str, bytes]):
    """Run a FakeHub."""
    with FakeHub(files) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


def contents(folder: Path) -> dict[str, bytes]:
    """Read all files of a folder."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }
