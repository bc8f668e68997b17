"""The one exception for faults that the user can mend, and the one warning."""

from collections.abc import Iterator
from contextlib import contextmanager


class UserError(ValueError):
    """Bad input or set-up, told in one line: what was wrong, what was expected, what to do.

    The command line prints the message alone and exits with status 2.
    """


class Caution(UserWarning):
    """A result may not be what the user takes it for."""


@contextmanager
def noted(faults: list[UserError] | None) -> Iterator[None]:
    """Note a fault and go on after it; where nobody takes notes it is raised."""
    try:
        yield
    except UserError as fault:
        if faults is None:
            raise
        faults.append(fault)
