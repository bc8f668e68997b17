"""The one exception for faults that the user can mend, and the one warning."""


class UserError(ValueError):
    """Bad input or set-up, told in one line: what was wrong, what was expected, what to do.

    The command line prints the message alone and exits with status 2.
    """


class Caution(UserWarning):
    """A result may not be what the user takes it for."""
