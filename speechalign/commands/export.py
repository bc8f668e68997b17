"""`speechalign export`: a trained model as a folder to share, and that folder on the Hub."""

import sys
from pathlib import Path
from typing import Any

from speechalign.commands.parsing import run
from speechalign.errors import UserError


def main(verb: str, arguments: list[str]) -> None:
    """Run the command line."""
    run(export, verb, arguments, positional=True)


def export(
    checkpoint: str,
    folder: str,
    results: str | None = None,
    bias: str | None = None,
    licence: str | None = None,
    push_to: str | None = None,
    private: bool = False,
    dry_run: bool = False,
) -> None:
    """Write a model as a folder to share: weights, settings, and a card with what was measured.

    Args:
        checkpoint: Of `speechalign fit`, an exported folder, or its Hub id.
        folder: To write; an earlier export in it is replaced.
        results: Folder of `speechalign evaluate` with the scores of this checkpoint, for the card.
        bias: A bias pack, whose languages the exported model knows beside its own.
        licence: Of the weights, as the Hub calls it (apache-2.0).
        push_to: Id on the Hugging Face Hub to push the folder to, as user/model.
        private: Whether the Hub hides it from others when it is made.
        dry_run: Write the folder and list what would be pushed, without pushing it.
    """
    if push_to is None and (private or dry_run):
        raise UserError("--private and --dry-run belong to --push-to: say where it is pushed.")
    from speechalign.inference.export import check_folder
    from speechalign.inference.translator import Translator
    from speechalign.models.hub import check_id, push

    if push_to is not None:
        check_id(push_to)
    place = Path(folder).expanduser()
    check_folder(place)  # before a model is loaded
    measured = None if results is None else results_of(Path(results), checkpoint, bias)
    translator = Translator.from_pretrained(checkpoint, device="cpu", bias=bias)
    translator.save_pretrained(place, measured, licence, push_to)
    tell(place)
    if push_to is None:
        return
    if dry_run:
        print(f"These files would be pushed to {push_to}.")
        return
    try:
        print(f"Pushed: {push(place, push_to, private)}")
    except UserError as error:
        raise UserError(f"{error} The export is in {place}.") from error


def results_of(folder: Path, checkpoint: str, bias: str | None) -> dict[str, Any]:
    """Read the scores of an evaluation, and see that they are of the model that is exported.

    Raises:
        UserError: If there are none, or they are of something else.
    """
    from speechalign.commands.decoding import hash_of
    from speechalign.commands.finished import read_metrics
    from speechalign.models import artifact

    artifact.read(checkpoint)  # tells what is wrong with it
    metrics = read_metrics(folder)
    system = metrics["system"]
    if "sha256" not in system:
        raise UserError(
            f"{folder} does not say which weights its scores are of: give the folder of "
            f"`speechalign evaluate --checkpoint {checkpoint}`."
        )
    own = hash_of(checkpoint)
    if system["sha256"] != own:
        raise UserError(
            f"The scores in {folder} are of {system.get('checkpoint')} (sha256 "
            f"{system['sha256'][:12]}), not of {checkpoint} (sha256 {own[:12]}): evaluate what is "
            "exported."
        )
    if system.get("bias") != (bias and hash_of(bias)):
        which = "with another or no bias pack" if bias else "with a bias pack"
        raise UserError(
            f"The scores in {folder} are of the model {which}: evaluate and export with the same"
            " --bias."
        )
    return metrics


def tell(folder: Path) -> None:
    """List what was written."""
    for file in sorted(folder.iterdir()):
        print(f"{file.stat().st_size:>12,} bytes  {file.name}")
    print(f"Written: {folder}", file=sys.stderr)
