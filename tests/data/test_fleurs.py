"""FLEURS folders: what is read, and what is said of malformed ones."""

import unicodedata
from pathlib import Path

import pytest
import soundfile

from speechalign.data.archive import ArchiveMember
from speechalign.data.examples import read_audio
from speechalign.data.fleurs import Fleurs
from speechalign.data.fleurs_tsv import read_tsv
from speechalign.data.report import HEADER
from speechalign.errors import Caution, UserError
from tests.data.conftest import Clip, write_fleurs

LINE = "7\t0.wav\tDas Haus.\tdas haus\td a s | h a u s |\t320\tFEMALE"


def tsv(folder: Path, *lines: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "train.tsv"
    path.write_bytes("".join(f"{line}\n" for line in lines).encode())
    return path


def test_an_utterance_has_all_fields(tmp_path):
    write_fleurs(tmp_path, "de_de", "train", [Clip(7, "Das Haus.", 0.05)])
    (utterance,) = Fleurs(str(tmp_path)).utterances("de", "train")
    assert utterance == (
        "de_de/train/0.wav",
        "7",
        "deu",
        tmp_path / "de_de/audio/train/0.wav",
        0.0,
        0.05,
        "Das Haus.",
        "das haus",
        "female",
    )


@pytest.mark.parametrize("below", ["", "data"])
@pytest.mark.parametrize("kind", ["dir", "tar", "tar.gz"])
def test_folders_and_archives_hold_the_same(tmp_path, kind, below):
    clips = [Clip(1, "Eins.", 0.01), Clip(1, "Eins.", 0.03), Clip(2, "Zwei.", 0.02)]
    write_fleurs(tmp_path / "plain", "de_de", "train", clips)
    write_fleurs(tmp_path / "packed" / below, "de_de", "train", clips, kind)
    plain = Fleurs(str(tmp_path / "plain")).utterances("deu", "train")
    source = Fleurs(str(tmp_path / "packed"), cache_dir=str(tmp_path / "cache"))
    packed = source.utterances("deu", "train")
    assert [u.sentence_id for u in packed] == ["1", "1", "2"]
    for one, other in zip(plain, packed, strict=True):
        assert isinstance(one.audio, Path)
        packed_audio = other.audio
        content = (
            packed_audio.read()
            if isinstance(packed_audio, ArchiveMember)
            else packed_audio.read_bytes()
        )
        assert one.audio.read_bytes() == content
        assert one._replace(audio=Path()) == other._replace(audio=Path())


def test_the_cache_folder_is_used(tmp_path):
    write_fleurs(tmp_path, "de_de", "train", [Clip(1, "Eins.")], "tar.gz")
    Fleurs(str(tmp_path), cache_dir=str(tmp_path / "cache")).utterances("deu", "train")
    assert list((tmp_path / "cache").rglob("*.tar"))


def test_texts_are_composed_and_stripped_and_nothing_else(tmp_path):
    decomposed = unicodedata.normalize("NFD", "  „Häuser“ kosten 5 €…　 ")
    line = LINE.replace("Das Haus.", decomposed)
    (row,) = read_tsv(tsv(tmp_path, line))
    assert row.text == "„Häuser“ kosten 5 €…"


def test_quotes_mean_nothing(tmp_path):
    opened = LINE.replace("Das Haus.", '"Das Haus.')
    doubled = LINE.replace("Das Haus.", '"""Das"" Haus.').replace("0.wav", "1.wav")
    first, second = read_tsv(tsv(tmp_path, opened, doubled))
    assert (first.text, second.text) == ('"Das Haus.', '"""Das"" Haus.')


def test_odd_line_breaks_do_not_split_a_line(tmp_path):
    line = LINE.replace("Das Haus.", "Das\u2028Haus\x85.\x0b")
    (row,) = read_tsv(tsv(tmp_path, line + "\r"))
    assert row.text == "Das\u2028Haus\x85."
    assert row.gender == "female"


def test_a_byte_order_mark_is_no_text(tmp_path):
    path = tsv(tmp_path, LINE)
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    assert read_tsv(path)[0].sentence_id == "7"


@pytest.mark.parametrize(
    ("raw", "plain"),
    [
        ("Das\tHaus.", "das haus"),
        ("Das Haus.", "das\thaus"),
        ("Das\tHaus.", "das\thaus"),
        ("\tDas Haus.\t", "das haus"),
    ],
)
def test_tabs_in_the_texts_are_placed_by_the_spelling(tmp_path, raw, plain):
    line = LINE.replace("Das Haus.", raw).replace("das haus", plain)
    (row,) = read_tsv(tsv(tmp_path, line))
    assert (row.text, row.normalized_text) == (raw.strip(), plain)
    assert (row.samples, row.gender) == (320, "female")


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        ("", "1 tab-separated columns"),
        (LINE.rsplit("\t", 1)[0], "6 tab-separated columns"),
        (LINE.replace("Das Haus.", "Das\tHaus.").replace("d a s", "d e r"), "cannot be placed"),
        (LINE.replace("\tFEMALE", "\t12\tFEMALE"), "cannot be placed"),
        (LINE.replace("320", "many"), "number of samples is 'many'"),
        (LINE.replace("320", "-5"), "number of samples is '-5'"),
        (LINE.replace("320", "1.5"), "number of samples is '1.5'"),
        (LINE.replace("320", "0"), "number of samples is '0'"),
        (LINE.replace("320", str(2**63)), "number of samples is '9223372036854775808'"),
        (LINE.replace("320", 5000 * "1"), "number of samples is '1{39}; expected"),
        (LINE.replace("FEMALE", "YES"), "gender is 'yes'"),
        (LINE.replace("0.wav", " "), "file name is empty"),
        (LINE.replace("7\t", "\t"), "sentence id or the file name is empty"),
        (LINE, r"file '0\.wav' is already in line 1"),
    ],
)
def test_a_malformed_line_is_named(tmp_path, line, fault):
    path = tsv(tmp_path, LINE, line, LINE.replace("0.wav", "2.wav"))
    with pytest.raises(UserError, match=fault) as told:
        read_tsv(path)
    assert str(told.value).startswith(f"{path}:2: ")


def test_what_is_not_utf8_is_named(tmp_path):
    path = tsv(tmp_path, LINE)
    path.write_bytes(path.read_bytes().replace(b"Haus", b"H\xe4us"))
    with pytest.raises(UserError, match=r"train\.tsv:1: not UTF-8 at byte 14 of the line"):
        read_tsv(path)


def test_an_empty_tsv_has_no_rows(tmp_path):
    (tmp_path / "train.tsv").touch()
    assert read_tsv(tmp_path / "train.tsv") == []


@pytest.mark.parametrize("kind", ["dir", "tar.gz"])
def test_a_missing_recording_is_named_by_line(tmp_path, kind):
    write_fleurs(tmp_path, "de_de", "train", [Clip(1, "Eins.")], kind)
    path = tmp_path / "de_de" / "train.tsv"
    path.write_text(path.read_text() + LINE.replace("0.wav", "../0.wav") + "\n")
    source = Fleurs(str(tmp_path), cache_dir=str(tmp_path / "cache"))
    with pytest.raises(UserError, match=r"train\.tsv:2: '\.\./0\.wav' is not among the 1 "):
        source.utterances("deu", "train")


def test_what_is_missing_is_told_with_what_is_there(tmp_path):
    source = Fleurs(str(tmp_path / "corpus"))
    with pytest.raises(UserError, match="no such folder; `root`"):
        source.languages()
    (tmp_path / "corpus").mkdir()
    with pytest.raises(UserError, match="there is no FLEURS language"):
        source.utterances("deu", "train")
    write_fleurs(tmp_path / "corpus", "fr_fr", "dev", [Clip(1, "Un.")])
    write_fleurs(tmp_path / "corpus", "es_419", "test", [Clip(1, "Uno.")])
    assert source.languages() == ["spa", "fra"]
    with pytest.raises(UserError, match="'deu' is missing; there is spa, fra"):
        source.utterances("deu", "train")
    with pytest.raises(UserError, match="splits of fra on disk: dev"):
        source.utterances("fra", "train")
    with pytest.raises(UserError, match="Unknown language 'xx'"):
        source.utterances("xx", "train")


def test_texts_need_no_audio_but_utterances_do(tmp_path):
    clips = [Clip(1, "One."), Clip(2, "Two."), Clip(1, "Another one.")]
    write_fleurs(tmp_path, "en_us", "train", clips, "none")
    source = Fleurs(str(tmp_path))
    assert source.texts("eng", "train") == {"1": "One.", "2": "Two."}
    assert source.splits("eng") == ["train"]
    with pytest.raises(
        UserError, match=r"neither train/ nor train\.tar\.gz nor train\.tar is there"
    ):
        source.utterances("eng", "train")


@pytest.mark.parametrize("kind", ["dir", "tar", "tar.gz", "none"])
def test_speech_is_told_from_texts_alone(tmp_path, kind):
    write_fleurs(tmp_path, "en_us", "train", [Clip(1, "One.")], kind)
    (tmp_path / "en_us/audio/dev").mkdir()  # recordings without their TSV cannot be used
    source = Fleurs(str(tmp_path))
    assert source.has_audio("eng", "train") is (kind != "none")
    assert source.has_audio("eng", "dev") is False
    with pytest.raises(UserError, match="'deu' is missing"):
        source.has_audio("deu", "train")


def test_packaged_folders_are_resolved():
    with pytest.raises(UserError, match="not in this installation"):
        Fleurs("assets:no/such/corpus").languages()


def test_the_real_recordings_load(shared):
    source = Fleurs(str(shared / "real" / "fleurs"))
    assert source.languages() == ["deu", "eng", "spa", "fra", "por"]
    utterances = [u for code in source.languages() for u in source.utterances(code, "test")]
    assert len(utterances) == len({u.id for u in utterances}) == 8
    shared_ids = [u.sentence_id for u in utterances]
    assert sorted(s for s in set(shared_ids) if shared_ids.count(s) == 2) == [
        "1852",
        "1853",
        "1987",
    ]
    for utterance in utterances:
        assert isinstance(utterance.audio, Path)
        assert soundfile.info(utterance.audio).duration == utterance.duration
        assert unicodedata.is_normalized("NFC", utterance.text)


def test_a_corpus_is_read_once(tmp_path, monkeypatch):
    write_fleurs(tmp_path, "de_de", "train", [Clip(1, "Eins."), Clip(2, "Zwei.")], "tar.gz")
    source = Fleurs(str(tmp_path), cache_dir=str(tmp_path / "cache"))
    first = list(source.utterances("deu", "train"))

    def read(*_):
        raise AssertionError

    monkeypatch.setattr("speechalign.data.fleurs.read_tsv", read)
    monkeypatch.setattr("speechalign.data.fleurs.open_archive", read)
    again = source.utterances("deu", "train")
    assert list(again) == first
    assert [again[0], *again[1:]] == first
    assert again[-1] == first[1]
    with pytest.raises(IndexError):
        again[2]
    told = again.columns()
    assert told.sentence_ids == ["1", "2"]
    assert told.durations.tolist() == [u.duration for u in first]


def test_archives_are_decompressed_anew_when_the_cache_was_emptied(tmp_path):
    write_fleurs(tmp_path, "de_de", "train", [Clip(1, "Eins.")], "tar.gz")
    source = Fleurs(str(tmp_path), cache_dir=str(tmp_path / "cache"))
    (before,) = source.utterances("deu", "train")
    content = before.audio.read()
    (copy,) = (tmp_path / "cache/archives").iterdir()
    copy.unlink()
    (after,) = source.utterances("deu", "train")
    assert after.audio.read() == content


def test_a_recording_that_vanished_is_named(tmp_path):
    write_fleurs(tmp_path, "de_de", "train", [Clip(1, "Eins."), Clip(2, "Zwei.")])
    source = Fleurs(str(tmp_path))
    assert len(source.utterances("deu", "train")) == 2
    (tmp_path / "de_de/audio/train/1.wav").unlink()
    with pytest.raises(UserError, match=r"train\.tsv:2: '1\.wav' is not among the 1 recordings"):
        source.utterances("deu", "train")


@pytest.mark.parametrize("kind", ["dir", "tar", "tar.gz"])
def test_a_recording_that_vanished_can_be_listed_all_the_same(tmp_path, kind):
    clips = [Clip(1, "Eins."), Clip(2, "Zwei.")]
    write_fleurs(tmp_path, "de_de", "train", clips, kind)
    path = tmp_path / "de_de/train.tsv"
    path.write_text(path.read_text().replace("1.wav", "lost.wav"))
    source = Fleurs(str(tmp_path), str(tmp_path / "cache"))
    kept, lost = source.with_missing().utterances("deu", "train")
    assert len(read_audio(kept)) == 320
    assert lost.id == "de_de/train/lost.wav"
    assert lost.text == "Zwei."
    assert not lost.is_there
    with pytest.raises(UserError, match=r"lost\.wav' does not exist"):
        read_audio(lost)
    with pytest.raises(UserError, match="is not among the"):
        source.utterances("deu", "train")
    with pytest.warns(Caution, match="1 recordings are skipped"):
        skipping = Fleurs(str(tmp_path), on_error="skip").with_missing().utterances("deu", "train")
    assert len(skipping) == 1


def test_what_is_wrong_can_be_skipped_and_is_told_each_time(tmp_path):
    write_fleurs(tmp_path, "de_de", "train", [Clip(1, "Eins."), Clip(2, "Zwei."), Clip(3, "Drei.")])
    path = tmp_path / "de_de/train.tsv"
    path.write_text(path.read_text() + "4\tx.wav\n" + LINE + "\n")
    (tmp_path / "de_de/audio/train/1.wav").unlink()
    source = Fleurs(str(tmp_path), on_error="skip")
    for _ in range(2):
        with pytest.warns(Caution) as told:
            utterances = source.utterances("deu", "train")
        assert [u.sentence_id for u in utterances] == ["1", "3"]
        messages = [str(warning.message) for warning in told]
        assert messages[0].endswith("train.tsv:4: 2 tab-separated columns; FLEURS has 7.")
        assert "2 recordings are skipped" in messages[0]  # and line 5 repeats a file
        assert "1 recordings are skipped" in messages[1]
        assert messages[1].endswith("train.tsv:2: '1.wav' is not among the 2 recordings.")
    with pytest.raises(UserError, match=r"train\.tsv:4"):
        Fleurs(str(tmp_path)).utterances("deu", "train")


def test_what_the_report_drops_is_left_out(tmp_path):
    for locale, split in (("de_de", "train"), ("de_de", "dev"), ("fr_fr", "train")):
        write_fleurs(tmp_path, locale, split, [Clip(n, f"Satz {n}.") for n in range(4)])
    names = ["de_de/train/1.wav", "de_de/train/3.wav", "de_de/train/tsv:9", "de_de/trai/0.wav"]
    rows = [f"{name}\t1\tdropped\tsilent" for name in names] + ["fr_fr/train/0.wav\t1\tkept\tx"]
    (tmp_path / "quality.tsv").write_text("\n".join(["\t".join(HEADER), *rows]))
    source, everything = Fleurs(str(tmp_path)), Fleurs(str(tmp_path), keep_all=True)
    german = source.utterances("deu", "train")
    assert [u.id for u in german] == ["de_de/train/0.wav", "de_de/train/2.wav"]
    assert german[1] == everything.utterances("deu", "train")[2]
    assert german.columns().sentence_ids == ["0", "2"]
    assert german.lines() == [f"{tmp_path / 'de_de/train.tsv'}:{n}" for n in (1, 3)]
    assert source.texts("deu", "train") == everything.texts("deu", "train")
    for code, split in (("deu", "dev"), ("fra", "train")):
        assert list(source.utterances(code, split)) == list(everything.utterances(code, split))


@pytest.mark.parametrize("kind", ["dir", "tar", "tar.gz"])
def test_lines_are_named_in_any_form(tmp_path, kind):
    write_fleurs(tmp_path / "data", "de_de", "train", [Clip(1, "Eins."), Clip(2, "Zwei.")], kind)
    found = Fleurs(str(tmp_path), str(tmp_path / "cache")).utterances("deu", "train")
    assert found.lines() == [f"{tmp_path / 'data/de_de/train.tsv'}:{n}" for n in (1, 2)]


@pytest.mark.parametrize("kind", ["tar", "tar.gz"])
def test_a_relative_root_means_what_it_means_there(tmp_path, monkeypatch, kind):
    """The tables are kept under the absolute path; they may not lead to another corpus."""
    for place, text in (("a", "Eins."), ("b", "Anderes.")):
        clips = [Clip(1, text, 0.05 if place == "a" else 0.07)]
        write_fleurs(tmp_path / place / "fleurs", "de_de", "train", clips, kind)
    cache = str(tmp_path / "cache")
    monkeypatch.chdir(tmp_path / "a")
    (here,) = Fleurs("fleurs", cache).utterances("deu", "train")
    content = here.audio.read()
    monkeypatch.chdir(tmp_path / "b")
    (there,) = Fleurs(str(tmp_path / "a/fleurs"), cache).utterances("deu", "train")
    assert there.audio.read() == content
    (own,) = Fleurs("fleurs", cache).utterances("deu", "train")
    assert own.audio.read() != content


def test_the_report_counts_also_for_the_inner_folder(tmp_path):
    write_fleurs(tmp_path / "data", "de_de", "train", [Clip(1, "Eins."), Clip(2, "Zwei.")])
    header = "id\tsentence_id\taction\treason\tvalue\tlimit\tnote\n"
    line = "de_de/train/0.wav\t1\tdropped\tsilent\t-90\t-66\t\n"
    (tmp_path / "quality.tsv").write_text(header + line)
    for root in (tmp_path, tmp_path / "data"):
        assert [u.sentence_id for u in Fleurs(str(root)).utterances("deu", "train")] == ["2"]
    assert len(Fleurs(str(tmp_path), keep_all=True).utterances("deu", "train")) == 2


@pytest.mark.parametrize("inner", ["data", "."])
def test_a_folder_called_data_has_a_report_of_its_own(tmp_path, inner):
    """Be it the root of a corpus, with an inner folder or without."""
    root = tmp_path / "data"
    write_fleurs(root / inner, "de_de", "train", [Clip(1, "Eins."), Clip(2, "Zwei.")])
    rows = ["\t".join(HEADER), *[f"de_de/train/{n}.wav\t1\tdropped\tsilent" for n in range(2)]]
    (tmp_path / "quality.tsv").write_text("\n".join([rows[0], rows[2]]))  # of another corpus
    (root / "quality.tsv").write_text("\n".join(rows[:2]))
    source = Fleurs(str(root))
    assert [u.sentence_id for u in source.utterances("deu", "train")] == ["2"]
    (root / "quality.tsv").unlink()
    kept = ["1", "2"] if inner == "data" else ["1"]
    assert [u.sentence_id for u in source.utterances("deu", "train")] == kept
