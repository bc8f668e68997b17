"""Settings of the data that cannot be meant: told at once, before anything is read."""

import math
from collections.abc import Mapping
from typing import get_args

from speechalign.data.prompts import Task
from speechalign.errors import UserError

TASKS = get_args(Task)


def check_weights(weights: Mapping[Task, float]) -> None:
    """Refuse tasks that do not exist and weights that nothing can be drawn by.

    Raises:
        UserError: If there is one.
    """
    for task, weight in weights.items():
        if task not in TASKS:
            raise UserError(f"Unknown task {task!r}; there are {', '.join(TASKS)}.")
        if not (math.isfinite(weight) and weight > 0):
            raise UserError(f"Task {task} has weight {weight}; give a positive number.")


def check_languages(trained: list[str], zero_shot: list[str], target: str | None) -> None:
    """Refuse languages that have two roles.

    Args:
        trained: Canonical codes of the source languages to train on.
        zero_shot: Of those to evaluate only.
        target: Of the language to translate into, None if nothing is translated.

    Raises:
        UserError: If one has two roles, or none is trained on.
    """
    sources = trained + zero_shot
    if not trained:
        raise UserError("`languages` is empty; name the source languages to train on.")
    twice = sorted({code for code in sources if sources.count(code) > 1})
    if twice:
        raise UserError(f"Named twice among languages and zero_shot: {', '.join(twice)}.")
    if target in sources:
        raise UserError(
            f"{target} is both a source language and the target of translation; remove it from"
            " languages and zero_shot, or train on the task asr alone."
        )


def check_counts(least: int, **settings: int | None) -> None:
    """Refuse numbers of things that are too few; None is no limit.

    Args:
        least: What is possible.
        settings: Numbers by the names of their settings.

    Raises:
        UserError: If one is less.
    """
    for name, number in settings.items():
        if number is not None and number < least:
            raise UserError(f"{name} is {number}; expected {least} or more.")


def check_limits(**settings: float | None) -> None:
    """Refuse limits in seconds that nothing is below; None is no limit.

    Raises:
        UserError: If there is one; names the setting.
    """
    for name, seconds in settings.items():
        if seconds is not None and not seconds > 0:  # not even true of NaN
            raise UserError(f"{name} is {seconds}; expected seconds, more than 0.")
