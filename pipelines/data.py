"""Packs -> samples and batches: the only place that turns a pack into tensors.

Legend: C the training crop's side in pixels, B batch.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import NamedTuple

import h5py
import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from prep import layouts, store

_HELD_OUT_SHARE = 20  # by default the source video nearest to this part of the frames is held out: a twentieth


class DataError(ValueError):
    """A pack that cannot be trained on as asked."""


class Sample(NamedTuple):
    """One training sample, as it lies in the pack; a batch stacks them."""

    blurry: Tensor  # (3, C, C) uint8
    sharp: Tensor  # (3, C, C) uint8
    mask: Tensor  # (1, C, C) uint8, 0 or 1


def to_range(picture: Tensor) -> Tensor:
    """uint8 -> the network's range, float32 in [-0.5, 0.5]."""
    return picture.float() / 255 - 0.5


def to_tensor(picture: np.ndarray) -> Tensor:
    """``(H, W, 3)`` -> ``(3, H, W)``."""
    return torch.from_numpy(np.ascontiguousarray(picture.transpose(2, 0, 1)))


@dataclass(frozen=True, kw_only=True)
class Split:
    """The frames of a pack divided by source video: rows of the pack by frame key."""

    train: Mapping[str, Sequence[int]]
    held_out: Mapping[str, Sequence[int]]
    sources: Sequence[str]  # held out


def split_by_source(path: Path, held_out: Sequence[str] | None) -> Split:
    """Divide a pack's frames by the video they were cut from.

    Args:
        path: The pack.
        held_out: Source videos to hold out, by name; empty for none; None holds out the one
            nearest to a twentieth of the frames, and none where the pack has only one source.

    Raises:
        DataError: If a source is not in the pack, or none is left to train on.
        PackError: If it is no pack.
    """
    with store.open_pack(path) as file:
        layout = store.read_header(file).layout
        keys = store.read_keys(file)
    rows: dict[str, list[int]] = {}
    for row, key in enumerate(keys):
        rows.setdefault(key, []).append(row)
    sizes: dict[str, int] = {}
    for key in rows:
        source = layouts.source(layout, key)
        sizes[source] = sizes.get(source, 0) + 1
    chosen = _nearest_twentieth(sizes) if held_out is None else [_named(name, sizes, path) for name in held_out]
    if set(chosen) >= set(sizes):
        raise DataError(f"holding out {', '.join(chosen)} leaves nothing of {path} to train on; pass --val none")
    return Split(
        train={key: rows[key] for key in rows if layouts.source(layout, key) not in chosen},
        held_out={key: rows[key] for key in rows if layouts.source(layout, key) in chosen},
        sources=chosen,
    )


def _nearest_twentieth(sizes: Mapping[str, int]) -> list[str]:
    if len(sizes) < 2:
        return []
    goal = sum(sizes.values()) / _HELD_OUT_SHARE
    return [min(sizes, key=lambda source: (abs(sizes[source] - goal), source))]


def _named(name: str, sizes: Mapping[str, int], path: Path) -> str:
    if name not in sizes:
        raise DataError(f"{path} has no source video {name}; it has {', '.join(sorted(sizes))}")
    return name


class TrainingSamples(Dataset[Sample]):
    """An endless, reproducible stream: sample n is decided by (seed, n) alone, so a run resumes anywhere in it.

    An epoch shows each frame once, in random order: a random one of its crops, a random window of it, flipped and
    turned at random, all tensors together.

    Args:
        path: The pack.
        frames: Rows of the pack by frame key.
        crop: Side of the window in pixels.
        seed: Of order, place, flips and turns.
        turn: Turn by quarters too, so that no direction of blur is more frequent than another.

    Raises:
        DataError: If the window is larger than the pack's crops.
    """

    def __init__(
        self, path: Path, frames: Mapping[str, Sequence[int]], crop: int, seed: int, *, turn: bool = True
    ) -> None:
        self.path, self.rows, self.crop, self.seed, self.turn = path, list(frames.values()), crop, seed, turn
        with store.open_pack(path) as file:
            self.size = store.read_header(file).crop
        if crop > min(self.size):
            height, width = self.size
            raise DataError(
                f"window {crop} is larger than the {height} x {width} crops of {path}; pass --crop {min(self.size)}"
            )
        self._order = lru_cache(maxsize=2)(self._shuffle)

    @cached_property
    def file(self) -> h5py.File:
        """Opened on first use, so once in each worker and never across a fork."""
        return store.open_pack(self.path)

    def __getstate__(self) -> dict[str, object]:
        return {name: value for name, value in self.__dict__.items() if name not in ("file", "_order")}

    def __setstate__(self, state: dict[str, object]) -> None:
        self.__dict__.update(state)
        self._order = lru_cache(maxsize=2)(self._shuffle)

    def _shuffle(self, epoch: int) -> np.ndarray:
        return np.random.default_rng([self.seed, 0, epoch]).permutation(len(self.rows))

    def __getitem__(self, number: int) -> Sample:
        epoch, place = divmod(number, len(self.rows))
        rows = self.rows[self._order(epoch)[place]]
        rng = np.random.default_rng([self.seed, 1, number])
        row = rows[rng.integers(len(rows))]
        y, x = (int(rng.integers(side - self.crop + 1)) for side in self.size)
        flips, turns = rng.integers(2, size=2), int(rng.integers(4)) if self.turn else 0

        def window(name: str) -> Tensor:
            part = self.file[name][row, y : y + self.crop, x : x + self.crop]
            part = part.reshape(self.crop, self.crop, -1)
            return to_tensor(np.rot90(part[:: 1 - 2 * flips[0], :: 1 - 2 * flips[1]], turns))

        return Sample(window("blurry"), window("sharp"), window("mask"))


@dataclass(frozen=True, kw_only=True)
class PackCrop:
    """One crop of a pack, whole."""

    key: str
    origin: tuple[int, int]  # y, x in the frame
    blurry: Tensor  # (3, H, W) uint8
    sharp: Tensor  # (3, H, W) uint8
    mask: Tensor  # (1, H, W) uint8, 0 or 1
    sharpness: np.ndarray  # (H, W) uint16


def read_crops(path: Path, rows: Sequence[int] | None = None) -> Iterator[PackCrop]:
    """Give crops of a pack in order: those of ``rows``, or all."""
    with store.open_pack(path) as file:
        keys = store.read_keys(file)
        for row in range(len(keys)) if rows is None else rows:
            y, x = file["origin"][row]
            yield PackCrop(
                key=keys[row],
                origin=(int(y), int(x)),
                blurry=to_tensor(file["blurry"][row]),
                sharp=to_tensor(file["sharp"][row]),
                mask=torch.from_numpy(file["mask"][row])[None],
                sharpness=file["sharpness"][row],
            )
