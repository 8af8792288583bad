"""Wrong options and arguments in our words: what was found, what is wanted, what to type."""

import math
import re
from difflib import get_close_matches
from pathlib import Path

import click

from pipelines.cli.parameters import WEIGHTS_SUFFIXES

_PATH_FAULT = re.compile(r"(?:File|Directory|Path) '(.*)' (does not exist|is a file|is a directory)", re.DOTALL)
_WRONG_VALUE = re.compile(r"'?(.*?)'? is not ", re.DOTALL)


def usage_text(error: click.UsageError) -> str:
    """The message of an error, in our words for the errors that have some."""
    if isinstance(error, click.MissingParameter):
        return _missing(error)
    if isinstance(error, click.BadParameter):
        return _bad_value(error)
    if isinstance(error, click.NoSuchOption):
        similar = "".join(
            f"; did you mean {name}?" for name in get_close_matches(error.option_name, error.possibilities or (), 1, 0)
        )
        return f"there is no option {error.option_name}{similar}"
    if isinstance(error, click.BadOptionUsage) and "requires an argument" in error.message:
        return f"{error.option_name} needs a value"
    if extra := re.match(r"Got unexpected extra arguments? \((.*)\)", error.message, re.DOTALL):
        return _extra(extra[1], error.ctx)
    if found := re.match(r"No such command '(.*?)'", error.message):
        group = error.ctx.command if error.ctx else None
        names = f"; commands: {', '.join(sorted(group.commands))}" if isinstance(group, click.Group) else ""
        return f"there is no command {found[1]}{names}"
    return error.format_message()


def _name(param: click.Parameter) -> str:
    """A parameter as it is typed, or as the usage line shows it."""
    return max(param.opts, key=len) if isinstance(param, click.Option) else param.human_readable_name


def _missing(error: click.MissingParameter) -> str:
    param = error.param
    if param is None:
        return error.format_message()
    if isinstance(param.type, click.Choice):
        return f"{_name(param)} is missing; pass one of {', '.join(map(str, param.type.choices))}"
    value = (param.metavar or param.type.name.upper()).split()[0]
    return f"{_name(param)} is missing; pass {_name(param)}{f' {value}' * isinstance(param, click.Option)}"


def _bad_value(error: click.BadParameter) -> str:
    param, message = error.param, error.message.rstrip(".")
    if param is None:
        return error.format_message()
    name, kind = _name(param), param.type
    if type(kind) is click.Path and (fault := _PATH_FAULT.fullmatch(message)):
        wanted = "a folder" if not kind.file_okay else "a file" if not kind.dir_okay else "a file or a folder"
        return f"{name}: {fault[1]} {fault[2].replace('directory', 'folder')}; pass {wanted}"
    wrong = _WRONG_VALUE.match(message)
    wanted = _wanted(kind)
    return f"{name} is {wrong[1]}; it must be {wanted}" if wrong and wanted else f"{name}: {message}"


def _wanted(kind: object) -> str:
    if isinstance(kind, click.Choice):
        return f"one of {', '.join(map(str, kind.choices))}"
    if isinstance(kind, click.IntRange | click.FloatRange):
        return _range(kind)
    return "a whole number" if kind is click.INT else "a number" if kind is click.FLOAT else ""


def _range(kind: click.IntRange | click.FloatRange) -> str:
    what = "a whole number" if isinstance(kind, click.IntRange) else "a number"
    least, most = kind.min, kind.max
    has_most = most is not None and most < math.inf
    if least is None:
        return f"{what} {'below' if kind.max_open else 'up to'} {most:g}" if has_most else what
    lower = f"above {least:g}" if kind.min_open else f"from {least:g}" if has_most else f"of at least {least:g}"
    if not has_most:
        return f"{what} {lower}"
    upper = f"below {most:g}" if kind.max_open else f"at most {most:g}" if kind.min_open else f"to {most:g}"
    return f"{what} {lower}{' and ' if kind.max_open or kind.min_open else ' '}{upper}"


def _extra(words: str, context: click.Context | None) -> str:
    found = words.split()
    options = {option for param in context.command.params for option in param.opts} if context else set()
    if "--weights" in options and found[0].lower().endswith(WEIGHTS_SUFFIXES):
        return f"{found[0]} is a weights file; pass it as --weights {found[0]}"
    if all(Path(word).exists() for word in found):
        return f"unexpected: {words[:200]}; if the shell expanded a pattern, put the pattern in quotes"
    return f"unexpected: {words[:200]}; leave it out, or put the option that it belongs to before it"
