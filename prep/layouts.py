"""Where data sets keep their pairs: GoPro, VideoDeblurring, any two folders. Finds and pairs; reads no picture."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from prep import frames

SPLITS = ("train", "test", "all")
VARIANTS = ("blur", "blur_gamma")
EXPECTED = (
    "gopro ([GOPRO_Large/]{train,test}/<SEQ>/{blur or blur_gamma,sharp}/<name>.png), "
    "videodeblurring ([DeepVideoDeblurring_Dataset/]quantitative_datasets/<video>/{input,GT}/<name>.jpg); "
    "any other two folders: --blurry DIR --sharp DIR"
)

# Pairs a sequence, counted in the released archive.
_GOPRO_TRAIN = (
    "0372_07_00:100 0372_07_01:75 0374_11_00:150 0374_11_01:80 0374_11_02:100 0374_11_03:48 0378_13_00:110 "
    "0379_11_00:100 0380_11_00:60 0384_11_01:100 0384_11_02:100 0384_11_03:100 0384_11_04:100 0385_11_00:100 "
    "0386_11_00:100 0477_11_00:80 0857_11_00:100 0868_11_01:100 0868_11_02:100 0871_11_01:100 0881_11_00:100 "
    "0884_11_00:100"
)
_GOPRO_TEST = (
    "0384_11_00:100 0384_11_05:100 0385_11_01:100 0396_11_00:100 0410_11_00:134 0854_11_00:100 0862_11_00:77 "
    "0868_11_00:100 0869_11_00:100 0871_11_00:100 0881_11_01:100"
)
# Su et al. 2017; the list is the authors' answer in their repository's issue 2.
_VIDEODEBLURRING_TEST = frozenset(
    [f"IMG_{number:04}" for number in (3, 21, 30, 31, 32, 33, 37, 39, 49)] + ["720p_240fps_2"]
)


def _counts(table: str) -> Mapping[str, int]:
    return {f"GOPR{name}": int(count) for name, count in (entry.split(":") for entry in table.split())}


GOPRO_COUNTS: Mapping[str, Mapping[str, int]] = {"train": _counts(_GOPRO_TRAIN), "test": _counts(_GOPRO_TEST)}
# What the data sets' authors state, by layout and split.
OFFICIAL: Mapping[str, Mapping[str, str]] = {
    "gopro": {split: f"official {sum(counts.values())} in {len(counts)}" for split, counts in GOPRO_COUNTS.items()},
    "videodeblurring": {"train": "official 61 videos", "test": "official 10 videos"},
}


class LayoutError(ValueError):
    """A data set that is not there, or not as its layout says."""


@dataclass(frozen=True, kw_only=True)
class Pair:
    """One blurry frame and its sharp one."""

    key: str  # sequence/name: unique in the data set, and a path below a masks folder
    split: str  # "train" or "test"; "all" where the layout knows no split
    blurry: Path
    sharp: Path


@dataclass(frozen=True, kw_only=True)
class Dataset:
    """What was found of a data set."""

    layout: str
    variant: str  # how the blur was made, where the layout has several: a folder's name; "" elsewhere
    folders: tuple[Path, ...]  # all that belongs to the data set: nothing is ever written below
    pairs: tuple[Pair, ...]  # sorted by key
    orphans: tuple[Path, ...]  # frames without a partner

    def select(self, split: str) -> tuple[Pair, ...]:
        """The pairs of one split.

        Raises:
            LayoutError: If there are none.
        """
        chosen = tuple(pair for pair in self.pairs if split in ("all", pair.split))
        if not chosen:
            held = ", ".join(sorted({pair.split for pair in self.pairs})) or "no pair at all"
            raise LayoutError(f"{self.folders[0]} has no {split} pairs (it holds: {held}); pass another --split")
        return chosen


def tally(dataset: Dataset) -> list[str]:
    """One line a split: pairs and sequences found, beside the official counts where there are any."""
    lines = []
    for split in sorted({pair.split for pair in dataset.pairs}, reverse=True):
        keys = [pair.key for pair in dataset.pairs if pair.split == split]
        clips = len({sequence(key) for key in keys})
        official = OFFICIAL.get(dataset.layout, {}).get(split)
        found = f"{_counted(len(keys), 'pair')} in {_counted(clips, 'sequence')}"
        lines.append(f"{split}: {found}" + (f" ({official})" if official else ""))
    return lines


def _counted(number: int, name: str) -> str:
    return f"{number} {name}" if number == 1 else f"{number} {name}s"


def sequence(key: str) -> str:
    """The clip that a key belongs to: all before the last slash; empty for a flat folder of pairs."""
    return key.rpartition("/")[0]


def source(layout: str, key: str) -> str:
    """The video that a key's clip was cut from: frames that share it must not be parted by a hold-out.

    GoPro cuts several clips from one recording: ``GOPR0372_07_00`` and ``GOPR0372_07_01`` are both ``GOPR0372``.
    """
    clip = sequence(key)
    return clip.partition("_")[0] if layout == "gopro" else clip


def find(root: Path, layout: str | None = None, variant: str = "blur") -> Dataset:
    """Find the one data set of a known layout at ``root`` or in its usual folder below.

    Args:
        root: The folder that holds the data set, or is it.
        layout: ``gopro`` or ``videodeblurring``; None for whichever is there.
        variant: GoPro's kind of blur, ``blur`` (linear average) or ``blur_gamma``.

    Raises:
        LayoutError: If nothing, or more than one data set, is found, or the variant is missing.
    """
    if not root.is_dir():
        raise LayoutError(f"{root} is no folder; pass --root with the folder that holds the data set")
    finders = {"gopro": _find_gopro, "videodeblurring": _find_videodeblurring}
    found = [
        data
        for name, finder in finders.items()
        if layout in (None, name)
        if (data := finder(root, variant)) is not None
    ]
    if not found:
        wanted = f"no {layout} data set" if layout else "no data set"
        raise LayoutError(f"{wanted} in {root.resolve()}; pass --root DIR. Looked for: {EXPECTED}")
    if len(found) > 1:
        raise LayoutError(f"{root} holds {' and '.join(data.layout for data in found)}; pass --layout with one of them")
    return found[0]


def _find_gopro(root: Path, variant: str) -> Dataset | None:
    for folder in (root, root / "GOPRO_Large"):
        clips = [
            (split, clip)
            for split in ("train", "test")
            for clip in _folders(folder / split)
            if any((clip / name).is_dir() for name in VARIANTS)
        ]
        if clips:
            break
    else:
        return None
    if not any((clip / variant).is_dir() for _, clip in clips):
        other = next(name for name in VARIANTS if name != variant)
        raise LayoutError(f"{folder} has no {variant} frames, only {other}; pass --variant {other}")
    matched = [_match_clip(clip / variant, clip / "sharp", clip.name, split) for split, clip in clips]
    return _gather("gopro", variant, folder, matched)


def _find_videodeblurring(root: Path, variant: str) -> Dataset | None:
    del variant  # this data set has one kind of blur
    for folder in (
        root,
        root / "quantitative_datasets",
        root / "DeepVideoDeblurring_Dataset" / "quantitative_datasets",
    ):
        clips = [clip for clip in _folders(folder) if (clip / "input").is_dir() and (clip / "GT").is_dir()]
        if clips:
            matched = [
                _match_clip(
                    clip / "input",
                    clip / "GT",
                    clip.name,
                    "test" if clip.name in _VIDEODEBLURRING_TEST else "train",
                )
                for clip in clips
            ]
            return _gather("videodeblurring", "", folder, matched)
    return None


def _folders(folder: Path) -> list[Path]:
    if not folder.is_dir():
        return []
    return sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith((".", "__MACOSX")))


Matched = tuple[list[Pair], list[Path]]


def _match_clip(blurry: Path, sharp: Path, clip: str, split: str) -> Matched:
    return _match(_by_stem(blurry, _frames(blurry)), _by_stem(sharp, _frames(sharp)), clip + "/", split)


def _frames(folder: Path) -> list[Path]:
    if not folder.is_dir():
        return []
    return sorted(path for path in folder.iterdir() if frames.is_frame(path) and path.is_file())


def _by_stem(folder: Path, paths: Iterable[Path]) -> dict[str, Path]:
    """Paths by their name below ``folder`` without the suffix; two frames of one name cannot be told apart."""
    named: dict[str, Path] = {}
    for path in paths:
        stem = path.relative_to(folder).with_suffix("").as_posix()
        if stem in named:
            raise LayoutError(f"{named[stem]} and {path.name} share one name; remove one of them")
        named[stem] = path
    return named


def _match(blurry: Mapping[str, Path], sharp: Mapping[str, Path], prefix: str, split: str) -> Matched:
    both = sorted(blurry.keys() & sharp.keys())
    pairs = [Pair(key=prefix + name, split=split, blurry=blurry[name], sharp=sharp[name]) for name in both]
    orphans = [named[name] for named in (blurry, sharp) for name in sorted(named.keys() - set(both))]
    return pairs, orphans


def _gather(layout: str, variant: str, folder: Path, matched: Iterable[Matched], *more: Path) -> Dataset:
    clips = list(matched)
    pairs = sorted((pair for pairs, _ in clips for pair in pairs), key=lambda pair: pair.key)
    twice = [key for key, count in Counter(pair.key for pair in pairs).items() if count > 1]
    if twice:
        raise LayoutError(f"{folder} holds {twice[0]} in more than one split; a frame belongs to one")
    orphans = tuple(orphan for _, orphans in clips for orphan in orphans)
    return Dataset(layout=layout, variant=variant, folders=(folder, *more), pairs=tuple(pairs), orphans=orphans)


def find_pairs(blurry: Path, sharp: Path) -> Dataset:
    """Pair two folders by equal relative path without suffix; failing that for all, by equal file name.

    Raises:
        LayoutError: If a folder is missing, or nothing pairs.
    """
    for folder in (blurry, sharp):
        if not folder.is_dir():
            raise LayoutError(f"{folder} is no folder; pass --blurry and --sharp with the two folders of a pair")
    first, second = trees = [_by_stem(folder, _below(folder)) for folder in (blurry, sharp)]
    pairs = _match(first, second, "", "all")[0] or _match(_by_name(first), _by_name(second), "", "all")[0]
    if not pairs:
        raise LayoutError(
            f"no frame of {blurry} ({len(first)} frames) has one of the same name in {sharp} ({len(second)} frames);"
            " pairs go by relative path, or by file name, without the suffix"
        )
    used = {path for pair in pairs for path in (pair.blurry, pair.sharp)}
    orphans = [path for tree in trees for path in tree.values() if path not in used]
    return _gather("pairs", "", blurry, [(pairs, orphans)], sharp)


def _below(folder: Path) -> list[Path]:
    return [
        path
        for path in sorted(folder.rglob("*"))
        if frames.is_frame(path) and path.is_file() and _is_clean(path, folder)
    ]


def _is_clean(path: Path, folder: Path) -> bool:
    return not any(part.startswith((".", "__MACOSX")) for part in path.relative_to(folder).parts)


def _by_name(tree: Mapping[str, Path]) -> dict[str, Path]:
    """Drop folders from the names; where a name stands in two folders it pairs nothing."""
    names = Counter(path.stem for path in tree.values())
    return {path.stem: path for path in tree.values() if names[path.stem] == 1}
