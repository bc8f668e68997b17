"""Batches of what can be read, with the rest set apart."""

from pathlib import Path

import pytest

from speechalign.data.batch import Collate
from speechalign.data.examples import SpeechDataset
from speechalign.data.fleurs import Fleurs
from speechalign.data.items import Asking
from speechalign.data.pairs import BatchRows
from speechalign.data.prompts import PromptTemplates
from speechalign.data.readable import ReadableDataset
from speechalign.data.selection import items_to_ask
from speechalign.errors import UserError
from tests.data.conftest import Clip, write_fleurs


@pytest.fixture
def spoken(tmp_path, tokenizer) -> ReadableDataset:
    write_fleurs(tmp_path, "de_de", "test", [Clip(n, f"Satz {n}.") for n in range(4)])
    asking = Asking(("asr",), "deu", PromptTemplates())
    items = items_to_ask(Fleurs(str(tmp_path)), ["deu"], "test", asking)
    return ReadableDataset(SpeechDataset(items, Collate(tokenizer, 16_000)))


def audio(spoken: ReadableDataset, row: int) -> Path:
    place = spoken.speech.items[row][0].utterance.audio
    assert isinstance(place, Path)
    return place


def read(spoken: ReadableDataset, *rows: int) -> tuple[list[str], list[str]]:
    found = spoken[BatchRows(rows, (), 0)]
    examples = found.batch.examples if found.batch else []
    heard, unread = (
        [example.utterance.sentence_id for example in part] for part in (examples, found.unread)
    )
    return heard, unread


def test_what_can_be_read_is_one_batch(spoken):
    assert len(spoken) == 4
    assert read(spoken, 2, 0, 1) == (["2", "0", "1"], [])


def test_what_cannot_be_read_is_set_apart(spoken):
    audio(spoken, 1).unlink()
    audio(spoken, 3).write_bytes(b"no sound")
    assert read(spoken, 0, 1, 2, 3) == (["0", "2"], ["1", "3"])
    assert read(spoken, 3, 1) == ([], ["3", "1"])
    assert spoken[BatchRows((1,), (), 0)].batch is None


def test_another_fault_is_raised(spoken, monkeypatch):
    def refuse(*_):
        raise UserError("too long for the window")

    monkeypatch.setattr(spoken.speech, "collate", refuse)
    with pytest.raises(UserError, match="too long for the window"):
        read(spoken, 0, 1)
