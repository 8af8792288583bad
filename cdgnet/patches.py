"""DMPHN's patch hierarchy: each level halves the patches of the level above and passes its features up.

A level's encoder processes its patches separately. Its decoder processes them in pairs, each pair being one patch of
the level above. Therefore only coarser levels see across the edge of a patch.

Legend: B batch, C channels, H and W height and width of a frame or of a tile of it, multiples of 4.
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
    """Positions at which a level cuts its input, in pixels from the upper left corner; empty for no cuts."""

    rows: tuple[int, ...] = ()
    columns: tuple[int, ...] = ()


def size_multiples(levels: int) -> tuple[int, int]:
    """Return two numbers of pixels: a frame's height must be a multiple of the first, its width of the second.

    All patches of a level then have the same size, a multiple of 4 pixels.
    """
    rows, columns = _grid(levels)
    return SIZE_MULTIPLE * rows, SIZE_MULTIPLE * columns


def whole_frame(levels: int, size: tuple[int, int]) -> list[Cuts]:
    """Return the cuts of each level, coarsest first, for a frame of ``size`` = (height, width) in pixels."""
    return [
        Cuts(
            *(tuple(side * index // count for index in range(1, count)) for side, count in zip(size, grid, strict=True))
        )
        for grid in map(_grid, range(1, levels + 1))
    ]


def in_window(cuts: Sequence[Cuts], window: tuple[slice, slice]) -> list[Cuts]:
    """Translate cuts of a frame to a window of it, given as rows and columns; cuts outside are dropped."""
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
        """Compute this level's contribution to the next coarser level.

        Args:
            frame: ``(B, 3, H, W)``, the blurry frame plus the change proposed by the next finer level.
            finer: ``(B, widths[2], H/4, W/4)``, features of the next finer level; None at the finest level.
            cuts: Cuts of this level.
            above: Cuts of the next coarser level.

        Returns:
            The change to add to the frame, ``(B, 3, H, W)``, and features, ``(B, widths[2], H/4, W/4)``.
        """
        features = in_patches(lambda patch: self.encoder(patch).quarter, frame, cuts)
        features = features if finer is None else features + finer
        quarter = Cuts(*(tuple(pixel // SIZE_MULTIPLE for pixel in side) for side in above))
        return in_patches(lambda patch: self.decoder.head(self.decoder(patch, None)), features, quarter), features


def in_patches(work: Callable[[Tensor], Tensor], images: Tensor, cuts: Cuts) -> Tensor:
    """Cut ``(B, C, H, W)`` into patches, apply ``work`` to each, and join the results."""
    strips = [
        _joined([work(patch) for patch in strip.tensor_split(cuts.columns, dim=-1)], dim=-1)
        for strip in images.tensor_split(cuts.rows, dim=-2)
    ]
    return _joined(strips, dim=-2)


def _joined(parts: list[Tensor], dim: int) -> Tensor:
    return parts[0] if len(parts) == 1 else torch.cat(parts, dim)


def _grid(level: int) -> tuple[int, int]:
    """Return the rows and columns of patches: 1 x 1, 2 x 1, 2 x 2, 4 x 2. Levels halve height and width in turn."""
    return 2 ** (level // 2), 2 ** ((level - 1) // 2)


def _inside(pixels: tuple[int, ...], window: slice) -> tuple[int, ...]:
    return tuple(pixel - window.start for pixel in pixels if window.start < pixel < window.stop)
