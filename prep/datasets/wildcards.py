"""Find the files that a pattern matches, and what each of its wildcards matches."""

import fnmatch
import glob
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from prep.datasets import path_patterns
from prep.datasets.path_patterns import is_junk
from prep.io.folders import files_below

_WILDCARD = re.compile(r"(\*+|\?|\[!?\]?[^\]]*\])")


def is_pattern(path: Path) -> bool:
    """Check whether a path has wildcards; the path of an existing file or folder is never a pattern."""
    return glob.has_magic(str(path)) and not path.exists()


def base_of(pattern: Path) -> Path:
    """Return the folder before the first wildcard of a pattern; it may not exist."""
    return _split(pattern)[0]


def _split(pattern: Path) -> tuple[Path, tuple[str, ...]]:
    parts = pattern.parts
    start = next(number for number, part in enumerate(parts) if glob.has_magic(part))
    return Path(*parts[:start]), parts[start:]


def matches(pattern: Path) -> Iterator[tuple[Path, str]]:
    """Yield the files that a pattern matches, sorted, and what its wildcards matched: joined by slashes, no suffix.

    ``*`` and ``?`` match parts of a name, ``[...]`` one of several characters, ``**`` folders at any depth; each real
    folder is read once. Hidden files are ignored.
    """
    base, parts = _split(pattern)
    if not base.is_dir():
        return
    if "**" in parts:
        paths = [path for path in files_below(base) if not any(map(is_junk, path.relative_to(base).parts))]
    else:
        paths = [
            Path(str(match.source)) for match in path_patterns.match(base, "", list(map(fnmatch.translate, parts)))
        ]
    whole = re.compile(_backwards(parts), re.DOTALL)
    for path in paths:
        below = path.relative_to(base).as_posix()
        if path.is_file() and (found := whole.fullmatch(below[::-1])):
            size, end = len(below), len(below) - len(path.suffix)
            texts = (below[size - stop : min(size - start, end)] for start, stop in found.regs[:0:-1] if start >= 0)
            yield path, "/".join(filter(None, texts))


def _backwards(parts: Sequence[str]) -> str:
    """Return a regular expression for the reversed path, with a group for each wildcard.

    In the reversed path, each star matches as little as possible and never backtracks, so that no name takes long;
    the first star of the pattern still matches as much as possible.
    """
    last, *above = reversed(parts)
    levels = ["(.+?)" if last == "**" else _backwards_in_part(last)]
    levels += ["(?:/(.+?))??" if part == "**" else f"/{_backwards_in_part(part)}" for part in above]
    return "".join(levels)


def _backwards_in_part(part: str) -> str:
    """Return the expression for one part of a path, from one part of the pattern."""
    pieces = [""]  # expressions between the stars, from the end
    for place, text in reversed([*enumerate(_WILDCARD.split(part))]):
        character = "" if place % 2 == 0 else fnmatch.translate(text)[4:-3]  # without (?s: and )\\Z
        if text.startswith("*"):
            pieces.append("")
        elif character and not character.startswith("\\["):  # [] and [!] are not wildcards
            pieces[-1] += f"((?!/){character})"
        else:
            pieces[-1] += re.escape(text[::-1])
    end, *middle = pieces
    if not middle:
        return end
    return end + "".join(f"(?>([^/]*?){piece})" for piece in middle[:-1]) + f"([^/]*){middle[-1]}"
