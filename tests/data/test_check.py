"""What is held against a split, and how its faults are told."""

import warnings

import pytest

from speechalign.data import check as module
from speechalign.data.archive import DamagedArchiveError, list_members
from speechalign.data.check import check_split
from speechalign.errors import Caution, UserError
from speechalign.languages import language
from tests.data.conftest import Clip, write_fleurs
from tests.data.test_archive import CONTENT, pack, special

CLIPS = [Clip(n, f"Satz {n}.") for n in range(4)]


def split(root, kind="tar.gz"):
    write_fleurs(root, "de_de", "dev", CLIPS, kind)
    audio = root / "de_de/audio"
    return root / "de_de/dev.tsv", audio / ("dev" if kind == "dir" else f"dev.{kind}")


@pytest.mark.filterwarnings("ignore::speechalign.errors.Caution")
@pytest.mark.parametrize("kind", ["dir", "tar", "tar.gz"])
def test_recordings_are_counted_in_any_form(tmp_path, kind):
    assert check_split("deu", "dev", *split(tmp_path, kind)) == 4


@pytest.mark.parametrize("kind", ["dir", "tar.gz"])
def test_a_missing_recording_is_named_by_line(tmp_path, kind):
    tsv, audio = split(tmp_path, kind)
    tsv.write_text(tsv.read_text().replace("\t2.wav", "\t9.wav"))
    fault = r"dev\.tsv:3: '9\.wav' is not among the 4 recordings of .*; 1 of 4 lines"
    with pytest.raises(UserError, match=fault):
        check_split("deu", "dev", tsv, audio)


def test_a_number_other_than_the_published_one_is_told(tmp_path, monkeypatch):
    tsv, audio = split(tmp_path)
    told = r"^de_de/dev: 4 recordings where FLEURS has 363, so 359 are missing"
    with pytest.warns(Caution, match=told):
        check_split("deu", "dev", tsv, audio)
    for count, expected in ((3, "4 recordings where FLEURS has 3: is it"), (4, None)):
        counts = language("deu").recordings._replace(dev=count)
        monkeypatch.setattr(module, "language", lambda code, counts=counts: Like(counts))
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            check_split("deu", "dev", tsv, audio)
        assert [expected in str(one.message) for one in caught] == [True] * (expected is not None)


class Like:
    """A language with other counts."""

    fleurs = "de_de"

    def __init__(self, recordings):
        self.recordings = recordings


def test_an_empty_tsv_is_no_split(tmp_path):
    (tmp_path / "dev.tsv").touch()
    with pytest.raises(UserError, match=r"dev\.tsv: empty"):
        check_split("deu", "dev", tmp_path / "dev.tsv", None)


@pytest.mark.parametrize("name", ["a.tar", "a.tar.gz"])
def test_members_are_listed_without_writing(tmp_path, name):
    assert list_members(pack(tmp_path / name)) == set(CONTENT)
    assert [path.name for path in tmp_path.iterdir()] == [name]


@pytest.mark.parametrize("name", ["a.tar", "a.tar.gz"])
@pytest.mark.parametrize("kept", [0.0, 0.01, 0.5, 0.62])
def test_a_truncated_archive_is_damaged(tmp_path, name, kept):
    path = pack(tmp_path / name)
    path.write_bytes(path.read_bytes()[: int(kept * path.stat().st_size)])
    with pytest.raises(DamagedArchiveError, match=rf"{name}: damaged.*fetch it again"):
        list_members(path)


@pytest.mark.parametrize("lost", [1, 4, 8])
def test_a_gzip_without_its_end_is_damaged(tmp_path, lost):
    path = pack(tmp_path / "a.tar.gz")
    path.write_bytes(path.read_bytes()[:-lost])
    with pytest.raises(DamagedArchiveError):
        list_members(path)


def test_a_changed_byte_in_a_gzip_is_noticed(tmp_path):
    path = pack(tmp_path / "a.tar.gz")
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(DamagedArchiveError):
        list_members(path)


@pytest.mark.parametrize("name", ["a.tar", "a.tar.gz"])
@pytest.mark.parametrize("member", ["../x", "/etc/x"])
def test_an_unsafe_member_is_refused_as_such(tmp_path, name, member):
    path = pack(tmp_path / name, [special(member, b"0")])
    with pytest.raises(UserError, match="points outside the archive") as told:
        list_members(path)
    assert not isinstance(told.value, DamagedArchiveError)
