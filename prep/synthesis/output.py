"""Write the data set in GoPro's layout, with the blur length of every pixel.

``OUT/{train,test}/SEQUENCE/{blur or blur_gamma,sharp,extent}/NUMBER.png``; ``OUT/synthesis.json`` stores the recipe and
the splits. The blurry frame is written last, so a pair with a blurry frame is complete.
"""

import json
from collections.abc import Iterator, Mapping, Sequence, Set
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np

from prep.arrays import Bytes, Floats
from prep.datasets import layouts
from prep.errors import ReadError, SynthesisError
from prep.io import extents, files, frames, locks
from prep.synthesis.camera import Camera
from prep.synthesis.cameras import NONE
from prep.synthesis.recipes import PhotoRecipe, RecordingRecipe
from prep.synthesis.response import GAMMA
from prep.units import counted

_FORMAT, _VERSION = "cdgnet-synthesis", 2
_LOCK = "synthesis.lock"


def variant(camera: Camera) -> str:
    """Return GoPro's name for the folder of blurry frames: ``blur_gamma`` for plain averages with a gamma of 2.2."""
    return "blur_gamma" if camera == replace(NONE, response=GAMMA) else "blur"


@dataclass(frozen=True, kw_only=True)
class _Head:
    """The content of ``synthesis.json``."""

    format: str
    version: int
    settings: Mapping[str, Any]
    options: Mapping[str, str]
    splits: Mapping[str, Literal["train", "test"]]  # split of each source


@contextmanager
def held(out: Path) -> Iterator[None]:
    """Lock an output folder against other processes; remove a new folder that stays empty.

    Raises:
        SynthesisError: If another process is making pairs in it.
    """
    is_new = not out.exists()
    in_use = f"another process is making pairs in {out}; wait until it ends, or choose another --out"
    try:
        with locks.hold(out / _LOCK, remove=True, refusal=SynthesisError(in_use)):
            yield
    finally:
        if is_new:
            with suppress(OSError):  # raised if it is not empty
                out.rmdir()


def begin(out: Path, recipe: RecordingRecipe | PhotoRecipe, names: Sequence[str], test_share: float) -> dict[str, str]:
    """Create an output folder, or open one to continue.

    Sequences of one source, such as GoPro's ``GOPR0372_07_00`` and ``GOPR0372_07_01``, share a split. Splits from an
    earlier call are kept.

    Args:
        out: The folder; it must be empty or made with the same recipe.
        recipe: All settings of the pairs.
        names: Names of the sequences that are not in a folder called train or test.
        test_share: Share of their sources for the test split, in [0, 1].

    Returns:
        The split of each of ``names``.

    Raises:
        SynthesisError: If the folder contains other files, or pairs made with other settings, or if ``test_share`` of
            the sources of a new folder is none.
    """
    path = out / "synthesis.json"
    settings = json.loads(json.dumps({"kind": recipe.kind, **asdict(recipe), "test_share": test_share}))
    options = {**recipe.options(), "test-share": f"{test_share:g}"}
    splits: dict[str, str] = {}
    if path.exists():
        earlier = _read_head(path)
        # Other settings without pairs are from a call that failed before its first pair.
        if earlier.settings == settings or _holds_pairs(out):
            _check_settings(out, earlier, settings, options)
            splits = dict(earlier.splits)
    elif files.holds_others(out, besides=(_LOCK,)):
        raise SynthesisError(f"{out} contains other files; choose another --out")
    sources = {name: layouts.source("gopro", f"{name}/") for name in names}
    splits |= _draw_splits(splits, set(sources.values()) - set(splits), test_share, recipe.seed)
    if test_share and splits and "test" not in splits.values() and not path.exists():
        few = counted(len(splits), "source")
        raise SynthesisError(
            f"--test-share {test_share:g} of {few} rounds to no test source; use a larger --test-share, or more inputs"
        )
    head = {"format": _FORMAT, "version": _VERSION, "settings": settings, "options": options, "splits": splits}
    files.write_text(path, json.dumps(head, indent=1) + "\n")
    return {name: splits[sources[name]] for name in names}


def _holds_pairs(out: Path) -> bool:
    return any((out / split).exists() for split in ("train", "test"))


def _read_head(path: Path) -> _Head:
    try:
        head = files.as_type(files.read_object(path), _Head, path.name)
        if (head.format, head.version) != (_FORMAT, _VERSION):
            raise SynthesisError(f"{path} was written by another version of cdgnet; choose another --out")
        return head
    except ReadError as error:
        raise SynthesisError(f"{path} is damaged ({error}); choose another --out") from error


def _check_settings(out: Path, earlier: _Head, settings: Mapping[str, Any], now: Mapping[str, str]) -> None:
    if earlier.settings == settings:
        return
    if earlier.settings.get("kind") != settings["kind"]:
        kinds = {"Recipe": "recordings", "PhotoRecipe": "photographs"}
        found, wanted = (kinds.get(str(each.get("kind")), "something else") for each in (earlier.settings, settings))
        raise SynthesisError(f"{out} contains pairs from {found}, not from {wanted}; choose another --out")
    before = earlier.options
    different = [name for name in now if before.get(name) != now[name]]
    if not different:
        raise SynthesisError(f"{out} was made by another version of cdgnet; choose another --out")
    found, wanted = (" ".join(_typed(name, each.get(name, "no")) for name in different) for each in (before, now))
    raise SynthesisError(f"{out} was made with {found}, not {wanted}; use the same settings, or choose another --out")


def _typed(name: str, value: str) -> str:
    """Write an option as the user types it; ``no --stride`` for a default that cannot be typed."""
    if value == "no" or " " in value:
        return f"no --{name}"
    return f"--{name}" if value == "yes" else f"--{name} {value}"


def _draw_splits(earlier: Mapping[str, str], new: Set[str], test_share: float, seed: int) -> dict[str, str]:
    """Draw the splits of new sources, so that all sources together have the test share."""
    wanted = round(test_share * (len(earlier) + len(new))) - sum(split == "test" for split in earlier.values())
    drawn = np.random.default_rng(seed).permutation(len(new))[: max(0, wanted)]
    return {source: "test" if place in drawn else "train" for place, source in enumerate(sorted(new))}


def write_pair(folder: Path, name: str, kind: str, blurry: Bytes, sharp: Bytes, extent: Floats) -> None:
    """Write one pair and its blur length; the blurry frame is last, so that it shows that the pair is complete.

    Args:
        folder: ``OUT/SPLIT/SEQUENCE``.
        name: Name of the files, without suffix.
        kind: Folder of the blurry frame, from ``variant``.
        blurry: ``(H, W, 3)`` uint8 RGB.
        sharp: ``(H, W, 3)`` uint8 RGB.
        extent: ``(H, W)`` blur length, pixels; NaN where unknown.
    """
    frames.write(folder / "extent" / f"{name}.png", extents.to_codes(extent))
    frames.write(folder / "sharp" / f"{name}.png", sharp)
    frames.write(folder / kind / f"{name}.png", blurry)
