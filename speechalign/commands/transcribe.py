"""`speechalign transcribe`: print what is said in audio files, in the language it is said in."""

from speechalign.assets import PACKAGED
from speechalign.commands.parsing import run
from speechalign.commands.translate import check, load, show
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
    device: str = "auto",
    batch_size: int = 16,
    beams: int | None = None,
    bias: str | None = None,
) -> None:
    """Write down the speech in audio files.

    Args:
        files: Audio files, each no longer than the model's window.
        from_: Language of the speech; `auto` guesses each file's.
        checkpoint: A checkpoint of `speechalign fit` or an exported folder.
        device: `cpu`, `cuda`, …; `auto` is a GPU where there is one.
        batch_size: Files decoded together; no effect on the text.
        beams: Width of the beam, 1 for greedy; by default as stored with the model.
        bias: A bias pack with languages to know beside the model's own.
    """
    check(files, None, from_, batch_size, beams)
    translator = load(checkpoint, device, beams, bias)
    show(files, translator.transcribe(files, from_=from_, batch_size=batch_size))
