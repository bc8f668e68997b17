"""`speechalign estimate-bias`: estimate language biases into packs, list packs, merge them."""

import importlib

from speechalign.commands.parsing import run

SPEECH = (
    "CODE=FOLDER with audio of one language, a FLEURS folder, or a manifest (.jsonl); or the word"
    " list or merge, each with its own --help."
)
OTHERS = {"list": "list_packs", "merge": "merge"}


def main(verb: str, arguments: list[str]) -> None:
    """Run the command line; `list` and `merge` are verbs of their own."""
    if arguments and arguments[0] in OTHERS:
        name, *rest = arguments
        packs = importlib.import_module("speechalign.commands.bias_packs")
        run(getattr(packs, OTHERS[name]), f"{verb} {name}", rest, files="Bias packs, side by side.")
        return
    estimation = importlib.import_module("speechalign.commands.bias_estimation")
    run(estimation.estimate, verb, arguments, files=SPEECH)
