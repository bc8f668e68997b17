"""Answers become records with what went wrong; kept batches survive a cut line."""

import json
import os
import signal
from contextlib import suppress
from itertools import islice
from types import SimpleNamespace

import pytest
from transformers import AutoTokenizer

from speechalign.data.prompts import PromptTemplates
from speechalign.data.readable import ReadableBatch
from speechalign.data.records import Example, Utterance
from speechalign.errors import UserError
from speechalign.models.decode import Generated
from speechalign.training.answering import (
    SILENCE,
    Answers,
    Examiner,
    Kept,
    Sheet,
    batches,
    prediction,
)
from tests.data.conftest import Clip, write_fleurs

PROMPTS = PromptTemplates()
SPOKEN = Utterance("a", "7", "deu", "a.wav", 1.5, 2.0, "Ein Haus.", "ein haus", "male")


def asked(task):
    answer = PROMPTS.answer(task, "Ein Haus.", "A house.")
    return Example(SPOKEN, task, "deu" if task == "asr" else "eng", "", answer)


@pytest.mark.parametrize(
    ("task", "said", "text", "transcript", "failure"),
    [
        ("st", Generated("A home.", True), "A home.", None, None),
        ("st", Generated("A home", False), "A home", None, "truncated"),
        ("asr", Generated("Ein Haus", True), "Ein Haus", "Ein Haus", None),
        ("srt", Generated("Ein Haus<|st|>A home.", True), "A home.", "Ein Haus", None),
        ("srt", Generated("Ein Haus", True), "Ein Haus", "Ein Haus", "no tag"),
        ("srt", Generated("Ein Haus", False), "Ein Haus", "Ein Haus", "truncated, no tag"),
        ("srt", SILENCE, "", "", None),
    ],
)
def test_an_answer_beside_what_was_expected(task, said, text, transcript, failure):
    row = prediction(PROMPTS, asked(task), said)
    assert (row.prediction, row.transcript, row.failure) == (text, transcript, failure)
    assert row.reference == ("Ein Haus." if task == "asr" else "A house.")
    assert (row.src_text, row.start, row.duration) == ("Ein Haus.", 1.5, 2.0)
    assert row.pair == ("deu", "deu" if task == "asr" else "eng")


def test_what_is_known_to_have_failed_is_told():
    assert prediction(PROMPTS, asked("st"), SILENCE, "too long").failure == "too long"


def test_kept_batches_survive_a_line_that_was_cut(tmp_path):
    pair = ("deu", "eng")
    answers = Answers(tmp_path)
    answers.keep(pair, [Kept("a", "A\u2028house.", None, "x")])
    answers.keep(pair, [Kept("b", "", "unreadable", "y")])
    whole = answers.file.read_bytes()
    answers.file.write_bytes(whole[:-9])
    older = {"pair": "deu-eng", "batch": 0, "answers": [["c", "", None]]}
    (tmp_path / "answers-older.jsonl").write_text(json.dumps(older) + "\n")
    again = Answers(tmp_path)
    assert again.file != answers.file
    assert again.known == {("deu-eng", "a"): Kept("a", "A\u2028house.", None, "x")}
    again.keep(pair, [Kept("b", "", "unreadable", "y")])
    assert set(Answers(tmp_path).known) == {("deu-eng", "a"), ("deu-eng", "b")}


def test_a_recording_that_nobody_answered_is_told(tmp_path, few_items):
    sheet = Sheet(("deu", "eng"), few_items, [])
    examiner = Examiner(None, PROMPTS, None, 2)  # type: ignore[arg-type]
    with pytest.raises(UserError, match="was not answered"):
        examiner.predictions([sheet], Answers(tmp_path))


class Repeats(Examiner):
    """Answers with the ids of what it is asked, and notes them."""

    def read(self, sheet, asked):
        examples = [[sheet.items[row][0] for row in batch.rows] for batch in asked]
        return iter([ReadableBatch(SimpleNamespace(examples=few), []) for few in examples])

    def ask(self, batch):
        ids = [example.utterance.id for example in batch.examples]
        self.prompts.append(ids)
        return [Generated(name, True) for name in ids]


def ask(sheet, folder, batch_size, rank=0, processes=1, limit=9):
    """Answer some batches of a sheet, and give the ids in each."""
    examiner = Repeats(None, [], None, batch_size)  # type: ignore[arg-type]
    for _ in islice(examiner.answer([sheet, sheet], Answers(folder), rank, processes), limit):
        pass
    return examiner.prompts


def test_kept_answers_serve_batches_of_any_size(tmp_path, few_items):
    sheet = Sheet(("deu", "eng"), few_items, [])
    ids = [example.utterance.id for example, *_ in few_items]
    assert ask(sheet, tmp_path, 2, limit=1) == [ids[:2]]
    assert ask(sheet, tmp_path, 3) == [ids[2:]]
    assert ask(sheet, tmp_path, 1) == []
    rows = Examiner(None, PROMPTS, None, 7).predictions([sheet], Answers(tmp_path))  # type: ignore[arg-type]
    assert [row.prediction for row in rows] == ids


def test_processes_share_batches_whatever_they_know_when_they_begin(tmp_path, few_items):
    sheet = Sheet(("deu", "eng"), few_items, [])
    ids = [example.utterance.id for example, *_ in few_items]
    first = ask(sheet, tmp_path / "a", 1, 0, 2)
    assert first == [ids[:1], ids[2:], ids[1:2]]  # of two sheets that are one here
    assert ask(sheet, tmp_path / "a", 1, 1, 2) == []
    assert ask(sheet, tmp_path / "b", 1, 1, 2) == [ids[1:2], ids[:1], ids[2:]]


def test_audio_that_was_replaced_is_heard_again(tmp_path, few_items):
    sheet = Sheet(("deu", "eng"), few_items, [])
    ask(sheet, tmp_path, 3)
    audio = few_items[1][0].utterance.audio
    audio.write_bytes(audio.read_bytes() + b"more")
    assert ask(sheet, tmp_path, 3) == [[few_items[1][0].utterance.id]]
    audio.unlink()
    assert ask(sheet, tmp_path, 3) == [[few_items[1][0].utterance.id]]


@pytest.fixture
def few_items(tmp_path):
    from speechalign.data.fleurs import Fleurs
    from speechalign.data.items import Asking
    from speechalign.data.selection import items_to_ask

    for locale in ("de_de", "en_us"):
        write_fleurs(tmp_path, locale, "test", [Clip(n, f"{locale} {n}.", 0.3) for n in range(3)])
    return items_to_ask(Fleurs(str(tmp_path)), ["deu"], "test", Asking(("st",), "eng", PROMPTS))


def test_ctrl_c_while_processes_that_read_ahead_are_started_is_not_lost(
    few_items, llm_folder, monkeypatch
):
    """After a fork Python calls hooks, of the logging module too, and ignores what they raise."""
    fork, sheet = os.fork, Sheet(("deu", "eng"), few_items, [])

    def interrupted() -> int:
        with suppress(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
            "".join(map(str, range(9)))  # by whose end it has come
        return fork()

    encoder = SimpleNamespace(window_samples=16_000, pads_to_window=False, mels=8)
    tokenizer = AutoTokenizer.from_pretrained(llm_folder)
    model = SimpleNamespace(encoder=encoder, tokenizer=tokenizer)
    examiner = Examiner(model, PROMPTS, None, 2, workers=1)  # type: ignore[arg-type]
    assert [len(read.batch.examples) for read in examiner.read(sheet, batches(sheet, 2))] == [2, 1]
    monkeypatch.setattr(os, "fork", interrupted)
    with pytest.raises(KeyboardInterrupt):
        examiner.read(sheet, batches(sheet, 2))
