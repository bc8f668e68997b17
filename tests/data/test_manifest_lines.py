"""Lines of manifests: what is wrong is named with its line, and left out if that is wanted."""

import json
from pathlib import Path
from typing import Any

import pytest

from speechalign.data.manifest import Manifest
from speechalign.data.manifest_lines import Entry, check_recordings, read_manifest
from speechalign.errors import UserError

GERMAN = {
    "id": "a1",
    "audio": "clips/a.wav",
    "duration": 3.2,
    "src_lang": "de",
    "sentence_id": 17,
    "src_text": " Guten Morgen. ",
    "tgt_lang": "eng_Latn",
    "tgt_text": "Good morning.",
}
FRENCH = GERMAN | {"id": "b", "audio": "/there/b.wav", "src_lang": "fr", "src_text": "Bonjour."}


def lines(file: Path, *rows: dict[str, Any] | str) -> str:
    file.write_text("\n".join(r if isinstance(r, str) else json.dumps(r) for r in rows) + "\n")
    return str(file)


def test_little_is_enough(tmp_path):
    (bare,) = read_manifest(
        Path(lines(tmp_path / "m.jsonl", {k: GERMAN[k] for k in list(GERMAN)[:4]}))
    )
    assert bare.entry == Entry("a1", "clips/a.wav", 3.2, "deu", "a1")


@pytest.mark.parametrize(
    ("row", "told"),
    [
        ('{"id": 1', "no JSON"),
        ("[1]", "expected an object"),
        (f'{{"id": {100_000 * "["}', "no JSON .maximum recursion"),
        (GERMAN | {"id": None}, "id must be given"),
        ({}, "id, audio, duration, src_lang must be given"),
        (GERMAN | {"id": " "}, "id is ' '"),
        (GERMAN | {"audio": True}, "audio is True"),
        (GERMAN | {"duration": 0}, "duration is 0; expected more than 0 s"),
        (GERMAN | {"duration": "3"}, "duration is '3'; expected seconds"),
        (GERMAN | {"duration": float("nan")}, "duration is nan"),
        (GERMAN | {"duration": 10**400}, "duration is 10{39}; expected seconds"),
        (GERMAN | {"duration": 1e308}, r"duration is 1e\+308; expected seconds"),
        (GERMAN | {"offset": -(10**400)}, "offset is -10{38}; expected seconds"),
        (GERMAN | {"offset": -1}, "offset is -1"),
        (GERMAN | {"src_lang": "germn"}, "src_lang: .*Did you mean"),
        (GERMAN | {"tgt_lang": "xx"}, "tgt_lang: "),
        (GERMAN | {"tgt_text": None}, "tgt_lang and tgt_text go together"),
        (GERMAN | {"src_text": 5}, "src_text is 5; expected a text"),
        (GERMAN | {"id": "\ud800"}, r"id has '\\ud800', which is no character of a text"),
        (GERMAN | {"audio": "a\0.wav"}, r"audio has '\\x00'"),
        (GERMAN | {"sentence_id": "\udfff"}, r"sentence_id has '\\udfff'"),
        (GERMAN | {"src_text": "Gu\udc80ten"}, r"src_text has '\\udc80'"),
        (GERMAN | {"tgt_text": "\0"}, r"tgt_text has '\\x00'"),
        (FRENCH | {"id": "a1"}, r"id 'a1' is another recording in .*m.jsonl:1"),
        (GERMAN | {"sentence_id": 2}, r"is another recording in .*m.jsonl:1"),
        (GERMAN, r"'a1', into the same language, is in .*m.jsonl:1 too"),
    ],
)
def test_a_fault_is_named_with_file_and_line_or_left_out(tmp_path, row, told):
    corpus = Manifest({"train": [lines(tmp_path / "m.jsonl", GERMAN, "", row)]})
    with pytest.raises(UserError, match=f"m.jsonl:3: .*{told}") as stopped:
        corpus.splits("deu")
    faults: list[UserError] = []
    read = check_recordings(read_manifest(tmp_path / "m.jsonl", faults), faults)
    assert [placed.line for placed in read] == [1]
    assert [str(fault) for fault in faults] == [str(stopped.value)]


@pytest.mark.parametrize(
    ("content", "told"),
    [(None, "cannot be read"), (b"", "an empty manifest"), (b"\n \r\n", "an empty manifest")],
)
def test_a_file_that_is_no_manifest_is_told(tmp_path, content, told):
    file = tmp_path / "m.jsonl"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(UserError, match=f"m.jsonl: {told}"):
        read_manifest(file)


def test_a_line_that_is_not_utf8_is_named_or_left_out(tmp_path):
    file = Path(lines(tmp_path / "m.jsonl", GERMAN, FRENCH, GERMAN | {"id": "c"}))
    file.write_bytes(b"\xef\xbb\xbf" + file.read_bytes().replace(b"Bonjour", b"Gar\xe7on"))
    with pytest.raises(UserError, match=r"m\.jsonl:2: not UTF-8 at byte \d+ of the line"):
        read_manifest(file)
    faults: list[UserError] = []
    assert [placed.entry.id for placed in read_manifest(file, faults)] == ["a1", "c"]
    assert len(faults) == 1
