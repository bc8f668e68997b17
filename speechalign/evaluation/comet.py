"""COMET, which cannot share an environment with this project: files for it, and its command run.

COMET pins a jsonargparse that LightningCLI cannot use. So its three texts are written, a line a
recording, and `comet-score` of another environment reads them (Rei et al. 2022). Its source text is
the transcript of the corpus, or what was recognised.
"""

import json
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

from speechalign.errors import UserError
from speechalign.evaluation.counted import Counted
from speechalign.evaluation.normalize import clean
from speechalign.evaluation.predictions import Prediction
from speechalign.files import write_text

MODEL = "Unbabel/wmt22-comet-da"
FREE_OF_REFERENCES = ("kiwi", "-qe")  # in the names of models that are
SourceText = Literal["transcript", "recognised"]


class Comet(NamedTuple):
    """How COMET is run."""

    command: str  # comet-score of its environment
    model: str = MODEL
    source: SourceText = "transcript"
    options: tuple[str, ...] = ()

    @property
    def needs_references(self) -> bool:
        """Whether the model compares with references, by its name."""
        return not any(mark in self.model.casefold() for mark in FREE_OF_REFERENCES)


def source_of(row: Prediction, source: SourceText) -> str | None:
    """Choose the source text of a recording; None if there is none."""
    return row.src_text if source == "transcript" else row.transcript


def export(
    parts: Sequence[Counted], folder: Path, source: SourceText = "transcript"
) -> dict[str, Path]:
    """Write `<pair>.src`, `.mt` and `.ref`, a line a recording, as `comet-score` reads them.

    Transcripts are left out, and pairs of languages without source texts.

    Returns:
        Their common beginnings, by pair.
    """
    written = {}
    for part in parts:
        sources = [source_of(row, source) for row in part.rows]
        if part.pair[0] == part.pair[1] or None in sources:
            continue
        name = "-".join(part.pair)
        texts = {
            "src": sources,
            "mt": [row.prediction for row in part.rows],
            "ref": [row.reference for row in part.rows],
        }
        for kind, lines in texts.items():
            told = "".join(f"{clean(line or '')}\n" for line in lines)
            write_text(folder / f"{name}.{kind}", told)
        written[name] = folder / name
    return written


def run_comet(comet: Comet, files: dict[str, Path]) -> dict[str, dict[str, Any]]:
    """Score what `export` wrote in COMET's own environment.

    Returns:
        `{"deu-eng": {"value": 84.1, "signature": …}}`, scores on 0-100.

    Raises:
        UserError: If there is nothing to score, or the command is not there, fails, or tells no
            score.
    """
    if not files:
        raise UserError(
            f"There is no {comet.source} of what is said, which COMET compares with: see"
            " --comet-source."
        )
    return {pair: run_one(comet, beginning) for pair, beginning in files.items()}


def run_one(comet: Comet, beginning: Path) -> dict[str, Any]:
    """Score one pair of languages."""
    src, mt, ref, told = (
        beginning.with_name(f"{beginning.name}.{kind}") for kind in ("src", "mt", "ref", "json")
    )
    references = ["-r", str(ref)] if comet.needs_references else []
    command = [comet.command, "-s", str(src), "-t", str(mt), *references, "--model", comet.model]
    command += ["--to_json", str(told), "--quiet", *comet.options]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError as error:
        raise UserError(
            f"{comet.command} cannot be run ({error.strerror}): give the comet-score of an "
            "environment where COMET is installed."
        ) from error
    if done.returncode:
        last = (done.stderr.strip() or done.stdout.strip() or "no message").splitlines()[-1]
        raise UserError(f"{comet.command} failed on {beginning.name}: {last}")
    lines = len(mt.read_text(encoding="utf-8").split("\n")) - 1
    scores = scores_of(told, lines)
    source = f"src:{comet.source}|ref:{'yes' if comet.needs_references else 'no'}"
    return {
        "value": 100 * sum(scores) / len(scores),
        "signature": f"model:{comet.model}|{source}",
    }


def scores_of(file: Path, lines: int) -> list[float]:
    """Read the score of each line out of what `comet-score --to_json` wrote.

    Raises:
        UserError: If they are not there, one for each line.
    """
    try:
        (told,) = json.loads(file.read_text(encoding="utf-8")).values()
        scores = [float(row["COMET"]) for row in told]
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise UserError(f"{file} does not hold COMET's scores ({error}).") from error
    if len(scores) != lines:
        raise UserError(f"{file} has {len(scores)} scores for {lines} translations.")
    return scores
