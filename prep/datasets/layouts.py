"""Where data sets keep their pairs. Finds and pairs, in a folder or in a zip archive; reads no picture."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from prep.datasets import paths, specifications
from prep.datasets.paths import Match, is_junk
from prep.datasets.specifications import LAYOUTS, Layout
from prep.errors import DatasetError, ReadError
from prep.io import frames
from prep.io.storage import Source


@dataclass(frozen=True, kw_only=True)
class Pair:
    """One blurry frame and its sharp one."""

    key: str  # sequence/name: unique in the data set, and a path below a masks folder
    split: str  # "train" or "test"; "all" where no split is known
    blurry: Source
    sharp: Source


@dataclass(frozen=True, kw_only=True)
class Dataset:
    """What was found of a data set."""

    layout: str
    variant: str  # how the blur was made, where the layout has several: a folder's name; "" elsewhere
    folders: tuple[Path, ...]  # all that belongs to the data set: nothing is ever written below
    pairs: tuple[Pair, ...]  # sorted by key
    orphans: tuple[Source, ...]  # frames without a partner
    others: tuple[str, ...] = ()  # variants that are there besides

    @property
    def name(self) -> str:
        """What files made of it are called: the layout, and the variant if it is not the usual one."""
        usual = LAYOUTS[self.layout].variants[0] if self.layout in LAYOUTS else self.variant
        return self.layout if self.variant == usual else f"{self.layout}-{self.variant}"

    def select(self, split: str) -> tuple[Pair, ...]:
        """The pairs of one split.

        Raises:
            DatasetError: If there are none.
        """
        chosen = tuple(pair for pair in self.pairs if split in ("all", pair.split))
        if not chosen:
            held = ", ".join(sorted({pair.split for pair in self.pairs})) or "no pair at all"
            raise DatasetError(f"{self.folders[0]} has no {split} pairs (it holds: {held}); pass another --split")
        return chosen


EXPECTED = "; ".join(f"{layout.name} ({layout.looks})" for layout in LAYOUTS.values())
_ARCHIVES = ("GOPRO_Large.zip", "DeepVideoDeblurring_Dataset.zip", "HIDE_dataset.zip", "REDS.zip", "RealBlur.zip")


def tally(dataset: Dataset) -> list[str]:
    """One line a split: pairs and sequences found, beside the official counts where there are any."""
    lines = []
    for split in sorted({pair.split for pair in dataset.pairs}, reverse=True):
        keys = [pair.key for pair in dataset.pairs if pair.split == split]
        clips = {sequence(key) for key in keys}
        is_official = not (counts := specifications.COUNTS.get(dataset.layout, {}).get(split)) or clips & set(counts)
        total = specifications.TOTALS.get(dataset.layout, {}).get(split)
        found = f"{counted(len(keys), 'pair')} in {counted(len(clips), 'sequence')}"
        lines.append(f"{split}: {found}" + (f" ({total})" if total and is_official else ""))
    return lines


def counted(number: int, name: str) -> str:
    """``1 pair``, ``2 pairs``."""
    return f"{number} {name}" if number == 1 else f"{number} {name}s"


def sequence(key: str) -> str:
    """The clip that a key belongs to: all before the last slash; empty for a flat folder of pairs."""
    return key.rpartition("/")[0]


def source(layout: str, key: str) -> str:
    """The video that a key's clip was cut from: frames that share it must not be parted by a hold-out.

    GoPro cuts several clips from one recording: ``GOPR0372_07_00`` and ``GOPR0372_07_01`` are both ``GOPR0372``. HIDE
    has no clips, but names its frames ``<number>from<recording>``.
    """
    if layout == "hide":
        return key.rpartition("from")[2] if "from" in key else ""
    clip = sequence(key)
    return clip.partition("_")[0] if layout == "gopro" else clip


def find_all(root: Path, layout: str | None = None, variant: str | None = None) -> list[Dataset]:
    """All data sets of a known layout at ``root``, in their usual folders below, or else in an archive there.

    Args:
        root: A folder, or a zip archive, that holds them or is one.
        layout: Name of the only one to look for; None for all.
        variant: Kind of blur, for instance GoPro's ``blur`` (linear average) or ``blur_gamma``; None for the usual one.

    Raises:
        DatasetError: If ``root`` is not there, or a data set has not that variant.
        ReadError: If an archive is no whole one.
    """
    if not root.exists():
        raise DatasetError(f"{root} is not there; pass the folder, or the zip, that holds the data set")
    asked = [LAYOUTS[layout]] if layout else list(LAYOUTS.values())
    if variant is not None and not any(variant in one.variants for one in asked):
        kinds = ", ".join(name for one in asked for name in one.variants if name)
        raise DatasetError(
            f"{layout} has no variant {variant}; " + (f"pass one of {kinds}" if kinds else "leave it out")
        )
    for place in (root, *(root / name for name in _ARCHIVES if root.is_dir() and (root / name).is_file())):
        found = [dataset for one in asked if (dataset := _look(one, place, variant))]
        if found:
            return found
    return []


def find(root: Path, layout: str | None = None, variant: str | None = None) -> Dataset:
    """Find the one data set there is; arguments as for ``find_all``.

    Raises:
        DatasetError: If nothing, or more than one data set, is found, or the variant is missing.
        ReadError: If an archive is no whole one.
    """
    found = find_all(root, layout, variant)
    if len(found) > 1:
        names = " and ".join(dataset.layout for dataset in found)
        raise DatasetError(f"{root} holds {names}; pass --layout with one of them")
    if found:
        return found[0]
    what = f"{layout} data set" if layout else "data set"
    kind = f" of variant {variant}" if variant else ""
    raise DatasetError(
        f"no {what}{kind} in {root.resolve()}; pass {_above(root) or 'the folder, or the zip, that holds one'}, or any "
        f"two folders as --blurry DIR --sharp DIR (known: {EXPECTED})"
    )


def _above(root: Path) -> Path | None:
    """The folder above with a data set, where ``root`` lies too deep in one."""
    for folder in root.resolve().parents[:3]:
        with suppress(DatasetError, ReadError, OSError):
            if find_all(folder):
                return folder
    return None


Frames = dict[str, Source]  # by key


def _look(layout: Layout, root: Path, variant: str | None) -> Dataset | None:
    if variant is not None and variant not in layout.variants:
        return None
    for home in layout.homes:
        found = [one for shape in layout.shapes for one in paths.match(root, home, shape) if _is_frame(one.source)]
        kinds = {_variant(layout, one) for one in found if one.named["role"] in layout.blurry}
        if kinds and any(one.named["role"] in layout.sharp for one in found):
            wanted = layout.variants[0] if variant is None else variant
            if wanted not in kinds:
                others = " and ".join(sorted(kinds))
                raise DatasetError(
                    f"{root / home} has no {wanted} frames, only {others}; pass --variant {sorted(kinds)[0]}"
                )
            listed = _read_lists(layout, root, home, wanted) if layout.lists else None
            return _gather(layout, root / home, found, wanted, listed, others=tuple(sorted(kinds - {wanted})))
    return None


def _is_frame(source: Source) -> bool:
    return frames.is_frame(PurePosixPath(str(source)))


def _variant(layout: Layout, one: Match) -> str:
    """The kind of blur that a blurry frame has; of a sharp one, empty where all kinds share it."""
    return one.named.get("variant") or layout.blurry.get(one.named["role"], "")


def _gather(
    layout: Layout,
    place: Path,
    found: Sequence[Match],
    variant: str,
    listed: Mapping[str, str] | None,
    others: tuple[str, ...],
) -> Dataset:
    blurry: Frames = {}
    sharp: Frames = {}
    splits: dict[str, str] = {}
    for one in found:
        if _variant(layout, one) not in (variant, ""):
            continue
        key = layout.key.format(**one.named)
        if one.named["role"] in layout.sharp:
            _add(sharp, key, one.source)
            continue
        split = layout.split(one.named) if listed is None else listed.get(key, "all")
        if splits.setdefault(key, split) != split:
            raise DatasetError(f"{place} holds {key} in more than one split; a frame belongs to one")
        _add(blurry, key, one.source)
    return Dataset(
        layout=layout.name,
        variant=variant,
        folders=(place,),
        pairs=_pair(blurry, sharp, splits),
        orphans=_orphans(blurry, sharp),
        others=others,
    )


def _pair(blurry: Frames, sharp: Frames, splits: Mapping[str, str]) -> tuple[Pair, ...]:
    return tuple(
        Pair(key=key, split=splits.get(key, "all"), blurry=blurry[key], sharp=sharp[key])
        for key in sorted(blurry.keys() & sharp)
    )


def _add(named: Frames, key: str, source: Source) -> None:
    """Two frames of one name cannot be told apart."""
    if key in named:
        raise DatasetError(f"{named[key]} and {source} share one name; remove one of them")
    named[key] = source


def _orphans(blurry: Frames, sharp: Frames) -> tuple[Source, ...]:
    return tuple(
        named[key] for named in (blurry, sharp) for key in sorted(blurry.keys() ^ sharp.keys()) if key in named
    )


def _read_lists(layout: Layout, root: Path, home: str, variant: str) -> dict[str, str]:
    """Splits of the keys that the data set's own list files name; each line holds a pair's two paths."""
    splits = {}
    for split in ("train", "test"):
        lines = paths.read_text(root, home, layout.lists.format(variant=variant, split=split))
        for clip, name in re.findall(r"(scene\d+)/(?:gt|blur)/\w+?_(\d+)\.", lines):
            splits[f"{clip}/{name}"] = split
    return splits


def find_pairs(blurry: Path, sharp: Path) -> Dataset:
    """Pair two folders by equal relative path without suffix; failing that for all, by equal file name.

    Raises:
        DatasetError: If a folder is missing, both are one, or nothing pairs.
    """
    for folder in (blurry, sharp):
        if not folder.is_dir():
            raise DatasetError(f"{folder} is no folder; pass --blurry and --sharp with the two folders of a pair")
    if blurry.resolve() == sharp.resolve():
        raise DatasetError(f"--blurry and --sharp are both {blurry}; wanted two folders")
    both = first, second = _by_path(blurry), _by_path(sharp)
    if not first.keys() & second:
        first, second = _by_name(first), _by_name(second)
    if not first.keys() & second:
        raise DatasetError(
            f"no frame of {blurry} ({len(both[0])} frames) has one of the same name in {sharp} ({len(both[1])} frames);"
            " pairs go by relative path, or by file name, without the suffix"
        )
    pairs = _pair(first, second, {})
    used = {path for pair in pairs for path in (pair.blurry, pair.sharp)}
    orphans = tuple(path for tree in both for path in tree.values() if path not in used)
    return Dataset(layout="pairs", variant="", folders=(blurry, sharp), pairs=pairs, orphans=orphans)


def _by_path(folder: Path) -> Frames:
    """Frames below a folder by their relative path without the suffix."""
    named: Frames = {}
    for path in sorted(folder.rglob("*")):
        below = path.relative_to(folder)
        if frames.is_frame(path) and path.is_file() and not any(map(is_junk, below.parts)):
            _add(named, below.with_suffix("").as_posix(), path)
    return named


def _by_name(tree: Frames) -> Frames:
    """Drop folders from the names; where a name stands in two folders it pairs nothing."""
    names = Counter(PurePosixPath(key).name for key in tree)
    return {name: path for key, path in tree.items() if names[name := PurePosixPath(key).name] == 1}
