"""Files appear whole or not at all; lines of them are UTF-8, or named."""

import os
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from speechalign.errors import UserError, noted
from speechalign.files import decoded, remove_leftovers, replacing_folder, seen_from, write_text


def test_text_replaces_what_was_there(tmp_path):
    file = tmp_path / "new" / "a.txt"
    for text in ("one\n", "två\n"):
        write_text(file, text)
        assert file.read_bytes() == text.encode()
    assert [f.name for f in file.parent.iterdir()] == ["a.txt"]


def test_nothing_is_left_behind_where_it_cannot_be_written(tmp_path):
    (tmp_path / "a.txt" / "in the way").mkdir(parents=True)
    with pytest.raises(OSError, match=r"a\.txt"):
        write_text(tmp_path / "a.txt", "one")
    assert [f.name for f in tmp_path.iterdir()] == ["a.txt"]


def names(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*")}


def test_a_folder_appears_whole_or_not_at_all(tmp_path):
    for name in ("one", "two"):
        with replacing_folder(tmp_path / "out") as scratch:
            (scratch / name).touch()
            assert f"out/{name}" not in names(tmp_path)
        assert names(tmp_path) == {"out", f"out/{name}"}
    with pytest.raises(IsADirectoryError), replacing_folder(tmp_path / "out") as scratch:
        scratch.write_text("three")
    assert names(tmp_path) == {"out", "out/two"}


def test_a_folder_stays_where_the_new_one_cannot_take_its_place(tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out/one").touch()
    with pytest.raises(OSError, match="new"), replacing_folder(tmp_path / "out") as scratch:
        scratch.rmdir()  # as if another process had removed it
    assert names(tmp_path) == {"out", "out/one"}


def test_a_line_is_utf8_or_named():
    assert decoded("två".encode(), "a.txt:7") == "två"
    with pytest.raises(UserError, match=r"^a\.txt:7: not UTF-8 at byte 3 of the line"):
        decoded("två".encode("latin-1"), "a.txt:7")


def test_faults_are_noted_or_raised():
    faults: list[UserError] = []
    with noted(faults):
        raise UserError("one")
    with pytest.raises(UserError, match="two"), noted(None):
        raise UserError("two")
    with pytest.raises(KeyError), noted(faults):
        raise KeyError
    assert [str(fault) for fault in faults] == ["one"]


def test_what_a_killed_process_left_is_removed_after_a_day(tmp_path):
    for name, age in (("old.part", 90_000), ("new.part", 60), ("old.tar", 90_000)):
        (tmp_path / name).touch()
        os.utime(tmp_path / name, (time.time() - age,) * 2)
    remove_leftovers(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"new.part", "old.tar"}


@given(st.data())
def test_the_name_of_a_file_leads_to_it(tmp_path_factory, data):
    """Whatever links lie between, and whether the folder is there or not."""
    root = tmp_path_factory.mktemp("way")
    places = [root]
    for number in range(data.draw(st.integers(1, 6))):
        above, other = (data.draw(st.sampled_from(places)) for _ in range(2))
        place = above / f"p{number}"
        if data.draw(st.booleans()):
            place.symlink_to(other)
        else:
            place.mkdir()
        places.append(place)
    start, end = (data.draw(st.sampled_from(places)) for _ in range(2))
    (end / "a.wav").write_text("sound")
    name = seen_from(start)(end / "a.wav")
    assert not Path(name).is_absolute()
    assert (start / name).samefile(end / "a.wav")
    new = start / "new"
    name = seen_from(new)(end / "a.wav")
    new.mkdir()
    assert (new / name).samefile(end / "a.wav")


def test_a_name_is_short_where_no_link_is_in_the_way(tmp_path):
    name = seen_from(tmp_path / "out")
    assert name(tmp_path / "out/a.wav") == "a.wav"
    assert name(tmp_path / "clips/c.tar/sub/a.wav") == "../clips/c.tar/sub/a.wav"
