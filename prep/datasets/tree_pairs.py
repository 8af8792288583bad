"""Pair the frames of any two trees by their names: of two folders, or of what two patterns match. Reads no picture."""

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

_ROLES = {
    *("blur", "blurry", "blurred", "input", "inp", "lq"),
    *("sharp", "gt", "groundtruth", "target", "tar", "hq"),
    *("restored", "deblur", "deblurred", "output"),
}
_SEPARATORS = re.compile(r"[/_\-. ]+")  # between the words of a path


@dataclass(frozen=True, kw_only=True)
class _Tree:
    """Frames by their path below a folder, or by what the wildcards of a pattern matched; without the suffix."""

    named: Mapping[str, Path]
    folders: tuple[Path, ...]  # that hold them
    is_pattern: bool
    option: str


def find_pairs(
    blurry: Path, sharp: Path, options: tuple[str, str] = ("--blurry", "--sharp"), *, whole: bool = False
) -> Dataset:
    """Pair the frames of two folders, or of what two patterns match.

    Frames belong together by their paths below the folders, or by what the patterns' wildcards match, without suffixes.
    Where no two are equal they are compared word by word (words end at ``/``, ``_``, ``-``, ``.`` or a space), without
    the words that say what a frame is: ``blur``, ``gt``, ``input`` and so on. Where none are equal either, the words of
    file names alone count, unless both are patterns; a name that stands twice then pairs nothing, and a warning says
    that it went so.

    Args:
        blurry: A folder, or a pattern with ``*``, ``?``, ``[...]`` or ``**``; ``~`` is the home folder.
        sharp: The other.
        options: What a person passes the two as, for the errors' texts.
        whole: Refuse frames of the first that have no partner.

    Raises:
        DatasetError: If a folder is missing, a pattern matches nothing, both are one, two frames of one tree fit a
            frame of the other, nothing pairs, or not all that should.
    """
    first, second = (_read_tree(place, option) for place, option in zip((blurry, sharp), options, strict=True))
    if _are_one(first, second):
        raise DatasetError(f"{' and '.join(options)} are both {blurry}; wanted two folders, or two patterns")
    pairs = _pairs(first, second)
    if not pairs:
        raise DatasetError(
            f"no frame of {blurry} ({len(first.named)} frames) has one of the same name in {sharp} "
            f"({len(second.named)} frames); pairs go by relative path, or by file name, without the suffix and words "
            f"such as blur and gt; patterns say more: {options[0]} 'DIR/**/A_*.png' {options[1]} 'DIR/**/B_*.png'"
        )
    used = {path for pair in pairs for path in (pair.blurry, pair.sharp)}
    alone, rest = (tuple(path for path in tree.named.values() if path not in used) for tree in (first, second))
    if whole and alone:
        raise DatasetError(f"{alone[0]} has no partner in {sharp} ({len(alone)} such); remove it")
    folders = tuple(dict.fromkeys((*first.folders, *second.folders)))
    return Dataset(layout="pairs", variant="", folders=folders, pairs=pairs, orphans=(*alone, *rest))


def find_frames(blurry: Path, option: str = "--blurry") -> tuple[Dataset, tuple[BlurryFrame, ...]]:
    """The blurry frames of a folder or a pattern, which have no sharp ones; the data set says where they lie.

    Args:
        blurry: As for ``find_pairs``.
        option: What a person passes it as, for the errors' texts.

    Raises:
        DatasetError: If there are none.
    """
    tree = _read_tree(blurry, option)
    if not tree.named:
        raise DatasetError(f"{blurry} holds no frame ({', '.join(frames.SUFFIXES)}); pass a folder of photographs")
    found = tuple(BlurryFrame(key=key, split="all", blurry=tree.named[key]) for key in sorted(tree.named))
    return Dataset(layout="photos", variant="", folders=tree.folders, pairs=(), orphans=()), found


def name_of(place: Path) -> str:
    """What to call the frames of a folder, or of a pattern: the folder's name, or that of the one it begins with."""
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
        found = "a file" if place.exists() else "no folder"
        raise DatasetError(f"{place} is {found}; pass {option} with a folder, or with a pattern in quotes")
    base = wildcards.base_of(place)
    if base.is_file():
        raise DatasetError(f"{base} is a file, and {place} looks into it; unpack it, or pass --root {base}")
    named = _named(wildcards.matches(place))
    if not named:
        raise DatasetError(f"{place} matches no frame; * and ? stand for parts of a name, ** for folders at any depth")
    below = [path.relative_to(base) for path in named.values()]
    folders = dict.fromkeys(base / path.parts[0] if len(path.parts) > 1 else base for path in below)
    return _Tree(named=named, folders=tuple(folders), is_pattern=True, option=option)


def _named(files: Iterable[tuple[Path, str]]) -> dict[str, Path]:
    """Frames by their names; other files are left out."""
    named: dict[str, Path] = {}
    for path, name in files:
        if frames.is_frame(path):
            key = name.strip("/") or path.stem
            check_name(named, key, path)
            named[key] = path
    return named


def _pairs(first: _Tree, second: _Tree) -> tuple[Pair, ...]:
    """The pairs by the first of the rules that finds any, sorted by key."""
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
    """Names of either tree by key, where only the file's own name agrees; says so, since folders may be other clips."""
    blurry, sharp = (_by_words(tree.named, map(_last_part, tree.named)) for tree in (first, second))
    found = {
        _bare(_last_part(sharp[words][0])): (blurry[words][0], sharp[words][0])
        for words in blurry.keys() & sharp
        if len(blurry[words]) == len(sharp[words]) == 1
    }
    if found:
        one, other = found[min(found)]
        logging.getLogger(__name__).warning(
            "%d of %d and %d frames are paired by their file names alone, since no paths agree; first %s with %s",
            *(len(found), len(first.named), len(second.named), first.named[one], second.named[other]),
        )
    return found


def _sorted_pairs(found: Mapping[str, tuple[Path, Path]]) -> tuple[Pair, ...]:
    return tuple(Pair(key=key, split="all", blurry=found[key][0], sharp=found[key][1]) for key in sorted(found))


def _by_words(names: Iterable[str], texts: Iterable[str]) -> dict[tuple[str, ...], list[str]]:
    """Names by the words of their texts, without those that say what a frame is."""
    groups: dict[tuple[str, ...], list[str]] = {}
    for name, text in zip(names, texts, strict=True):
        words = tuple(word for word in _SEPARATORS.split(text) if word and word.lower() not in _ROLES)
        groups.setdefault(words, []).append(name)
    return groups


def _last_part(name: str) -> str:
    return name.rpartition("/")[2]


def _refuse_twins(tree: _Tree, groups: Sequence[Sequence[str]]) -> None:
    """Refuse two frames of one tree that fit the same frame of the other."""
    for names in groups:
        if len(names) > 1:
            paths = " and ".join(str(tree.named[name]) for name in names[:2])
            raise DatasetError(
                f"{paths} would be one frame; pass a pattern that matches only one of them, as {tree.option} "
                "'DIR/**/NAME_*.png'"
            )


def _bare(name: str) -> str:
    """A name without the words that say what a frame is, and without what stands before them: the key of a pair."""
    parts = [re.sub(r"(^|[_\-. ]+)([^_\-. ]+)", _unless_role, part).lstrip("_-. ") for part in name.split("/")]
    return "/".join(filter(None, parts)) or name


def _unless_role(word: re.Match[str]) -> str:
    return "" if word[2].lower() in _ROLES else word[0]
