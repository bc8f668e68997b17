"""`speechalign translate`: translate the speech in audio files of any length."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from speechalign.assets import PACKAGED, resolve
from speechalign.commands.parsing import run
from speechalign.commands.uses import check_bits, check_numbers
from speechalign.errors import UserError
from speechalign.languages import language, names

if TYPE_CHECKING:  # it loads torch, for which no --help waits
    from speechalign.inference.translator import Translator


def main(verb: str, arguments: list[str]) -> None:
    """Run the command line."""
    run(translate, verb, arguments)


def translate(
    files: list[str],
    to: str | None = None,
    from_: str = "auto",
    checkpoint: str = PACKAGED,
    output_format: Literal["txt", "srt", "vtt", "tsv", "json", "all"] = "txt",
    output_dir: str | None = None,
    bilingual: bool = False,
    max_line_width: int = 42,
    resume: bool = False,
    detector: Literal["energy", "silero", "none"] = "energy",
    pause: float = 1.0,
    longest: float | None = None,
    device: str = "auto",
    dtype: Literal["float32", "bfloat16", "float16"] | None = None,
    llm_bits: int | None = None,
    batch_size: int = 16,
    beams: int | None = None,
    temperature: float | None = None,
    max_new_tokens: int | None = None,
    bias: str | None = None,
) -> None:
    """Translate speech in audio files into another language.

    Args:
        files: Audio files of any length, patterns as '*.wav', or - for what comes from stdin.
        to: Language of the translation, by any code or its English name; by default the one that
            the model was trained to translate into.
        from_: Language of the speech; `auto` guesses it, segment by segment.
        checkpoint: A checkpoint of `speechalign fit`, an exported folder, or its Hub id.
        output_format: Text with a line a segment, subtitles (srt, vtt), Whisper's tsv, or json,
            which tells all.
        output_dir: Folder for a file of each recording; by default text is printed.
        bilingual: Also transcribe: in subtitles, the transcript stands above the translation.
        max_line_width: Characters of a line of subtitles.
        resume: Leave out recordings whose files are in the folder.
        detector: What finds speech: energy, silero (of the extra `vad`), or none, to hear all.
        pause: Seconds of silence that end a segment.
        longest: Seconds of a segment at most; by default what the model hears at once.
        device: `cpu`, `cuda`, …; `auto` is a GPU where there is one.
        dtype: Number format of encoder and LLM; by default that of the training.
        llm_bits: 8 or 4, to quantise the LLM's weights (of the extra `quantize`).
        batch_size: Segments decoded together; no effect on the text, unless it is sampled.
        beams: Width of the beam, 1 for greedy; by default as stored with the model.
        temperature: Of sampling, without beams; by default the likeliest answer is searched for.
        max_new_tokens: Of a segment's answer at most; by default as many as anybody says in its
            time.
        bias: A bias pack with languages to know beside the model's own.
    """
    check_languages(to, from_)
    check_decoding(batch_size, beams, llm_bits, max_new_tokens)
    from speechalign.commands.spoken_files import Job, Output, check_output, found, work
    from speechalign.inference.manner import Manner

    output = Output(output_format, folder_at(output_dir), max_line_width, resume)
    there = found(files)
    check_output(there, output)
    manner = Manner(batch_size, bilingual, output_format != "txt", detector, pause, longest)
    numbers = {"dtype": dtype, "llm_bits": llm_bits}
    decoding = {"beams": beams, "temperature": temperature, "max_new_tokens": max_new_tokens}
    work(
        there,
        Job("translation", to, from_, manner, output),
        lambda: load(checkpoint, device, bias, **numbers, **decoding),
    )


def check_languages(to: str | None, from_: str) -> None:
    """Look languages up before a model is loaded.

    Raises:
        UserError: If one is unknown.
    """
    for code in (to, None if from_ == "auto" else from_):
        if code is not None:
            language(code)


def check_decoding(
    batch_size: int, beams: int | None, llm_bits: int | None, most: int | None = None
) -> None:
    """Look at numbers before a model is loaded.

    Raises:
        UserError: If one is below 1, or the LLM cannot have so many bits.
    """
    numbers = {"--batch-size": batch_size, "--beams": beams, "--max-new-tokens": most}
    check_numbers(numbers, {})
    check_bits(llm_bits)


def folder_at(output_dir: str | None) -> Path | None:
    """Give the folder that texts are written to.

    Raises:
        UserError: If it is a file.
    """
    folder = None if output_dir is None else Path(output_dir)
    if folder is not None and folder.exists() and not folder.is_dir():
        raise UserError(f"--output-dir {output_dir} is a file: give a folder.")
    return folder


def load(
    checkpoint: str, device: str, bias: str | None = None, quiet: bool = False, **settings: Any
) -> "Translator":
    """Load a model, and say so if it is the toy.

    Args:
        checkpoint: Its place.
        device: To work on.
        bias: A bias pack to lay over its own.
        quiet: Whether to say nothing.
        settings: Of `Translator.from_pretrained`; None: as stored with the model.
    """
    from speechalign.inference.translator import Translator
    from speechalign.models.bias_pack import load_pack

    if bias is not None:
        load_pack(Path(resolve(bias)))  # a fault in it is told before the model is loaded
    tells = checkpoint == PACKAGED and not quiet
    if tells:
        print(
            "Using the packaged micro model, which knows some 120 words of synthetic speech; "
            "give --checkpoint for a real one.",
            file=sys.stderr,
        )
    told = {name: value for name, value in settings.items() if value is not None}
    translator = Translator.from_pretrained(checkpoint, device=device, bias=bias, **told)
    if tells:
        print(f"It was trained on {names(translator.languages)}.", file=sys.stderr)
    return translator
