"""A small Hub of models on 127.0.0.1: repositories are made, pushed to, and fetched from."""

import base64
import hashlib
import json
import re
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote, urlsplit

from huggingface_hub import constants

Files = dict[str, bytes]


class ModelHub(ThreadingHTTPServer):
    """Holds the commits of each repository; what it is asked for is in `log`."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.commits: dict[str, list[Files]] = {}
        self.private: dict[str, bool] = {}
        self.log: list[str] = []
        self.refuses: tuple[int, str] | None = None  # status and error code, to everything

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def find(self, repository: str, revision: str) -> Files | None:
        names = {sha(n): files for n, files in enumerate(self.commits.get(repository, []))}
        return list(names.values())[-1] if revision == "main" and names else names.get(revision)


class Handler(BaseHTTPRequestHandler):
    server: ModelHub
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # else each answer waits 40 ms between its head and its body

    def log_message(self, *args):
        """Keep quiet."""

    def do_POST(self):
        content = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        path = self.noted()
        if self.server.refuses:
            self.answer({}, *self.server.refuses)
        elif path == "/api/repos/create":
            self.create(json.loads(content))
        elif path == "/api/validate-yaml":
            self.answer({"errors": [], "warnings": []})
        elif path.endswith("/preupload/main"):
            files = json.loads(content)["files"]
            modes = [
                {"path": one["path"], "uploadMode": "regular", "shouldIgnore": False}
                for one in files
            ]
            self.answer({"files": modes})
        else:
            self.commit(re.fullmatch(r"/api/models/(.+)/commit/main", path)[1], content)

    def do_GET(self):
        path = self.noted()
        api = re.fullmatch(r"/api/models/([^/]+/[^/]+?)(?:/(revision|tree)/([^/]+))?", path)
        file = re.fullmatch(r"/([^/]+/[^/]+)/resolve/([^/]+)/(.+)", path)
        asked = api or file
        if asked is None:
            self.answer({}, 404, "EntryNotFound")
            return
        repository = asked[1]
        files = self.server.find(repository, (api[3] or "main") if api else file[2])
        if self.server.refuses:
            self.answer({}, *self.server.refuses)
        elif repository not in self.server.commits:
            self.answer({}, 404, "RepoNotFound")
        elif files is None:
            self.answer({}, 404, "RevisionNotFound")
        elif file:
            self.content(files, file[3])
        elif api[2] == "tree":
            self.answer([entry(name, content) for name, content in sorted(files.items())])
        else:
            commit = sha(self.server.commits[repository].index(files))
            self.answer({"id": repository, "sha": commit, "private": False})

    def do_HEAD(self):
        self.do_GET()

    def noted(self) -> str:
        path = unquote(urlsplit(self.path).path)
        self.server.log.append(f"{self.command} {path}")
        return path

    def create(self, asked: dict):
        repository = f"{asked['organization']}/{asked['name']}"
        there = repository in self.server.commits
        self.server.commits.setdefault(repository, [{}])
        self.server.private.setdefault(repository, asked.get("visibility") == "private")
        told = {"url": f"{self.server.endpoint}/{repository}", "id": repository}
        self.answer(told, 409 if there else 200)

    def commit(self, repository: str, content: bytes):
        commits = self.server.commits[repository]
        files = dict(commits[-1])
        for row in map(json.loads, content.splitlines()):
            if row["key"] == "file":
                files[row["value"]["path"]] = base64.b64decode(row["value"]["content"])
        commits.append(files)
        oid = sha(len(commits) - 1)
        url = f"{self.server.endpoint}/{repository}/commit/{oid}"
        self.answer({"commitUrl": url, "commitOid": oid, "success": True})

    def content(self, files: Files, name: str):
        if name not in files:
            self.answer({}, 404, "EntryNotFound")
            return
        content = files[name]
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.send_header("X-Repo-Commit", self.path.split("/resolve/")[1].split("/")[0])
        self.send_header("ETag", f'"{hashlib.sha1(content).hexdigest()}"')
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(content)

    def answer(self, told, status: int = 200, code: str | None = None):
        content = json.dumps(told).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        self.send_header("Content-Type", "application/json")
        if code:
            self.send_header("X-Error-Code", code)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)


def sha(number: int) -> str:
    """Name a commit by its number."""
    return f"{number:040x}"


def entry(name: str, content: bytes) -> dict:
    """Describe a file as the Hub's tree does."""
    blob = hashlib.sha1(f"blob {len(content)}\0".encode() + content).hexdigest()
    return {"type": "file", "path": name, "size": len(content), "oid": blob}


@contextmanager
def models_served(monkeypatch, cache):
    """Run a ModelHub that huggingface_hub asks; what it brings lies in `cache`."""
    with ModelHub() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        url = "/{repo_id}/resolve/{revision}/{filename}"
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)  # whatever the environment says
        monkeypatch.setattr(constants, "ENDPOINT", server.endpoint)
        monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", server.endpoint + url)
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(cache))
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()
