"""What other systems write, read as predictions without conversion.

.jsonl of this project       tells all itself
.jsonl of LLM-SRT            {gt, response, prompt}: the prompt, as `<|eng|><|cmn|>`, names the
                             languages and parts transcript from translation in the others
.jsonl with an id            and a text in prediction, hypothesis, pred_text, response or text; a
                             corpus tells the rest
.json of Whisper             {text, segments, language}, or a folder of such or of .txt, or a
                             folder of those, each called by its language; a corpus tells the rest,
                             by the names of the audio files
any other                    a line a recording, in the order of a corpus or a file of references
"""

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from speechalign.errors import UserError
from speechalign.evaluation.predictions import Pair, Prediction, read_lines, read_predictions
from speechalign.languages import language
from speechalign.plurals import so_many

TAG = re.compile(r"<\|(\w+)\|>")
TEXT_FIELDS = ("prediction", "hypothesis", "pred_text", "response", "text")
LINE_BREAKS = re.compile(r"\s*\n\s*")


class Hypothesis(NamedTuple):
    """What a system answered to one recording, before it is known what was expected."""

    key: str  # id, or the name of the audio file without its ending; "" where order tells
    text: str
    where: str  # file and line
    source: str | None = None  # the language that is spoken, where a folder tells it


def is_complete(file: Path) -> bool:
    """Whether a file tells languages and references itself."""
    told = first_record(file).keys() if file.suffix == ".jsonl" else set()
    return "gt" in told or {"reference", "src_lang"} <= set(told)


def names_recordings(file: Path) -> bool:
    """Whether a file that tells its own references tells of which recordings they are, too."""
    return "gt" not in first_record(file)


def first_record(file: Path) -> dict[str, Any]:
    """Read the first line of a JSONL file.

    Raises:
        UserError: If there is none, or it is no JSON object.
    """
    lines = read_lines(file)
    return record(file, 1, lines[0] if lines else "")


def record(file: Path, number: int, line: str) -> dict[str, Any]:
    """Read one line of a JSONL file.

    Raises:
        UserError: If it is no JSON object; names the line.
    """
    try:
        told = json.loads(line)
    except ValueError as error:
        raise UserError(f"{file}:{number} is no JSON ({error}).") from error
    except RecursionError as error:
        raise UserError(f"{file}:{number} is no JSON that is read here: too deep.") from error
    if not isinstance(told, dict):
        raise UserError(f"{file}:{number} is no JSON object: expected fields by name.")
    return told


def read_complete(file: Path) -> list[Prediction]:
    """Read a file that tells languages and references itself.

    Raises:
        UserError: If a line is malformed; names it.
    """
    if "gt" not in first_record(file):
        return read_predictions(file)
    rows = []
    for number, line in enumerate(read_lines(file), start=1):
        rows.append(of_llm_srt(f"{file}:{number}", number, record(file, number, line)))
    return rows


def of_llm_srt(where: str, number: int, told: dict[str, Any]) -> Prediction:
    """Read a row of LLM-SRT's predictions; recordings with one `gt` say the same sentence.

    A response without the tags is scored as LLM-SRT does, from its last tag on, if any, and counts
    as failed. A `gt` without them is the translation alone.

    Raises:
        UserError: If it lacks a field, or its prompt does not name two languages.
    """
    expected, prompt = told.get("gt"), told.get("prompt")
    said = told.get("response") or told.get("s2tt") or ""
    if not all(isinstance(text, str) for text in (expected, prompt, said)):
        raise UserError(f"{where} lacks gt, prompt or response, which LLM-SRT's predictions have.")
    codes = TAG.findall(str(prompt))
    if len(codes) not in (1, 2):
        raise UserError(
            f"{where}: the prompt {prompt!r} does not name languages, as <|eng|><|cmn|> does."
        )
    source, target = language(codes[0]).code, language(codes[-1]).code
    is_asr = source == target
    src_text, tag, reference = str(expected).partition(str(prompt))
    if not tag:
        src_text, reference = (reference, src_text)[:: 1 if not is_asr else -1]
    heard, found, translation = str(said).partition(str(prompt))
    if not found and not is_asr:
        translation = str(said).rpartition("|>")[2]
    return Prediction(
        id=str(told.get("id") or number),
        sentence_id=src_text.strip() or reference.strip() or str(number),
        src_lang=source,
        tgt_lang=target,
        audio=str(told.get("audio_path") or told.get("audio") or ""),
        duration=0.0,
        prediction=(said if is_asr else translation).strip(),
        transcript=heard.strip() if found and not is_asr else None,
        reference=(src_text if is_asr else reference).strip(),
        src_text=src_text.strip() or None,
        failure=None if is_asr or found else "no tag",
    )


def read_hypotheses(place: Path) -> list[Hypothesis]:
    """Read texts alone, from a file or a folder of files, one a recording.

    Raises:
        UserError: If nothing can be read from there; names what is wrong.
    """
    if place.is_dir():
        folders = sorted(one for one in place.iterdir() if one.is_dir() and answers_in(one))
        if folders and not answers_in(place):
            return [
                one._replace(source=language(folder.name).code)
                for folder in folders
                for one in read_hypotheses(folder)
            ]
        files = answers_in(place)
        by_stem: dict[str, Path] = {}
        for file in files:  # Whisper writes both; JSON comes first and tells more
            by_stem.setdefault(file.stem, file)
        if not by_stem:
            raise UserError(f"{place} has no .json or .txt files of answers.")
        return [Hypothesis(stem, whole_text(file), str(file)) for stem, file in by_stem.items()]
    if place.suffix == ".json":
        return [Hypothesis(place.stem, whole_text(place), str(place))]
    lines = read_lines(place)
    if place.suffix != ".jsonl":
        return [Hypothesis("", line, f"{place}:{n}") for n, line in enumerate(lines, start=1)]
    return [of_record(place, number, line) for number, line in enumerate(lines, start=1)]


def answers_in(folder: Path) -> list[Path]:
    """List the files of answers in a folder."""
    return sorted(file for file in folder.iterdir() if file.suffix in (".json", ".txt"))


def of_record(file: Path, number: int, line: str) -> Hypothesis:
    """Take id and text out of a line of JSON.

    Raises:
        UserError: If it has no such fields.
    """
    told = record(file, number, line)
    key = told.get("id") or Path(str(told.get("audio_filepath") or told.get("audio") or "")).stem
    text = next((told[name] for name in TEXT_FIELDS if isinstance(told.get(name), str)), None)
    if text is None or not isinstance(key, str) or not key:
        raise UserError(
            f"{file}:{number} needs an id, or the name of its audio file, and a text in one of "
            f"{', '.join(TEXT_FIELDS)}."
        )
    return Hypothesis(key, written(text, f"{file}:{number}"), f"{file}:{number}")


def written(text: str, where: str) -> str:
    """Give a text that can be written as UTF-8.

    Raises:
        UserError: If it has half of a pair of surrogates.
    """
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise UserError(f"{where}: its text cannot be written as UTF-8 ({error}).") from error
    return text


def whole_text(file: Path) -> str:
    """Read what Whisper wrote of one recording: JSON with `text`, or text with a line a segment.

    Raises:
        UserError: If it is neither.
    """
    text = "\n".join(read_lines(file))
    if file.suffix == ".json":
        told = record(file, 1, text)
        if not isinstance(told.get("text"), str):
            raise UserError(f"{file} has no `text`, as Whisper's output has.")
        text = written(told["text"], str(file))
    return LINE_BREAKS.sub(" ", text).strip()


def with_references(
    hypotheses: Sequence[Hypothesis], references: Sequence[str], pair: Pair
) -> list[Prediction]:
    """Join texts with references line by line; equal references are of one sentence.

    An empty one tells of none, and is of a sentence of its own.

    Raises:
        UserError: If they are not as many.
    """
    if len(hypotheses) != len(references):
        raise UserError(
            f"Expected {so_many(len(references), 'prediction')}, one a reference; there are "
            f"{len(hypotheses)}: give one line for each."
        )
    rows, sentences = [], {}
    for number, (said, reference) in enumerate(zip(hypotheses, references, strict=True), start=1):
        sentence = sentences.setdefault(reference.strip() or number, str(number))
        texts = said.text.strip(), None, reference.strip()
        rows.append(Prediction(str(number), sentence, *pair, "", 0.0, *texts))
    return rows
