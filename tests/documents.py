"""The commands and the Python that the pages of docs/ and the README show."""

import importlib
import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import click

from pipelines.cli import weights

ROOT = Path(__file__).parents[1]
PAGES = (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))
MODULES = {
    "cdg-prep": "prep",
    "cdg-train": "train",
    "cdg-eval": "evaluate",
    "cdg-deblur": "deblur",
    "cdg-info": "info",
    "cdg-export": "export",
    "cdg-import": "imports",
    "cdg-study": "study",
}
SHELL = ("bash", "sh", "console")

_FENCE = re.compile(r"^( *)```(\w*)[^\n]*\n(.*?)^\1```$", re.MULTILINE | re.DOTALL)
_NOT_RUN = re.compile(r"<!-- not run: [^\n]+ -->\n\n?\Z")  # before a block, with the reason
_SPAN = re.compile(r"(?<!`)`(cdg-[^`]+)`(?!`)")
_VALUE = re.compile(r"`(--[a-z-]+) ([A-Z][A-Za-z|]+)`")  # an option and what it takes
_LINK = re.compile(r"\]\(([^)\s]+)\)")


@dataclass(frozen=True, kw_only=True)
class Block:
    """A fenced block of a page."""

    line: int  # of the page
    language: str  # bash, python, text ...; empty where none is named
    text: str
    is_run: bool  # unless a comment before it says why not
    follows: bool  # with nothing between the block before it and this one: what that prints

    @property
    def commands(self) -> list[list[str]]:
        """The words of each line of a shell block, without comments and the path of .venv."""
        if self.language not in ("", *SHELL):
            return []
        lines = self.text.replace("\\\n", " ").splitlines()
        words = [_words(line) for line in lines if self.language or re.match(r"(?:\.venv/bin/)?cdg-", line)]
        return [each for each in words if each]


def _words(line: str) -> list[str]:
    words = shlex.split(line, comments=True)
    return [words[0].removeprefix(".venv/bin/"), *words[1:]] if words else []


def blocks(page: Path) -> list[Block]:
    """The fenced blocks of a page, in order."""
    text, end = page.read_text(encoding="utf-8"), 0
    found: list[Block] = []
    for fence in _FENCE.finditer(text):
        between, end = text[end : fence.start()], fence.end()
        block = Block(
            line=text.count("\n", 0, fence.start()) + 1,
            language=fence[2],
            text=re.sub(f"^{fence[1]}", "", fence[3], flags=re.MULTILINE),
            is_run=not _NOT_RUN.search(between),
            follows=not between.strip(),
        )
        found.append(block)
    return found


def spans(page: Path) -> list[str]:
    """What stands in backquotes in a page's prose and begins like a command."""
    return _SPAN.findall(_FENCE.sub("", page.read_text(encoding="utf-8")))


def option_values(page: Path) -> list[tuple[str, str]]:
    """The options in a page's prose with the name of their value, such as ``--out DIR``."""
    return _VALUE.findall(_FENCE.sub("", page.read_text(encoding="utf-8")))


def value_names(option: str) -> set[str]:
    """What the help of all commands calls the value of an option."""
    tools = [*map(_tool, MODULES), weights.command]
    tools += [below for tool in tools if isinstance(tool, click.Group) for below in tool.commands.values()]
    named = (each for tool in tools for each in tool.params if option in each.opts)
    return {each.metavar or each.type.name.upper() for each in named}


def links(page: Path) -> Iterator[tuple[Path, str]]:
    """The links of a page to files of the repository: the file, and the anchor in it, or an empty text."""
    for target in _LINK.findall(_FENCE.sub("", page.read_text(encoding="utf-8"))):
        if "://" not in target:
            name, _, anchor = target.partition("#")
            yield (page.parent / name if name else page), anchor


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as Markdown makes them."""
    headings = re.findall(r"^#+ (.*)$", _FENCE.sub("", page.read_text(encoding="utf-8")), re.MULTILINE)
    words = (re.sub(r"[^\w\s-]", "", heading).strip().lower() for heading in headings)
    return {re.sub(r"[\s-]+", "-", each) for each in words}


@cache
def _tool(name: str) -> click.Command:
    module = importlib.import_module(f"pipelines.cli.{MODULES[name]}")
    tools = (each for each in vars(module).values() if isinstance(each, click.Command))
    return next(each for each in tools if each.name == name)


def tool_of(words: list[str]) -> tuple[click.Command, list[str]]:
    """The command, or the command of a group, that words call, and its arguments.

    Raises:
        UsageError: If there is none.
    """
    if words[0] not in MODULES:
        raise click.UsageError(f"there is no {words[0]}")
    tool, rest = _tool(words[0]), words[1:]
    if isinstance(tool, click.Group) and rest and not rest[0].startswith("-"):
        if rest[0] not in tool.commands:
            raise click.UsageError(f"{words[0]} has no {rest[0]}")
        tool, rest = tool.commands[rest[0]], rest[1:]
    return tool, rest


def parse(words: list[str]) -> dict[str, object]:
    """The values that a command is given, by parameter; files need not be there.

    Raises:
        ClickException: If an option does not exist, or a value is none of its type.
    """
    tool, arguments = tool_of(words)
    context = click.Context(tool, info_name=words[0])
    values, rest, _ = tool.make_parser(context).parse_args(arguments)
    if rest:
        raise click.UsageError(f"{rest[0]} is one argument too many")
    for parameter in tool.params:
        value = values.get(parameter.name)
        if isinstance(value, str | tuple | list) and not isinstance(parameter.type, click.Path):
            parameter.type_cast_value(context, value)
    return {name: value for name, value in values.items() if isinstance(value, str | tuple | list | bool)}


def unknown_options(span: str) -> list[str]:
    """The options in the prose's words for a command that it does not have."""
    tool, rest = tool_of(re.sub(r"[\"'()]", " ", span).split())
    known = {name for each in tool.params for name in (*each.opts, *each.secondary_opts)} | {"--help", "--version"}
    tools = tool.commands.values() if isinstance(tool, click.Group) else ()
    known |= {name for each in tools for option in each.params for name in option.opts}
    return [word for word in rest if word.startswith("--") and word.partition("=")[0] not in known]
