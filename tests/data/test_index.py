"""Tables that are kept: found again, made anew after a change or damage, whole after a kill."""

import random
import shutil
import subprocess
import sys
import time

import pyarrow as pa
import pytest

from speechalign.data.fleurs import Fleurs
from speechalign.data.index import indexed
from tests.data.conftest import Clip, write_fleurs

TABLE = pa.table({"name": ["a", "b"], "size": [1, 2]})


@pytest.fixture
def made(tmp_path):
    """Ask for a table of one file; tell it and whether it was made anew."""
    source = tmp_path / "corpus.tsv"
    source.write_text("first")

    def make(kind="rows", table=TABLE):
        calls = []

        def build():
            calls.append(kind)
            return table

        return indexed(kind, (source,), build, tmp_path / "cache"), bool(calls)

    return make


def test_a_table_is_made_once(made):
    assert made() == (TABLE, True)
    assert made(table=None) == (TABLE, False)
    assert made("places") == (TABLE, True)


def test_a_changed_file_is_read_anew(made, tmp_path):
    made()
    (tmp_path / "corpus.tsv").write_text("other")
    assert made() == (TABLE, True)


@pytest.mark.parametrize("size", [0, 10, -1])
def test_a_damaged_table_is_made_anew(made, tmp_path, size):
    made()
    (file,) = (tmp_path / "cache/index").iterdir()
    file.write_bytes(file.read_bytes()[:size])
    assert made() == (TABLE, True)
    assert made() == (TABLE, False)


def test_without_a_place_to_keep_it_the_table_is_there(made, tmp_path):
    (tmp_path / "cache").touch()  # a file where the folder should be
    assert made() == (TABLE, True)
    assert made() == (TABLE, True)


def test_a_killed_indexing_leaves_nothing_wrong(tmp_path):
    clips = [Clip(n, f"Satz {n}.", 0.001) for n in range(60)]
    for locale in ("de_de", "fr_fr", "it_it"):
        for split in ("train", "dev", "test"):
            write_fleurs(tmp_path / "corpus", locale, split, clips, "tar.gz")
    program = (
        "import sys; from speechalign.data.fleurs import Fleurs; s = Fleurs(*sys.argv[1:]);"
        "print('begun', flush=True);"
        "[s.utterances(c, split) for c in s.languages() for split in s.splits(c)]; print('done')"
    )
    cache = tmp_path / "cache"
    command = [sys.executable, "-c", program, str(tmp_path / "corpus"), str(cache)]

    def killed_after(seconds: float) -> bool:
        """Whether it was not done by then."""
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        assert process.stdout.readline() == "begun\n"
        time.sleep(seconds)
        process.kill()
        return "done" not in process.communicate()[0]

    chance = random.Random(0)
    longest = 0.01  # seconds until it is done
    while killed_after(longest):
        shutil.rmtree(cache, ignore_errors=True)
        longest *= 1.5
    unfinished = 0
    for _ in range(17):
        if chance.random() < 0.5:
            shutil.rmtree(cache, ignore_errors=True)  # so that there is work to interrupt
        unfinished += killed_after(chance.uniform(0, longest))
    assert unfinished
    tables = []
    for folder in (cache, tmp_path / "clean"):
        corpus = Fleurs(str(tmp_path / "corpus"), str(folder))
        found = [corpus.utterances(c, s) for c in corpus.languages() for s in corpus.splits(c)]
        tables.append([[(u.id, u.text, u.audio.read()) for u in part] for part in found])
    assert tables[0] == tables[1]
    assert [len(part) for part in tables[0]] == [60] * 9
