"""The layouts in which copies of FLEURS are found."""

import pytest

from speechalign.data.layout import Parts, find_parts
from speechalign.errors import UserError

RELEASE = ["data/de_de/dev.tsv", "data/de_de/audio/dev.tar.gz"]


@pytest.mark.parametrize("below", ["data/", ""])
@pytest.mark.parametrize("archive", ["audio/dev.tar.gz", "audio/dev.tar", "dev.tar.gz"])
def test_the_release_is_found(below, archive):
    paths = [f"{below}de_de/{name}" for name in ("dev.tsv", archive, "test.tsv", "audio/x.tar")]
    assert find_parts(paths, "de_de", "dev") == Parts(paths[0], paths[1], [], [])


def test_unpacked_recordings_are_found():
    loose = ["de_de/audio/dev/1.wav", "de_de/audio/dev/2.wav"]
    parts = find_parts(["de_de/dev.tsv", *loose, "de_de/audio/test/3.wav"], "de_de", "dev")
    assert parts.chosen(audio=True) == ["de_de/dev.tsv", *loose]
    assert parts.chosen(audio=False) == ["de_de/dev.tsv"]


@pytest.mark.parametrize(
    "shards",
    [
        ["parquet-data/de_de/dev-00000-of-00001.parquet"],
        ["parquet-data/de_de/validation-00000-of-00002.parquet"] * 2,
        ["de_de/fleurs-validation-00000-of-00002.parquet"] * 2,
        ["de_de/validation/0000.parquet", "de_de/validation/0001.parquet"],
    ],
)
def test_parquet_is_found_and_the_release_preferred(shards):
    shards = [name.replace("00000", f"{n:05}") for n, name in enumerate(shards)]
    others = ["de_de/partial-validation/0000.parquet", "de_de/test/0000.parquet"]
    assert find_parts(shards[::-1] + others, "de_de", "dev") == Parts(None, None, [], shards)
    both = find_parts(shards + RELEASE, "de_de", "dev")
    assert both.chosen(audio=True) == RELEASE
    alone = find_parts([*shards, RELEASE[0]], "de_de", "dev")
    assert alone.chosen(audio=True) == shards
    assert alone.chosen(audio=False) == RELEASE[:1]


def test_a_missing_shard_is_told():
    with pytest.raises(UserError, match="1 of its 2 shards"):
        find_parts(["de_de/test-00001-of-00002.parquet"], "de_de", "test")


def test_other_locales_and_files_are_not_taken():
    paths = ["data/de_de/audio/train.tar.gz.part", "data/xde_de/train.tsv", "data/de_de/train.csv"]
    assert find_parts(paths, "de_de", "train") == Parts(None, None, [], [])
