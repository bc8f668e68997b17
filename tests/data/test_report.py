"""The report: what is written comes back, edits count, and malformed ones are told."""

import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from speechalign.data.records import Utterance
from speechalign.data.report import (
    HEADER,
    Finding,
    Line,
    dropped,
    line,
    read_report,
    skipped,
    summary,
    write_report,
)
from speechalign.errors import UserError

WHO = Utterance("de_de/train/a.wav", "7", "deu", Path("a.wav"), 0.0, 1.0, "", "", "other")
SILENT = Line("de_de/train/a.wav", "7", "dropped", "silent", "-80.12", "-66", "")
texts = st.text(st.characters(exclude_categories=["Cs"])) | st.sampled_from([
    "\t",
    "\\t",
    "\\\t\n",
    "a\r\nb",
    "\u2028\x85\x1c",
    "\r",
    "\\",
    "\ufeff",
])
actions = st.sampled_from(["dropped", "kept"])
lines = st.builds(Line, texts.filter(bool), texts, actions, texts, texts, texts, texts)


@given(st.lists(lines, max_size=4))
def test_what_is_written_comes_back(tmp_path_factory, written):
    file = tmp_path_factory.mktemp("report") / "quality.tsv"
    write_report(file, written, ["all/"])
    assert read_report(file) == sorted(written)
    content = file.read_bytes().decode().split("\n")
    assert len(content) == len(written) + 2
    assert {row.count("\t") for row in content[:-1]} == {len(HEADER) - 1}


def test_a_finding_is_a_line():
    finding = Finding(WHO, "silent", -80.1234, -66.0)
    assert line(finding, drop=True) == SILENT
    assert line(finding, drop=False) == SILENT._replace(action="kept")
    fault = Finding(WHO, "unreadable", math.nan, math.nan, "cut\tshort")
    assert line(fault, drop=True)[3:] == ("unreadable", "", "", "cut\tshort")


def test_each_skipped_line_has_an_id_of_its_own():
    fault = "/corpus 1: a/de_de/train.tsv:17: 2 tab-separated columns; FLEURS has 7."
    found = skipped("de_de/train/", fault)
    assert found.id == "de_de/train/train.tsv:17"
    assert (found.action, found.reason, found.note) == ("dropped", "faulty line", fault)


def test_other_parts_stay_and_own_ones_are_written_anew(tmp_path):
    file = tmp_path / "quality.tsv"
    french = SILENT._replace(id="fr_fr/train/a.wav")
    like = SILENT._replace(id="de_de/trainee/a.wav")
    write_report(file, [SILENT, french, like], ["de_de/train/", "fr_fr/train/"])
    write_report(file, [SILENT._replace(id="de_de/train/b.wav")], ["de_de/train/"])
    names = [one.id for one in read_report(file)]
    assert names == ["de_de/train/b.wav", "de_de/trainee/a.wav", "fr_fr/train/a.wav"]
    write_report(file, [], [""])
    assert read_report(file) == []


def test_edits_count_whatever_the_editor_does(tmp_path):
    file = tmp_path / "quality.tsv"
    write_report(file, [SILENT, SILENT._replace(id="de_de/train/b.wav")], [])
    assert dropped(file) == {"de_de/train/a.wav", "de_de/train/b.wav"}
    edited = file.read_text().replace("\tdropped", "\tkept", 1).replace("-66\t\n", "-66\n")
    file.write_bytes(b"\xef\xbb\xbf" + edited.replace("\n", "\r\n").encode() + b"\r\n\r\n")
    assert dropped(file) == {"de_de/train/b.wav"}
    assert [one[1:] for one in read_report(file)] == [
        ("7", "kept", "silent", "-80.12", "-66", ""),
        ("7", "dropped", "silent", "-80.12", "-66", ""),
    ]


def test_without_a_report_nothing_is_dropped(tmp_path):
    assert dropped(tmp_path / "quality.tsv") == set()


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "quality.tsv:1: expected the header id, "),
        (b"de_de/train/a.wav\t7\tdropped\tsilent\t\t\t\n", "quality.tsv:1: expected the header"),
        ("\t".join(HEADER).encode() + b"\na\t7\tdroped\t\t\t\t\n", "quality.tsv:2: expected the"),
        ("\t".join(HEADER).encode() + b"\n\na\tb\n", "quality.tsv:3: expected the columns id,"),
        ("\t".join(HEADER).encode() + b"\n" + b"a\t" * 9, "the action one of dropped, kept; mend"),
        (b"\xff\xfe", "quality.tsv: cannot be read"),
    ],
)
def test_a_malformed_report_is_told(tmp_path, content, told):
    file = tmp_path / "quality.tsv"
    file.write_bytes(content)
    for use in (read_report, lambda file: write_report(file, [SILENT], [""])):
        with pytest.raises(UserError, match=told):
            use(file)
    assert file.read_bytes() == content


def test_a_report_that_cannot_be_there_is_told(tmp_path):
    with pytest.raises(UserError, match="cannot be read"):
        read_report(tmp_path)
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match=r"quality\.tsv: cannot be"):
        write_report(tmp_path / "file" / "quality.tsv", [], [])


def test_the_summary_counts_reasons():
    kept = SILENT._replace(action="kept", reason="clipped")
    told = summary(
        {"de_de/train": 9, "de_de/dev": 3}, {"de_de/train": [SILENT, SILENT, kept], "de_de/dev": []}
    )
    rows = [row.split(maxsplit=3) for row in told.splitlines()]
    assert rows == [
        ["part", "recordings", "dropped", "found"],
        ["de_de/train", "9", "2", "1 clipped, 2 silent"],
        ["de_de/dev", "3", "0", "nothing found"],
    ]
