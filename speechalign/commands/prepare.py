"""`speechalign prepare`: bring a corpus into a form that training reads."""

import importlib
from typing import NamedTuple

from speechalign.errors import UserError


class Kind(NamedTuple):
    """Something that can be prepared."""

    module: str  # in speechalign.commands; has main(verb, arguments)
    summary: str


KINDS = {
    "fleurs": Kind("prepare_fleurs", "Fetch FLEURS, or take it from a copy, and check it."),
    "covost2": Kind("prepare_covost2", "Write manifests of CoVoST 2 over Common Voice's clips."),
    "manifest": Kind("prepare_manifest", "Check the recordings of manifests; write the good ones."),
    "nemo": Kind("prepare_import", "Turn manifests of NeMo into one of ours."),
    "llm-srt": Kind("prepare_import", "Turn manifests of LLM-SRT into one of ours."),
}


def main(verb: str, arguments: list[str]) -> None:
    """Run the command line: what is prepared, then the options for it.

    Raises:
        UserError: If nothing of that name can be prepared.
    """
    kind, *rest = arguments or ["--help"]
    if kind in ("-h", "--help"):
        print(usage(verb))
        return
    if kind not in KINDS:
        raise UserError(f"Cannot prepare {kind!r}: say one of {', '.join(KINDS)}.")
    command = importlib.import_module(f"speechalign.commands.{KINDS[kind].module}")
    command.main(f"{verb} {kind}", rest)


def usage(verb: str) -> str:
    """Write the help that lists the kinds."""
    kinds = "\n".join(f"  {name:<10}{kind.summary}" for name, kind in KINDS.items())
    return (
        f"usage: speechalign {verb} KIND [OPTIONS]\n\n{kinds}\n\nEach kind has its own --help. A"
        " call that was interrupted is completed by the same call."
    )
