"""Options looked at before anything is loaded: numbers in range, and none without a use."""

import inspect
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from speechalign.errors import UserError

OF_MODELS = (
    *("checkpoint", "bias", "dtype", "llm_bits", "device"),
    *("alignment", "task", "beams", "batch_size", "workers"),
)
OF_COMET = ("comet_model", "comet_options")


def check_numbers(from_one: Mapping[str, int | None], from_zero: Mapping[str, int]) -> None:
    """Look at numbers.

    Args:
        from_one: Options with what must be 1 or more, if it is given.
        from_zero: Options with what must be 0 or more.

    Raises:
        UserError: If one is below.
    """
    for least, numbers in ((1, from_one), (0, from_zero)):
        for option, number in numbers.items():
            if number is not None and number < least:
                raise UserError(f"{option} is {number}: give {least} or more.")


def check_bits(llm_bits: int | None) -> None:
    """See that a LLM can be quantised to so many bits, before it is loaded.

    Raises:
        UserError: If not.
    """
    if llm_bits not in (None, 4, 8):
        raise UserError(f"--llm-bits is {llm_bits}: give 4 or 8, or leave it out.")


def given(command: Callable[..., Any], told: Mapping[str, Any]) -> set[str]:
    """Name the parameters of a command that are told otherwise than they are by default."""
    parameters = inspect.signature(command).parameters
    return {name for name in parameters if told[name] != parameters[name].default}


def check_uses(told: set[str]) -> None:
    """Refuse options of an evaluation that have no use with the others.

    Args:
        told: Names of the parameters that are given.

    Raises:
        UserError: If there are such.
    """
    if "predictions" in told:
        refuse(told.intersection(OF_MODELS), "have no use with --predictions, but with a model")
        if "data" not in told:
            refuse(told & {"split"}, "have no use with --predictions alone, but with --data")
    elif "references" in told:
        raise UserError("--references belong to --predictions: name those too.")
    if "comet" not in told:
        refuse(told.intersection(OF_COMET), "have no use without --comet")


def refuse(names: Iterable[str], why: str) -> None:
    """Refuse options, if there are any.

    Raises:
        UserError: If there are.
    """
    options = [f"--{name.replace('_', '-')}" for name in sorted(names)]
    if options:
        one = len(options) == 1
        told = why.replace("have", "has", 1) if one else why
        raise UserError(f"{', '.join(options)} {told}: leave {'it' if one else 'them'} out.")
