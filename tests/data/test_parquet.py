"""Parquet becomes the TSV and the tar that reading FLEURS understands."""

import io
import tarfile
import unicodedata
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow
import pyarrow.parquet
import pytest
import soundfile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from speechalign.data.archive import open_archive
from speechalign.data.fleurs import read_tsv
from speechalign.data.parquet import convert
from speechalign.errors import UserError


def wav(samples: int) -> bytes:
    file = io.BytesIO()
    soundfile.write(file, np.linspace(-0.1, 0.1, samples), 16_000, format="WAV")
    return file.getvalue()


def row(number: int, **other: Any) -> dict[str, Any]:
    audio = {"bytes": wav(100 + number), "path": f"{number}.wav"}
    return {
        "id": 7,
        "num_samples": 100 + number,
        "path": f"/elsewhere/{number}.wav",
        "audio": audio,
        "transcription": "das haus",
        "raw_transcription": "Das Haus.",
        "gender": number % 3,
        "language": "German",
    } | other


def write_parquet(file: Path, rows: list[dict[str, Any]]) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), file, row_group_size=3)
    return file


def converted(folder: Path, *rows: dict[str, Any]) -> tuple[Path, Path]:
    shard = write_parquet(folder / "a.parquet", list(rows))
    convert([shard], "dev", folder / "dev.tsv", folder / "dev.tar")
    return folder / "dev.tsv", folder / "dev.tar"


def test_rows_and_recordings_come_through_in_order(tmp_path):
    shards = [
        write_parquet(tmp_path / f"{n}.parquet", [row(20 * n + m) for m in range(20)])
        for n in range(2)
    ]
    convert(shards, "dev", tmp_path / "dev.tsv", tmp_path / "dev.tar")
    text = (tmp_path / "dev.tsv").read_text().splitlines()
    assert text[1] == "7\t1.wav\tDas Haus.\tdas haus\td a s | h a u s |\t101\tFEMALE"
    assert [line.split("\t")[6] for line in text[:3]] == ["MALE", "FEMALE", "OTHER"]
    with tarfile.open(tmp_path / "dev.tar") as archive:
        assert archive.getnames() == [f"dev/{n}.wav" for n in range(40)]


def test_the_recordings_are_those_of_the_parquet(tmp_path):
    tsv, archive = converted(tmp_path, *(row(n) for n in range(5)))
    members = open_archive(archive)
    for number, line in enumerate(read_tsv(tsv)):
        assert members[f"dev/{line.file}"].read() == wav(100 + number)
        assert line.samples == 100 + number


def test_texts_alone_need_no_recordings(tmp_path):
    shard = write_parquet(tmp_path / "a.parquet", [row(n) for n in range(3)])
    convert([shard], "dev", tmp_path / "dev.tsv", None)
    alone = (tmp_path / "dev.tsv").read_text()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.parquet", "dev.tsv"]
    assert alone == converted(tmp_path / "both", *(row(n) for n in range(3)))[0].read_text()


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=st.text(), plain=st.text())
def test_any_text_is_read_as_it_was_but_for_breaks(tmp_path, text, plain):
    tsv, _ = converted(tmp_path, row(0, raw_transcription=text, transcription=plain))
    (line,) = read_tsv(tsv)
    for got, given_text in ((line.text, text), (line.normalized_text, plain)):
        spaced = " ".join(unicodedata.normalize("NFC", given_text).split())
        assert " ".join(got.split()) == spaced


def test_the_same_rows_give_the_same_bytes(tmp_path):
    first, second = (converted(tmp_path / name, row(0), row(1)) for name in ("a", "b"))
    assert [p.read_bytes() for p in first] == [p.read_bytes() for p in second]


@pytest.mark.parametrize(("told", "read"), [("FEMALE", "female"), ("male", "male"), (2, "other")])
def test_gender_is_a_number_or_a_text(tmp_path, told, read):
    tsv, _ = converted(tmp_path, row(0, gender=told))
    assert read_tsv(tsv)[0].gender == read


def test_the_recording_tells_its_length_where_the_row_does_not(tmp_path):
    lacking = row(4)
    del lacking["num_samples"]
    tsv, _ = converted(tmp_path, lacking)
    assert read_tsv(tsv)[0].samples == 104


@pytest.mark.parametrize(
    ("other", "fault"),
    [
        ({"gender": 3}, "row 2: gender is 3"),
        ({"audio": {"bytes": None, "path": "1.wav"}}, "row 2: no audio in the file"),
        ({"audio": {"bytes": b"x", "path": None}}, "row 2: the recording's path is ''"),
        ({"audio": {"bytes": b"x", "path": "a\tb"}}, "row 2: the recording's path is 'a"),
        ({"audio": {"bytes": b"x", "path": "1"}, "num_samples": None}, "row 2: .*is no audio"),
    ],
)
def test_a_malformed_row_is_named(tmp_path, other, fault):
    with pytest.raises(UserError, match=rf"a\.parquet, {fault}"):
        converted(tmp_path, row(0), row(1, **other))


def test_what_is_not_fleurs_in_parquet_is_named(tmp_path):
    bare = row(0)
    del bare["transcription"]
    with pytest.raises(UserError, match=r"a\.parquet: no column transcription"):
        converted(tmp_path, bare)
    cut = write_parquet(tmp_path / "cut.parquet", [row(n) for n in range(9)])
    cut.write_bytes(cut.read_bytes()[:-500])
    with pytest.raises(UserError, match=r"cut\.parquet: no readable parquet"):
        convert([cut], "dev", tmp_path / "dev.tsv", tmp_path / "dev.tar")
