"""Predictions as records, the rows of `predictions.jsonl`: written, read and looked through."""

import json
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from speechalign.errors import UserError
from speechalign.files import digest, write_text
from speechalign.languages import language

PREDICTIONS = "predictions.jsonl"  # in the folder of a run
DIGEST = "answers_digest"  # of that file, where a run tells what made it
Pair = tuple[str, str]  # source and target language, canonical codes; equal: a transcript is wanted


class Prediction(NamedTuple):
    """One answer beside what was expected."""

    id: str  # of the recording; unique within a pair of languages
    sentence_id: str  # shared by recordings that say the same
    src_lang: str
    tgt_lang: str
    audio: str  # its file; "" if it is not known
    duration: float  # seconds; 0 if it is not known
    prediction: str  # the text that is scored
    transcript: str | None  # what was recognised on the way, for tasks that say so
    reference: str
    src_text: str | None = None  # what is said in the recording, if it is known
    failure: str | None = None  # what went wrong while it was made, of `MAKING`, joined by ", "
    start: float = 0.0  # seconds into the file

    @property
    def pair(self) -> Pair:
        """From which language into which."""
        return self.src_lang, self.tgt_lang

    @property
    def failures(self) -> list[str]:
        """What went wrong while it was made, one by one."""
        return self.failure.split(", ") if self.failure else []

    @property
    def question(self) -> tuple[str, ...]:
        """What was asked, and what was expected."""
        return self.id, *self.pair, self.reference


MAKING = {  # what is known only where an answer is made
    "missing": "no answer",
    "too long": "longer than the encoder's window",
    "unreadable": "the audio cannot be read",
    "truncated": "stopped at the limit of tokens",
    "no tag": "the tag between transcript and translation is missing",
}
TEXTS = ("id", "sentence_id", "src_lang", "tgt_lang", "audio", "prediction", "reference")
TEXTS_OR_NONE = ("transcript", "src_text", "failure")


def write_predictions(file: Path, predictions: Iterable[Prediction]) -> None:
    """Write JSON lines; the file appears whole or not at all."""
    write_text(file, as_lines(predictions))


def digest_of(predictions: Iterable[Prediction]) -> str:
    """Name predictions by the file that `write_predictions` makes of them."""
    return digest(as_lines(predictions))


def as_lines(predictions: Iterable[Prediction]) -> str:
    """Turn predictions into JSON lines."""
    lines = (json.dumps(p._asdict(), ensure_ascii=False) for p in predictions)
    return "".join(f"{line}\n" for line in lines)


def read_lines(file: Path) -> list[str]:
    """Read a text file's lines, which end at a line feed alone, not at U+2028.

    Raises:
        UserError: If it cannot be read as UTF-8.
    """
    try:
        with file.open(encoding="utf-8-sig", newline="\n") as lines:
            return [line.removesuffix("\n").removesuffix("\r") for line in lines]
    except OSError as error:
        raise UserError(f"{file} cannot be read ({error.strerror}): check the path.") from error
    except UnicodeDecodeError as error:
        raise UserError(
            f"{file} is no text in UTF-8 ({error.reason}): give a text file."
        ) from error


def read_predictions(file: Path) -> list[Prediction]:
    """Read what `write_predictions` wrote.

    Raises:
        UserError: If it cannot be read, or a line is not a prediction; names the line.
    """
    rows: list[Prediction] = []
    for number, line in enumerate(read_lines(file), start=1):
        try:
            rows.append(checked(Prediction(**json.loads(line))))
        except (ValueError, TypeError, RecursionError) as error:
            raise UserError(
                f"{file}:{number} is not a prediction with the fields "
                f"{', '.join(Prediction._fields)} ({error})."
            ) from error
    check_unique(rows, str(file))
    return rows


def checked(row: Prediction) -> Prediction:
    """Give a prediction with canonical languages.

    Raises:
        TypeError: If a field is of another kind than it must be.
        ValueError: If a text cannot be written, or there is no such failure.
    """
    wrong = [name for name in TEXTS if not isinstance(getattr(row, name), str)]
    wrong += [n for n in TEXTS_OR_NONE if not isinstance(getattr(row, n), str | None)]
    texts = [getattr(row, name) or "" for name in TEXTS + TEXTS_OR_NONE if name not in wrong]
    "".join(texts).encode()  # half of a pair of surrogates is no text
    if "failure" not in wrong and not MAKING.keys() >= set(row.failures):
        raise ValueError(f"failure {row.failure!r} is none of {', '.join(MAKING)}")
    wrong += [n for n in ("duration", "start") if not isinstance(getattr(row, n), int | float)]
    if wrong:
        raise TypeError(f"{', '.join(wrong)} of another kind than expected")
    source, target = language(row.src_lang).code, language(row.tgt_lang).code
    return row._replace(src_lang=source, tgt_lang=target)


def check_unique(rows: Sequence[Prediction], where: str) -> None:
    """Refuse two answers to one question: only one of them could be scored.

    Raises:
        UserError: If there are; names them.
    """
    seen: set[tuple[str, ...]] = set()
    for row in rows:
        key = (row.id, *row.pair)
        if key in seen:
            raise UserError(
                f"{where} has two answers to {row.id!r} from {row.src_lang} into {row.tgt_lang}: "
                "leave one of them out."
            )
        seen.add(key)


def by_pair(rows: Iterable[Prediction]) -> dict[Pair, list[Prediction]]:
    """Part predictions by their languages, both in one order."""
    parts: dict[Pair, list[Prediction]] = defaultdict(list)
    for row in sorted(rows, key=lambda row: (*row.pair, row.id)):
        parts[row.pair].append(row)
    return dict(parts)
