"""`speechalign inspect`: how a model aligns two recordings, as one page that opens offline.

With `--manifest`, a corpus: `inspect_corpus.py`.
"""

from speechalign.assets import FOLDER, PACKAGED
from speechalign.commands.inspect_corpus import inspect_corpus
from speechalign.commands.page import write_page
from speechalign.commands.parsing import run
from speechalign.commands.spoken_files import found
from speechalign.commands.translate import check_languages, load
from speechalign.errors import UserError
from speechalign.languages import language

TEMPLATE = FOLDER / "inspect.html"
HOTTEST = 1000.0  # above, all plans are even, and float32 has no digits left for divergences


def main(verb: str, arguments: list[str]) -> None:
    """Run the command line: two files are compared, or the languages of a corpus."""
    if any(argument.split("=")[0] == "--manifest" for argument in arguments):
        run(inspect_corpus, f"{verb} --manifest", arguments)
        return
    run(inspect, verb, arguments, files="Two audio files, of the same sentence or of others.")


def inspect(
    files: list[str],
    from_: str = "auto",
    output: str = "inspect.html",
    checkpoint: str = PACKAGED,
    epsilon: float = 0.0025,
    device: str = "auto",
    bias: str | None = None,
) -> None:
    """Show how a model aligns two recordings, or the languages of a corpus: --manifest FILE --help.

    Args:
        files: Two audio files, each no longer than the model's window.
        from_: Languages of the two, separated by a comma; `auto` guesses each.
        output: The page.
        checkpoint: A checkpoint of `speechalign fit`, an exported folder, or its Hub id.
        epsilon: Temperature of the transport.
        device: `cpu`, `cuda`, …; `auto` is a GPU where there is one.
        bias: A bias pack with languages to know beside the model's own.
    """
    if len(files) != 2:
        raise UserError(f"Give the two files that are to be compared, not {len(files)}.")
    if not 0 < epsilon <= HOTTEST:
        raise UserError(
            f"--epsilon is {epsilon:g}: give a number above 0, and {HOTTEST:g} at most."
        )
    codes = ["auto", "auto"] if from_ == "auto" else from_.split(",")
    if len(codes) != 2:
        raise UserError(f"--from is {from_!r}: give two languages, separated by a comma, or auto.")
    for code in codes:
        check_languages(None, code.strip())
    found(files)
    from speechalign.alignment.divergence import SinkhornDivergence
    from speechalign.inference.alignment_view import SWEEPS, view_pair

    divergence = SinkhornDivergence(epsilon, iterations=SWEEPS)
    translator = load(checkpoint, device, bias=bias)
    one, other = (translator.hear(file) for file in files)
    left, right = (None if c.strip() == "auto" else language(c.strip()) for c in codes)
    view = view_pair(translator, (one, other), (files[0], files[1]), (left, right), divergence)
    write_page(TEMPLATE, view | {"checkpoint": checkpoint}, output)
    for layer in view["layers"]:
        print(
            f"layer {layer['layer']}: divergence {layer['divergence']:.4f}, "
            f"diagonal mass {layer['diagonal']:.2f}, plan entropy {layer['entropy']:.2f}"
        )
    print(f"Written: {output}")
