"""Files appear whole or not at all."""

import pytest

from speechalign.files import write_text


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
