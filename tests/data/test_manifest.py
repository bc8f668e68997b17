"""JSON-lines manifests: what is written comes back, what is wrong is named with its line."""

import tarfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from torch.testing import assert_close

from speechalign.data.archive import ArchiveMember
from speechalign.data.examples import read_audio
from speechalign.data.fleurs import Fleurs
from speechalign.data.manifest import Manifest, entries, write_manifest
from speechalign.data.manifest_lines import Entry, read_manifest
from speechalign.errors import UserError
from tests.data.test_manifest_lines import FRENCH, GERMAN, lines


@pytest.fixture
def corpus(tmp_path) -> Manifest:
    """Two manifests that share a sentence."""
    german = lines(tmp_path / "deu.jsonl", GERMAN, "", GERMAN | {"id": "a2", "sentence_id": "18"})
    french = lines(tmp_path / "fra.jsonl", FRENCH)
    return Manifest({"train": [german, french]})


def test_recordings_are_utterances(corpus, tmp_path):
    first, second = corpus.utterances("deu", "train")
    assert (first.id, first.sentence_id, first.language) == ("a1", "17", "deu")
    assert (first.start, first.duration, first.text) == (0.0, 3.2, "Guten Morgen.")
    assert first.audio == tmp_path / "clips/a.wav"
    assert (second.id, second.sentence_id) == ("a2", "18")
    (french,) = corpus.utterances("fra", "train")
    assert french.audio == Path("/there/b.wav")


def test_texts_are_those_spoken_and_those_translated(corpus):
    assert corpus.texts("fra", "train") == {"17": "Bonjour."}
    assert corpus.texts("eng", "train") == {"17": "Good morning.", "18": "Good morning."}
    assert corpus.utterances("eng", "train") == []
    assert corpus.splits("eng") == corpus.splits("deu") == ["train"]


def test_what_is_spoken_is_told_from_what_is_written(corpus):
    assert corpus.has_audio("deu", "train")
    assert not corpus.has_audio("deu", "dev")
    assert not corpus.has_audio("eng", "train")
    with pytest.raises(UserError, match="No manifest has 'jpn'"):
        corpus.has_audio("jpn", "train")


def test_what_is_not_there_is_told(corpus):
    with pytest.raises(UserError, match="No manifest has 'jpn'; there is deu, eng, fra"):
        corpus.splits("jpn")
    with pytest.raises(UserError, match="dev: no manifest has 'deu'; train has it"):
        corpus.utterances("deu", "dev")
    with pytest.raises(UserError, match="names no manifest"):
        Manifest({"train": []})


def test_a_corpus_is_written_as_a_manifest(fleurs, tmp_path):
    """FLEURS of files (French) and of an archive (German) comes back."""
    source = Fleurs(str(fleurs), cache_dir=str(tmp_path / "cache"))
    file = tmp_path / "manifests" / "train.jsonl"
    write_manifest(
        file, [e for code in ("deu", "fra") for e in entries(source, code, "train", "eng")]
    )
    manifest = Manifest({"train": [str(file)]})
    for code in ("deu", "fra"):
        for ours, theirs in zip(
            manifest.utterances(code, "train"), source.utterances(code, "train"), strict=True
        ):
            assert ours.id == theirs.id
            assert ours.sentence_id == theirs.sentence_id
            assert (ours.duration, ours.text) == (theirs.duration, theirs.text)
            assert_close(read_audio(ours), read_audio(theirs))
    english = source.texts("eng", "train")
    spoken = {u.sentence_id for c in ("deu", "fra") for u in source.utterances(c, "train")}
    assert manifest.texts("eng", "train") == {k: v for k, v in english.items() if k in spoken}


def test_a_recording_may_have_several_translations(tmp_path):
    into_spanish = GERMAN | {"tgt_lang": "spa", "tgt_text": "Buenos días."}
    corpus = Manifest({"dev": [lines(tmp_path / "m.jsonl", GERMAN, FRENCH, into_spanish)]})
    assert [utterance.id for utterance in corpus.utterances("deu", "dev")] == ["a1"]
    assert corpus.texts("spa", "dev") == {"17": "Buenos días."}
    assert corpus.texts("eng", "dev") == {"17": "Good morning."}


def test_audio_may_lie_in_an_archive(tmp_path):
    (tmp_path / "a.wav").write_bytes(b"sound")
    with tarfile.open(tmp_path / "clips.tar", "w") as archive:
        archive.add(tmp_path / "a.wav", "sub/a.wav")
    inside = GERMAN | {"audio": "clips.tar/sub/a.wav"}
    (one,) = Manifest({"test": [lines(tmp_path / "m.jsonl", inside)]}).utterances("deu", "test")
    assert isinstance(one.audio, ArchiveMember)
    assert one.audio.read() == b"sound"
    assert one.place == f"{tmp_path}/clips.tar/sub/a.wav"
    lost = Manifest({"test": [lines(tmp_path / "m.jsonl", GERMAN | {"audio": "clips.tar/b"})]})
    with pytest.raises(UserError, match=r"m.jsonl:1: there is no 'b' in .*clips.tar"):
        lost.utterances("deu", "test")
    (listed,) = lost.with_missing().utterances("deu", "test")
    assert not listed.is_there
    assert listed.place.endswith("clips.tar/b")


words = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1).map(str.strip)


@given(
    st.lists(
        st.builds(
            Entry,
            id=words.filter(bool),
            audio=st.sampled_from(["a.wav", "clips/ü.ogg"]),
            duration=st.floats(0.01, 1e4),
            src_lang=st.sampled_from(["deu", "jpn"]),
            sentence_id=words.filter(bool),
            offset=st.floats(0, 1e4),
            tgt_lang=st.none(),
            tgt_text=st.none(),
            src_text=st.none() | st.just('Grüße, \t"so".'),
        ),
        min_size=1,
    )
)
def test_what_is_written_comes_back(tmp_path_factory, written):
    file = tmp_path_factory.mktemp("manifest") / "m.jsonl"
    write_manifest(file, written)
    assert [placed.entry for placed in read_manifest(file)] == written


def test_absolute_audio_is_written_beside_the_manifest(tmp_path):
    file = tmp_path / "sub" / "m.jsonl"
    write_manifest(file, [Entry("a", str(tmp_path / "a.wav"), 1.0, "deu", "a")])
    (placed,) = read_manifest(file)
    assert placed.entry.audio == "../a.wav"


@pytest.mark.parametrize("linked", ["manifest", "audio", "both", "archive"])
def test_links_do_not_lead_astray(tmp_path, linked):
    """`..` after a link is the folder above what it points to."""
    clips, out = tmp_path / "w" / "clips", tmp_path / "w" / "out"
    for place, far in ((clips, tmp_path / "big/disk/clips"), (out, tmp_path / "far/out")):
        is_link = linked == "both" or (place == out) == (linked in {"manifest", "archive"})
        (far if is_link else place).mkdir(parents=True)
        place.parent.mkdir(exist_ok=True)
        if is_link:
            place.symlink_to(far)
    (tmp_path / "a.wav").write_bytes(b"sound")
    (clips / "a.wav").symlink_to(tmp_path / "a.wav")  # whose name says what it is
    with tarfile.open(tmp_path / "blob", "w") as archive:
        archive.add(tmp_path / "a.wav", "sub/a.wav")
    (clips / "c.tar").symlink_to(tmp_path / "blob")
    audio = clips / ("c.tar/sub/a.wav" if linked == "archive" else "a.wav")
    write_manifest(out / "m.jsonl", [Entry("a", str(audio), 1.0, "deu", "a")])
    for file in (out / "m.jsonl", (out / "m.jsonl").resolve()):
        (one,) = Manifest({"test": [str(file)]}).utterances("deu", "test")
        assert Path(one.place).name == "a.wav"
        found = one.audio
        assert (found.read_bytes() if isinstance(found, Path) else found.read()) == b"sound"


def test_a_linked_folder_beside_the_manifest_keeps_its_name(tmp_path):
    """Both can be copied to another machine, where the link points elsewhere."""
    (tmp_path / "disk/clips").mkdir(parents=True)
    (tmp_path / "w").mkdir()
    (tmp_path / "w/clips").symlink_to(tmp_path / "disk/clips")
    file = tmp_path / "w/m.jsonl"
    write_manifest(file, [Entry("a", str(tmp_path / "w/clips/a.wav"), 1.0, "deu", "a")])
    (placed,) = read_manifest(file)
    assert placed.entry.audio == "clips/a.wav"
