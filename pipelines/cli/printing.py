"""Escape what is printed: no name and no file can control the terminal, and no encoding error ends a command.

File names, keys of packs and attributes come from elsewhere. They may hold escape sequences, bytes that are no UTF-8
(surrogates, in Python), or characters that the terminal's encoding lacks.
"""

import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TextIO, cast

# Control characters except tab and newline, characters that reverse the direction of text or break lines, surrogates.
_STEERING = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
_PLAIN = str.maketrans({"→": "->", "±": "+-"})  # replacements if the encoding lacks them


def escaped(text: str, encoding: str = "utf-8") -> str:
    r"""The text for printing: control characters, and characters that ``encoding`` lacks, as ``\x1b`` or ``\u5199``."""
    text = _STEERING.sub(lambda match: match[0].encode("unicode_escape", "surrogatepass").decode("ascii"), text)
    try:
        text.encode(encoding)
    except UnicodeEncodeError:
        return text.translate(_PLAIN).encode(encoding, "backslashreplace").decode(encoding)
    return text


def one_line(text: str) -> str:
    """The text with its line breaks escaped too, as in the name of a file."""
    return text.replace("\n", r"\n")


class _Escaping:
    """A stream that escapes what is written to it; ``unescaped`` is the stream itself."""

    def __init__(self, stream: TextIO) -> None:
        self.unescaped = stream

    def write(self, text: str) -> int:
        self.unescaped.write(escaped(text, encoding_of(self.unescaped)))
        return len(text)

    def __getattr__(self, name: str) -> Any:
        if name == "buffer":  # or click would bypass this stream if the encoding is ASCII
            raise AttributeError(name)
        return getattr(self.unescaped, name)


@contextmanager
def escaping() -> Iterator[None]:
    """Escape all that is printed within, to the standard output and to the standard error."""
    streams = sys.stdout, sys.stderr
    sys.stdout, sys.stderr = (cast(TextIO, stream and _Escaping(stream)) for stream in streams)
    try:
        yield
    finally:
        sys.stdout, sys.stderr = streams


def encoding_of(stream: TextIO) -> str:
    """The encoding of a stream; one that has none takes any character."""
    return getattr(stream, "encoding", None) or "utf-8"


def unescaped(stream: TextIO) -> TextIO:
    """The stream for what draws with escape sequences of its own."""
    return cast(TextIO, getattr(stream, "unescaped", stream))
