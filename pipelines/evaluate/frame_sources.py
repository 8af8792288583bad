"""What is scored: frames with their sharp ones, out of a pack, a data set, or folders of somebody's results.

Legend: H, W a frame's height and width.
"""

import zlib
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from pipelines.errors import EvaluationError
from pipelines.packs import Frame, read_frame, to_tensor
from prep.arrays import Bytes, Codes
from prep.datasets import layouts
from prep.datasets.layouts import Pair
from prep.io import extents, frames, storage
from prep.io.storage import Source
from prep.masks import equations
from prep.masks.folder import MasksFolder
from prep.packs import reader
from prep.sharpness import METHODS, paired

MAPS = "the data set's own maps"
MEASURED = "S of paired, which measures them between the blurry frame and its sharp partner"
KNOWN = {"paired": MEASURED, "extent": "S of extent, which stands for the data set's own maps"}
RULES = "whole frames; RGB, rounded to 8 bits, mean over images"


@dataclass(frozen=True, kw_only=True)
class Scene:
    """One frame to score."""

    key: str  # sequence/name
    sharp: Tensor  # (3, H, W) uint8
    blurry: Tensor | None  # the same; None where only results are at hand
    mask: Tensor | None  # (1, H, W) uint8, 0 or 1; None where there is none
    restored: Tensor | None = None  # somebody's result; None where a network is to make it
    extent: Tensor | None = None  # (1, H, W) float32, pixels of blur, NaN where unknown; None where nothing is known


class Scenes(Dataset[Scene], ABC):
    """Frames by number; reading one may happen in another process."""

    keys: Sequence[str]
    about: dict[str, Any]  # what decides the scores, besides the network: JSON
    protocol: str  # how the scores are made, in one line
    extents: str = ""  # where the extent of the blur is known from; empty: nowhere

    def know_extents(self, source: str) -> None:
        """Say where extents are known from: they are a part of the scores, and of what decides them."""
        if source:
            self.extents = self.about["extents"] = source
            self.protocol += f"; extents by {source}"

    def size(self) -> tuple[int, int]:
        """Height and width of the first frame."""
        height, width = self[0].sharp.shape[1:]
        return height, width

    def __len__(self) -> int:
        return len(self.keys)

    @abstractmethod
    def __getitem__(self, number: int) -> Scene:
        """Read one frame."""


class PackScenes(Scenes):
    """The frames of a pack, put together where it holds their crops.

    Raises:
        PackError: If it is no pack.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        info = reader.read_info(path)
        header, self.rows = info.header, {frame.key: frame.rows for frame in info.frames}
        self.keys = list(self.rows)
        self.about = {"pack": reader.content_checksum([info]), "method": header.method, "mu": header.mu}
        kind = " ".join(filter(None, (header.layout, header.variant, header.split)))
        self.protocol = f"{kind}: {RULES}; M by {header.method} at mu {header.mu:g}"
        self.know_extents(KNOWN.get(header.method, ""))

    def __getitem__(self, number: int) -> Scene:
        key = self.keys[number]
        whole = read_frame([self.path], Frame(0, key), self.rows[key])
        extent = _measured(whole.sharpness) if self.extents else None
        return Scene(key=key, sharp=whole.sharp, blurry=whole.blurry, mask=whole.mask, extent=extent)


@dataclass(frozen=True, kw_only=True)
class Masks:
    """Where M comes from."""

    method: str  # of the sharpness map
    mu: float
    folder: MasksFolder | None = None  # made by cdg-prep masks; None computes S of each frame

    def check(self, keys: Sequence[str]) -> None:
        """Refuse a folder that does not hold these frames.

        Raises:
            EvaluationError: If so.
            MaskError: If it is no masks folder.
        """
        if self.folder is None:
            return
        rows = self.folder.records
        missing = [key for key in keys if key not in rows]
        if missing:
            many = f"{missing[0]} and {len(missing) - 1} others" if len(missing) > 1 else missing[0]
            raise EvaluationError(f"{self.folder.path} holds no map of {many}; make them with cdg-prep masks")
        other = next((row.recipe.method for row in map(rows.get, keys) if row and row.recipe.method != self.method), "")
        if other:
            raise EvaluationError(f"{self.folder.path} holds maps by {other}; pass --method {other}")

    def read(self, key: str, blurry: Bytes, sharp: Bytes, extent: Source | None) -> Codes:
        """S of a frame, ``(H, W)``; ``extent`` is where the data set's own map lies, if anywhere.

        Raises:
            EvaluationError: If that is wanted and nowhere.
            ReadError: If a map cannot be read.
        """
        if self.folder is not None:
            return self.folder.read_sharpness(key)
        method = METHODS[self.method]
        beside: Bytes | Codes = sharp
        if method.beside == "extent":
            if extent is None:
                raise EvaluationError(f"{key} has no extent/ beside its sharp/; pass another --method")
            beside = extents.decode(storage.read(extent), extent)
        return equations.to_codes(method.compute(blurry, beside))

    def mask(self, codes: Codes) -> Tensor:
        """M, ``(1, H, W)``."""
        return torch.from_numpy(equations.mask_of_codes(codes, self.mu))[None]


def _measured(codes: Codes) -> Tensor:
    """The extent that S of ``paired`` or ``extent`` stands for; NaN where it is not known."""
    extent = paired.extent_of(np.asarray(codes / equations.LEVELS, np.float32))
    return torch.from_numpy(np.where(codes > 0, extent, np.float32(np.nan)))[None]


def read_extent(source: Source, size: tuple[int, ...]) -> Tensor:
    """A map of extents, ``(1, H, W)`` float32 in pixels, NaN where unknown.

    Raises:
        EvaluationError: If it is not of ``size``, (height, width).
        ReadError: If it cannot be read.
    """
    codes = extents.decode(storage.read(source), source)
    if codes.shape != size:
        raise EvaluationError(f"{source} is {codes.shape}; wanted {size}; make it again")
    return torch.from_numpy(extents.to_pixels(codes))[None]


class PictureScenes(Scenes):
    """Pictures: pairs of a data set, or somebody's results beside the sharp frames of the same names.

    Args:
        name: What they are, for the protocol.
        pairs: To score; where ``are_results``, the place of the blurry frame holds a result.
        masks: Where M comes from. It needs blurry frames; None for none.
        blurry: The frames that were restored, by key, where ``pairs`` holds results; empty scores the results alone.

    Raises:
        EvaluationError: If a mask is missing.
    """

    def __init__(
        self,
        name: str,
        pairs: Sequence[Pair],
        masks_: Masks | None,
        *,
        are_results: bool = False,
        blurry: Mapping[str, Source] | None = None,
    ) -> None:
        self.pairs, self.masks, self.are_results = pairs, masks_, are_results
        self.blurry = blurry or {}
        self.keys = [pair.key for pair in pairs]
        places = [str(storage.absolute(place)) for pair in pairs for place in (pair.blurry, pair.sharp)]
        self.about = {"pictures": zlib.crc32("\n".join(places).encode()), "count": len(pairs)}
        self.protocol = f"{name}: {RULES}"
        if masks_ is not None:
            masks_.check(self.keys)
            self.about |= {"method": masks_.method, "mu": masks_.mu}
            self.protocol += f"; M by {masks_.method} at mu {masks_.mu:g}"
        self.maps = [place for pair in pairs if (place := extents.find(pair.sharp)) is not None]
        self.has_maps = len(self.maps) == len(pairs)  # those of a part would not say of which
        is_measured = masks_ is not None and masks_.method == "paired" and (bool(self.blurry) or not are_results)
        self.know_extents(MAPS if self.has_maps else MEASURED if is_measured else "")

    def __getitem__(self, number: int) -> Scene:
        pair = self.pairs[number]
        first, sharp = frames.read(pair.blurry), frames.read(pair.sharp)
        _check_sizes(first, sharp, pair.blurry, pair.sharp)
        restored = first if self.are_results else None
        blurry = first
        if self.are_results and (source := self.blurry.get(pair.key)) is not None:
            blurry = frames.read(source)
            _check_sizes(blurry, sharp, source, pair.sharp)
        has_blurry = not self.are_results or bool(self.blurry)
        mask, extent = None, None
        if self.masks is not None and has_blurry:
            codes = self.masks.read(pair.key, blurry, sharp, extents.find(pair.sharp))
            mask = self.masks.mask(codes)
            extent = _measured(codes) if self.masks.method == "paired" else None
        if self.has_maps:
            extent = read_extent(self.maps[number], sharp.shape[:2])
        return Scene(
            key=pair.key,
            sharp=to_tensor(sharp),
            blurry=to_tensor(blurry) if has_blurry else None,
            mask=mask,
            restored=None if restored is None else to_tensor(restored),
            extent=extent,
        )


def results(restored: Path, sharp: Path, blurry: Path | None, masks_: Masks) -> PictureScenes:
    """Somebody's results beside the sharp frames of the same names, and the blurry ones where they are at hand.

    Raises:
        DatasetError: If nothing pairs.
        EvaluationError: If a result has no sharp, or no blurry, frame of its name.
    """
    found = layouts.find_pairs(restored, sharp)
    alone = [str(path) for path in found.orphans if Path(str(path)).is_relative_to(restored)]
    if alone:
        raise EvaluationError(f"{alone[0]} has no sharp frame of its name in {sharp} ({len(alone)} such); remove it")
    frames_of: dict[str, Source] = {}
    if blurry is not None:
        frames_of = {pair.key: pair.blurry for pair in layouts.find_pairs(blurry, sharp).pairs}
        missing = [pair.key for pair in found.pairs if pair.key not in frames_of]
        if missing:
            raise EvaluationError(f"{blurry} holds no frame {missing[0]} ({len(missing)} missing); pass all of them")
    name = f"pictures of {restored} against {sharp}"
    chosen = masks_ if blurry is not None else None
    return PictureScenes(name, found.pairs, chosen, are_results=True, blurry=frames_of)


def _check_sizes(one: Bytes, other: Bytes, name: Source, partner: Source) -> None:
    if one.shape != other.shape:
        found = " and ".join(f"{each.shape[1]} x {each.shape[0]}" for each in (one, other))
        raise EvaluationError(f"{name} and {partner} are {found}; wanted the same size")
