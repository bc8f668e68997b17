"""The command line: a verb leads to a function, and every user's fault to one line."""

import difflib
import importlib
import os
import re
import sys
import warnings
from typing import Any, NamedTuple

from speechalign.errors import Caution, UserError
from speechalign.version import __version__

format_warning = warnings.formatwarning


class Verb(NamedTuple):
    """A verb, where its function is, and what it is for."""

    module: str
    summary: str


VERBS = {
    "fit": Verb("training", "Train the adapter from a config (LightningCLI)."),
    "validate": Verb("training", "Compute the loss on the dev split (LightningCLI)."),
    "test": Verb("training", "Translate the test split and score it with BLEU (LightningCLI)."),
    "predict": Verb("training", "Translate the test split without scoring (LightningCLI)."),
    "translate": Verb("translate", "Translate speech in audio files into another language."),
    "transcribe": Verb("transcribe", "Write down the speech in audio files."),
    "serve": Verb("serve", "Answer requests for transcripts and translations, as OpenAI's API."),
    "evaluate": Verb("evaluate", "Score a model on a corpus, or the predictions of any system."),
    "compare": Verb("compare", "Compare finished evaluations, with intervals and tests."),
    "export": Verb("export", "Write a model as a folder to share, or push it to the Hub."),
    "prepare": Verb("prepare", "Fetch or convert a corpus, and check its recordings."),
    "estimate-bias": Verb("estimate_bias", "Estimate what languages add to an encoder's frames."),
    "inspect": Verb("inspect_pair", "Show how two recordings are aligned, on a page."),
    "check-ot": Verb("check_ot", "Check the transport solver against exact transport."),
    "demo": Verb("demo", "Train, evaluate and translate in the packaged micro world."),
    "info": Verb("info", "Show versions, devices and the languages of a model."),
}


def main(arguments: list[str] | None = None) -> int:
    """Run `speechalign VERB …` and return the exit status."""
    arguments = sys.argv[1:] if arguments is None else arguments
    warnings.formatwarning = one_line_for_ours
    try:
        status = dispatch(arguments)
        sys.stdout.flush()
    except UserError as error:
        print(f"speechalign: {one_line(error)}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:  # the reader, as `head`, has enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # for the flush at exit
        return 141
    return status


def one_line_for_ours(
    message: Warning | str, category: type[Warning], *place: Any, **options: Any
) -> str:
    """Tell a caution in one line, and other libraries' warnings as ever."""
    if issubclass(category, Caution):
        return f"speechalign: {message}\n"
    return format_warning(message, category, *place, **options)


def one_line(error: UserError) -> str:
    """Tell an error in one line, without the traceback that a loader's worker puts before it."""
    told = str(error)
    if told.startswith("Caught "):
        told = re.split(r"^[\w.]+Error: ", told, flags=re.MULTILINE)[-1]
    return " ".join(told.split())


def dispatch(arguments: list[str]) -> int:
    """Find the verb and import what it needs, and nothing else."""
    if not arguments or arguments[0] in ("-h", "--help"):
        print(usage())
        return 0
    verb, *rest = arguments
    if verb == "--version":
        print(__version__)
        return 0
    if verb not in VERBS:
        near = difflib.get_close_matches(verb, VERBS, n=1)
        meant = f"did you mean {near[0]!r}? Or " if near else ""
        raise UserError(f"Unknown command {verb!r}: {meant}use one of {', '.join(VERBS)}.")
    command = importlib.import_module(f"speechalign.commands.{VERBS[verb].module}")
    command.main(verb, rest)
    return 0


def usage() -> str:
    """Write the help of `speechalign --help`."""
    verbs = "\n".join(f"  {name:<15}{verb.summary}" for name, verb in VERBS.items())
    return (
        f"speechalign {__version__}: speech translation by aligned large language models\n\n"
        f"usage: speechalign VERB [OPTIONS]\n\n{verbs}\n\n"
        "Each verb has its own --help. Configurations are in configs/, a first run is\n"
        "`speechalign demo`."
    )
