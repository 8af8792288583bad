"""Packs -> samples and batches: the only place that turns a pack into tensors.

Legend: C the training crop's side in pixels, B batch.
"""

import signal
import threading
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from prep.arrays import Codes
from prep.datasets import layouts
from prep.masks.equations import mask_of_codes
from prep.packs import store
from prep.packs.windows import Windows

_HELD_OUT_SHARE = 20  # by default the source video nearest to this part of the frames is held out: a twentieth


class DataError(ValueError):
    """A pack that cannot be trained on as asked, or whose reading ended."""


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


def batches_of(loader: DataLoader[Any]) -> Iterator[Any]:
    """What a loader gives; that one of its processes was killed is told here, within seconds, and nowhere else.

    torch's handler of signals would raise wherever the program is when the process dies, be it in writing a checkpoint.

    Raises:
        DataError: If so.
    """
    handler = signal.getsignal(signal.SIGCHLD)
    batches = iter(loader)
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGCHLD, handler)
    try:
        yield from batches
    except RuntimeError as error:
        if "DataLoader worker" not in str(error):
            raise
        raise DataError(
            f"a process that reads frames ended ({' '.join(str(error).split())[:120]}); the same command goes on "
            "from what is saved, with --workers 0 in one process"
        ) from error


class Frame(NamedTuple):
    """A frame of one of several packs."""

    pack: int  # its place among them
    key: str


@dataclass(frozen=True, kw_only=True)
class Split:
    """The frames of packs divided by source video: rows of the pack by frame."""

    train: Mapping[Frame, Sequence[int]]
    held_out: Mapping[Frame, Sequence[int]]
    sources: Sequence[str]  # held out


def split_by_source(paths: Sequence[Path], held_out: Sequence[str] | None) -> Split:
    """Divide the frames of packs by the video they were cut from; a video in several packs is held out of all.

    Args:
        paths: The packs.
        held_out: Source videos to hold out, by name; empty for none; None holds out the one
            nearest to a twentieth of the frames, and none where there is only one source.

    Raises:
        DataError: If a source is in no pack, none is left to train on, or the packs do not go together.
        PackError: If one is no pack.
    """
    rows: dict[Frame, list[int]] = {}
    videos: dict[Frame, str] = {}
    headers, contents = [], []
    for place, path in enumerate(paths):
        with store.open_pack(path) as file:
            headers.append(store.read_header(file))
            contents.append(file["crc32"][:].tobytes())
            keys = store.read_keys(file)
        for row, key in enumerate(keys):
            frame = Frame(place, key)
            rows.setdefault(frame, []).append(row)
            videos[frame] = layouts.source(headers[-1].layout, key)
    _check_kinds(paths, headers)
    _refuse_twins(paths, contents)
    sizes = Counter(videos.values())
    chosen = _nearest_twentieth(sizes) if held_out is None else [_named(name, sizes, paths) for name in held_out]
    if set(chosen) >= set(sizes):
        raise DataError(f"holding out {', '.join(chosen)} leaves nothing of {_all(paths)} to train on; pass --val none")
    return Split(
        train={frame: rows[frame] for frame in rows if videos[frame] not in chosen},
        held_out={frame: rows[frame] for frame in rows if videos[frame] in chosen},
        sources=chosen,
    )


def _refuse_twins(paths: Sequence[Path], contents: Sequence[bytes]) -> None:
    for place, content in enumerate(contents):
        if (first := contents.index(content)) < place:
            raise DataError(f"{paths[first]} and {paths[place]} hold the same crops; pass one of them")


def _check_kinds(paths: Sequence[Path], headers: Sequence[store.Header]) -> None:
    """Refuse packs whose masks or blur mean different things."""
    variants: dict[str, str] = {}
    for path, header in zip(paths, headers, strict=True):
        if (header.method, header.mu) != (headers[0].method, headers[0].mu):
            cure = "cdg-prep remask" if header.method == headers[0].method else "cdg-prep pack --method"
            raise DataError(
                f"{paths[0]} has masks by {headers[0].method}, mu {headers[0].mu:g}, {path} by {header.method}, mu "
                f"{header.mu:g}; make them alike ({cure})"
            )
        if variants.setdefault(header.layout, header.variant) != header.variant:
            raise DataError(f"{path} holds {header.layout} {header.variant}, another pack {variants[header.layout]}")


def _nearest_twentieth(sizes: Mapping[str, int]) -> list[str]:
    if len(sizes) < 2:
        return []
    goal = sum(sizes.values()) / _HELD_OUT_SHARE
    return [min(sizes, key=lambda source: (abs(sizes[source] - goal), source))]


def _named(name: str, sizes: Mapping[str, int], paths: Sequence[Path]) -> str:
    if name not in sizes:
        known = ", ".join(sorted(filter(None, sizes))) or "none by name: all frames count as one video"
        raise DataError(f"{_all(paths)} has no source video {name}; it has {known}")
    return name


def _all(paths: Sequence[Path]) -> str:
    return " and ".join(map(str, paths))


class TrainingSamples(Dataset[Sample]):
    """An endless, reproducible stream: sample n is decided by (seed, n) alone, so a run resumes anywhere in it.

    An epoch shows each frame of all packs once, in random order: a random one of its crops, a random window of it,
    flipped and turned at random, all tensors together. So a pack's weight is its number of frames.

    Args:
        paths: The packs.
        frames: Rows of the packs by frame.
        crop: Side of the window in pixels.
        seed: Of order, place, flips and turns.
        turn: Turn by quarters too, so that no direction of blur is more frequent than another.
        mu: Threshold of the masks, from the packs' S; None takes the packs' own.

    Raises:
        DataError: If the window is larger than a pack's crops.
        PackError: If a pack does not hold all of its crops.
    """

    def __init__(
        self,
        paths: Sequence[Path],
        frames: Mapping[Frame, Sequence[int]],
        crop: int,
        seed: int,
        *,
        turn: bool = True,
        mu: float | None = None,
    ) -> None:
        self.packs = [Windows(path) for path in paths]
        self.frames, self.rows = list(frames), list(frames.values())
        self.crop, self.seed, self.turn, self.mu = crop, seed, turn, mu
        for path, pack in zip(paths, self.packs, strict=True):
            height, width = pack.header.crop
            if crop > min(height, width):
                raise DataError(
                    f"window {crop} is larger than the {height} x {width} crops of {path}; pass --crop "
                    f"{min(height, width)}"
                )
        self._order = lru_cache(maxsize=2)(self._shuffle)

    def __getstate__(self) -> dict[str, object]:
        return {name: value for name, value in self.__dict__.items() if name != "_order"}

    def __setstate__(self, state: dict[str, object]) -> None:
        self.__dict__.update(state)
        self._order = lru_cache(maxsize=2)(self._shuffle)

    def _shuffle(self, epoch: int) -> np.ndarray:
        return np.random.default_rng([self.seed, 0, epoch]).permutation(len(self.rows))

    def __getitem__(self, number: int) -> Sample:
        epoch, place = divmod(number, len(self.rows))
        chosen = self._order(epoch)[place]
        pack, rows = self.packs[self.frames[chosen].pack], self.rows[chosen]
        rng = np.random.default_rng([self.seed, 1, number])
        row = rows[rng.integers(len(rows))]
        y, x = (int(rng.integers(side - self.crop + 1)) for side in pack.header.crop)
        flips, turns = rng.integers(2, size=2), int(rng.integers(4)) if self.turn else 0

        corner = (row, y, x, self.crop)
        blurry, sharp = (pack.read(name, *corner) for name in ("blurry", "sharp"))
        mask = pack.read("mask", *corner) if self.mu is None else pack.mask(*corner, self.mu)

        def turned(window: np.ndarray) -> Tensor:
            flipped = window[:: 1 - 2 * flips[0], :: 1 - 2 * flips[1]].reshape(self.crop, self.crop, -1)
            return torch.from_numpy(np.rot90(flipped, turns).transpose(2, 0, 1).copy())

        return Sample(turned(blurry), turned(sharp), turned(mask))

    def key(self, number: int) -> str:
        """The frame that sample ``number`` is a window of."""
        epoch, place = divmod(number, len(self.rows))
        chosen: Frame = self.frames[self._order(epoch)[place]]
        return chosen.key


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


@dataclass(frozen=True, kw_only=True)
class WholeFrame:
    """A frame put together again from its crops."""

    key: str
    blurry: Tensor  # (3, H, W) uint8
    sharp: Tensor  # (3, H, W) uint8
    mask: Tensor  # (1, H, W) uint8, 0 or 1
    sharpness: Codes  # (H, W)


def read_frame(paths: Sequence[Path], frame: Frame, rows: Sequence[int], mu: float | None = None) -> WholeFrame:
    """Put a frame of one of the packs together; its crops cover it. The mask is of ``mu``, or the pack's own."""
    crops = list(read_crops(paths[frame.pack], rows))
    if mu is not None:
        crops = [replace(crop, mask=torch.from_numpy(mask_of_codes(crop.sharpness, mu))[None]) for crop in crops]
    height, width = (max(crop.origin[axis] + crop.mask.shape[axis + 1] for crop in crops) for axis in (0, 1))

    def whole(name: str) -> Tensor:
        picture = torch.empty(getattr(crops[0], name).shape[0], height, width, dtype=torch.uint8)
        for crop in crops:
            part = getattr(crop, name)
            y, x = crop.origin
            picture[:, y : y + part.shape[1], x : x + part.shape[2]] = part
        return picture

    codes = np.empty((height, width), np.uint16)
    for crop in crops:
        y, x = crop.origin
        codes[y : y + crop.sharpness.shape[0], x : x + crop.sharpness.shape[1]] = crop.sharpness
    return WholeFrame(key=frame.key, blurry=whole("blurry"), sharp=whole("sharp"), mask=whole("mask"), sharpness=codes)
