"""`speechalign evaluate`: decode a corpus, or take any system's predictions, and score them."""

import shlex
import shutil
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from speechalign.assets import PACKAGED
from speechalign.commands.asked import about_corpus
from speechalign.commands.claims import ORDER
from speechalign.commands.decoding import Order, decode
from speechalign.commands.evaluation_folder import (
    METRICS,
    check_folder,
    make_folder,
    telling_what_is_kept,
)
from speechalign.commands.finished import read_metrics
from speechalign.commands.parsing import run
from speechalign.commands.uses import check_bits, check_numbers, check_uses, given
from speechalign.errors import UserError
from speechalign.evaluation.predictions import DIGEST, PREDICTIONS
from speechalign.plurals import so_many

if TYPE_CHECKING:  # they load much, for which no --help waits
    from speechalign.commands.evaluation_output import Inside, Scoring
    from speechalign.commands.joined import Place
    from speechalign.evaluation.comet import Comet
    from speechalign.evaluation.predictions import Prediction
    from speechalign.evaluation.presets import Convention

MICRO = "assets:micro/fleurs"


def main(verb: str, arguments: list[str]) -> None:
    """Run the command line."""
    run(evaluate, verb, arguments)


def evaluate(
    output_dir: str,
    data: str | None = None,
    split: str = "test",
    pairs: str | None = None,
    checkpoint: str = PACKAGED,
    predictions: str | None = None,
    references: str | None = None,
    task: str | None = None,
    preset: str = "speechalign",
    spbleu: bool = False,
    comet: str | None = None,
    comet_model: str = "Unbabel/wmt22-comet-da",
    comet_source: Literal["transcript", "recognised"] = "transcript",
    comet_options: str = "",
    alignment: bool = False,
    name: str | None = None,
    processes: int | None = None,
    batch_size: int = 32,
    workers: int = 0,
    device: str = "auto",
    dtype: Literal["float32", "bfloat16", "float16"] | None = None,
    llm_bits: int | None = None,
    beams: int | None = None,
    bias: str | None = None,
    draws: int = 1000,
    seed: int = 0,
) -> None:
    """Translate a corpus and score it, or score the predictions of any system.

    Args:
        output_dir: Folder for predictions, scores and report; started again, it is gone on with.
        data: A FLEURS folder or a manifest (.jsonl); by default, of the packaged model, its own.
        split: Of a FLEURS folder.
        pairs: Of languages, as '*->eng' or 'deu->fra,spa->spa' (spa->spa: transcripts); by default
            from all that the model knows into what it was trained for.
        checkpoint: A checkpoint of `speechalign fit`, an exported folder, or its Hub id.
        predictions: Score these instead: predictions.jsonl, LLM-SRT's .jsonl, Whisper's .json or a
            folder of such (or of folders called deu, fra, …), .jsonl with ids, or lines of text.
        references: Lines of text to score predictions against, if there is no --data.
        task: st or srt (transcript first); by default what the model was trained for.
        preset: Convention of BLEU: speechalign, potsa, llm-srt, seamless or whisper.
        spbleu: Fetch the model of spBLEU if it is not there, and fail without it.
        comet: The comet-score of an environment with COMET, to be run on the files in comet/.
        comet_model: Of COMET; those without references (kiwi, qe) need none.
        comet_source: COMET's source text: transcript, or what was recognised.
        comet_options: Further options of comet-score, as '--gpus 0'.
        alignment: Also compare the languages inside the model, as `speechalign inspect` does.
        name: Of the system, in report and tables; by default the run's, checkpoint's or file's.
        processes: That decode side by side, each on a GPU of its own where there are some, and
            that count; by default 1 decodes, and as many count as there are cores.
        batch_size: Recordings decoded together; no effect on the text.
        workers: Processes that read ahead, per decoding process.
        device: `cpu`, `cuda`, …; `auto` is a GPU where there is one.
        dtype: Number format of encoder and LLM; by default that of the training.
        llm_bits: 8 or 4, to quantise the LLM's weights (of the extra `quantize`).
        beams: Width of the beam, 1 for greedy; by default as stored with the model.
        bias: A bias pack with languages to know beside the model's own.
        draws: Of the bootstrap.
        seed: Of the bootstrap.
    """
    told = given(evaluate, locals())
    check_numbers(
        {"--processes": processes, "--batch-size": batch_size, "--draws": draws, "--beams": beams},
        {"--workers": workers, "--seed": seed},
    )
    check_bits(llm_bits)
    check_uses(told)
    folder = Path(output_dir)
    check_folder(folder)
    corpus = corpus_of(data, predictions, checkpoint)
    asked = about_corpus(corpus, split) if corpus else {}
    with telling_what_is_kept(folder):
        from speechalign.commands.evaluation_output import Inside, Scoring
        from speechalign.commands.joined import Place

        with_comet = comet_of(comet, comet_model, comet_source, comet_options)
        convention = convention_of(preset, spbleu)
        scoring = Scoring(convention, draws, seed, comet_source, with_comet, processes)
        if predictions is not None:
            place = Place(predictions, references, corpus, split, pairs)
            rows, about = read(place, folder, convention, asked)
        else:
            how = (task, batch_size, workers, device, dtype, llm_bits, beams, bias)
            order = Order(checkpoint, str(corpus), split, pairs, *how)
            rows, system = decode(order, folder, processes or 1, convention)
            about = {"name": name_of(Path(checkpoint)), "system": system, "data": asked}
        about |= {"name": name} if name else {}
        model = {"device": device, "dtype": dtype, "llm_bits": llm_bits, "bias": bias}
        inside = Inside(checkpoint, model, str(corpus), split) if alignment else None
        score(rows, about, folder, scoring, inside)


def corpus_of(data: str | None, predictions: str | None, checkpoint: str) -> str | None:
    """Find what a model is evaluated on, or what predictions are of, if that is a corpus.

    Raises:
        UserError: If there is no such model, or it is not told what to evaluate it on.
    """
    if predictions is not None:
        return data
    if data is None and checkpoint != PACKAGED:
        raise UserError("Say what to evaluate on by --data: a FLEURS folder or a manifest.")
    from speechalign.models.hub import located

    located(checkpoint)
    return data or MICRO


def convention_of(preset: str, spbleu: bool) -> "Convention":
    """Choose how is counted; spBLEU where it is wanted or can be had.

    Raises:
        UserError: If there is no such preset.
    """
    from speechalign.evaluation.presets import Convention, check_preset, has_spbleu

    check_preset(preset)
    return Convention(preset, spbleu or has_spbleu())


def comet_of(
    comet: str | None, model: str, source: Literal["transcript", "recognised"], options: str
) -> "Comet | None":
    """Describe how COMET is to be run, if it is to be.

    Raises:
        UserError: If it cannot be.
    """
    if comet is None:
        return None
    if shutil.which(comet) is None:
        raise UserError(
            f"{comet} cannot be run: give the comet-score of an environment with COMET."
        )
    try:
        further = tuple(shlex.split(options))
    except ValueError as error:
        raise UserError(f"--comet-options are {options!r}: {error}.") from error
    from speechalign.evaluation.comet import Comet

    return Comet(comet, model, source, further)


def name_of(place: Path) -> str:
    """Call a system by its checkpoint's run, or by its file or folder."""
    inside_run = place.suffix == ".ckpt" and place.parent.name == "checkpoints"
    return place.parents[1].name if inside_run else place.stem


def read(
    place: "Place",
    folder: Path,
    convention: "Convention",
    asked: dict[str, Any],
) -> "tuple[list[Prediction], dict[str, Any]]":
    """Read a system's predictions, and keep them in the folder as ours are.

    What a run of ours told of itself is told again.

    Args:
        place: Where they are.
        folder: Made once nothing speaks against it.
        convention: Its metrics are looked for first.
        asked: `data`, if it is given.

    Returns:
        Predictions, and their `name`, `system` and `data`.

    Raises:
        UserError: If they cannot be read, or the folder has the answers of a model.
    """
    from speechalign.commands.joined import predictions_at
    from speechalign.evaluation.counted import check_metrics
    from speechalign.evaluation.predictions import digest_of, write_predictions

    if (folder / ORDER).exists():
        raise UserError(f"{folder} has the answers of a model: give another --output-dir.")
    rows, left_out, maker = predictions_at(*place)
    check_metrics({row.pair for row in rows}, convention)
    make_folder(folder)
    (folder / METRICS).unlink(missing_ok=True)  # interrupted, there would be scores of others
    write_predictions(folder / PREDICTIONS, rows)
    about = maker or {"name": name_of(Path(place.predictions)), "system": {}, "data": asked}
    own = {"predictions": place.predictions, DIGEST: digest_of(rows), "left_out": left_out}
    return rows, {**about, "system": about["system"] | own}


def score(
    rows: "list[Prediction]",
    about: dict[str, Any],
    folder: Path,
    scoring: "Scoring",
    inside: "Inside | None",
) -> None:
    """Score predictions, write everything, and tell of it.

    Args:
        rows: All predictions.
        about: `name`, `system` and `data`.
        folder: Where they are written.
        scoring: How they are scored.
        inside: What alignment is looked at in, if it is.
    """
    from speechalign.commands.evaluation_output import score_and_write

    score_and_write(rows, about, folder, scoring, inside)
    for line in losses(read_metrics(folder)):
        print(line)


def losses(metrics: Mapping[str, Any]) -> list[str]:
    """Say how many answers failed and how, and how many recordings could not be asked about."""
    pairs = metrics["pairs"].values()
    kinds = Counter[str]()
    for pair in pairs:
        kinds.update(pair["failures"])
    failed, total = (sum(pair[what] for pair in pairs) for what in ("failed", "recordings"))
    left_out = sum(metrics["system"].get("left_out", {}).values())
    told = []
    if failed:
        how = ", ".join(f"{count} {kind}" for kind, count in kinds.most_common())
        of = f"{failed} of {so_many(total, 'answer')}"
        told.append(f"Failed: {of} ({how}): see failed_rows in metrics.json")
    if left_out:
        told.append(f"Left out, for want of a reference: {so_many(left_out, 'recording')}")
    return told
