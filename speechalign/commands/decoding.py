"""Decoding for an evaluation: shared by processes, and gone on with after a kill."""

import json
import shutil
import sys
import time
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from speechalign.commands.asked import (
    check_pairs,
    corpus_at,
    read_pairs,
    sheets,
    spoken,
    written,
)
from speechalign.commands.claims import (
    ORDER,
    check_claim,
    check_unchanged,
    claim,
    read_order,
    write_order,
)
from speechalign.commands.evaluation_folder import WORK, Progress
from speechalign.commands.sharing import beside
from speechalign.commands.translate import load
from speechalign.errors import UserError
from speechalign.evaluation.predictions import DIGEST, PREDICTIONS
from speechalign.files import digest

if TYPE_CHECKING:  # they load torch, for which no --help waits
    from speechalign.data.prompts import Task
    from speechalign.evaluation.predictions import Pair, Prediction
    from speechalign.evaluation.presets import Convention
    from speechalign.inference.translator import Translator
    from speechalign.models.loading import DType
    from speechalign.training.answering import Examiner, Sheet


class Order(NamedTuple):
    """What is to be decoded, in plain types: each process builds its own model from it."""

    checkpoint: str
    data: str
    split: str
    pairs: str | None
    task: str | None
    batch_size: int
    workers: int
    device: str
    dtype: "DType | None"
    llm_bits: int | None
    beams: int | None
    bias: str | None


class Prepared(NamedTuple):
    """A model and what it is asked."""

    translator: "Translator"
    sheets: "list[Sheet]"
    examiner: "Examiner"


def prepare(order: Order, rank: int = 0) -> Prepared:
    """List what is asked, and load the model once nothing speaks against it."""
    corpus = corpus_at(order.data, order.split).with_missing()
    sources, targets = spoken(corpus, order.split), written(corpus, order.split)
    asked = read_pairs(order.pairs, sources, targets) if order.pairs else []
    check_pairs(corpus, order.split, asked)
    device, quiet = of_rank(order.device, rank), rank > 0
    settings = {name: getattr(order, name) for name in ("dtype", "llm_bits", "beams")}
    translator = load(order.checkpoint, device, order.bias, quiet, **settings)
    asked = asked or known_pairs(translator, sources)
    task = task_of(order.task, translator)

    from speechalign.audio.io import SAMPLE_RATE
    from speechalign.data.selection import check_there
    from speechalign.training.answering import Examiner

    window = translator.model.encoder.window_samples / SAMPLE_RATE
    listed = sheets(corpus, order.split, asked, task, translator.prompts, window)
    for sheet in listed:
        check_there(sheet.items, order.split)
    how = translator.prompts, translator.decoding, order.batch_size, order.workers
    return Prepared(translator, listed, Examiner(translator.model, *how))


def known_pairs(translator: "Translator", sources: Sequence[str]) -> "list[Pair]":
    """List the languages that a model knows, each into the one that it was trained for.

    Raises:
        UserError: If the corpus has none of them.
    """
    known = translator.languages + translator.zero_shot
    pairs = sorted({(code, translator.target) for code in known if code in sources})
    if not pairs:
        raise UserError(
            f"The model knows {', '.join(known)}, and the corpus has {', '.join(sources)}: say "
            "what to ask by --pairs."
        )
    return pairs


def of_rank(device: str, rank: int) -> str:
    """Give each process its own GPU, as far as there are some."""
    import torch

    if device in ("auto", "cuda") and torch.cuda.is_available():
        return f"cuda:{rank % torch.cuda.device_count()}"
    return device


def task_of(wanted: str | None, translator: "Translator") -> "Task":
    """Choose between translating at once (st) and after a transcript (srt).

    Raises:
        UserError: If the model was not trained for it.
    """
    if wanted is None:
        translates = {"st", "srt"} & set(translator.tasks)
        return translator.task_for("translation") if translates else "st"
    if wanted not in ("st", "srt"):
        raise UserError(f"--task is {wanted!r}: expected st or srt.")
    if wanted not in translator.tasks:
        raise UserError(f"The model was trained for {', '.join(translator.tasks)}: no {wanted}.")
    return wanted


def fingerprint(order: Order, prepared: Prepared) -> dict[str, Any]:
    """Tell what the answers depend on, in plain types."""
    translator = prepared.translator
    return {
        **settings_of(order),
        "sha256": hash_of(order.checkpoint),
        "pairs": ["-".join(sheet.pair) for sheet in prepared.sheets],
        "left_out": {"-".join(sheet.pair): sheet.left_out for sheet in prepared.sheets},
        "questions": questions(prepared.examiner.unanswered(prepared.sheets)),
        "task": task_of(order.task, translator),
        "decoding": asdict(translator.decoding),
        "prompts": asdict(translator.prompts),
        "bias": order.bias and hash_of(order.bias),
        "languages": {"trained": translator.languages, "zero_shot": translator.zero_shot},
    }


def heard(sheets: "Sequence[Sheet]") -> str:
    """Digest of the state of all recordings: another once one was replaced."""
    examples = (example for sheet in sheets for example, *_ in sheet.items)
    return digest(json.dumps(sorted(repr(example.utterance.state) for example in examples)))


def settings_of(order: Order) -> dict[str, Any]:
    """Tell what of that is known before a model is loaded."""
    told = order._asdict()
    return {name: told[name] for name in ("checkpoint", "data", "split", "dtype", "llm_bits")}


def questions(rows: "Iterable[Prediction]") -> str:
    """Digest of recordings with their languages and references, in any order."""
    return digest(json.dumps(sorted(row.question for row in rows)))


def hash_of(path: str) -> str:
    """Digest of a checkpoint or bias pack: a file, or the weights of a folder or a Hub id."""
    from speechalign.models.base import hash_of_files
    from speechalign.models.hub import located

    place = located(path)
    return hash_of_files(sorted(place.glob("*.safetensors")) if place.is_dir() else [place])


def decode(
    order: Order, folder: Path, processes: int, convention: "Convention"
) -> "tuple[list[Prediction], dict[str, Any]]":
    """Answer everything, or go on with it, or read what was answered.

    Metrics are looked for first: one that is missing is told before anything is decoded.

    Returns:
        All predictions, which are also in the folder, and what they depend on.

    Raises:
        UserError: If the folder has the answers of something else, or something cannot be asked.
    """
    from speechalign.evaluation.counted import check_metrics
    from speechalign.evaluation.predictions import digest_of, read_predictions, write_predictions

    check_claim(folder, settings_of(order))
    prepared = prepare(order)
    check_metrics([sheet.pair for sheet in prepared.sheets], convention)
    about = fingerprint(order, prepared)
    claim(folder, about)
    file = folder / PREDICTIONS
    if file.exists():
        print(f"All is answered: {file} is scored.", file=sys.stderr)
        now, about = heard(prepared.sheets), read_order(folder / ORDER) or about
        check_unchanged(file, about)
        if about.get("audio", now) != now:
            raise UserError(
                f"Recordings in {order.data} were replaced since {file} was written: give another "
                "--output-dir."
            )
        rows = read_predictions(file)
    else:
        rows = answer(order, prepared, folder / WORK, processes)
        about |= {"audio": heard(prepared.sheets), DIGEST: digest_of(rows)}
        write_order(folder, about)  # first: after a kill the predictions are not without it
        write_predictions(file, rows)
    shutil.rmtree(folder / WORK, ignore_errors=True)
    return rows, about


def answer(order: Order, prepared: Prepared, work: Path, processes: int) -> "list[Prediction]":
    """Answer what is not answered yet, in several processes, of which this one is the first."""
    from speechalign.training.answering import Answers

    total = sum(len(sheet.items) for sheet in prepared.sheets)
    others = [(order, work, rank, processes) for rank in range(1, processes)]
    with Progress(work, total) as progress, beside(share, others) as working:
        for _ in prepared.examiner.answer(prepared.sheets, Answers(work), 0, processes):
            progress.tell()
            working()
        while working():
            progress.tell()
            time.sleep(0.2)
    return prepared.examiner.predictions(prepared.sheets, Answers(work))


def share(order: Order, work: Path, rank: int, processes: int) -> int:
    """Answer the batches of one further process."""
    import torch

    from speechalign.training.answering import Answers

    torch.set_num_threads(max(1, torch.get_num_threads() // processes))
    prepared = prepare(order, rank)
    return sum(prepared.examiner.answer(prepared.sheets, Answers(work), rank, processes))
