"""Models on the Hub: pushed, fetched by name and revision, and every fault told in one line."""

import pytest
from huggingface_hub import constants

from speechalign.assets import PACKAGED, resolve
from speechalign.errors import UserError
from speechalign.models import artifact, hub
from speechalign.models.hub import located, push
from tests.model_hub import models_served, sha

ID = "anna/deu-eng"


@pytest.fixture
def server(monkeypatch, tmp_path):
    with models_served(monkeypatch, tmp_path / "cache") as server:
        yield server


@pytest.fixture
def exported(tmp_path):
    """Files as of an export."""
    folder = tmp_path / "export"
    folder.mkdir()
    for name in hub.FILES:
        (folder / name).write_text(f"{name} of the first")
    return folder


def test_what_is_pushed_is_fetched(server, exported):
    assert push(exported, ID) == f"{server.endpoint}/{ID}/commit/{sha(1)}"
    there = located(ID)
    assert {file.name: file.read_bytes() for file in there.iterdir()} == {
        file.name: file.read_bytes() for file in exported.iterdir()
    }
    assert server.private == {ID: False}


def test_what_is_private_is_made_so(server, exported):
    push(exported, ID, private=True)
    assert server.private == {ID: True}


def test_nothing_but_an_artifact_travels(server, exported):
    (exported / "model.pkl").write_bytes(b"harm")
    push(exported, ID)
    assert set(server.commits[ID][-1]) == set(hub.FILES)
    server.commits[ID][-1] |= {"pytorch_model.bin": b"harm", "modeling.py": b"harm"}
    assert {file.name for file in located(ID).iterdir()} == set(hub.FILES)
    assert not [
        line for line in server.log if "resolve" in line and ("bin" in line or "py" in line)
    ]


def test_a_revision_is_chosen(server, exported):
    push(exported, ID)
    (exported / hub.CARD).write_text("the second")
    push(exported, ID)
    assert (located(ID) / hub.CARD).read_text() == "the second"
    for first in (located(ID, sha(1)), located(f"{ID}@{sha(1)}")):
        assert (first / hub.CARD).read_text() == "README.md of the first"
    with pytest.raises(UserError, match="has no revision 'v9'"):
        located(ID, "v9")
    with pytest.raises(UserError, match="say the revision once"):
        located(f"{ID}@v1", "v2")
    with pytest.raises(UserError, match="is on this machine: a revision is of a Hub id"):
        located(PACKAGED, "v1")


def test_what_was_fetched_serves_without_a_network(server, exported, monkeypatch):
    push(exported, ID)
    there = located(ID)
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    assert located(ID) == there
    with pytest.raises(UserError, match="does not answer: try again with a network, or download"):
        located("anna/other")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert located(ID) == there
    with pytest.raises(UserError, match="HF_HUB_OFFLINE is set: unset it"):
        located("anna/other")
    with pytest.raises(UserError, match="HF_HUB_OFFLINE is set: unset it to push"):
        push(exported, ID)


def test_what_is_nowhere_is_told(server):
    with pytest.raises(UserError, match="neither as a file or folder here nor on the Hugging Face"):
        located("runs/nothing")
    for place in ("nothing", "runs/best.ckpt", "a/b/c", "/no/where"):
        with pytest.raises(UserError, match=f"There is no checkpoint '{place}': check the path"):
            located(place)
    assert not any("best.ckpt" in line or "a/b/c" in line for line in server.log)


@pytest.mark.parametrize(
    ("status", "code", "told"),
    [
        (403, "GatedRepo", "is gated: ask for access on .*anna/deu-eng and log in by `hf auth"),
        (401, "RepoNotFound", "if it is private, log in by `hf auth login` or set HF_TOKEN"),
    ],
)
def test_what_is_locked_is_told(server, status, code, told):
    server.refuses = (status, code)
    with pytest.raises(UserError, match=told):
        located(ID)


def test_what_may_not_be_pushed_is_told(server, exported):
    for name in ("model", "a/b/c", f"{ID}@v1"):
        with pytest.raises(UserError, match="is no Hub id: write user/model"):
            push(exported, name)
    server.refuses = (403, "")
    with pytest.raises(UserError, match="does not let you write anna/deu-eng: log in"):
        push(exported, ID)


def test_a_repository_of_something_else_is_told(server, exported):
    push(exported, ID)
    with pytest.raises(UserError, match="is no exported model"):
        artifact.read(ID)


def test_a_local_folder_goes_before_the_hub(server, tmp_path, monkeypatch):
    (tmp_path / "anna/deu-eng").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    assert located(ID).is_dir()
    assert located(PACKAGED).as_posix() == resolve(PACKAGED)
    assert server.log == []
