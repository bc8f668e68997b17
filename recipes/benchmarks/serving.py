"""Load a server with many clients at once, some of which go early or send what is wrong.

    python -m recipes.benchmarks.serving

`speechalign serve` runs as a process of its own with the packaged model. What is right must be
answered as `Translator` answers it, what is wrong must be refused with a reason, and whoever has
gone must leave nothing: no place, file, thread, or memory. Any other end stops the benchmark. The
first and the second half are alike, so that memory which grows in the second is a leak.
"""

import argparse
import asyncio
import math
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median, quantiles

import httpx

from recipes.benchmarks.requests import MODEL, Request, right, wrong
from speechalign import Translator

GONE, WRONG = 0.1, 0.1  # shares of the requests
METRICS = 1  # connection that asks for the metrics may be open still
THREADS = 64  # those of pools that fill when they are needed; one a request would be more


class Client:
    """Sends requests, and takes note of what became of them.

    Args:
        url: Of the server.
        draw: Of what clients do.
    """

    def __init__(self, url: str, draw: random.Random) -> None:
        self.url, self.draw = httpx.URL(url), draw
        self.ends: Counter[str] = Counter()
        self.seconds: dict[str, list[float]] = {"short": [], "long": []}
        self.heard = 0.0  # seconds of sound

    async def work(self, requests: Iterator[tuple[str, Request]]) -> None:
        """Send one after the other."""
        async with httpx.AsyncClient(base_url=self.url, timeout=300) as http:
            for kind, request in requests:
                if kind == "gone":
                    await self.abort(request)
                    self.ends["gone"] += 1
                    continue
                start = time.perf_counter()
                response = await http.request("POST", request.path, **request.content)
                self.note(kind, request, response, time.perf_counter() - start)

    def note(self, kind: str, request: Request, response: httpx.Response, seconds: float) -> None:
        """Check an answer."""
        if kind == "wrong":
            reason = response.json()["error"]["message"]
            assert 400 <= response.status_code < 500, (response.status_code, reason)
            assert reason
        else:
            assert response.status_code == 200, response.text
            assert response.json()["text"] == request.text, (response.text, request.text)
            self.seconds["long" if request.long else "short"].append(seconds)
            self.heard += request.seconds
        self.ends[f"{kind} {response.status_code}"] += 1

    async def abort(self, request: Request) -> None:
        """Send all of a request or a part, and go."""
        built = httpx.Request("POST", self.url.join(request.path), **request.content)
        lines = [
            f"POST {request.path} HTTP/1.1",
            *(": ".join(one) for one in built.headers.items()),
        ]
        content = "\r\n".join([*lines, "", ""]).encode() + built.read()
        _, writer = await asyncio.open_connection(self.url.host, self.url.port)
        part = len(content) if self.draw.random() < 0.7 else self.draw.randrange(len(content))
        writer.write(content[:part])
        await writer.drain()
        await asyncio.sleep(self.draw.random() / 2)
        writer.close()


@contextmanager
def served(options: list[str], folder: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Run a server, whose files on the disk are in a folder; it must end well."""
    command = [sys.executable, "-m", "speechalign", "serve", "--port=0", f"--name={MODEL}"]
    with subprocess.Popen(
        [*command, *options], stdout=subprocess.PIPE, text=True, env=os.environ | {"TMPDIR": folder}
    ) as process:
        try:
            assert process.stdout is not None
            yield process, process.stdout.readline().split(" at ")[1].split()[0]
            process.send_signal(signal.SIGTERM)
            assert process.wait(60) == 0, process.returncode
        finally:
            process.kill()


def state(process: int) -> dict[str, int]:
    """Read what a process holds: bytes of memory, threads, open files."""
    rows = Path(f"/proc/{process}/status").read_text().splitlines()
    told = dict(row.split(":", 1) for row in rows)
    files = len(list(Path(f"/proc/{process}/fd").iterdir()))
    memory = int(told["VmRSS"].split()[0]) * 1024
    return {"memory": memory, "threads": int(told["Threads"]), "files": files}


def mixed(many: int, draw: random.Random, good: list[Request], bad: list[Request]) -> Iterator:
    """Draw so many requests."""
    for _ in range(many):
        chance = draw.random()
        if chance < WRONG:
            yield "wrong", draw.choice(bad)
        else:
            yield "gone" if chance < WRONG + GONE else "right", draw.choice(good)


async def load(clients: int, client: Client, requests: Iterator) -> float:
    """Have so many clients share the requests, and tell how many seconds it took."""
    start = time.perf_counter()
    async with asyncio.TaskGroup() as group:
        for _ in range(clients):
            group.create_task(client.work(requests))
    return time.perf_counter() - start


def at_rest(url: str, folder: str, process: int, files: float) -> dict[str, int]:
    """Wait until nothing is left of what a server had to do, and read what it holds.

    A socket closes when it can, so that both places and open files are given ten seconds.

    Args:
        url: Of the server.
        folder: Where it puts uploads.
        process: Its number.
        files: That it may have open.
    """
    idle = {"speechalign_queue_pieces 0", "speechalign_requests_in_flight 0"}
    end = time.monotonic() + 10
    while True:
        busy = not idle <= set(httpx.get(f"{url}/metrics").text.splitlines())
        held = state(process)
        if not busy and held["files"] <= files:
            break
        assert time.monotonic() < end, "places are taken" if busy else "files are left open"
        time.sleep(0.05)
    left = [one.name for one in Path(folder).iterdir() if one.name.startswith("speechalign")]
    assert not left, left
    return held


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--requests", type=int, default=1000)
    parser.add_argument("--clients", type=int, default=64)
    parser.add_argument("--recordings", type=int, default=60)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--leak", type=float, default=128, help="MiB that a busy heap may gain")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    draw = random.Random(given.seed)
    with Translator.from_pretrained(device=given.device) as translator:
        start = time.perf_counter()
        good, bad = right(translator, given.recordings), wrong()
        alone = sum(one.seconds for one in good) / (time.perf_counter() - start)
        print(f"Translator alone, {len(good)} recordings: {alone:.0f} x real time")
    options = [f"--device={given.device}"]
    with tempfile.TemporaryDirectory() as folder, served(options, folder) as (process, url):
        client = Client(url, draw)
        seconds, states = 0.0, []
        asyncio.run(load(given.clients, Client(url, draw), mixed(given.clients, draw, good, bad)))
        for _ in range(2):
            many = given.requests // 2
            seconds += asyncio.run(load(given.clients, client, mixed(many, draw, good, bad)))
            files = states[0]["files"] + METRICS if states else math.inf
            states.append(at_rest(url, folder, process.pid, files))
        sizes = batches(httpx.get(f"{url}/metrics").text)
    tell(given, client, seconds, states, sizes)


def batches(metrics: str) -> float:
    """Read the mean size of a batch."""
    rows = dict(row.rsplit(" ", 1) for row in metrics.splitlines() if row[0] != "#")
    name = "speechalign_batch_size"
    return float(rows[f"{name}_sum"]) / float(rows[f"{name}_count"])


def tell(
    given: argparse.Namespace,
    client: Client,
    seconds: float,
    states: list[dict[str, int]],
    sizes: float,
) -> None:
    """Print what was measured, and stop at a leak."""
    total = sum(client.ends.values())
    print(f"{total} requests of {given.clients} clients in {seconds:.1f} s,", end=" ")
    print(f"{total / seconds:.1f} a second; {client.heard / seconds:.0f} x real time,", end=" ")
    print(f"{sizes:.1f} pieces a batch")
    print(", ".join(f"{count} {end}" for end, count in sorted(client.ends.items())))
    for name, found in client.seconds.items():
        if len(found) > 1:
            high = quantiles(found, n=20)[-1]
            print(f"{name}: p50 {median(found):.2f} s, p95 {high:.2f} s, of {len(found)}")
    before, after = states
    print(f"memory after each half: {before['memory'] / 2**20:.0f}", end=" and ")
    print(f"{after['memory'] / 2**20:.0f} MiB; {after['threads']} threads, {after['files']} files")
    assert after["memory"] - before["memory"] < given.leak * 2**20, "memory grows"
    assert after["threads"] < THREADS, "threads are left"


if __name__ == "__main__":
    main()
