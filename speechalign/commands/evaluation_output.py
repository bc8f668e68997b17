"""What an evaluation leaves behind: scores, tables, files for COMET, and a page."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from speechalign.assets import FOLDER
from speechalign.assets.templates import filled
from speechalign.commands.claims import ORDER
from speechalign.commands.clips import clip
from speechalign.commands.evaluation_folder import METRICS
from speechalign.evaluation import tables
from speechalign.evaluation.comet import Comet, SourceText, export, run_comet, with_kept
from speechalign.evaluation.comparison_tables import notes_on_tests
from speechalign.evaluation.counted import Counted, count
from speechalign.evaluation.failures import KINDS
from speechalign.evaluation.notes import run_notes
from speechalign.evaluation.predictions import PREDICTIONS, Prediction
from speechalign.evaluation.presets import Convention
from speechalign.evaluation.scoring import groups_of, software, summarize
from speechalign.evaluation.sentences import Looked, worst
from speechalign.files import write_text
from speechalign.languages import language

TEMPLATE = FOLDER / "report.html"
COMET = "comet"  # the folder with its texts and scores
SENTENCES = 40  # that alignment is looked at in


class Scoring(NamedTuple):
    """How predictions are scored."""

    convention: Convention
    draws: int
    seed: int
    comet_source: SourceText = "transcript"
    with_comet: Comet | None = None
    processes: int | None = None  # that count; one a core


class Inside(NamedTuple):
    """What alignment is looked at in.

    Attributes:
        checkpoint: The model.
        settings: Of `Translator.from_pretrained`.
        data: The corpus.
        split: Of it.
    """

    checkpoint: str
    settings: Mapping[str, Any]
    data: str
    split: str


def told_of(parts: Sequence[Counted], about: dict[str, Any], scoring: Scoring) -> dict[str, Any]:
    """Give what `metrics.json` holds.

    Args:
        parts: All that was counted.
        about: `name`, `system`, with the languages it was trained on, and `data`.
        scoring: How.
    """
    known = about["system"].get("languages", {})
    groups = groups_of(parts, known.get("trained", ()), known.get("zero_shot", ()))
    found = summarize(parts, scoring.convention, groups, scoring.draws, scoring.seed)
    return {**about, **found, "versions": software()}


def score_and_write(
    rows: Sequence[Prediction],
    about: dict[str, Any],
    folder: Path,
    scoring: Scoring,
    inside: Inside | None = None,
) -> None:
    """Score predictions, write everything, and print the table.

    Args:
        rows: All predictions.
        about: `name`, `system` and `data`.
        folder: Where they are written.
        scoring: How they are scored.
        inside: What alignment is looked at in, if it is.

    Raises:
        UserError: If COMET fails; all else is written then.
    """
    counted = count(rows, scoring.convention, scoring.processes)
    parts = with_kept(counted, folder / COMET)
    metrics = told_of(parts, about, scoring)
    written = write_scores(folder, parts, metrics, scoring.convention)
    exported = export(parts, folder / COMET, scoring.comet_source)
    if scoring.with_comet is not None:
        run_comet(scoring.with_comet, exported)
        parts = with_kept(counted, folder / COMET)
        metrics = told_of(parts, about, scoring)
        written = write_scores(folder, parts, metrics, scoring.convention)
    print(tables.plain(tables.rows_of(metrics)))
    print("\n" + "\n".join(run_notes(metrics)))
    translated = any(source != target for source, target in (part.pair for part in parts))
    if translated and not scoring.convention.with_spbleu:
        print("spBLEU is left out: its SentencePiece model is not there; --spbleu fetches it.")
    order = [ORDER] if (folder / ORDER).exists() else []
    texts = [f"{COMET}/"] if exported else []
    print(f"Written: {folder}/{', '.join([*written, PREDICTIONS, *order, *texts])}")
    if inside is not None:
        codes = sorted({part.pair[0] for part in parts})
        metrics["alignment"] = alignment_of(inside, codes)
        write_scores(folder, parts, metrics, scoring.convention)


def alignment_of(inside: Inside, codes: list[str]) -> list[dict[str, Any]]:
    """Compare languages inside a model, stage by stage, over some sentences of a corpus.

    Recordings that cannot be read, which count as failed answers, are passed over.

    Raises:
        UserError: If there are fewer than two of them, or they have no sentences in common.
    """
    from speechalign.alignment.divergence import SinkhornDivergence
    from speechalign.commands.asked import corpus_at
    from speechalign.commands.inspect_corpus import choose, examine
    from speechalign.data.readable import readable
    from speechalign.inference.translator import Translator

    translator = Translator.from_pretrained(inside.checkpoint, **inside.settings)
    corpus = corpus_at(inside.data, inside.split).with_missing()
    chosen = choose(corpus, inside.split, codes, SENTENCES, 0, translator)
    heard = {code: [one for one in said if readable(one)] for code, said in chosen.items()}
    return examine(translator, heard, SinkhornDivergence())["stages"]


def write_scores(
    folder: Path, parts: Sequence[Counted], metrics: dict[str, Any], convention: Convention
) -> list[str]:
    """Write scores, tables, matrices and the page, and name the files."""
    text = json.dumps(metrics, indent=1, ensure_ascii=False, allow_nan=False)
    rows, notes = tables.rows_of(metrics), run_notes(metrics)
    view = view_of([metrics], [seen(one) for one in worst(parts, convention)])
    first, *others = tables.names_of(metrics)
    files = {
        "report.html": filled(TEMPLATE, view),
        METRICS: f"{text}\n",
        "table.txt": tables.plain(rows) + "\n\n" + "\n".join(notes) + "\n",
        "table.tex": tables.latex(rows, notes),
        "matrix.csv": tables.matrix(metrics, first),
        **{f"matrix_{name}.csv": tables.matrix(metrics, name) for name in others},
    }
    for stale in folder.glob("matrix*.csv"):
        stale.unlink()
    for name, content in files.items():
        write_text(folder / name, content)
    return list(files)


def view_of(
    runs: Sequence[dict[str, Any]],
    sentences: Sequence[dict[str, Any]],
    comparison: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """Put together what the page shows.

    Args:
        runs: What `metrics.json` holds of each; of the first run of each system, if compared.
        sentences: Told by `seen`.
        comparison: What `comparison.json` holds, if systems are compared.
    """
    told = comparison or {"systems": [], "runs": []}
    codes = {code for run in runs for pair in run["pairs"] for code in pair.split("-")}
    return {
        "runs": list(runs),
        "labels": {name: tables.label(name) for run in runs for name in tables.names_of(run)},
        "groups": [tables.mean_titles(tables.groups_in(run)) for run in runs],
        "lower": [n for run in runs for n in tables.names_of(run) if tables.lower_is_better(n)],
        "gaps": [tables.gap_titles(run["gaps"], tables.groups_in(run)) for run in runs],
        "notes": notes_on_tests(comparison) if comparison else [],
        "sources": [
            [one["folder"] for one in told["runs"] if one["system"] == run["name"]] for run in runs
        ],
        "names": {code: language(code).name for code in sorted(codes)},
        "kinds": KINDS,
        "sentences": list(sentences),
        "comparison": told["systems"],
    }


def seen(one: Looked) -> dict[str, Any]:
    """Tell of a sentence what the page shows, its sound included."""
    row = one.row
    is_translation = row.src_lang != row.tgt_lang
    sign = 1 if is_translation else -1
    return {
        "id": row.id,
        "pair": "-".join(row.pair),
        "prediction": row.prediction,
        "reference": row.reference,
        "source": row.src_text,
        "measure": "chrF++" if is_translation else "CER",
        "score": one.score if is_translation else 100 - one.score,
        "kinds": list(one.kinds),
        "other": one.other,
        "change": None if one.change is None else sign * one.change,
        "gained": one.change is not None and one.change > 0,
        "audio": clip(row.audio, row.start, row.duration) if row.audio else None,
    }
