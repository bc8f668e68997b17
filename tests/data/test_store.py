"""A folder as the place to fetch from, and how files are put into place."""

import os

import pytest

from speechalign.data.store import Folder, adopt
from speechalign.errors import UserError


def test_a_folder_lists_a_locale_in_every_layout(tmp_path):
    for path in ("data/de_de/train.tsv", "de_de/audio/a.tar", "parquet-data/de_de/b.parquet"):
        (tmp_path / path).parent.mkdir(parents=True)
        (tmp_path / path).write_bytes(b"12")
    (tmp_path / "data/fr_fr").mkdir()
    paths = ["data/de_de/train.tsv", "de_de/audio/a.tar", "parquet-data/de_de/b.parquet"]
    assert Folder(tmp_path).files("de_de") == dict.fromkeys(paths, 2)
    assert Folder(tmp_path).files("en_us") == {}


def test_a_missing_folder_is_told(tmp_path):
    with pytest.raises(UserError, match="no such folder; --from"):
        Folder(tmp_path / "nowhere")


def test_links_lead_to_what_they_link_to(tmp_path):
    blob = tmp_path / "blobs" / "abc"
    blob.parent.mkdir()
    blob.write_bytes(b"1")
    (tmp_path / "snap/de_de").mkdir(parents=True)
    (tmp_path / "snap/de_de/train.tsv").symlink_to("../../blobs/abc")
    store = Folder(tmp_path / "snap")
    assert list(store.files("de_de")) == ["de_de/train.tsv"]
    assert store.bring("de_de/train.tsv") == blob.resolve()


@pytest.mark.parametrize("linked", [True, False])
def test_a_file_is_linked_or_copied_and_replaces_what_was_there(tmp_path, monkeypatch, linked):
    if not linked:
        monkeypatch.setattr(os, "link", refuse)
    file, target, scratch = tmp_path / "a.tsv", tmp_path / "de_de/b.tsv", tmp_path / ".incoming"
    scratch.mkdir()
    file.write_bytes(b"new")
    for _ in range(2):
        adopt(file, target, scratch)
        assert target.read_bytes() == b"new"
        assert target.samefile(file) is linked
        assert not any(path.is_file() for path in scratch.rglob("*"))
    target.unlink()
    target.write_bytes(b"old")
    adopt(file, target, scratch)
    assert target.read_bytes() == b"new"


def refuse(*paths):
    raise OSError("no links here")


def test_what_lies_in_scratch_is_moved(tmp_path):
    file = tmp_path / ".incoming" / "deep" / "a.tsv"
    file.parent.mkdir(parents=True)
    file.write_bytes(b"new")
    adopt(file, tmp_path / "de_de/a.tsv", tmp_path / ".incoming")
    assert not file.exists()
    assert (tmp_path / "de_de/a.tsv").read_bytes() == b"new"
