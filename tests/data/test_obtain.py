"""FLEURS from a folder or a Hub, in every layout, ends as the same corpus on disk."""

import contextlib
import itertools
import json
import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest

from speechalign.data import obtain as module
from speechalign.data.fleurs import Fleurs
from speechalign.data.hub import Hub
from speechalign.data.obtain import how_to_get, obtain, plan
from speechalign.data.shelf import Shelf, Wanted
from speechalign.data.store import Folder
from speechalign.errors import Caution, UserError
from speechalign.languages import LANGUAGES
from tests.data.conftest import Clip, write_fleurs
from tests.data.hub import COMMIT, contents, serve
from tests.data.test_archive import pack, special
from tests.data.test_hub import use
from tests.data.test_parquet import write_parquet

pytestmark = pytest.mark.filterwarnings("ignore::speechalign.errors.Caution")
CLIPS = [Clip(n, f"Satz {n}.", 0.01 + n / 100) for n in range(4)]
WANTED = [Wanted("deu", "de_de", "dev", True), Wanted("eng", "en_us", "dev", False)]


def release(root: Path, kind: str = "tar.gz") -> Path:
    for locale in ("de_de", "en_us"):
        write_fleurs(root / "data", locale, "dev", CLIPS, kind)
    return root


def in_parquet(root: Path, name: str) -> Path:
    """Write what `release` does as shards of two recordings."""
    plain = release(root.with_name("plain"), "dir")
    for locale in ("de_de", "en_us"):
        lines = (plain / f"data/{locale}/dev.tsv").read_text().splitlines()
        rows = [as_row(line.split("\t"), plain / f"data/{locale}/audio/dev") for line in lines]
        for shard in range(2):
            file = root / name.format(locale=locale, shard=shard)
            write_parquet(file, rows[2 * shard : 2 * shard + 2])
    return root


def as_row(fields: list[str], audio: Path) -> dict:
    number, file, text, plain, _, samples, _ = fields
    return {
        "id": int(number),
        "num_samples": int(samples),
        "audio": {"bytes": (audio / file).read_bytes(), "path": file},
        "raw_transcription": text,
        "transcription": plain,
        "gender": 1,
    }


def bring(source: Path, output: Path, wanted=WANTED) -> list:
    told = []
    shelf = Shelf(output)
    found = obtain(wanted, shelf, lambda missing: Folder(source), told.append)
    shelf.tidy()
    assert len(told) <= len(wanted)
    return found


def never(missing):
    raise AssertionError(f"nothing was to be fetched, but {missing}")


def meaning(root: Path, cache: Path) -> tuple:
    """What the corpus says and sounds like, wherever its bytes are."""
    source = Fleurs(str(root), cache_dir=str(cache))
    spoken = source.utterances("deu", "dev")
    sounds = [utterance.audio.read() for utterance in spoken]
    return [u._replace(audio=Path()) for u in spoken], sounds, source.texts("eng", "dev")


SHARD = "parquet-data/{locale}/dev-0000{shard}-of-00002.parquet"
LAYOUTS = {
    "release": lambda root: release(root),
    "uncompressed": lambda root: release(root, "tar"),
    "unpacked": lambda root: release(root, "dir"),
    "parquet": lambda root: in_parquet(root, SHARD),
    "converted": lambda root: in_parquet(root, "{locale}/validation/000{shard}.parquet"),
}


@pytest.mark.parametrize("served", [False, True])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_gives_the_same_corpus(tmp_path, monkeypatch, layout, served):
    source, output = LAYOUTS[layout](tmp_path / "source"), tmp_path / "output"
    if served:
        with serve(contents(source)) as server:
            use(server, monkeypatch)
            shelf = Shelf(output)
            obtain(
                WANTED, shelf, lambda missing: Hub(COMMIT, shelf.scratch / "c"), lambda line: None
            )
            shelf.tidy()
    else:
        bring(source, output)
    assert not (output / ".incoming").exists()
    archive = "dev.tar.gz" if layout == "release" else "dev.tar"
    names = ["data/de_de/audio/" + archive, "data/de_de/dev.tsv", "data/en_us/dev.tsv"]
    assert sorted(contents(output)) == [*names, "source.json"]
    expected = meaning(release(tmp_path / "truth"), tmp_path / "cache")
    assert meaning(output, tmp_path / "cache") == expected
    obtain(WANTED, Shelf(output), never, print)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_copy_of_links_to_files_without_suffix_is_read_by_its_names(tmp_path, layout):
    """As the Hub's own cache keeps a snapshot."""
    source = LAYOUTS[layout](tmp_path / "source")
    blobs = tmp_path / "blobs"
    blobs.mkdir()
    for number, file in enumerate(sorted(p for p in source.rglob("*") if p.is_file())):
        file.replace(blobs / f"{number:040x}")
        file.symlink_to(blobs / f"{number:040x}")
    bring(source, tmp_path / "output")
    audio = [path.name for path in (tmp_path / "output/data/de_de/audio").iterdir()]
    assert audio == ["dev.tar.gz" if layout == "release" else "dev.tar"]
    expected = meaning(release(tmp_path / "truth"), tmp_path / "cache")
    assert meaning(tmp_path / "output", tmp_path / "cache") == expected
    assert not any(path.is_symlink() for path in (tmp_path / "output").rglob("*"))


def test_what_is_whole_is_neither_fetched_nor_read_again(tmp_path, monkeypatch):
    found = bring(release(tmp_path / "source"), tmp_path / "output")
    assert [(o.wanted.key, o.recordings) for o in found] == [("de_de/dev", 4), ("en_us/dev", 4)]
    size = sum(len(content) for content in contents(tmp_path / "output/data").values())
    assert sum(o.size for o in found) == size
    monkeypatch.setattr("speechalign.data.obtain.check_split", never)
    assert obtain(WANTED, Shelf(tmp_path / "output"), never, print) == found


class KilledError(BaseException):
    """The process ends here."""


STEPS = [(Path, "replace"), (Path, "unlink"), (Shelf, "enter"), (module, "check_split")]


@pytest.mark.parametrize("layout", ["release", "unpacked", "parquet"])
def test_wherever_it_is_killed_the_next_call_completes(tmp_path, monkeypatch, layout):
    with serve(contents(LAYOUTS[layout](tmp_path / "source"))) as server:
        use(server, monkeypatch)
        fetch(tmp_path / "clean")
        for last in itertools.count():
            output = tmp_path / f"killed at {last}"
            with monkeypatch.context() as patch, contextlib.suppress(KilledError):
                die_after(last, patch)
                fetch(output)
                break
            fetch(output)
            Shelf(output).tidy()
            assert contents(output) == contents(tmp_path / "clean")
        assert last > 8


def fetch(output: Path) -> None:
    shelf = Shelf(output)
    obtain(WANTED, shelf, lambda missing: Hub(COMMIT, shelf.scratch / "c"), lambda line: None)


def die_after(last: int, patch) -> None:
    """End the process before its step number `last`."""
    done = itertools.count()

    def counted(real):
        def step(*given, **options):
            if next(done) == last:
                raise KilledError
            return real(*given, **options)

        return step

    for place, name in STEPS:
        patch.setattr(place, name, counted(getattr(place, name)))


def test_files_are_linked_and_the_copy_stays_as_it_was(tmp_path):
    before = contents(release(tmp_path / "source"))
    bring(tmp_path / "source", tmp_path / "output")
    assert contents(tmp_path / "source") == before
    archive = "data/de_de/audio/dev.tar.gz"
    assert (tmp_path / "source" / archive).samefile(tmp_path / "output" / archive)


@pytest.mark.parametrize("below", ["data", ""])
@pytest.mark.parametrize("kind", ["tar.gz", "dir"])
def test_a_folder_is_checked_where_it_is(tmp_path, below, kind):
    for locale in ("de_de", "en_us"):
        write_fleurs(tmp_path / "here" / below, locale, "dev", CLIPS, kind)
    before = contents(tmp_path / "here")
    found = obtain(WANTED, Shelf(tmp_path / "here"), never, print)
    assert [one.recordings for one in found] == [4, 4]
    record = json.loads((tmp_path / "here/source.json").read_text())
    assert set(record["splits"]) == {"de_de/dev", "en_us/dev"}
    after = contents(tmp_path / "here")
    assert {name: after[name] for name in before} == before


def test_a_truncated_archive_in_place_is_named_and_fetched(tmp_path):
    release(tmp_path / "source")
    bring(tmp_path / "source", tmp_path / "output")
    archive = tmp_path / "output/data/de_de/audio/dev.tar.gz"
    whole = archive.read_bytes()
    archive.unlink()
    archive.write_bytes(whole[:-300])
    with pytest.warns(Caution, match=r"dev\.tar\.gz: damaged.* That is tried now"):
        bring(tmp_path / "source", tmp_path / "output")
    assert archive.read_bytes() == whole


def test_a_damaged_archive_gives_way_to_one_of_another_form(tmp_path):
    release(tmp_path / "output")
    archive = tmp_path / "output/data/de_de/audio/dev.tar.gz"
    archive.write_bytes(archive.read_bytes()[:-300])
    with pytest.warns(Caution, match=r"dev\.tar\.gz: damaged"):
        bring(in_parquet(tmp_path / "source", SHARD), tmp_path / "output")
    assert [path.name for path in archive.parent.iterdir()] == ["dev.tar"]
    assert len(Fleurs(str(tmp_path / "output")).utterances("deu", "dev")) == 4


def test_a_damaged_archive_is_kept_until_a_whole_one_is_there(tmp_path):
    for root in (tmp_path / "output", tmp_path / "source"):
        release(root)
        archive = root / "data/de_de/audio/dev.tar.gz"
        archive.write_bytes(archive.read_bytes()[:-300])
    with pytest.raises(UserError, match=r"source/data/de_de/audio/dev\.tar\.gz: damaged"):
        bring(tmp_path / "source", tmp_path / "output")
    assert (tmp_path / "output/data/de_de/audio/dev.tar.gz").is_file()


@pytest.mark.parametrize(
    ("spoil", "fault"),
    [
        (lambda f: f.replace(b"\tSatz 2.", b""), r"dev\.tsv:3: 6 tab-separated columns"),
        (lambda f: f.replace(b"Satz 1", b"Satz \xff"), r"dev\.tsv:\d+: not UTF-8 at byte"),
        (lambda f: f.replace(b"\t2.wav", b"\t0.wav"), r"dev\.tsv:3: file '0\.wav' is already in"),
        (lambda f: f.replace(b"\t3.wav", b"\t7.wav"), r"dev\.tsv:4: '7\.wav' is not among the 4"),
        (lambda f: b"", r"dev\.tsv: empty"),
    ],
)
def test_a_faulty_tsv_is_named_and_not_taken(tmp_path, spoil, fault):
    tsv = release(tmp_path / "source") / "data/de_de/dev.tsv"
    tsv.write_bytes(spoil(tsv.read_bytes()))
    with pytest.raises(UserError, match=fault):
        bring(tmp_path / "source", tmp_path / "output")
    assert contents(tmp_path / "output") == {}


def test_an_unsafe_archive_is_not_taken(tmp_path):
    archive = release(tmp_path / "source") / "data/de_de/audio/dev.tar.gz"
    pack(archive, [special("../x", b"0")])
    with pytest.raises(UserError, match=r"dev\.tar\.gz: member '\.\./x' points outside"):
        bring(tmp_path / "source", tmp_path / "output")
    assert contents(tmp_path / "output") == {}


def test_what_a_copy_lacks_is_named(tmp_path):
    release(tmp_path / "source")
    with pytest.raises(UserError, match=r"source has no test of de_de: expected data/de_de/test"):
        bring(tmp_path / "source", tmp_path / "output", [Wanted("deu", "de_de", "test", True)])


def test_speech_can_follow_texts_and_texts_need_nothing_more(tmp_path):
    source, output = release(tmp_path / "source"), tmp_path / "output"
    texts = [Wanted("deu", "de_de", "dev", False)]
    assert bring(source, output, texts)[0].size == (output / "data/de_de/dev.tsv").stat().st_size
    assert bring(source, output, WANTED[:1])[0].size > 1000
    obtain(texts + WANTED[:1], Shelf(output), never, print)


def test_recordings_on_their_way_are_kept_while_texts_alone_are_wanted(tmp_path):
    texts, shelf = [Wanted("deu", "de_de", "dev", False)], Shelf(tmp_path / "output")
    part = shelf.scratch / "c/data/de_de/audio/dev.tar.gz.0123.part"
    part.parent.mkdir(parents=True)
    part.touch()
    bring(release(tmp_path / "source"), tmp_path / "output", texts)
    assert part.exists()
    bring(tmp_path / "source", tmp_path / "output", WANTED[:1])
    assert not part.exists()


def test_the_real_recordings_come_through(shared, tmp_path):
    source = shared / "real" / "fleurs"
    bring(source, tmp_path, plan(["de", "fr", "es", "pt", "en"], [], ["test"]))
    ours, theirs = Fleurs(str(tmp_path)), Fleurs(str(source))
    for code in theirs.languages():
        pairs = zip(ours.utterances(code, "test"), theirs.utterances(code, "test"), strict=True)
        for one, other in pairs:
            assert one._replace(audio=Path()) == other._replace(audio=Path())
            assert one.audio.read() == other.audio.read_bytes()


def test_a_disk_that_is_too_small_is_found_beforehand(tmp_path, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=1))
    with serve(contents(release(tmp_path / "source"))) as server:
        use(server, monkeypatch)
        shelf = Shelf(tmp_path / "output")
        with pytest.raises(UserError, match=r"are to be fetched and 0\.0 GB are free"):
            obtain(WANTED, shelf, lambda missing: Hub(COMMIT, shelf.scratch), print)
        assert server.log == []


def test_a_plan_has_each_split_of_each_language_once():
    wanted = plan(["de", "ja_jp", "German"], ["cmn", "deu"], ["train", "dev", "train"])
    assert [(w.key, w.audio) for w in wanted] == [
        ("de_de/train", True),
        ("de_de/dev", True),
        ("ja_jp/train", True),
        ("ja_jp/dev", True),
        ("cmn_hans_cn/train", False),
        ("cmn_hans_cn/dev", False),
    ]
    assert len(plan(["all"], [], ["test"])) == len(LANGUAGES)


@pytest.mark.parametrize(
    ("arguments", "fault"),
    [
        ((["germn"], [], ["dev"]), "Did you mean 'deu'"),
        ((["de"], [], ["valid"]), "Unknown split 'valid': FLEURS has train, dev, test"),
        (([], [], ["dev"]), "Nothing is wanted"),
        ((["de"], [], []), "Nothing is wanted"),
    ],
)
def test_a_plan_of_nothing_known_is_refused(arguments, fault):
    with pytest.raises(UserError, match=fault):
        plan(*arguments)


def test_what_to_download_is_told_in_one_line(tmp_path):
    told = how_to_get(plan(["de", "fr"], ["en"], ["dev", "test"]), Shelf(tmp_path), "main", "why")
    assert "(why); files missing: 10," in told
    assert (
        "data/{de_de,fr_fr}/audio/{dev,test}.tar.gz and data/{de_de,fr_fr}/{dev,test}.tsv" in told
    )
    assert "data/en_us/{dev,test}.tsv of the dataset google/fleurs at main" in told
    assert f"into {tmp_path}/data" in told
    assert "\n" not in told


def test_a_folder_is_of_one_commit(tmp_path):
    shelf = Shelf(tmp_path)
    shelf.pin("main", COMMIT)
    assert Shelf(tmp_path).held(None) == Shelf(tmp_path).held("main") == COMMIT
    assert Shelf(tmp_path).held(COMMIT) == COMMIT
    assert Shelf(tmp_path).held("dev") is None  # nothing is there yet
    release(tmp_path)
    with pytest.raises(UserError, match=rf"holds google/fleurs at {COMMIT} \(revision 'main'\)"):
        Shelf(tmp_path).held("dev")


def test_a_damaged_record_is_told(tmp_path):
    (tmp_path / "source.json").write_text("{")
    with pytest.raises(UserError, match=r"source\.json: damaged"):
        Shelf(tmp_path)
