"""Downloads from a Hub: whole, checked, and taken up where they broke."""

import hashlib
import random
from pathlib import Path

import pytest
from huggingface_hub import constants

from speechalign.data import hub as module
from speechalign.data.hub import Hub, UnreachableError, find_commit
from speechalign.errors import UserError
from tests.data.hub import COMMIT, contents, serve

BIG, SMALL = "data/de_de/audio/train.tar.gz", "data/de_de/train.tsv"
FILES = {BIG: random.Random(0).randbytes(3_000_000), SMALL: b"small\n"}
FILES |= {f"data/fr_fr/{number}.tsv": b"" for number in range(9)}


def use(server, monkeypatch) -> None:
    url = "/{repo_id}/resolve/{revision}/{filename}"
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)  # whatever the environment says
    monkeypatch.setattr(constants, "ENDPOINT", server.endpoint)
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", server.endpoint + url)
    monkeypatch.setattr(module, "WAITS", (0.0, 0.0))


@pytest.fixture
def server(monkeypatch):
    with serve(dict(FILES)) as server:
        use(server, monkeypatch)
        yield server


def part_of(scratch: Path) -> Path:
    (part,) = scratch.rglob("*.part")
    return part


def test_the_files_of_a_locale_are_listed_over_all_pages(server, tmp_path):
    hub = Hub(COMMIT, tmp_path)
    assert hub.files("de_de") == {BIG: 3_000_000, SMALL: 6}
    assert len(hub.files("fr_fr")) == 9
    assert hub.files("de") == {}


def test_a_branch_is_resolved_and_an_unknown_one_refused(server):
    assert find_commit("main") == COMMIT
    with pytest.raises(UserError, match="no revision 'dev'"):
        find_commit("dev")


@pytest.mark.parametrize("path", [BIG, SMALL])
def test_a_file_comes_whole_and_once(server, tmp_path, path):
    for _ in range(2):
        assert Hub(COMMIT, tmp_path).bring(path).read_bytes() == FILES[path]
    assert [request.status for request in server.asked(path)] == [200]
    assert contents(tmp_path) == {path: FILES[path]}


def test_a_broken_download_goes_on_in_the_next_call(server, tmp_path):
    server.cut_at = 1_500_000
    with pytest.raises(UserError, match=r"broke off at \d+ of 3000000 bytes.*the next call goes"):
        Hub(COMMIT, tmp_path).bring(BIG)
    there = part_of(tmp_path).stat().st_size
    assert 1_000_000 < there <= 1_500_000
    server.cut_at = None
    server.log.clear()
    assert Hub(COMMIT, tmp_path).bring(BIG).read_bytes() == FILES[BIG]
    assert server.asked(BIG)[0].range == f"bytes={there}-"
    assert [request.status for request in server.log] == [206]
    assert contents(tmp_path) == {BIG: FILES[BIG]}


def test_a_download_that_gets_on_is_not_given_up(server, tmp_path, monkeypatch):
    breaks = iter(range(150_000, 10**9, 150_000))
    monkeypatch.setattr(type(server), "cut_at", property(lambda self: next(breaks)), raising=False)
    assert Hub(COMMIT, tmp_path).bring(BIG).read_bytes() == FILES[BIG]
    assert len(server.asked(BIG)) > len(module.WAITS) + 1


def test_a_server_without_ranges_is_asked_from_the_start(server, tmp_path):
    server.cut_at = 1_500_000
    with pytest.raises(UserError):
        Hub(COMMIT, tmp_path).bring(BIG)
    server.cut_at, server.ranges = None, False
    server.log.clear()
    assert Hub(COMMIT, tmp_path).bring(BIG).read_bytes() == FILES[BIG]
    assert [request.status for request in server.log] == [200]


def test_what_does_not_have_the_hash_that_was_told_is_not_kept(server, tmp_path):
    hub = Hub(COMMIT, tmp_path)
    server.files[BIG] = FILES[BIG][:-1] + b"?"
    server.files[SMALL] = b"smoll\n"
    for path in (BIG, SMALL):
        with pytest.raises(UserError, match="came damaged: run the same command again"):
            hub.bring(path)
    assert contents(tmp_path) == {}
    server.files |= FILES
    assert hub.bring(BIG).read_bytes() == FILES[BIG]


def test_a_file_that_is_refused_is_not_asked_for_again(server, tmp_path):
    hub = Hub(COMMIT, tmp_path)
    del server.files[BIG]
    with pytest.raises(UserError, match=r"train\.tar\.gz: the Hub answers with status 404"):
        hub.bring(BIG)


def test_without_a_network_the_hub_is_unreachable(server, tmp_path, monkeypatch):
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(UnreachableError, match="ConnectError"):
        Hub(COMMIT, tmp_path)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(UnreachableError, match="HF_HUB_OFFLINE is set"):
        Hub(COMMIT, tmp_path)


def test_the_hash_of_a_small_file_is_gits(server, tmp_path):
    told = Hub(COMMIT, tmp_path).blobs[SMALL]
    assert (told.sha256, told.sha1) == (None, hashlib.sha1(b"blob 6\0small\n").hexdigest())
