"""A command is a function: its signature gives the options and its docstring the help."""

from collections.abc import Callable
from typing import Any, NoReturn

from jsonargparse import ArgumentParser
from typing_extensions import override

from speechalign.errors import UserError


class OneLineErrors(ArgumentParser):
    """A parser whose errors are one line."""

    @override
    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        """Turn the message, which may be a page long, into one line.

        Raises:
            UserError: Always.
        """
        lines = [line.strip(" -") for line in message.splitlines() if line.strip(" -")]
        raise UserError(" ".join(lines)) from ex


class Parser(OneLineErrors):
    """A parser for a function's signature."""

    @override
    def format_help(self, *args: Any, **kwargs: Any) -> str:
        """Write the help with `--from` and switches as they are typed."""
        told = super().format_help(*args, **kwargs).replace("--from_", "--from")
        return told.replace(" {true,false}", "")


def run(
    function: Callable[..., Any],
    verb: str,
    arguments: list[str],
    files: str = "Audio files, side by side, in any format libsndfile reads.",
) -> Any:
    """Call a command with what the command line says.

    A parameter `from_` is the option `--from`, since `from` is no name in Python. A parameter that
    is a `bool` is a switch, without a value. A parameter `files` takes all positional arguments,
    of which the text `files` tells what they are.

    Raises:
        UserError: If the arguments do not fit the signature.
    """
    parser = Parser(prog=f"speechalign {verb}", description=(function.__doc__ or "").split("\n")[0])
    if "files" in function.__annotations__:
        parser.add_argument("files", nargs="+", help=files)
    parser.add_function_arguments(function, skip={"files"}, as_group=False)
    given = ["--from_" + a.removeprefix("--from") if is_from(a) else a for a in arguments]
    switches = {f"--{name}" for name, kind in function.__annotations__.items() if kind is bool}
    given = [f"{a}=true" if a in switches else a for a in given]
    return function(**parser.parse_args(given).as_dict())


def is_from(argument: str) -> bool:
    """Whether an argument is the option `--from`."""
    return argument == "--from" or argument.startswith("--from=")
