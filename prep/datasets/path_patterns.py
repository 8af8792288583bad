"""Find files in a folder or a zip archive by a regular expression for each part of their path."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from prep.io import storage
from prep.io.storage import ArchiveMember, Source


@dataclass(frozen=True, kw_only=True)
class PathMatch:
    """A file and the values of the named groups in its path."""

    source: Source
    named: Mapping[str, str]


COMPARISON = ".compare.jpg"  # ending of the before-and-after pictures of cdg-deblur


def is_junk(name: str) -> bool:
    """Check whether a file or folder is to be ignored: hidden, left by macOS, or a comparison by cdg-deblur."""
    return name.startswith((".", "__MACOSX")) or name.endswith(COMPARISON)


def match(root: Path, home: str, levels: Sequence[str]) -> list[PathMatch]:
    """Find the files below a folder whose path matches, part by part.

    Only matching folders are read, so ``root`` may contain many other files.

    Args:
        root: A folder, or a zip archive.
        home: Path below ``root``, with slashes; empty for ``root`` itself.
        levels: A regular expression for each part of a file's path below ``home``, the file's name last; the values
            of named groups are collected.

    Returns:
        Matches sorted by path; none if ``home`` does not exist.

    Raises:
        ReadError: If ``root`` is a file but not an intact zip archive.
    """
    patterns = [re.compile(level, re.DOTALL) for level in levels]  # a name may contain a newline
    if root.is_dir():
        return list(_in_folder(root / home, patterns, {}))
    return list(_in_archive(root, home, patterns))


def _in_folder(folder: Path, patterns: Sequence[re.Pattern[str]], named: Mapping[str, str]) -> Iterator[PathMatch]:
    first, *rest = patterns
    for path in _list(folder):
        groups = first.fullmatch(path.name)
        if groups is None or is_junk(path.name):
            continue
        so_far = {**named, **groups.groupdict()}
        if rest:
            yield from _in_folder(path, rest, so_far)
        elif path.is_file():
            yield PathMatch(source=path, named=so_far)


def _list(folder: Path) -> list[Path]:
    """Return the sorted entries of a folder; none if it is missing or unreadable (such as ``lost+found``)."""
    try:
        return sorted(folder.iterdir())
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        return []


def _in_archive(archive: Path, home: str, patterns: Sequence[re.Pattern[str]]) -> Iterator[PathMatch]:
    above = home.split("/") if home else []
    for name in sorted(storage.open_archive(archive).namelist()):
        parts = name.split("/")  # the last part of a folder's name is empty and matches no pattern
        below = parts[len(above) :]
        if parts[: len(above)] != above or len(below) != len(patterns) or any(map(is_junk, parts)):
            continue
        parts_groups = [pattern.fullmatch(part) for pattern, part in zip(patterns, below, strict=True)]
        if all(parts_groups):
            named = {name: value for groups in parts_groups if groups for name, value in groups.groupdict().items()}
            yield PathMatch(source=ArchiveMember(archive=archive, name=name), named=named)


def read_text(root: Path, home: str, name: str) -> str:
    """Read a text file from ``home``, else from the folder above or beside the archive; empty if not found.

    Raises:
        ReadError: If the file cannot be read.
    """
    if root.is_dir():
        sources: list[Source] = [path for path in (root / home / name, _above(root / home) / name) if path.is_file()]
    else:
        inside = storage.open_archive(root).namelist()
        members = [str(PurePosixPath(home, name)), str(PurePosixPath(home).parent / name)]
        sources = [ArchiveMember(archive=root, name=member) for member in members if member in inside]
        sources += [path for path in [_above(root) / name] if path.is_file()]
    return storage.read(sources[0]).decode("utf-8", "replace") if sources else ""


def _above(path: Path) -> Path:
    """Return the folder above a path as the user typed it, without resolving links."""
    return path.absolute().parent
