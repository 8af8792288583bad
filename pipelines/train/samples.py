"""Packs -> the endless stream of windows that a network is trained on.

Legend: C side of the training crop in pixels.
"""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from pipelines.errors import DataError
from pipelines.packs import Frame, tensor_of
from prep.arrays import Bytes
from prep.masks.equations import mask_of_codes, soft_mask
from prep.packs.windows import Windows

if TYPE_CHECKING:
    from torch import Tensor


class Sample(NamedTuple):
    """One training sample, with values as stored in the pack; a batch stacks samples."""

    blurry: "Tensor"  # (3, C, C) uint8
    sharp: "Tensor"  # (3, C, C) uint8
    mask: "Tensor"  # (1, C, C) uint8, 0 or 1; for soft masks 0 to 255


class TrainingSamples:
    """An endless, reproducible stream: sample n is decided by (seed, n) alone, so a run resumes anywhere in it.

    An epoch shows each frame of all packs once, in random order: a random window of one of its crops, chosen at
    random, with the same random flips and turns for all tensors. So a pack's weight is its number of frames.

    Args:
        paths: Paths of the packs.
        frames: For each frame, its rows in its pack.
        crop: Side of the window in pixels.
        seed: Seed of order, place, flips and turns.
        turn: Whether to turn by quarters too, so that all directions of blur are equally frequent.
        mu: Threshold for masks computed from the packs' S; None takes the packs' own masks.
        is_soft: Whether to return soft masks, see ``equations.soft_mask``.

    Raises:
        DataError: If the window is larger than a pack's crops.
        PackError: If a pack does not contain all of its crops.
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
        is_soft: bool = False,
    ) -> None:
        self.packs = [Windows(path) for path in paths]
        self.frames, self.rows = list(frames), list(frames.values())
        self.crop, self.seed, self.turn, self.mu, self.is_soft = crop, seed, turn, mu, is_soft
        for path, pack in zip(paths, self.packs, strict=True):
            height, width = min(pack.info.sizes, key=min)
            if crop > min(height, width):
                raise DataError(
                    f"a random crop of {crop} pixels is larger than the {width} x {height} crops of {path}; use --crop "
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
        index = self._frame_index(number)
        pack, rows = self.packs[self.frames[index].pack], self.rows[index]
        rng = np.random.default_rng([self.seed, 1, number])
        row = rows[int(rng.integers(len(rows)))]
        y, x = (int(rng.integers(side - self.crop + 1)) for side in pack.info.sizes[row])
        flips, turns = rng.integers(2, size=2), int(rng.integers(4)) if self.turn else 0

        corner = (row, y, x, self.crop)
        blurry, sharp = (pack.read(name, *corner) for name in ("blurry", "sharp"))
        mask = self._mask(pack, corner)

        def turned(window: np.ndarray) -> "Tensor":
            flipped = window[:: 1 - 2 * flips[0], :: 1 - 2 * flips[1]].reshape(self.crop, self.crop, -1)
            return tensor_of(np.rot90(flipped, turns).transpose(2, 0, 1).copy())

        return Sample(turned(blurry), turned(sharp), turned(mask))

    def _mask(self, pack: Windows, corner: tuple[int, int, int, int]) -> Bytes:
        if self.is_soft:
            return soft_mask(pack.sharpness(*corner), pack.header.mu if self.mu is None else self.mu)
        if self.mu is None:
            return pack.read("mask", *corner)
        return mask_of_codes(pack.sharpness(*corner), self.mu)

    def frame_of(self, number: int) -> Frame:
        """Return the frame that contains sample ``number``."""
        return self.frames[self._frame_index(number)]

    def _frame_index(self, number: int) -> int:
        epoch, place = divmod(number, len(self.rows))
        return int(self._order(epoch)[place])
