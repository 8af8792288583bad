"""Pair the frames of two folders, or those that two patterns match, by name, without reading pictures."""

import logging
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from prep.datasets import wildcards
from prep.datasets.layouts import BlurryFrame, Dataset, Pair, check_name
from prep.datasets.path_patterns import is_junk
from prep.errors import DatasetError
from prep.io import frames
from prep.io.folders import files_below
from prep.units import counted

_BLURRY = {"blur", "blurry", "blurred", "input", "inp", "lq"}
_SHARP = {"sharp", "gt", "groundtruth", "target", "tar", "hq"}
_ROLES = {*_BLURRY, *_SHARP, "restored", "deblur", "deblurred", "output"}
_SEPARATORS = re.compile(r"[/_\-. ]+")  # between the words of a path


@dataclass(frozen=True, kw_only=True)
class _Tree:
    """Frames of a folder by path, or of a pattern by what its wildcards matched; both without the suffix."""

    named: Mapping[str, Path]
    folders: tuple[Path, ...]  # folders that contain the frames
    is_pattern: bool
    option: str


def find_pairs(
    blurry: Path, sharp: Path, options: tuple[str, str] = ("--blurry", "--sharp"), *, whole: bool = False
) -> Dataset:
    """Pair the frames of two folders, or those that two patterns match.

    Two frames are a pair if their paths in the folders, or what the wildcards match, are equal without suffixes. If no
    pair is found, the paths are compared word by word (words end at ``/``, ``_``, ``-``, ``.`` or a space), ignoring
    words such as ``blur``, ``gt`` and ``input``. If that finds no pair either, only the file names are compared, unless
    both are patterns; a warning says so, and names that occur twice are left unpaired.

    Args:
        blurry: A folder, or a pattern with ``*``, ``?``, ``[...]`` or ``**``; ``~`` is the home folder.
        sharp: The same for the sharp frames.
        options: The command-line options of the two, for error messages.
        whole: Refuse blurry frames without a partner.

    Raises:
        DatasetError: If a folder is missing, a pattern matches no frame, both are the same, two frames of one match
            the same frame of the other, no pair is found, or ``whole`` is set and a blurry frame has no partner.
    """
    first, second = (_read_tree(place, option) for place, option in zip((blurry, sharp), options, strict=True))
    if _are_one(first, second):
        raise DatasetError(f"{' and '.join(options)} are both {blurry}; use two folders, or two patterns")
    pairs = _pairs(first, second)
    if not pairs:
        raise DatasetError(
            f"{blurry} ({counted(len(first.named), 'frame')}) and {sharp} ({counted(len(second.named), 'frame')}) have "
            "no names in common, not counting suffixes and words such as blur and gt; show what differs with patterns: "
            f"{options[0]} 'DIR/**/A_*.png' {options[1]} 'DIR/**/B_*.png'"
        )
    used = {path for pair in pairs for path in (pair.blurry, pair.sharp)}
    alone, rest = (tuple(path for path in tree.named.values() if path not in used) for tree in (first, second))
    if whole and alone:
        raise DatasetError(
            f"{counted(len(alone), 'frame')} without a partner in {sharp}, first {alone[0]}; remove what is alone"
        )
    folders = tuple(dict.fromkeys((*first.folders, *second.folders)))
    return Dataset(layout="pairs", variant="", folders=folders, pairs=pairs, orphans=(*alone, *rest))


def find_frames(blurry: Path, option: str = "--blurry") -> tuple[Dataset, tuple[BlurryFrame, ...]]:
    """Find blurry frames without sharp partners; return a data set with their folders, and the frames.

    Args:
        blurry: As for ``find_pairs``.
        option: Its command-line option, for error messages.

    Raises:
        DatasetError: If a folder is missing or contains no frames, or a pattern matches no frame.
    """
    tree = _read_tree(blurry, option)
    if not tree.named:
        raise DatasetError(f"{blurry} contains no pictures ({', '.join(frames.SUFFIXES)}); use another {option} DIR")
    found = tuple(BlurryFrame(key=key, split="all", blurry=tree.named[key]) for key in sorted(tree.named))
    return Dataset(layout="photos", variant="", folders=tree.folders, pairs=(), orphans=()), found


def in_folder(root: Path) -> tuple[Path, Path] | None:
    """Find the folders of blurry and sharp frames in a folder such as ``mine/{blur,sharp}``; None if not one each."""
    names = [path.name for path in root.iterdir() if path.is_dir()] if root.is_dir() else []
    found = [[name for name in names if name.lower() in roles] for roles in (_BLURRY, _SHARP)]
    if [len(each) for each in found] != [1, 1]:
        return None
    (blurry,), (sharp,) = found
    return root / blurry, root / sharp


def name_of(place: Path) -> str:
    """Return a name for frames: that of their folder, or of the folder that their pattern begins with."""
    place = place.expanduser()
    return (wildcards.base_of(place) if wildcards.is_pattern(place) else place).resolve().name


def _are_one(first: _Tree, second: _Tree) -> bool:
    if first.is_pattern or second.is_pattern:
        return set(first.named.values()) == set(second.named.values())
    return first.folders[0].resolve() == second.folders[0].resolve()


def _read_tree(place: Path, option: str) -> _Tree:
    place = place.expanduser()
    if place.is_dir():
        below = [path.relative_to(place) for path in files_below(place)]
        frames_below = [path for path in below if not any(map(is_junk, path.parts)) and (place / path).is_file()]
        named = _named((place / path, path.with_suffix("").as_posix()) for path in frames_below)
        return _Tree(named=named, folders=(place,), is_pattern=False, option=option)
    if not wildcards.is_pattern(place):
        found = "is a file" if place.exists() else "does not exist"
        example = place.parent / f"*{place.suffix}" if place.is_file() else "DIR/*.png"
        raise DatasetError(f"{place} {found}; {option} takes a folder, or a pattern in quotes such as '{example}'")
    base = wildcards.base_of(place)
    if base.is_file():
        raise DatasetError(f"{base} is a file, but {place} looks inside it; unpack it, or use --root {base}")
    named = _named(wildcards.matches(place))
    if not named:
        missing = "" if base.is_dir() else f", since {base} does not exist"
        raise DatasetError(
            f"{place} matches no frames{missing}; * and ? match parts of a name, ** matches folders at any depth"
        )
    below = [path.relative_to(base) for path in named.values()]
    folders = dict.fromkeys(base / path.parts[0] if len(path.parts) > 1 else base for path in below)
    return _Tree(named=named, folders=tuple(folders), is_pattern=True, option=option)


def _named(files: Iterable[tuple[Path, str]]) -> dict[str, Path]:
    """Collect the frames by name; other files are ignored."""
    named: dict[str, Path] = {}
    for path, name in files:
        if frames.is_frame(path):
            key = name.strip("/") or path.stem
            check_name(named, key, path)
            named[key] = path
    return named


def _pairs(first: _Tree, second: _Tree) -> tuple[Pair, ...]:
    """Pair frames by the first rule that finds a pair; sorted by key."""
    if equal := first.named.keys() & second.named.keys():
        return _sorted_pairs({key: (first.named[key], second.named[key]) for key in equal})
    blurry, sharp = (_by_words(tree.named, tree.named) for tree in (first, second))
    if both := sorted(blurry.keys() & sharp):
        for tree, names in ((first, blurry), (second, sharp)):
            _refuse_twins(tree, [names[words] for words in both])
        found = {_bare(sharp[words][0]): (blurry[words][0], sharp[words][0]) for words in both}
    elif first.is_pattern and second.is_pattern:
        return ()
    else:
        found = _by_file_names(first, second)
    return _sorted_pairs({key: (first.named[one], second.named[other]) for key, (one, other) in found.items()})


def _by_file_names(first: _Tree, second: _Tree) -> dict[str, tuple[str, str]]:
    """Pair by file names alone, and warn about it: folders with different names may be different clips."""
    blurry, sharp = (_by_words(tree.named, map(_last_part, tree.named)) for tree in (first, second))
    found = {
        _bare(_last_part(sharp[words][0])): (blurry[words][0], sharp[words][0])
        for words in blurry.keys() & sharp
        if len(blurry[words]) == len(sharp[words]) == 1
    }
    if found:
        one, other = found[min(found)]
        logging.getLogger(__name__).warning(
            "%s from %d blurry and %d sharp frames by file name alone, as folders differ; the first: %s, %s",
            *(counted(len(found), "pair"), len(first.named), len(second.named), first.named[one], second.named[other]),
        )
    return found


def _sorted_pairs(found: Mapping[str, tuple[Path, Path]]) -> tuple[Pair, ...]:
    return tuple(Pair(key=key, split="all", blurry=found[key][0], sharp=found[key][1]) for key in sorted(found))


def _by_words(names: Iterable[str], texts: Iterable[str]) -> dict[tuple[str, ...], list[str]]:
    """Group names by the words of their texts, ignoring words such as blur and gt."""
    groups: dict[tuple[str, ...], list[str]] = {}
    for name, text in zip(names, texts, strict=True):
        words = tuple(word for word in _SEPARATORS.split(text) if word and word.lower() not in _ROLES)
        groups.setdefault(words, []).append(name)
    return groups


def _last_part(name: str) -> str:
    return name.rpartition("/")[2]


def _refuse_twins(tree: _Tree, groups: Sequence[Sequence[str]]) -> None:
    """Refuse two frames of one tree that match the same frame of the other tree."""
    for names in groups:
        if len(names) > 1:
            paths = " and ".join(str(tree.named[name]) for name in names[:2])
            raise DatasetError(
                f"{paths} fit the same partner; use a pattern that matches only one of the two, such as {tree.option} "
                "'DIR/**/NAME_*.png'"
            )


def _bare(name: str) -> str:
    """Return the key of a pair: a name without words such as blur and gt and the separators before them."""
    parts = [re.sub(r"(^|[_\-. ]+)([^_\-. ]+)", _unless_role, part).lstrip("_-. ") for part in name.split("/")]
    return "/".join(filter(None, parts)) or name


def _unless_role(word: re.Match[str]) -> str:
    return "" if word[2].lower() in _ROLES else word[0]
