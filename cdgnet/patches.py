"""Levels of patches: each level sees the patches of the one above cut in two, and hands up what it found.

A level's encoder sees its own patches, each alone; its decoder sees two of them joined, which are one patch of the
level above. So nothing reaches over the edge of a patch but what coarser levels see there.

Legend: B batch, C channels, H and W the sides of a frame, or of a window of one, multiples of 4.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from cdgnet.config import ModelConfig
from cdgnet.decoder import plain_decoder
from cdgnet.encoder import Encoder
from cdgnet.padding import SIZE_MULTIPLE


class Cuts(NamedTuple):
    """Where a level cuts what it sees, in pixels from its upper left corner; empty where it stays whole."""

    rows: tuple[int, ...] = ()
    columns: tuple[int, ...] = ()


def size_multiples(levels: int) -> tuple[int, int]:
    """What height and width must be multiples of, in pixels, for all patches of a level to be equal multiples of 4."""
    rows, columns = _grid(levels)
    return SIZE_MULTIPLE * rows, SIZE_MULTIPLE * columns


def whole_frame(levels: int, size: tuple[int, int]) -> list[Cuts]:
    """Where each level, the whole frame's first, cuts a frame of ``size`` = (height, width) multiples."""
    return [
        Cuts(
            *(tuple(side * index // count for index in range(1, count)) for side, count in zip(size, grid, strict=True))
        )
        for grid in map(_grid, range(1, levels + 1))
    ]


def in_window(cuts: Sequence[Cuts], window: tuple[slice, slice]) -> list[Cuts]:
    """The same cuts as seen from a window of the frame, its rows and columns; those outside are dropped."""
    return [Cuts(*(_inside(one, side) for one, side in zip(each, window, strict=True))) for each in cuts]


class PatchLevel(nn.Module):
    """Encoder and decoder of one level below the first.

    Source: Zhang et al. 2019, Figure 2.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.encoder = Encoder(config)
        self.decoder = plain_decoder(config)

    def forward(self, frame: Tensor, finer: Tensor | None, cuts: Cuts, above: Cuts) -> tuple[Tensor, Tensor]:
        """What the next coarser level needs.

        Args:
            frame: ``(B, 3, H, W)``, the blurry frame and what the next finer level would change of it.
            finer: ``(B, widths[2], H/4, W/4)``, features of the next finer level; None where this is the finest.
            cuts: This level's.
            above: Those of the next coarser level.

        Returns:
            What is to be added to the frame, ``(B, 3, H, W)``, and features of ``finer``'s shape.
        """
        features = in_patches(lambda patch: self.encoder(patch).quarter, frame, cuts)
        features = features if finer is None else features + finer
        quarter = Cuts(*(tuple(pixel // SIZE_MULTIPLE for pixel in side) for side in above))
        return in_patches(lambda patch: self.decoder.head(self.decoder(patch, None)), features, quarter), features


def in_patches(work: Callable[[Tensor], Tensor], images: Tensor, cuts: Cuts) -> Tensor:
    """Cut ``(B, C, H, W)`` up, do the work on each patch alone, and join the results."""
    strips = [
        _joined([work(patch) for patch in strip.tensor_split(cuts.columns, dim=-1)], dim=-1)
        for strip in images.tensor_split(cuts.rows, dim=-2)
    ]
    return _joined(strips, dim=-2)


def _joined(parts: list[Tensor], dim: int) -> Tensor:
    return parts[0] if len(parts) == 1 else torch.cat(parts, dim)


def _grid(level: int) -> tuple[int, int]:
    """Patches of a level down and across: 1 x 1, 2 x 1, 2 x 2, 4 x 2; each cuts the one before, downwards first."""
    return 2 ** (level // 2), 2 ** ((level - 1) // 2)


def _inside(pixels: tuple[int, ...], window: slice) -> tuple[int, ...]:
    return tuple(pixel - window.start for pixel in pixels if window.start < pixel < window.stop)
