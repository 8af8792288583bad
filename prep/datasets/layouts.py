"""Find data sets of a known layout and pair their frames, without reading pictures."""

import re
import shlex
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

    key: str  # sequence/name, unique in the data set; also a path in the masks folder
    split: str  # "train", "valid" or "test"; "all" if the data set has no splits
    blurry: Source


@dataclass(frozen=True, kw_only=True)
class Pair(BlurryFrame):
    """A blurry frame and its sharp partner."""

    sharp: Source


@dataclass(frozen=True, kw_only=True)
class Dataset:
    """The pairs of a data set and their folders."""

    layout: str
    variant: str  # kind of blur if the layout has several, else ""
    folders: tuple[Path, ...]  # folders of the data set; nothing is ever written into them
    pairs: tuple[Pair, ...]  # sorted by key
    orphans: tuple[Source, ...]  # frames without a partner
    others: tuple[str, ...] = ()  # other variants found in the same folder
    made: str = ""  # folder name if the data set was made by cdg-prep synth, else ""

    @property
    def name(self) -> str:
        """Name for output files: the layout, and the variant unless it is the default.

        A data set made by ``cdg-prep synth`` is named after its folder, so that its masks do not mix with those of the
        published data set.
        """
        if self.made:
            return self.made
        usual = LAYOUTS[self.layout].variants[0] if self.layout in LAYOUTS else self.variant
        return self.layout if self.variant in (usual, "") else f"{self.layout}-{self.variant}"

    def select(self, split: str) -> tuple[Pair, ...]:
        """Return the pairs of one split.

        Raises:
            DatasetError: If the split has none.
        """
        chosen = tuple(pair for pair in self.pairs if split in ("all", pair.split))
        if not chosen:
            raise DatasetError(self._no_pairs_of(split))
        return chosen

    def _no_pairs_of(self, split: str) -> str:
        place = self.folders[0]
        splits = sorted({pair.split for pair in self.pairs})
        if not splits:
            return f"{place} has no pairs; every frame lacks its partner"
        if missing := _missing_lists(self):
            return f"{place} has no {split} pairs; put {missing} beside it, or use --split {splits[0]}"
        if splits == ["all"]:
            return (
                f"{place} has no splits; leave out --split. To hold out {split} frames, keep them in folders of "
                "their own and pack these with --blurry DIR --sharp DIR"
            )
        if split == "test":
            return (
                f"{place} has no test pairs, only {' and '.join(splits)}; use --split {splits[0]}, but for scores keep "
                "some pairs out of the training (cdg-prep synth --test-share)"
            )
        return f"{place} has no {split} pairs, only {' and '.join(splits)}; use --split {splits[0]}"


def _missing_lists(dataset: Dataset) -> str:
    """Return the names of the files that list a data set's splits, if a frame is in no split; else an empty text."""
    lists = LAYOUTS[dataset.layout].lists if dataset.layout in LAYOUTS else ""
    if not lists or all(pair.split != "all" for pair in dataset.pairs):
        return ""
    return " and ".join(lists.format(variant=dataset.variant, split=split) for split in ("train", "test"))


_ARCHIVES = (
    *("GOPRO_Large.zip", "DeepVideoDeblurring_Dataset.zip", "HIDE_dataset.zip", "REDS.zip", "RealBlur.zip"),
    *("RSBlur.zip", "BSD.zip", "GoPro_INTER_ABME.zip"),
)


def summary(dataset: Dataset) -> list[str]:
    """Return one line per split: its pairs and sequences, with the published numbers if known."""
    return [re.sub(r"official (\d+)", lambda found: f"published: {int(found[1]):,}", line) for line in tally(dataset)]


def tally(dataset: Dataset) -> list[str]:
    """Return one line per split for ``cdg-prep info --json``: pairs and sequences, official counts if known."""
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
    """Return the clip of a key: the part before its last slash; empty for a flat folder of pairs."""
    return key.rpartition("/")[0]


def source(layout: str, key: str) -> str:
    """Return the video that a key's clip was cut from; all frames of a video must be in the same split.

    GoPro cuts several clips from one recording: ``GOPR0372_07_00`` and ``GOPR0372_07_01`` are both ``GOPR0372``. HIDE
    has no clips, but names its frames ``<number>from<recording>``.
    """
    if layout == "hide":
        return key.rpartition("from")[2] if "from" in key else ""
    clip = sequence(key)
    return clip.partition("_")[0] if layout in ("gopro", "gopro-abme") else clip


def find_all(root: Path, layout: str | None = None, variant: str | None = None) -> list[Dataset]:
    """Find all data sets of a known layout at ``root``, in their usual folders below it, or in an archive.

    Args:
        root: A folder or zip archive that is a data set or contains some.
        layout: Name of the layout to look for; None for all.
        variant: Kind of blur, for instance GoPro's ``blur`` (linear average) or ``blur_gamma``; None for the default,
            or the only variant present.

    Raises:
        DatasetError: If ``root`` does not exist, or a data set lacks that variant.
        ReadError: If an archive is damaged.
    """
    if not root.exists():
        raise DatasetError(f"{root} does not exist; use the folder or zip archive of the data set")
    wanted = [LAYOUTS[layout]] if layout else list(LAYOUTS.values())
    if variant is not None and not any(variant in known.variants for known in wanted):
        kinds = ", ".join(name for known in wanted for name in known.variants if name)
        raise DatasetError(
            f"{layout} has no variant {variant}; " + (f"choose one of {kinds}" if kinds else "leave out --variant")
        )
    for place in (root, *(root / name for name in _ARCHIVES if root.is_dir() and (root / name).is_file())):
        datasets = [dataset for known in wanted if (dataset := _find_layout(known, place, variant))]
        if datasets:
            return datasets
    return []


def find(root: Path, layout: str | None = None, variant: str | None = None) -> Dataset:
    """Find the only data set; arguments as for ``find_all``.

    Raises:
        DatasetError: If no data set is found, or more than one, or the variant is missing.
        ReadError: If an archive is damaged.
    """
    datasets = find_all(root, layout, variant)
    if len(datasets) > 1:
        names = " and ".join(dataset.layout for dataset in datasets)
        raise DatasetError(f"{root} contains {names}; choose one with --layout")
    if datasets:
        return datasets[0]
    what = f"{layout} data set" if layout else "data set"
    kind = f" of variant {variant}" if variant else ""
    wanted = f"it looks like {LAYOUTS[layout].looks}" if layout else f"known: {', '.join(LAYOUTS)}"
    if _holds_recordings(root):
        raise DatasetError(
            f"{root} contains no {what}{kind}, but recordings as in GOPRO_Large_all; make pairs from them with: "
            f"{shlex.join(['cdg-prep', 'synth', str(root), '--out', 'made'])}"
        )
    if above := _above(root):
        raise DatasetError(f"{root} contains no {what}{kind}, but is a part of one; use {above}")
    raise DatasetError(
        f"{root} contains no {what}{kind} ({wanted}); use --blurry DIR --sharp DIR for any other pair of folders"
    )


def _holds_recordings(root: Path) -> bool:
    """Check whether the folder looks like GoPro's recordings, ``<split>/<clip>/<name>``: frames without partners."""
    shape = ("train|test", "(?!(?:input|target|blur|sharp|gt)$).+", r".+\.\w+")
    found = (match.source for home in ("", "GOPRO_Large_all") for match in path_patterns.match(root, home, shape))
    return any(frames.is_frame(PurePosixPath(str(source))) for source in found)


def _above(root: Path) -> Path | None:
    """Return the folder of the data set that contains ``root``; None if it is not in one."""
    for folder in root.resolve().parents[:3]:
        with suppress(DatasetError, ReadError, OSError):
            for dataset in find_all(folder):
                if root.resolve().is_relative_to(dataset.folders[0].resolve()):
                    return dataset.folders[0]
    return None


Frames = dict[str, Source]  # key -> file of the frame


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
    """Return the variant in the name of a data set's folder; empty if it has none."""
    found = re.fullmatch(layout.variant_of_home, place.resolve().name) if layout.variant_of_home else None
    return found["variant"] if found else ""


def _no_such_kind(place: Path, wanted: str, kinds: Sequence[str]) -> str:
    if not kinds[0]:
        return f"{place} does not name its kind of blur; leave out --variant {wanted}"
    return f"{place} has no {wanted} frames, only {' and '.join(kinds)}; use --variant {kinds[0]}"


def _variant(layout: Layout, match: PathMatch) -> str:
    """Return the kind of blur of a frame; empty for a sharp frame that all kinds share."""
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
        key = layout.key.format(**match.named).strip("/")  # the clip may be empty in copies
        if match.named["role"] in layout.sharp:
            _add(sharp, key, match.source)
            continue
        split = listed.get(key, "all") if layout.lists and "split" not in match.named else layout.split(match.named)
        if splits.setdefault(key, split) != split:
            raise DatasetError(f"{place} contains {key} in more than one split; remove it from the others")
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
    """Refuse two frames with the same name, and a name that is not UTF-8.

    Raises:
        DatasetError: If a frame is refused.
    """
    if not storage.is_text(key):
        raise DatasetError(f"the name of {source} is not UTF-8; rename it")
    if key in named:
        raise DatasetError(f"{named[key]} and {source} have the same name; remove one of the two")


def _add(named: Frames, key: str, source: Source) -> None:
    check_name(named, key, source)
    named[key] = source


def _orphans(blurry: Frames, sharp: Frames) -> tuple[Source, ...]:
    return tuple(
        named[key] for named in (blurry, sharp) for key in sorted(blurry.keys() ^ sharp.keys()) if key in named
    )


def _read_lists(layout: Layout, root: Path, home: str, variant: str) -> dict[str, str]:
    """Read the split of each key from the authors' list files, in the data set's folder or the one above it."""
    splits: dict[str, str] = {}
    for word, split in (("train", "train"), ("val", "valid"), ("test", "test")):
        text = path_patterns.read_text(root, home, layout.lists.format(variant=variant, split=word))
        splits |= {layout.key.format(**found.groupdict()): split for found in re.finditer(layout.list_entry, text)}
    return splits
