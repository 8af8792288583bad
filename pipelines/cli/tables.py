"""Tables and lists in plain text, the same on a terminal and in a pipe: narrow, aligned, no number broken."""

import shutil
import sys
import textwrap
from collections.abc import Sequence

import click

from pipelines.cli.printing import encoding_of, escaped, one_line

_WIDTH = 80  # characters of a line of text
_GAP = 2  # spaces between columns
_SHORTEST = 12  # characters kept of a shortened name
_CUT = "..."


def print_table(
    heads: Sequence[str], rows: Sequence[Sequence[str]], *, names: int = 1, has_total: bool = False
) -> None:
    """Print a table. On a terminal that is too narrow the names are shortened at their beginning, never the numbers.

    Args:
        heads: Of the columns; may have several lines.
        rows: A cell per column.
        names: How many columns, from the first on, hold text and are aligned left; the others are aligned right.
        has_total: Whether the last row stands apart.
    """
    tall = max(head.count("\n") for head in heads)
    lines_of = [("\n" * (tall - head.count("\n")) + head).split("\n") for head in heads]
    top = [list(map(_plain, line)) for line in zip(*lines_of, strict=True)]
    body = [[_plain(cell) for cell in row] for row in rows]
    widths = [max(map(_width, column)) for column in zip(*top, *body, strict=True)]
    widths[0] = _fitting(widths)
    rule = ["-" * width for width in widths]
    below = [rule, *body[:-1], rule, body[-1]] if has_total and len(body) > 1 else [rule, *body]
    for row in [*top, *below]:
        cells = [_shortened(row[0], widths[0]), *row[1:]]
        padded = (
            cell + " " * (width - _width(cell)) if place < names else " " * (width - _width(cell)) + cell
            for place, (cell, width) in enumerate(zip(cells, widths, strict=True))
        )
        click.echo((" " * _GAP).join(padded).rstrip())


def print_list(title: str, lines: Sequence[str]) -> None:
    """Print lines under a title, indented."""
    click.echo(f"{title}:")
    for line in lines:
        print_wrapped(line, "  ")


def print_wrapped(text: str, indent: str = "") -> None:
    """Print text in lines of at most 80 characters; no word is broken."""
    lines = textwrap.wrap(
        one_line(text),
        _WIDTH,
        initial_indent=indent,
        subsequent_indent=2 * indent,
        break_long_words=False,
        break_on_hyphens=False,
    )
    click.echo("\n".join(lines))


def _plain(cell: str) -> str:
    return one_line(escaped(cell, encoding_of(sys.stdout)))


def _width(text: str) -> int:
    from rich.cells import cell_len

    return cell_len(text)


def _fitting(widths: Sequence[int]) -> int:
    """The width of the first column: that of its cells, or on a terminal what the other columns leave."""
    if not sys.stdout.isatty():
        return widths[0]
    left = shutil.get_terminal_size().columns - sum(widths[1:]) - _GAP * (len(widths) - 1)
    return min(widths[0], max(left, _SHORTEST))


def _shortened(name: str, width: int) -> str:
    """The end of a name: names of frames differ there."""
    if _width(name) <= width:
        return name
    while _width(name) > width - len(_CUT):
        name = name[1:]
    return _CUT + name
