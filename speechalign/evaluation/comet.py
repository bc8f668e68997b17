"""COMET, which cannot share an environment with this project: files for it, and its command run.

COMET pins a jsonargparse that LightningCLI cannot use. So its three texts are written, a line a
recording, and `comet-score` of another environment reads them (Rei et al. 2022). Its source text is
the transcript of the corpus, or what was recognised. Its scores, one a recording, are kept with a
digest of the texts, and stand beside the other metrics as long as those are the same.
"""

import hashlib
import json
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np

from speechalign.errors import UserError
from speechalign.evaluation.counted import Counted
from speechalign.evaluation.metrics import SegmentMean
from speechalign.evaluation.normalize import clean
from speechalign.evaluation.predictions import Prediction
from speechalign.files import write_text
from speechalign.plurals import so_many

MODEL = "Unbabel/wmt22-comet-da"
KINDS = ("src", "mt", "ref")  # of texts
TOLD = "json"  # what comet-score writes
KEPT = "scores"  # JSON: what is kept of that
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

    Transcripts are left out, and pairs of languages without source texts. What the folder has of
    other pairs is removed; kept scores only of those that are not answered in, since others may be
    of source texts of the other kind.

    Returns:
        Their common beginnings, by pair.
    """
    written = {}
    for part in parts:
        sources = [source_of(row, source) for row in part.rows]
        if part.pair[0] == part.pair[1] or None in sources:
            continue
        name = "-".join(part.pair)
        for kind, text in texts_of(part, source).items():
            write_text(folder / f"{name}.{kind}", text)
        written[name] = folder / name
    answered = {"-".join(part.pair) for part in parts}
    for kind in (*KINDS, TOLD, KEPT):
        for file in folder.glob(f"*.{kind}"):
            if file.name.removesuffix(f".{kind}") not in (answered if kind == KEPT else written):
                file.unlink()
    return written


def texts_of(part: Counted, source: SourceText) -> dict[str, str]:
    """Write source texts, translations and references, a line a recording."""
    texts = {
        "src": [source_of(row, source) for row in part.rows],
        "mt": [row.prediction for row in part.rows],
        "ref": [row.reference for row in part.rows],
    }
    return {
        kind: "".join(f"{clean(line or '')}\n" for line in lines) for kind, lines in texts.items()
    }


def digest(texts: dict[str, str]) -> str:
    """Tell texts apart from others."""
    return hashlib.sha256("\0".join(texts[kind] for kind in KINDS).encode()).hexdigest()


def run_comet(comet: Comet, files: dict[str, Path]) -> None:
    """Score what `export` wrote in COMET's own environment; `<pair>.scores` keeps it.

    Raises:
        UserError: If there is nothing to score, or the command is not there, fails, or tells no
            score.
    """
    if not files:
        raise UserError(
            f"There is no {comet.source} of what is said, which COMET compares with: see"
            " --comet-source."
        )
    for beginning in files.values():
        run_one(comet, beginning)


def run_one(comet: Comet, beginning: Path) -> None:
    """Score one pair of languages."""
    src, mt, ref, told = (
        beginning.with_name(f"{beginning.name}.{kind}") for kind in (*KINDS, TOLD)
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
    texts = {file.suffix[1:]: file.read_text(encoding="utf-8") for file in (src, mt, ref)}
    scores = scores_of(told, texts["mt"].count("\n"))
    source = f"src:{comet.source}|ref:{'yes' if comet.needs_references else 'no'}"
    kept = {"signature": f"model:{comet.model}|{source}", "source": comet.source}
    kept |= {"texts": digest(texts), "scores": scores}
    write_text(beginning.with_name(f"{beginning.name}.{KEPT}"), json.dumps(kept) + "\n")


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
        found = f"{so_many(len(scores), 'score')} for {so_many(lines, 'translation')}"
        raise UserError(f"{file} has {found}.")
    return scores


def with_kept(parts: Sequence[Counted], folder: Path) -> list[Counted]:
    """Put COMET's scores beside the others, where a folder keeps those of these very texts.

    In the strict score a failed answer counts 0.

    Raises:
        UserError: If what is kept cannot be read.
    """
    return [with_scores(part, folder / f"{'-'.join(part.pair)}.{KEPT}") for part in parts]


def with_scores(part: Counted, file: Path) -> Counted:
    """Put the scores of one pair of languages beside the others, if they are of its texts."""
    if not file.exists():
        return part
    try:
        told = json.loads(file.read_text(encoding="utf-8"))
        if told["texts"] != digest(texts_of(part, told["source"])):
            return part
        counts = np.array([[100 * float(score), 1] for score in told["scores"]])
        metric = SegmentMean("comet", str(told["signature"]))
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise UserError(f"{file} does not hold COMET's scores ({error}): remove it.") from error
    strict = counts.copy()
    strict[[failure.row for failure in part.failures], 0] = 0
    return part._replace(
        counts=part.counts | {metric.name: counts},
        strict=part.strict | {metric.name: strict},
        metrics=part.metrics | {metric.name: metric},
    )
