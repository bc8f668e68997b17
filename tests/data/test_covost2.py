"""CoVoST 2 as released and as its own script splits it, over clips of Common Voice."""

import csv
import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile

from speechalign.data.covost2 import Clips, direction_of, import_covost2
from speechalign.data.manifest import Manifest, write_manifest
from speechalign.data.manifest_lines import Entry, read_manifest
from speechalign.errors import UserError

# the languages of the paper, as its files write them
INTO_ENGLISH = (
    *("fr", "de", "es", "ca", "it", "ru", "zh-CN", "pt", "fa", "et", "mn"),
    *("nl", "tr", "ar", "sv-SE", "lv", "sl", "ta", "ja", "id", "cy"),
)
FROM_ENGLISH = (
    *("de", "tr", "fa", "sv-SE", "mn", "zh-CN", "cy", "ca", "sl", "et"),
    *("id", "ar", "ta", "lv", "ja"),
)


def clip(folder: Path, name: str, seconds: float = 0.1, rate: int = 48_000) -> None:
    """Write noise, as mp3 or by another suffix."""
    noise = 0.1 * np.random.default_rng(len(name)).standard_normal(round(seconds * rate))
    soundfile.write(folder / name, noise, rate)


def table(file: Path, *rows: tuple[str, ...]) -> Path:
    file.write_text("".join("\t".join(row) + "\n" for row in rows), encoding="utf-8")
    return file


def by_the_script(file: Path, *rows: tuple[str, ...]) -> Path:
    """Write a split with the options of CoVoST's script."""
    with file.open("w", encoding="utf-8", newline="") as lines:
        options = {"quoting": csv.QUOTE_NONE, "escapechar": "\\", "lineterminator": "\n"}
        writer = csv.writer(lines, delimiter="\t", **options)
        writer.writerows([("path", "sentence", "translation", "client_id"), *rows])
    return file


@pytest.fixture
def voice(tmp_path) -> Path:
    """Common Voice's folder of one language: five clips a to e, and what they say."""
    folder = tmp_path / "de"
    (folder / "clips").mkdir(parents=True)
    for name in "abcde":
        clip(folder / "clips", f"{name}.mp3")
    said = [("x", f"{name}.mp3", f"Satz {name}.", "2") for name in "abcde"]
    table(folder / "validated.tsv", ("client_id", "path", "sentence", "up_votes"), *said)
    return folder


def texts(entries: list[Entry]) -> list[tuple[str, str | None, str | None]]:
    return [(entry.id, entry.src_text, entry.tgt_text) for entry in entries]


RELEASED = (
    ("path", "translation", "split"),
    ("a.mp3", "Sentence a.", "train"),
    ("b.mp3", "Sentence b.", "train_covost"),
    ("c.mp3", "Sentence c.", "dev"),
    ("d.mp3", "Sentence d.", "test"),
    ("e.mp3", "Sentence e.", "dev_covost"),
)


def test_the_release_is_joined_with_common_voice(voice, tmp_path):
    file = table(tmp_path / "covost_v2.de_en.tsv", *RELEASED)
    found = import_covost2(file, Clips(voice / "clips"))
    assert {split: [entry.id for entry in entries] for split, entries in found.items()} == {
        "train": ["a", "b"],
        "dev": ["c"],
        "test": ["d"],
    }
    entry = found["train"][0]
    assert entry == Entry("a", str(voice / "clips/a.mp3"), entry.duration, "deu", "a", 0.0,
                          "Satz a.", "eng", "Sentence a.")  # fmt: skip
    assert entry.duration == pytest.approx(0.1, abs=0.06)  # an mp3 is whole frames of 24 ms


def test_a_split_by_the_script_is_read_as_it_was_meant(voice, tmp_path):
    (voice / "validated.tsv").unlink()
    hard = [
        ("a.mp3", 'Er sagt: "Ja."', '"Yes," he says.', "x"),
        ("b.mp3", '"', "a\\b", "x"),
        ("c.mp3", '„So“ ""doppelt""', "a\ttab", "x"),
    ]
    file = by_the_script(tmp_path / "covost_v2.de_en.dev.tsv", *hard)
    assert '\\"Ja.\\"' in file.read_text()
    found = import_covost2(file, Clips(voice / "clips"))
    assert texts(found["dev"]) == [(row[0][0], *row[1:3]) for row in hard]


def test_quotes_that_nobody_escaped_are_quotes(voice, tmp_path):
    """A quote at the start of a field must not swallow the rows up to the next one."""
    row = ("a.mp3", '"Ja.', 'Yes."', "x")
    file = table(
        tmp_path / "covost_v2.de_en.test.tsv",
        ("path", "sentence", "translation", "client_id"),
        row,
        ("b.mp3", '""Nein"" "', '"No"', "x"),
    )
    found = import_covost2(file, Clips(voice / "clips"))
    assert texts(found["test"]) == [("a", '"Ja.', 'Yes."'), ("b", '""Nein"" "', '"No"')]


def test_durations_are_of_the_table_where_there_is_one(voice, tmp_path):
    rows = [(f"{name}.mp3", str(1000 + n)) for n, name in enumerate("abc")]
    table(voice / "clip_durations.tsv", ("clip", "duration[ms]"), *rows)
    found = import_covost2(
        table(tmp_path / "covost_v2.de_en.tsv", *RELEASED), Clips(voice / "clips")
    )
    assert [entry.duration for entry in found["train"] + found["dev"]] == [1.0, 1.001, 1.002]
    assert found["test"][0].duration < 0.2


def test_a_clip_in_several_directions_is_one_sentence(voice, tmp_path):
    shutil.move(voice, tmp_path / "en")
    clips = Clips(tmp_path / "en/clips")
    files = []
    for target, word in (("de", "Satz"), ("zh-CN", "句子")):
        rows = [(row[0], f"{word} {row[0][0]}。", row[2]) for row in RELEASED[1:]]
        file = table(tmp_path / f"covost_v2.en_{target}.tsv", RELEASED[0], *rows)
        files.append(tmp_path / "manifests" / f"{target}.jsonl")
        write_manifest(files[-1], import_covost2(file, clips)["train"])
    corpus = Manifest({"train": list(map(str, files))})
    heard = corpus.utterances("eng", "train")
    assert [u.sentence_id for u in heard] == ["a", "b"]
    assert corpus.texts("cmn", "train") == {"a": "句子 a。", "b": "句子 b。"}
    assert corpus.texts("deu", "train") == {"a": "Satz a。", "b": "Satz b。"}
    assert heard[0].audio.resolve() == tmp_path / "en/clips/a.mp3"


def test_every_direction_of_the_paper_is_known():
    directions = [(code, "en") for code in INTO_ENGLISH] + [("en", code) for code in FROM_ENGLISH]
    assert len(directions) == 21 + 15
    codes = set()
    for source, target in directions:
        found = direction_of(Path(f"covost_v2.{source}_{target}.train.tsv"))
        assert (found.name, found.split) == (f"{source}_{target}", "train")
        codes |= {found.source, found.target}
    assert len(codes) == 22
    assert {"cmn", "pes", "arb", "khk", "swe", "lvs", "est", "cym", "eng"} <= codes


def test_what_cannot_be_used_is_left_out_and_named(voice, tmp_path):
    (voice / "clips/a.mp3").unlink()
    (voice / "clips/b.mp3").write_bytes(b"")
    (voice / "clips/c.mp3").write_bytes(b"no sound at all")
    rows = [
        ("a.mp3", "A", "train"),
        ("b.mp3", "B", "train"),
        ("c.mp3", "C", "train"),
        ("d.mp3", " ", "train"),
        ("f.mp3", "F", "train"),
        ("e.mp3", "E", "train"),
        ("e.mp3", "E again", "train"),
    ]
    file = table(tmp_path / "covost_v2.de_en.tsv", RELEASED[0], *rows)
    left_out: list[str] = []
    found = import_covost2(file, Clips(voice / "clips"), left_out)
    assert [entry.tgt_text for entry in found["train"]] == ["E"]
    told = [
        "a.mp3 cannot be read (No such file or directory)",
        "b.mp3 is empty",
        "c.mp3 is no audio",
        "d.mp3 has no translation",
        "f.mp3 is not in validated.tsv; CoVoST 2 is of Common Voice 4",
        "e.mp3 is in train before",
    ]
    lines = (2, 3, 4, 5, 6, 8)
    for message, fault, line in zip(left_out, told, lines, strict=True):
        assert message.startswith(f"{file}:{line}: ")
        assert fault in message
        assert "\n" not in message
    with pytest.raises(UserError, match=r"covost_v2\.de_en\.tsv:2: .*a\.mp3 cannot be read"):
        import_covost2(file, Clips(voice / "clips"))


@pytest.mark.parametrize(
    ("name", "rows", "told"),
    [
        ("de_en.tsv", RELEASED, "expected the name that CoVoST 2 gives"),
        ("covost.de_en.tsv", RELEASED, "expected the name that CoVoST 2 gives"),
        ("covost_v2.eo_en.tsv", RELEASED, r"covost_v2\.eo_en\.tsv: Unknown language 'eo'"),
        ("covost_v2.de_en.tsv", [("path", "translation")], ":1: no column split"),
        ("covost_v2.de_en.dev.tsv", [("a", "b")], ":1: no column path, translation"),
        ("covost_v2.de_en.tsv", [RELEASED[0], ("a.mp3", "A")], ":2: 2 fields; expected 3"),
        ("covost_v2.de_en.tsv", [RELEASED[0], RELEASED[-1]], "no clip of train, dev or test"),
        ("covost_v2.de_en.tsv", [], ":1: no column path"),
    ],
)
def test_a_malformed_file_is_told(voice, tmp_path, name, rows, told):
    with pytest.raises(UserError, match=told):
        import_covost2(table(tmp_path / name, *rows), Clips(voice / "clips"))


def test_a_folder_that_is_no_common_voice_is_told(voice, tmp_path):
    with pytest.raises(UserError, match="nowhere: no folder; name Common Voice's clips/"):
        Clips(tmp_path / "nowhere")
    (voice / "validated.tsv").unlink()
    file = table(tmp_path / "covost_v2.de_en.tsv", *RELEASED)
    with pytest.raises(UserError, match=r"validated\.tsv: cannot be read"):
        import_covost2(file, Clips(voice / "clips"))
    durations = voice / "clip_durations.tsv"
    table(durations, ("clip", "duration[ms]"), ("a.mp3", "4.5 s"))
    with pytest.raises(UserError, match=r"clip_durations\.tsv:2: the duration is '4.5 s'"):
        Clips(voice / "clips")
    durations.write_bytes(b"\xff\xfe")
    with pytest.raises(UserError, match="not UTF-8"):
        Clips(voice / "clips")


def test_what_is_written_is_read_again(voice, tmp_path):
    file = table(tmp_path / "covost_v2.de_en.tsv", *RELEASED)
    entries = import_covost2(file, Clips(voice / "clips"))["train"]
    write_manifest(tmp_path / "out.jsonl", entries)
    read = [placed.entry for placed in read_manifest(tmp_path / "out.jsonl")]
    assert [e._replace(audio="") for e in read] == [e._replace(audio="") for e in entries]
