"""A command is a function: its signature gives the options and its docstring the help."""

import difflib
import re
from collections.abc import Callable
from typing import Any, NoReturn

from jsonargparse import ArgumentParser
from typing_extensions import override

from speechalign.errors import UserError

KINDS = {"int": "a whole number", "float": "a number", "bool": "true or false"}
WRONG_KIND = re.compile(
    r'Parser key "(?P<name>[\w.]+)": (?P<wanted>.*?)(?:Given value|Got value): (?P<value>.*)'
)


class OneLineErrors(ArgumentParser):
    """A parser whose errors are one line, and that does not guess: options are written out."""

    def __init__(self, *arguments: Any, **settings: Any) -> None:
        super().__init__(*arguments, **{"allow_abbrev": False, **settings})

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
    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        """Say what was expected in plain words, and which option may be meant.

        Raises:
            UserError: Always.
        """
        told = " ".join(message.split())
        wrong = WRONG_KIND.search(told)
        if wrong and (kinds := expected(wrong["wanted"])):
            option = typed(f"--{wrong['name']}")
            raise UserError(f"{option} is {wrong['value']}: expected {' or '.join(kinds)}.") from ex
        unknown = re.search(r"unrecognized arguments: (--[\w.-]+)", told, re.IGNORECASE)
        known = map(typed, self._option_string_actions)
        near = difflib.get_close_matches(typed(unknown[1]), known, n=1) if unknown else []
        lacking = re.search(r"following arguments are required: ([\w, ]+)", told)
        if lacking:
            names = [self.called(name) for name in lacking[1].split(", ")]
            raise UserError(f"Missing: {', '.join(names)}. See {self.prog} --help.") from ex
        super().error(f"{message}. Did you mean {near[0]}?" if near else message, ex)

    def called(self, parameter: str) -> str:
        """Call a required parameter as it is told: an option, or in its place."""
        option = f"--{parameter}"
        is_option = option in self._option_string_actions
        return typed(option).replace("_", "-") if is_option else parameter.upper()

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
    positional: bool = False,
) -> Any:
    """Call a command with what the command line says.

    A parameter `from_` is the option `--from`, since `from` is no name in Python. A parameter that
    is a `bool` is a switch, without a value. A parameter `files` takes all positional arguments,
    of which the text `files` tells what they are. With `positional`, so are those that have no
    default, in their order.

    Raises:
        UserError: If the arguments do not fit the signature.
    """
    parser = Parser(prog=f"speechalign {verb}", description=(function.__doc__ or "").split("\n")[0])
    if "files" in function.__annotations__:
        parser.add_argument("files", nargs="+", help=files)
    parser.add_function_arguments(
        function, skip={"files"}, as_group=False, as_positional=positional
    )
    given = [named(argument) for argument in arguments]
    switches = {f"--{name}" for name, kind in function.__annotations__.items() if kind is bool}
    given = [f"{a}=true" if a in switches else a for a in given]
    return function(**vars(parser.instantiate_classes(parser.parse_args(given))))


def expected(wanted: str) -> list[str]:
    """Say in plain words what the parser wanted; nothing if it has none of its own for it."""
    choices = re.search(r"Literal\[(.*?)\]", wanted)
    if choices:
        names = re.findall(r"'(.*?)'", choices[1])
        return [f"one of {', '.join(names)}"]
    kinds = set(re.findall(r"<class '(\w+)'>", wanted)) & KINDS.keys()
    return [KINDS[kind] for kind in sorted(kinds)]


def typed(option: str) -> str:
    """Call an option as it is typed."""
    return "--from" if option == "--from_" else option


def named(argument: str) -> str:
    """Call an option as its parameter is called: `--on-error` and `--on_error` are one."""
    if not argument.startswith("--"):
        return argument
    option, equals, value = argument.partition("=")
    name = option.removeprefix("--").replace("-", "_")
    return f"--{'from_' if name == 'from' else name}{equals}{value}"
