"""`speechalign prepare`: bring a corpus into a form that training reads."""

import importlib
from pathlib import Path

from speechalign.commands.parsing import run
from speechalign.data.importers import IMPORTERS
from speechalign.data.manifest import write_manifest
from speechalign.errors import UserError

KINDS = ", ".join(["fleurs", "covost2", *IMPORTERS])


def main(verb: str, arguments: list[str]) -> None:
    """Run the command line: what is prepared, then the options for it.

    Raises:
        UserError: If nothing of that name can be prepared.
    """
    kind, *rest = arguments or ["--help"]
    if kind in ("-h", "--help"):
        print(
            f"usage: speechalign {verb} fleurs --languages CODE,... --output FOLDER\n"
            f"       speechalign {verb} KIND FILE... --output FILE\n\nFetches FLEURS, or turns "
            f"manifests of another project into one of ours; KIND is one of {KINDS}, each with its"
            " own --help."
        )
        return
    if kind == "fleurs":
        run(
            importlib.import_module("speechalign.commands.prepare_fleurs").fleurs,
            f"{verb} fleurs",
            rest,
        )
        return
    if kind == "covost2":
        command = importlib.import_module("speechalign.commands.prepare_covost2")
        command.main(f"{verb} covost2", rest)
        return
    if kind not in IMPORTERS:
        raise UserError(f"Cannot prepare {kind!r}: say one of {KINDS}.")
    read = IMPORTERS[kind]

    def prepare(files: list[str], output: str, from_: str | None = None) -> None:
        """Turn manifests of another project into one of ours.

        Args:
            files: The manifests, in JSON lines.
            output: The manifest to write.
            from_: Language of the speech where a line names none.
        """
        entries = [entry for file in files for entry in read(Path(file), from_)]
        write_manifest(Path(output), entries)
        print(f"Written: {output}, {len(entries)} lines.")

    run(prepare, f"{verb} {kind}", rest, files="Manifests, side by side, in JSON lines.")
