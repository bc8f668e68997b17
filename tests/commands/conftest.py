"""A corpus for commands: a few recordings of the micro world's test split, in FLEURS' layout."""

import shutil
import tarfile
from pathlib import Path

import pytest

from speechalign.assets import resolve
from speechalign.data.fleurs import Fleurs
from tests.commands.evaluations import evaluate

RECORDINGS = 6
SOURCES = ("de_de", "nl_nl")


@pytest.fixture(scope="session")
def few(tmp_path_factory) -> Path:
    """Six recordings in German and in Dutch, as files, and the English texts."""
    micro, root = Path(resolve("assets:micro/fleurs")), tmp_path_factory.mktemp("few")
    for locale in (*SOURCES, "en_us"):
        (root / locale).mkdir()
        rows = (micro / locale / "test.tsv").read_text(encoding="utf-8").splitlines(keepends=True)
        kept = rows if locale == "en_us" else rows[:RECORDINGS]
        (root / locale / "test.tsv").write_text("".join(kept), encoding="utf-8")
        if locale == "en_us":
            continue
        folder = root / locale / "audio" / "test"
        folder.mkdir(parents=True)
        names = {row.split("\t")[1] for row in kept}
        with tarfile.open(micro / locale / "audio" / "test.tar.gz") as archive:
            for member in archive.getmembers():
                sound = archive.extractfile(member)
                if Path(member.name).name in names and sound is not None:
                    (folder / Path(member.name).name).write_bytes(sound.read())
    return root


@pytest.fixture(scope="session")
def evaluated(few, tmp_path_factory) -> Path:
    """The packaged model evaluated on these recordings; to be copied before it is changed."""
    folder = tmp_path_factory.mktemp("evaluated") / "run"
    assert evaluate(folder, f"--data={few}", "--batch-size=4") == 0
    return folder


@pytest.fixture
def untranslated(few, tmp_path) -> Path:
    """The same corpus, without the English text of one German recording."""
    corpus = tmp_path / "untranslated"
    shutil.copytree(few, corpus)
    english = corpus / "en_us" / "test.tsv"
    asked = {u.sentence_id for u in Fleurs(str(few)).utterances("deu", "test")}
    rows = english.read_text(encoding="utf-8").splitlines(keepends=True)
    gone = next(row for row in rows if row.split("\t")[0] in asked)
    english.write_text("".join(row for row in rows if row != gone), encoding="utf-8")
    return corpus
