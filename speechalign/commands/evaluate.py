"""`speechalign evaluate`: decode a corpus, or take any system's predictions, and score them."""

import shlex
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from speechalign.assets import PACKAGED
from speechalign.commands.parsing import run
from speechalign.errors import UserError

if TYPE_CHECKING:  # they load much, for which no --help waits
    from speechalign.evaluation.predictions import Prediction

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
    processes: int = 1,
    batch_size: int = 32,
    workers: int = 0,
    device: str = "auto",
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
        checkpoint: A checkpoint of `speechalign fit` or an exported folder.
        predictions: Score these instead: predictions.jsonl, LLM-SRT's .jsonl, Whisper's .json or a
            folder of such, .jsonl with ids, or lines of text.
        references: Lines of text to score predictions against, if there is no --data.
        task: st or srt (transcript first); by default what the model was trained for.
        preset: Convention of BLEU: speechalign, potsa, llm-srt, seamless or whisper.
        spbleu: Fetch the model of spBLEU if it is not there, and fail without it.
        comet: The comet-score of an environment with COMET, to be run on the files in comet/.
        comet_model: Of COMET; those without references (kiwi, qe) need none.
        comet_source: COMET's source text: transcript, or what was recognised.
        comet_options: Further options of comet-score, as '--gpus 0'.
        alignment: Also compare the languages inside the model, as `speechalign inspect` does.
        name: Of the system, in report and tables; by default the checkpoint's or file's.
        processes: That decode side by side, each on a GPU of its own where there are some.
        batch_size: Recordings decoded together; no effect on the text.
        workers: Processes that read ahead, per decoding process.
        device: `cpu`, `cuda`, …; `auto` is a GPU where there is one.
        beams: Width of the beam, 1 for greedy; by default as stored with the model.
        bias: A bias pack with languages to know beside the model's own.
        draws: Of the bootstrap.
        seed: Of the bootstrap.
    """
    check_numbers(
        {"--processes": processes, "--batch-size": batch_size, "--draws": draws, "--beams": beams},
        {"--workers": workers, "--seed": seed},
    )
    if predictions is None and references is not None:
        raise UserError("--references belong to --predictions: name those too.")
    if predictions is not None:
        of_models = {
            "--alignment": alignment, "--checkpoint": checkpoint != PACKAGED,
            "--task": task, "--beams": beams, "--bias": bias,
        }  # fmt: skip
        for option in (name for name, given in of_models.items() if given):
            raise UserError(f"{option} needs a model: it has no use with --predictions.")
    if comet is not None and shutil.which(comet) is None:
        raise UserError(
            f"{comet} cannot be run: give the comet-score of an environment with COMET."
        )
    from speechalign.commands.asked import about_corpus
    from speechalign.commands.decoding import Order, decode
    from speechalign.commands.evaluation_output import Scoring, score_and_write
    from speechalign.evaluation.comet import Comet
    from speechalign.evaluation.presets import Convention, check_preset, has_spbleu

    check_preset(preset)
    convention = Convention(preset, spbleu or has_spbleu())
    folder = made(output_dir)
    corpus = data or (MICRO if predictions is None and checkpoint == PACKAGED else None)
    about = {"data": about_corpus(corpus, split) if corpus else {}}
    if predictions is not None:
        rows, system = read(predictions, references, corpus, split, pairs, folder)
    elif corpus is None:
        raise UserError("Say what to evaluate on by --data: a FLEURS folder or a manifest.")
    else:
        how = (task, batch_size, workers, device, beams, bias)
        order = Order(checkpoint, corpus, split, pairs, *how)
        rows, system = decode(order, folder, processes, convention)
    with_options = (comet_model, comet_source, tuple(shlex.split(comet_options)))
    with_comet = Comet(comet, *with_options) if comet else None
    scoring = Scoring(convention, draws, seed, comet_source, with_comet)
    told = name or name_of(Path(predictions or checkpoint))
    inside = None if not alignment or corpus is None else (checkpoint, device, bias, corpus, split)
    score_and_write(rows, told, {"system": system, **about}, folder, scoring, inside)


def check_numbers(from_one: Mapping[str, int | None], from_zero: Mapping[str, int]) -> None:
    """Look at numbers before anything is loaded.

    Args:
        from_one: Options with what must be 1 or more, if it is given.
        from_zero: Options with what must be 0 or more.

    Raises:
        UserError: If one is below.
    """
    for least, numbers in ((1, from_one), (0, from_zero)):
        for option, number in numbers.items():
            if number is not None and number < least:
                raise UserError(f"{option} is {number}: give {least} or more.")


def made(output_dir: str) -> Path:
    """Make the folder, if it is not there.

    Raises:
        UserError: If it cannot be made.
    """
    folder = Path(output_dir)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(
            f"{folder} cannot be made ({error.strerror}): give another --output-dir."
        ) from error
    return folder


def name_of(place: Path) -> str:
    """Call a system by its checkpoint's run, or by its file or folder."""
    inside_run = place.suffix == ".ckpt" and place.parent.name == "checkpoints"
    return place.parents[1].name if inside_run else place.stem


def read(
    predictions: str,
    references: str | None,
    data: str | None,
    split: str,
    pairs: str | None,
    folder: Path,
) -> "tuple[list[Prediction], dict[str, Any]]":
    """Read a system's predictions, and keep them in the folder as ours are.

    Raises:
        UserError: If they cannot be read, or the folder has the answers of a model.
    """
    from speechalign.commands.decoding import ORDER, PREDICTIONS
    from speechalign.commands.joined import predictions_at
    from speechalign.evaluation.predictions import write_predictions

    if (folder / ORDER).exists():
        raise UserError(f"{folder} has the answers of a model: give another --output-dir.")
    rows = predictions_at(predictions, references, data, split, pairs)
    write_predictions(folder / PREDICTIONS, rows)
    return rows, {"predictions": predictions}
