"""`speechalign translate`: print the translation of audio files."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from speechalign.assets import PACKAGED, resolve
from speechalign.commands.parsing import run
from speechalign.errors import UserError
from speechalign.languages import language, names

if TYPE_CHECKING:  # it loads torch, for which no --help waits
    from speechalign.inference.translator import Answer, Translator


def main(verb: str, arguments: list[str]) -> None:
    """Run the command line."""
    run(translate, verb, arguments)


def translate(
    files: list[str],
    to: str | None = None,
    from_: str = "auto",
    checkpoint: str = PACKAGED,
    device: str = "auto",
    batch_size: int = 16,
    beams: int | None = None,
    bias: str | None = None,
) -> None:
    """Translate speech in audio files into another language.

    Args:
        files: Audio files, each no longer than the model's window.
        to: Language of the translation, by any code or its English name; by default the one that
            the model was trained to translate into.
        from_: Language of the speech; `auto` guesses each file's.
        checkpoint: A checkpoint of `speechalign fit` or an exported folder.
        device: `cpu`, `cuda`, …; `auto` is a GPU where there is one.
        batch_size: Files decoded together; no effect on the text.
        beams: Width of the beam, 1 for greedy; by default as stored with the model.
        bias: A bias pack with languages to know beside the model's own.
    """
    check(files, to, from_, batch_size, beams)
    translator = load(checkpoint, device, beams, bias)
    show(files, translator.translate(files, to=to, from_=from_, batch_size=batch_size))


def check(files: list[str], to: str | None, from_: str, batch_size: int, beams: int | None) -> None:
    """Look at what is asked for before a model is loaded.

    Raises:
        UserError: If a file is not there, a language is unknown, or a number is below 1.
    """
    for code in (to, None if from_ == "auto" else from_):
        if code is not None:
            language(code)
    for option, number in (("--batch-size", batch_size), ("--beams", beams)):
        if number is not None and number < 1:
            raise UserError(f"{option} is {number}: give 1 or more.")
    for file in files:
        if not Path(file).exists():
            raise UserError(f"{file!r} does not exist: check the path of the audio file.")
        if Path(file).is_dir():
            raise UserError(f"{file!r} is a folder: give the audio files in it.")


def load(
    checkpoint: str, device: str, beams: int | None = None, bias: str | None = None
) -> "Translator":
    """Load a model, and say so if it is the toy."""
    from speechalign.inference.translator import Translator
    from speechalign.models.bias_pack import load_pack

    if bias is not None:
        load_pack(Path(resolve(bias)))  # a fault in it is told before the model is loaded
    if checkpoint == PACKAGED:
        print(
            "Using the packaged micro model, which knows some 120 words of synthetic speech; "
            "give --checkpoint for a real one.",
            file=sys.stderr,
        )
    options: dict[str, Any] = {} if beams is None else {"beams": beams}
    translator = Translator.from_pretrained(checkpoint, device=device, bias=bias, **options)
    if checkpoint == PACKAGED:
        print(f"It was trained on {names(translator.languages)}.", file=sys.stderr)
    return translator


def show(files: list[str], answers: "list[Answer]") -> None:
    """Print one line a file: the text, after the file's name if there are several."""
    for file, answer in zip(files, answers, strict=True):
        print(f"{file}: {answer.text}" if len(files) > 1 else answer.text)
        if answer.certainty is not None:
            spoken = language(answer.language).name
            print(
                f"{file}: taken for {spoken} ({percent(answer.certainty)} sure); "
                "say --from if that is wrong",
                file=sys.stderr,
            )


def percent(share: float) -> str:
    """Write a probability; one that is rounded up to certainty is said to be near it."""
    return "over 99 %" if share > 0.99 else f"{100 * share:.0f} %"
