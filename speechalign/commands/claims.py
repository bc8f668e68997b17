"""A folder is of one evaluation: what its answers depend on, kept in it and compared."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from speechalign.commands.evaluation_folder import make_folder
from speechalign.errors import UserError
from speechalign.evaluation.predictions import DIGEST, PREDICTIONS
from speechalign.files import file_digest, write_text

ORDER = "decoding.json"  # what the answers in a folder depend on
WORDS = {  # for what it tells, in those of the command line
    "checkpoint": "--checkpoint",
    "sha256": "the weights at --checkpoint",
    "data": "--data",
    "split": "--split",
    "pairs": "--pairs",
    "questions": "the recordings or references in --data",
    "left_out": "the recordings without a reference in --data",
    "task": "--task",
    "dtype": "--dtype",
    "llm_bits": "--llm-bits",
    "decoding": "the decoding stored with the model",
    "prompts": "the prompts stored with the model",
    "bias": "the weights at --bias",
    "languages": "the languages that the model knows",
}
FOLLOWING = ("questions", "left_out")  # differ wherever the pairs do
OPTIONS = (
    "checkpoint",
    "data",
    "split",
    "pairs",
    "task",
    "dtype",
    "llm_bits",
)  # whose values people know
SHORT = 100  # characters of a value that is told


def check_claim(folder: Path, about: Mapping[str, Any]) -> None:
    """See that a folder has no answers but those of one evaluation, as far as that is told.

    Raises:
        UserError: If it has those of another; names what differs.
    """
    before = read_order(folder / ORDER)
    if before is None and (folder / PREDICTIONS).exists():
        raise UserError(f"{folder} has predictions of another system: give another --output-dir.")
    found = list(differences(before, about)) if before is not None else []
    if found:
        raise UserError(
            f"{folder} has the answers of an evaluation that differs in {', '.join(found)}: give "
            "another --output-dir."
        )


def differences(before: Mapping[str, Any], about: Mapping[str, Any]) -> Iterator[str]:
    """Say in what two evaluations differ, in the words of the command line."""
    keys = [key for key in about if before.get(key) != about[key]]
    for key in keys:
        one, other = before.get(key), about[key]
        if "pairs" in keys and key in FOLLOWING:
            continue
        if key == "decoding" and isinstance(one, dict) and one.get("beams") != other["beams"]:
            yield f"--beams ({one.get('beams')}, now {other['beams']})"
            if one | {"beams": other["beams"]} == other:
                continue
        name, was, now = WORDS.get(key, key), spelt(one), spelt(other)
        short = key in OPTIONS and max(len(was), len(now)) <= SHORT
        yield f"{name} ({was}, now {now})" if short else name


def spelt(value: Any) -> str:
    """Write the value of an option."""
    return ", ".join(value) if isinstance(value, list) else str(value)


def claim(folder: Path, about: dict[str, Any]) -> None:
    """Take a folder, which is made if absent, for one evaluation.

    Raises:
        UserError: If it has the answers of another, or cannot be made.
    """
    check_claim(folder, about)
    make_folder(folder)
    if not (folder / ORDER).exists():
        write_order(folder, about)


def write_order(folder: Path, about: Mapping[str, Any]) -> None:
    """Write what the answers in a folder depend on."""
    write_text(folder / ORDER, json.dumps(about, indent=1, ensure_ascii=False) + "\n")


def read_order(file: Path) -> dict[str, Any] | None:
    """Read what the answers in a folder depend on; None if there are none.

    Raises:
        UserError: If it cannot be read.
    """
    if not file.exists():
        return None
    try:
        return dict(json.loads(file.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError) as error:
        raise UserError(f"{file} cannot be read ({error}): give another --output-dir.") from error


def check_unchanged(file: Path, about: Mapping[str, Any]) -> None:
    """See that predictions are those that a run wrote, if it told their digest.

    Args:
        file: The predictions.
        about: What the run tells of itself.

    Raises:
        UserError: If they are not.
    """
    if about.get(DIGEST) not in {None, file_digest(file)}:
        raise UserError(
            f"{file} was changed since it was written: put it back or evaluate anew, with another"
            " --output-dir; to score it as it is, copy it elsewhere and name it by --predictions."
        )
