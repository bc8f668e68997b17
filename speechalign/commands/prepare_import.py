"""`speechalign prepare nemo` and `llm-srt`: manifests of other projects become one of ours."""

from pathlib import Path

from speechalign.commands.parsing import run
from speechalign.data.importers import import_manifests
from speechalign.data.manifest import write_manifest


def main(verb: str, arguments: list[str]) -> None:
    """Run the command line; the last word of the verb says whose manifests they are."""
    kind = verb.split()[-1]

    def prepare(files: list[str], output: str, from_: str | None = None) -> None:
        """Turn manifests of another project into one of ours.

        Args:
            files: The manifests, in JSON lines.
            output: The manifest to write.
            from_: Language of the speech where a line names none.
        """
        entries = import_manifests(kind, list(map(Path, files)), Path(output), from_)
        write_manifest(Path(output), entries)
        print(f"Written: {output}, {len(entries)} lines.")

    run(prepare, verb, arguments, files="Manifests, side by side, in JSON lines.")
