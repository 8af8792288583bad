"""The files that a pattern matches, and what each of its wildcards matched."""

import fnmatch
import glob
import re
from collections.abc import Iterator
from pathlib import Path

from prep.datasets import path_patterns
from prep.datasets.path_patterns import is_junk
from prep.io.folders import files_below

_WILDCARD = re.compile(r"(\*+|\?|\[!?\]?[^\]]*\])")


def is_pattern(path: Path) -> bool:
    """Whether a path has wildcards; that of a file or a folder that is there is no pattern."""
    return glob.has_magic(str(path)) and not path.exists()


def base_of(pattern: Path) -> Path:
    """The folder that a pattern begins with, before its first wildcard; it may not be there."""
    return _split(pattern)[0]


def _split(pattern: Path) -> tuple[Path, tuple[str, ...]]:
    parts = pattern.parts
    start = next(number for number, part in enumerate(parts) if glob.has_magic(part))
    return Path(*parts[:start]), parts[start:]


def matches(pattern: Path) -> Iterator[tuple[Path, str]]:
    """The files that a pattern matches, sorted, and what its wildcards matched: joined by slashes, without the suffix.

    ``*`` and ``?`` stand for parts of a name, ``[...]`` for one of several characters, ``**`` for folders at any depth:
    each real folder is read once there. Hidden files are left out.
    """
    base, parts = _split(pattern)
    if not base.is_dir():
        return
    levels = [_expression(part) for part in parts]
    if "**" in parts:
        paths = [path for path in files_below(base) if not any(map(is_junk, path.relative_to(base).parts))]
        levels = ["(?:(.+)/)?" if part == "**" else f"{level}/" for part, level in zip(parts, levels, strict=True)]
        whole = "".join(levels[:-1]) + ("(.+)" if parts[-1] == "**" else levels[-1].removesuffix("/"))
    else:
        paths = [Path(str(match.source)) for match in path_patterns.match(base, "", levels)]
        whole = "/".join(levels)
    for path in paths:
        below = path.relative_to(base).as_posix()
        if path.is_file() and (found := re.fullmatch(whole, below, re.DOTALL)):
            end = len(below) - len(path.suffix)
            texts = (below[start : min(stop, end)] for start, stop in found.regs[1:] if start >= 0)
            yield path, "/".join(filter(None, texts))


def _expression(part: str) -> str:
    """A regular expression for a part of a pattern, with a group for each wildcard."""
    texts = []
    for text in _WILDCARD.split(part):
        if text.startswith("*"):
            texts.append("([^/]*)")
        elif _WILDCARD.fullmatch(text):
            texts.append(f"({fnmatch.translate(text)[4:-3]})")  # which stands between (?s: and )\\Z
        else:
            texts.append(re.escape(text))
    return "".join(texts)
