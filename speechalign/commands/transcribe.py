"""`speechalign transcribe`: print what is said in audio files, in the language it is said in."""

from typing import Literal

from speechalign.assets import PACKAGED
from speechalign.commands.parsing import run
from speechalign.commands.translate import check_decoding, check_languages, folder_at, load
from speechalign.errors import UserError


def main(verb: str, arguments: list[str]) -> None:
    """Run the command line.

    Raises:
        UserError: If a translation is asked for, beside other faults.
    """
    if any(word.partition("=")[0] == "--to" for word in arguments):
        raise UserError(
            f"{verb} writes speech in its own language and has no --to: use `translate`."
        )
    run(transcribe, verb, arguments)


def transcribe(
    files: list[str],
    from_: str = "auto",
    checkpoint: str = PACKAGED,
    output_format: Literal["txt", "srt", "vtt", "tsv", "json", "all"] = "txt",
    output_dir: str | None = None,
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
    """Write down the speech in audio files.

    Args:
        files: Audio files of any length, patterns as '*.wav', or - for what comes from stdin.
        from_: Language of the speech; `auto` guesses it, segment by segment.
        checkpoint: A checkpoint of `speechalign fit`, an exported folder, or its Hub id.
        output_format: Text with a line a segment, subtitles (srt, vtt), Whisper's tsv, or json,
            which tells all.
        output_dir: Folder for a file of each recording; by default text is printed.
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
    check_languages(None, from_)
    check_decoding(batch_size, beams, llm_bits, max_new_tokens)
    from speechalign.commands.spoken_files import Job, Output, check_output, found, work
    from speechalign.inference.manner import Manner

    output = Output(output_format, folder_at(output_dir), max_line_width, resume)
    there = found(files)
    check_output(there, output)
    manner = Manner(
        batch_size,
        words=output_format != "txt",
        detector=detector,
        pause=pause,
        longest=longest,
    )
    numbers = {"dtype": dtype, "llm_bits": llm_bits}
    decoding = {"beams": beams, "temperature": temperature, "max_new_tokens": max_new_tokens}
    work(
        there,
        Job("transcript", None, from_, manner, output),
        lambda: load(checkpoint, device, bias, **numbers, **decoding),
    )
