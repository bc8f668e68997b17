"""Answers of a model to a corpus, batch by batch, kept so that a kill costs no more than one.

Each batch is written as one line when it is answered. What is asked again is answered from there,
recording by recording: with other batches, too, since an answer depends on no neighbour.
"""

import json
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any, NamedTuple

import torch
from lightning.fabric.utilities.apply_func import move_data_to_device
from torch.utils.data import DataLoader

from speechalign.data.batch import Collate, SpeechBatch
from speechalign.data.examples import SpeechDataset, unchanged
from speechalign.data.items import Items
from speechalign.data.pairs import BatchRows, ShardSampler
from speechalign.data.prompts import PromptTemplates
from speechalign.data.readable import ReadableBatch, ReadableDataset
from speechalign.data.records import Example
from speechalign.errors import UserError
from speechalign.evaluation.predictions import Pair, Prediction
from speechalign.files import digest
from speechalign.interrupts import unheard_by_children
from speechalign.models.decode import Decoding, Generated, generate
from speechalign.models.speech_llm import SpeechLLM

SILENCE = Generated("", ended=True)


class Sheet(NamedTuple):
    """What is asked in one pair of languages."""

    pair: Pair
    items: Items
    too_long: list[Example]  # for the encoder's window
    left_out: int = 0  # recordings that cannot be asked about, for want of a reference


class Kept(NamedTuple):
    """The answer to one recording, as it is kept."""

    id: str
    text: str
    failure: str | None
    audio: str  # digest of its state when it was heard

    @staticmethod
    def of(example: Example, text: str, failure: str | None) -> "Kept":
        """Keep an answer with what it is of."""
        return Kept(example.utterance.id, text, failure, state_of(example))


def state_of(example: Example) -> str:
    """Tell the audio of an example from another in its place."""
    return digest(repr(example.utterance.state))


def prediction(
    prompts: PromptTemplates, example: Example, said: Generated, failure: str | None = None
) -> Prediction:
    """Turn an answer into the record that is written and scored.

    An answer that should be transcript and translation, but lacks the tag between them, is scored
    as a whole and marked as failed.
    """
    utterance, task = example.utterance, example.task
    transcript, translation = prompts.split(task, said.text)
    expected_transcript, expected = prompts.split(task, example.answer)
    if task == "asr":
        text, reference = transcript, expected_transcript
    else:
        text, reference = said.text if translation is None else translation, expected
    failures = [failure] if failure is not None else []
    if not failures and not said.ended:
        failures.append("truncated")
    if failure is None and task == "srt" and translation is None and said.text:
        failures.append("no tag")
    return Prediction(
        id=utterance.id,
        sentence_id=utterance.sentence_id,
        src_lang=utterance.language,
        tgt_lang=example.target,
        audio=utterance.place,
        duration=utterance.duration,
        prediction=text or "",
        transcript=transcript,
        reference=reference or "",
        src_text=utterance.text or None,
        failure=", ".join(failures) or None,
        start=utterance.start,
    )


class Answers:
    """Answers in a folder of JSON lines, a batch a line, a file a process, its only writer.

    A line that a kill cut is not read, and its batch is answered again.

    Args:
        folder: Of one evaluation alone; made if absent.
    """

    def __init__(self, folder: Path) -> None:
        self.file = folder / f"answers-{os.getpid()}-{time.time_ns()}.jsonl"
        folder.mkdir(parents=True, exist_ok=True)
        self.known: dict[tuple[str, str], Kept] = {}  # by languages and recording
        for file in sorted(folder.glob("answers-*.jsonl")):
            for line in file.read_bytes().split(b"\n"):
                told = whole(line)
                if told is not None:
                    self._know(told["pair"], [Kept(*row) for row in told["answers"]])

    def _know(self, pair: str, rows: Sequence[Kept]) -> None:
        self.known |= {(pair, row.id): row for row in rows}

    def get(self, pair: Pair, example: Example) -> Kept | None:
        """Give the answer to a recording, if its audio is still what was heard."""
        kept = self.known.get(("-".join(pair), example.utterance.id))
        return kept if kept is not None and kept.audio == state_of(example) else None

    def keep(self, pair: Pair, rows: Sequence[Kept]) -> None:
        """Write one batch down for good."""
        told = {"pair": "-".join(pair), "answers": rows}
        with self.file.open("ab") as file:
            file.write(json.dumps(told, ensure_ascii=False).encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())
        self._know(told["pair"], rows)


def whole(line: bytes) -> dict[str, Any] | None:
    """Read a line; None if a kill cut it, or an older version wrote it."""
    try:
        told = json.loads(line)
    except ValueError:
        return None
    return told if all(len(row) == len(Kept._fields) for row in told["answers"]) else None


def batches(sheet: Sheet, batch_size: int) -> list[BatchRows]:
    """Part a sheet into batches, the longest recordings first."""
    return list(ShardSampler(sheet.items.durations, batch_size)) if sheet.items else []


def unknown(sheet: Sheet, batch: BatchRows, answers: Answers) -> BatchRows:
    """Choose of a batch what is not answered yet."""
    rows = (row for row in batch.rows if answers.get(sheet.pair, sheet.items[row][0]) is None)
    return batch._replace(rows=tuple(rows))


class Examiner(NamedTuple):
    """A model with what it takes to ask it about a corpus."""

    model: SpeechLLM
    prompts: PromptTemplates
    decoding: Decoding
    batch_size: int
    workers: int = 0  # processes that read ahead

    def answer(
        self, sheets: Sequence[Sheet], answers: Answers, rank: int = 0, processes: int = 1
    ) -> Iterator[int]:
        """Answer what is not known yet of every `processes`-th batch, from the `rank`-th on.

        The batches are the same for all processes, whatever they know when they begin.

        Yields:
            How many recordings were answered, batch by batch.
        """
        place = 0
        for sheet in sheets:
            asked = batches(sheet, self.batch_size)
            mine = asked[(rank - place) % processes :: processes]
            place += len(asked)
            open_ones = (unknown(sheet, batch, answers) for batch in mine)
            yield from self._answer(sheet, [batch for batch in open_ones if batch.rows], answers)

    def _answer(self, sheet: Sheet, asked: list[BatchRows], answers: Answers) -> Iterator[int]:
        for batch, unread in self.read(sheet, asked):
            rows = [Kept.of(example, "", "unreadable") for example in unread]
            if batch is not None:
                said = zip(batch.examples, self.ask(batch), strict=True)
                rows += [
                    Kept.of(example, one.text, None if one.ended else "truncated")
                    for example, one in said
                ]
            answers.keep(sheet.pair, rows)
            yield len(rows)

    def read(self, sheet: Sheet, asked: list[BatchRows]) -> Iterator[ReadableBatch]:
        """Read batches of a sheet, ahead if there are processes for that."""
        encoder = self.model.encoder
        heard = (encoder.window_samples, encoder.pads_to_window, encoder.mels)
        speech = SpeechDataset(sheet.items, Collate(self.model.tokenizer, *heard))
        loader = DataLoader(
            ReadableDataset(speech),
            sampler=asked,
            batch_size=None,
            num_workers=self.workers,
            collate_fn=unchanged,
            generator=torch.Generator(),  # spares the global one
        )
        # Python ignores what is raised in the midst of a fork, Ctrl-C too
        with unheard_by_children() if self.workers else nullcontext():
            return iter(loader)

    @torch.inference_mode()
    def ask(self, batch: SpeechBatch) -> list[Generated]:
        """Answer one batch."""
        device = next(self.model.projector.parameters()).device
        moved = move_data_to_device(batch, device)
        frames = self.model.frames(moved.waveform, moved.samples, moved.language, moved.encoded)
        prompts = [example.prompt for example in batch.examples]
        return generate(self.model, frames, prompts, self.decoding)

    def unanswered(self, sheets: Sequence[Sheet]) -> Iterator[Prediction]:
        """Put nothing beside what is expected, for every recording."""
        for sheet in sheets:
            examples = [*(example for example, *_ in sheet.items), *sheet.too_long]
            yield from (prediction(self.prompts, example, SILENCE) for example in examples)

    def predictions(self, sheets: Sequence[Sheet], answers: Answers) -> list[Prediction]:
        """Put all kept answers beside what was expected.

        Raises:
            UserError: If a recording was not answered, or its audio was replaced since.
        """
        rows: list[Prediction] = []
        for sheet in sheets:
            for example, *_ in sheet.items:
                one = answers.get(sheet.pair, example)
                if one is None:
                    raise UserError(
                        f"{example.utterance.id} was not answered, or its audio was changed since: "
                        "start again, what is there is kept."
                    )
                wrote = Generated(one.text, ended=one.failure != "truncated")
                unread = one.failure if one.failure == "unreadable" else None
                rows.append(prediction(self.prompts, example, wrote, unread))
            rows += [
                prediction(self.prompts, example, SILENCE, "too long") for example in sheet.too_long
            ]
        return rows
