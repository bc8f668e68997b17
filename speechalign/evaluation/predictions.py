"""Predictions as records: written, read, and scored by language with BLEU and chrF++."""

import json
from collections import defaultdict
from collections.abc import Iterable
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

from speechalign.errors import UserError
from speechalign.evaluation.bleu import bleu, chrf
from speechalign.files import write_text


class Prediction(NamedTuple):
    """One answer beside what was expected, the row of `predictions.jsonl`."""

    id: str
    sentence_id: str
    src_lang: str
    tgt_lang: str
    audio: str
    duration: float  # seconds
    prediction: str  # the text that is scored; empty where there was none
    transcript: str | None  # what was heard, for tasks that say so
    reference: str


def write_predictions(file: Path, predictions: Iterable[Prediction]) -> None:
    """Write JSON lines; the file appears whole or not at all."""
    lines = (json.dumps(p._asdict(), ensure_ascii=False) for p in predictions)
    write_text(file, "".join(f"{line}\n" for line in lines))


def read_predictions(file: Path) -> list[Prediction]:
    """Read what `write_predictions` wrote.

    Raises:
        UserError: If it cannot be read or a line is not a prediction; names the line.
    """
    try:
        lines = file.read_text(encoding="utf-8").removesuffix("\n").split("\n")  # not at U+2028
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{file} cannot be read as text ({error}).") from error
    predictions: list[Prediction] = []
    for number, line in enumerate(lines, start=1):
        try:
            predictions.append(Prediction(**json.loads(line)))
        except (ValueError, TypeError) as error:
            raise UserError(
                f"{file}:{number} is not a prediction with the fields "
                f"{', '.join(Prediction._fields)} ({error})."
            ) from error
    return predictions


def score_predictions(predictions: Iterable[Prediction]) -> dict[str, dict[str, Any]]:
    """Score each language pair over all its recordings.

    Returns:
        `{"deu-eng": {"bleu", "signature", "chrf", "chrf_signature", "recordings", "sentences",
        "empty"}}`, scores on 0-100.
    """
    by_pair: dict[str, list[Prediction]] = defaultdict(list)
    for prediction in predictions:
        by_pair[f"{prediction.src_lang}-{prediction.tgt_lang}"].append(prediction)
    return {pair: score_pair(rows) for pair, rows in sorted(by_pair.items())}


def score_pair(rows: list[Prediction]) -> dict[str, Any]:
    """Score the predictions of one language pair."""
    hypotheses = [row.prediction for row in rows]
    references = [row.reference for row in rows]
    by_bleu = bleu(hypotheses, references, rows[0].tgt_lang)
    by_chrf = chrf(hypotheses, references)
    return {
        "bleu": by_bleu.value,
        "signature": by_bleu.signature,
        "chrf": by_chrf.value,
        "chrf_signature": by_chrf.signature,
        "recordings": len(rows),
        "sentences": len({row.sentence_id for row in rows}),
        "empty": sum(not row.prediction for row in rows),
    }


def software() -> dict[str, str]:
    """Versions of what a number depends on."""
    packages = ("speechalign", "torch", "transformers", "sacrebleu", "lightning")
    return {package: version(package) for package in packages}
