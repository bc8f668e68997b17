"""A server under load: clients that go, places that are taken, time that is up, and its end."""

import json
import socket
import threading
from concurrent.futures import ThreadPoolExecutor

import httpx
import openai
import pytest

from speechalign.errors import UserError
from speechalign.inference.serving.limits import Limits
from speechalign.inference.serving.process import address, bound
from tests.inference.serving.clients import MODEL, clip, serving, until, uploads


def request_of(sound: bytes, **fields: str) -> bytes:
    """Write a whole request as it is sent."""
    built = httpx.Request(
        "POST",
        "http://x/v1/audio/transcriptions",
        files={"file": ("x", sound)},
        data=MODEL | fields,
    )
    lines = [f"{name}: {value}" for name, value in built.headers.items()]
    head = "\r\n".join(["POST /v1/audio/transcriptions HTTP/1.1", *lines, "", ""])
    return head.encode() + built.read()


def abort(served, content: bytes) -> socket.socket:
    """Send something, to close the connection later."""
    connection = socket.create_connection(("127.0.0.1", served.port), timeout=20)
    connection.sendall(content)
    return connection


@pytest.mark.parametrize("fields", [{}, {"stream": "true"}], ids=["at once", "stream"])
def test_a_client_that_goes_frees_its_place_and_its_work_is_dropped(held, fields):
    with serving(held, batch_size=1) as served, held.busy():
        asked = held.asked + 1
        first = abort(served, request_of(clip()))
        until(lambda: held.asked == asked)
        second = abort(served, request_of(clip(), **fields))
        until(lambda: served.desk.batcher.depth == 1)
        second.close()
        until(lambda: served.desk.batcher.in_flight == 1)
        assert served.desk.batcher.depth == 0
        first.close()
        until(lambda: served.desk.batcher.in_flight == 0)
        held.free.set()
        assert served.send(clip()).status_code == 200
        assert held.asked == asked + 1  # the second one's sound was never heard
        until(lambda: not uploads())


def test_a_client_that_goes_while_it_sends_leaves_nothing(held):
    with serving(held) as served:
        half = abort(served, request_of(clip() * 50)[:200_000])
        until(lambda: served.desk.batcher.in_flight == 1)
        half.close()
        until(lambda: served.desk.batcher.in_flight == 0)
        assert uploads() == []
        assert 'transcriptions",status="499"} 1' in served.get("/metrics").text


def test_where_all_places_are_taken_clients_are_told_to_come_again(held):
    with serving(held, limits=Limits(requests=2)) as served, ThreadPoolExecutor(2) as threads:
        with held.busy():
            begun = [threads.submit(served.send, clip()) for _ in range(2)]
            until(lambda: served.desk.batcher.in_flight == 2)
            refused = served.send(clip() * 40)  # a body that no buffer holds is heard out
            assert refused.status_code == 429
            assert int(refused.headers["retry-after"]) > 0
            assert refused.json()["error"]["code"] == "queue_full"
            with pytest.raises(openai.RateLimitError, match="try again later"):
                served.openai().audio.transcriptions.create(model="speechalign", file=clip())
            assert served.get("/health").status_code == 200
        assert [one.result().status_code for one in begun] == [200, 200]
        assert served.send(clip()).status_code == 200


def test_a_request_has_its_time(held):
    with serving(held, limits=Limits(timeout=1.0)) as served, held.busy():
        late = served.send(clip())
        assert (late.status_code, late.json()["error"]["code"]) == (504, "timeout")
        until(lambda: not served.desk.batcher.in_flight)
        stream = served.send(clip(), stream="true")
        assert stream.status_code == 200
        told = json.loads(stream.text.split("data: ")[1])["error"]
        assert told["code"] == "timeout"
        with pytest.raises(openai.APIError, match="longer than 1 s"):
            list(served.openai().audio.transcriptions.create(
                model="speechalign", file=clip(), stream=True
            ))  # fmt: skip
        slow = abort(served, request_of(clip())[:-100])
        assert slow.recv(4096).startswith(b"HTTP/1.1 408")
        slow.close()
        assert "speechalign_audio_seconds_total 0.0" in served.get("/metrics").text
    assert uploads() == []


def test_a_fault_of_the_model_is_told_and_harms_no_other(held, monkeypatch, caplog):
    def fail(pieces, *how):
        raise faults.pop() if faults else AssertionError

    with serving(held) as served:
        monkeypatch.setattr(served.desk.batcher, "_understand", fail)
        faults = [RuntimeError("secret"), UserError("Say it in German.")]
        user = served.send(clip())
        assert (user.status_code, user.json()["error"]["message"]) == (400, "Say it in German.")
        own = served.send(clip())
        assert own.status_code == 500
        assert own.json()["error"]["type"] == "server_error"
        assert "secret" not in own.text
        faults = [RuntimeError("secret")]
        stream = served.send(clip(), stream="true").text
        assert "server_error" in stream
        assert "secret" not in stream
        monkeypatch.undo()
        assert served.send(clip()).status_code == 200
    assert "secret" in caplog.text  # the log has it


def test_a_stop_finishes_what_is_begun_and_refuses_what_is_new(held):
    with serving(held) as served, ThreadPoolExecutor(1) as threads:
        with held.busy():
            begun = threads.submit(served.send, clip())
            until(lambda: served.desk.batcher.in_flight == 1)
            assert served.get("/health").json()["status"] == "ready"
            served.server.handle_exit(15, None)
            until(lambda: served.get("/health").status_code == 503)
            assert served.get("/health").json()["status"] == "draining"
            refused = served.send(clip())
            assert (refused.status_code, refused.json()["error"]["code"]) == (503, "draining")
            assert served.thread.is_alive()
        assert begun.result().status_code == 200
        served.thread.join(20)
        assert not served.thread.is_alive()
        with pytest.raises(httpx.ConnectError):
            served.get("/health")
    names = [one.name for one in threading.enumerate()]
    assert not [name for name in names if name.startswith("speechalign")]


def test_a_second_signal_does_not_wait(held):
    with serving(held, limits=Limits(timeout=3)) as served, held.busy():
        begun = abort(served, request_of(clip()))
        until(lambda: served.desk.batcher.in_flight == 1)
        served.server.handle_exit(15, None)
        served.server.handle_exit(2, None)
        until(lambda: served.server.should_exit)
        begun.close()
        held.free.set()
        served.thread.join(20)
        assert not served.thread.is_alive()
        served.server._captured_signals.clear()


def test_a_port_is_taken_once():
    with bound("127.0.0.1", 0) as taken:
        assert address(taken) == f"http://127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(UserError, match="give another --port"):
            bound("127.0.0.1", taken.getsockname()[1])
    for host, port in (("nowhere.invalid", 80), ("127.0.0.1", 70_000)):
        with pytest.raises(UserError, match=r"no port 70000|no address .nowhere"):
            bound(host, port)
