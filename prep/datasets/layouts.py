"""Find data sets of a known layout and pair their frames. Reads no picture."""

import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from prep.datasets import path_patterns, published
from prep.datasets.path_patterns import PathMatch
from prep.datasets.published import LAYOUTS, Layout
from prep.errors import DatasetError, ReadError
from prep.io import frames, storage
from prep.io.storage import Source
from prep.units import counted


@dataclass(frozen=True, kw_only=True)
class BlurryFrame:
    """One blurry frame."""

    key: str  # sequence/name: unique in the data set, and a path below a masks folder
    split: str  # "train", "valid" or "test"; "all" where no split is known
    blurry: Source


@dataclass(frozen=True, kw_only=True)
class Pair(BlurryFrame):
    """One blurry frame and its sharp one."""

    sharp: Source


@dataclass(frozen=True, kw_only=True)
class Dataset:
    """The pairs of a data set, and where it lies."""

    layout: str
    variant: str  # how the blur was made, where the layout has several: a folder's name; "" elsewhere
    folders: tuple[Path, ...]  # all that belongs to the data set: nothing is ever written below
    pairs: tuple[Pair, ...]  # sorted by key
    orphans: tuple[Source, ...]  # frames without a partner
    others: tuple[str, ...] = ()  # other variants that are there
    made: str = ""  # of a data set that cdg-prep synth made: the folder's name

    @property
    def name(self) -> str:
        """What files made of it are called: the layout, and the variant if it is not the usual one.

        A data set that was made keeps its folder's name: else its masks would lie among those of the published one.
        """
        if self.made:
            return self.made
        usual = LAYOUTS[self.layout].variants[0] if self.layout in LAYOUTS else self.variant
        return self.layout if self.variant in (usual, "") else f"{self.layout}-{self.variant}"

    def select(self, split: str) -> tuple[Pair, ...]:
        """The pairs of one split.

        Raises:
            DatasetError: If there are none.
        """
        chosen = tuple(pair for pair in self.pairs if split in ("all", pair.split))
        if not chosen:
            splits = ", ".join(sorted({pair.split for pair in self.pairs})) or "no pair at all"
            lists = f", or put {missing} beside it" if (missing := _missing_lists(self)) else ""
            raise DatasetError(
                f"{self.folders[0]} has no {split} pairs (it holds: {splits}); pass another --split{lists}"
            )
        return chosen


def _missing_lists(dataset: Dataset) -> str:
    """The files that tell a data set's splits, where a frame is in none; empty where nothing is missing."""
    lists = LAYOUTS[dataset.layout].lists if dataset.layout in LAYOUTS else ""
    if not lists or all(pair.split != "all" for pair in dataset.pairs):
        return ""
    return " and ".join(lists.format(variant=dataset.variant, split=split) for split in ("train", "test"))


_ARCHIVES = (
    *("GOPRO_Large.zip", "DeepVideoDeblurring_Dataset.zip", "HIDE_dataset.zip", "REDS.zip", "RealBlur.zip"),
    *("RSBlur.zip", "BSD.zip", "GoPro_INTER_ABME.zip"),
)


def tally(dataset: Dataset) -> list[str]:
    """One line a split: pairs and sequences found, beside the official counts where there are any."""
    lines = []
    for split in sorted({pair.split for pair in dataset.pairs}, reverse=True):
        keys = [pair.key for pair in dataset.pairs if pair.split == split]
        clips = {sequence(key) for key in keys}
        line = f"{split}: {counted(len(keys), 'pair')} in {counted(len(clips), 'sequence')}"
        official = published.COUNTS.get(dataset.layout, {}).get(split)
        total = published.TOTALS.get(dataset.layout, {}).get(split)
        is_official = not official or bool(clips & official.keys())
        lines.append(line + (f" ({total})" if total and is_official else ""))
    if missing := _missing_lists(dataset):
        lines.append(f"all: the authors' lists say in which split they are; put {missing} beside the data")
    return lines


def sequence(key: str) -> str:
    """The clip that a key belongs to: all before the last slash; empty for a flat folder of pairs."""
    return key.rpartition("/")[0]


def source(layout: str, key: str) -> str:
    """The video that a key's clip was cut from: frames of one video must be in one split.

    GoPro cuts several clips from one recording: ``GOPR0372_07_00`` and ``GOPR0372_07_01`` are both ``GOPR0372``. HIDE
    has no clips, but names its frames ``<number>from<recording>``.
    """
    if layout == "hide":
        return key.rpartition("from")[2] if "from" in key else ""
    clip = sequence(key)
    return clip.partition("_")[0] if layout in ("gopro", "gopro-abme") else clip


def find_all(root: Path, layout: str | None = None, variant: str | None = None) -> list[Dataset]:
    """All data sets of a known layout at ``root``, in their usual folders below, or else in an archive there.

    Args:
        root: A folder, or a zip archive, that holds them or is one.
        layout: Name of the only one to look for; None for all.
        variant: Kind of blur, for instance GoPro's ``blur`` (linear average) or ``blur_gamma``; None for the usual one,
            or the only one there.

    Raises:
        DatasetError: If ``root`` is not there, or a data set has not that variant.
        ReadError: If an archive is no whole one.
    """
    if not root.exists():
        raise DatasetError(f"{root} is not there; pass the folder, or the zip, that holds the data set")
    wanted = [LAYOUTS[layout]] if layout else list(LAYOUTS.values())
    if variant is not None and not any(variant in known.variants for known in wanted):
        kinds = ", ".join(name for known in wanted for name in known.variants if name)
        raise DatasetError(
            f"{layout} has no variant {variant}; " + (f"pass one of {kinds}" if kinds else "leave it out")
        )
    for place in (root, *(root / name for name in _ARCHIVES if root.is_dir() and (root / name).is_file())):
        datasets = [dataset for known in wanted if (dataset := _find_layout(known, place, variant))]
        if datasets:
            return datasets
    return []


def find(root: Path, layout: str | None = None, variant: str | None = None) -> Dataset:
    """Find the one data set there is; arguments as for ``find_all``.

    Raises:
        DatasetError: If nothing, or more than one data set, is found, or the variant is missing.
        ReadError: If an archive is no whole one.
    """
    datasets = find_all(root, layout, variant)
    if len(datasets) > 1:
        names = " and ".join(dataset.layout for dataset in datasets)
        raise DatasetError(f"{root} holds {names}; pass --layout with one of them")
    if datasets:
        return datasets[0]
    what = f"{layout} data set" if layout else "data set"
    kind = f" of variant {variant}" if variant else ""
    wanted = f"wanted: {LAYOUTS[layout].looks}" if layout else f"known: {', '.join(LAYOUTS)}"
    if _holds_recordings(root):
        raise DatasetError(
            f"no {what}{kind} in {root.resolve()}, but recordings as in GOPRO_Large_all; "
            "make pairs of them with cdg-prep synth"
        )
    raise DatasetError(
        f"no {what}{kind} in {root.resolve()}; pass {_above(root) or 'the folder, or the zip, that holds one'}, or any "
        f"two folders as --blurry DIR --sharp DIR ({wanted})"
    )


def _holds_recordings(root: Path) -> bool:
    """Whether frames lie there as in GoPro's recordings, ``<split>/<clip>/<name>``, with no partners beside them."""
    shape = ("train|test", "(?!(?:input|target|blur|sharp|gt)$).+", r".+\.\w+")
    found = (match.source for home in ("", "GOPRO_Large_all") for match in path_patterns.match(root, home, shape))
    return any(frames.is_frame(PurePosixPath(str(source))) for source in found)


def _above(root: Path) -> Path | None:
    """The folder above with a data set, where ``root`` lies too deep in one."""
    for folder in root.resolve().parents[:3]:
        with suppress(DatasetError, ReadError, OSError):
            if find_all(folder):
                return folder
    return None


Frames = dict[str, Source]  # by key


def _find_layout(layout: Layout, root: Path, variant: str | None) -> Dataset | None:
    if variant is not None and variant not in layout.variants:
        return None
    for home in layout.homes:
        matches = [match for shape in layout.shapes for match in path_patterns.match(root, home, shape)]
        matches = [match for match in matches if frames.is_frame(PurePosixPath(str(match.source)))]
        if of_home := _variant_of_home(layout, root / home):
            matches = [replace(match, named={"variant": of_home, **match.named}) for match in matches]
        kinds = {_variant(layout, match) for match in matches if match.named["role"] in layout.blurry}
        if kinds and any(match.named["role"] in layout.sharp for match in matches):
            usual = next((known for known in layout.variants if known in kinds), "")
            wanted = usual if variant is None else variant
            if wanted not in kinds:
                raise DatasetError(_no_such_kind(root / home, wanted, sorted(kinds)))
            listed = _read_lists(layout, root, home, wanted) if layout.lists else {}
            found = _gather(layout, root / home, matches, wanted, listed, others=tuple(sorted(kinds - {wanted})))
            is_made = (root / home / "synthesis.json").is_file()
            return replace(found, made=(root / home).resolve().name) if is_made else found
    return None


def _variant_of_home(layout: Layout, place: Path) -> str:
    """The variant that a data set's folder is called after; empty where it is not."""
    found = re.fullmatch(layout.variant_of_home, place.resolve().name) if layout.variant_of_home else None
    return found["variant"] if found else ""


def _no_such_kind(place: Path, wanted: str, kinds: Sequence[str]) -> str:
    if not kinds[0]:
        return f"{place} does not say which kind of blur it holds; leave out --variant {wanted}"
    return f"{place} has no {wanted} frames, only {' and '.join(kinds)}; pass --variant {kinds[0]}"


def _variant(layout: Layout, match: PathMatch) -> str:
    """The kind of blur that a blurry frame has; of a sharp one, empty where all kinds share it."""
    return match.named.get("variant") or layout.blurry.get(match.named["role"], "")


def _gather(
    layout: Layout,
    place: Path,
    matches: Sequence[PathMatch],
    variant: str,
    listed: Mapping[str, str],
    others: tuple[str, ...],
) -> Dataset:
    blurry: Frames = {}
    sharp: Frames = {}
    splits: dict[str, str] = {}
    for match in matches:
        if _variant(layout, match) not in (variant, ""):
            continue
        key = layout.key.format(**match.named).strip("/")  # copies may name no clip
        if match.named["role"] in layout.sharp:
            _add(sharp, key, match.source)
            continue
        split = listed.get(key, "all") if layout.lists and "split" not in match.named else layout.split(match.named)
        if splits.setdefault(key, split) != split:
            raise DatasetError(f"{place} holds {key} in more than one split; a frame belongs to one")
        _add(blurry, key, match.source)
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


def check_name(named: Mapping[str, Source], key: str, source: Source) -> None:
    """Refuse a second frame of one name, since nothing else distinguishes them, and a name that is no text.

    Raises:
        DatasetError: If it is either.
    """
    if not storage.is_text(key):
        raise DatasetError(f"the name of {source} is not UTF-8; rename it")
    if key in named:
        raise DatasetError(f"{named[key]} and {source} share one name; remove one of them")


def _add(named: Frames, key: str, source: Source) -> None:
    check_name(named, key, source)
    named[key] = source


def _orphans(blurry: Frames, sharp: Frames) -> tuple[Source, ...]:
    return tuple(
        named[key] for named in (blurry, sharp) for key in sorted(blurry.keys() ^ sharp.keys()) if key in named
    )


def _read_lists(layout: Layout, root: Path, home: str, variant: str) -> dict[str, str]:
    """Splits of the keys that the authors' list files name; they lie in the data set's folder or in the one above."""
    splits: dict[str, str] = {}
    for word, split in (("train", "train"), ("val", "valid"), ("test", "test")):
        text = path_patterns.read_text(root, home, layout.lists.format(variant=variant, split=word))
        splits |= {layout.key.format(**found.groupdict()): split for found in re.finditer(layout.list_entry, text)}
    return splits
