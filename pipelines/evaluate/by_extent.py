"""PSNR by blur length, for frames whose blur length is known per pixel.

Legend: H, W a frame's height and width.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import msgspec
import torch
from torch import Tensor

from cdgnet.metrics import PEAK, PSNR_CEILING

EDGES = (0.0, 2.0, 4.0, 8.0, 16.0, 32.0, math.inf)  # pixels of blur


_Sums = Annotated[list[Annotated[int, msgspec.Meta(ge=0)]], msgspec.Meta(min_length=2, max_length=3)]
Extents = Annotated[list[_Sums], msgspec.Meta(min_length=len(EDGES) - 1, max_length=len(EDGES) - 1)]
"""The result of ``squared_errors``."""


def squared_errors(extent: Tensor, sharp: Tensor, pictures: Sequence[Tensor | None]) -> Extents:
    """Sum the squared errors of pictures over the pixels in each range of extents.

    Args:
        extent: ``(1, H, W)`` float, in pixels; pixels with NaN (unknown) are not counted.
        sharp: ``(3, H, W)`` uint8.
        pictures: Pictures of the same shape and type; None is skipped.

    Returns:
        For each range: its number of pixels, then each picture's sum over these pixels and the channels.
    """
    known = ~extent[0].isnan()
    ranges = torch.bucketize(extent[0][known], torch.tensor(EDGES[1:-1]), right=True)
    sums = [torch.bincount(ranges, minlength=len(EDGES) - 1)]
    for picture in pictures:
        if picture is not None:
            errors = (picture.to(torch.int32) - sharp.to(torch.int32)).square().sum(dim=0)[known]  # exact below 2^24
            sums.append(torch.zeros(len(EDGES) - 1, dtype=torch.int64).index_add_(0, ranges, errors.long()))
    stacked: Extents = torch.stack(sums, dim=1).tolist()
    return stacked


def psnr_by_extent(rows: Sequence[Mapping[str, Any]], *, are_measured: bool = False) -> list[dict[str, float]]:
    """Compute the PSNR of each range of extents over the pixels of all frames; empty ranges are left out.

    Args:
        rows: Rows of scores. ``extents`` is the frame's result of ``squared_errors``; rows without it are skipped.
        are_measured: Whether ``paired`` measured the extents. It cannot tell one pixel from three, so the first two
            ranges are merged.

    Returns:
        For each range: ``from`` and ``to`` in pixels of extent, ``pixels``, ``psnr_blurry`` in dB if blurry frames were
        scored, and ``psnr`` in dB.
    """
    sums = [torch.tensor(row["extents"], dtype=torch.float64) for row in rows if row.get("extents")]
    if not sums:
        return []
    total, edges = torch.stack(sums).sum(dim=0), list(EDGES)
    if are_measured:
        total, edges = torch.cat([total[:2].sum(dim=0, keepdim=True), total[2:]]), [EDGES[0], *EDGES[2:]]
    ranges = []
    for low, high, (pixels, *errors) in zip(edges, edges[1:], total.tolist(), strict=False):
        if pixels:
            names = ("psnr_blurry", "psnr") if len(errors) == 2 else ("psnr",)
            psnrs = {name: _psnr(error, pixels) for name, error in zip(names, errors, strict=True)}
            ranges.append({"from": low, "to": high, "pixels": pixels, **psnrs})
    return ranges


def _psnr(squared_error: float, pixels: float) -> float:
    if not squared_error:
        return PSNR_CEILING
    return min(10 * math.log10(PEAK**2 * 3 * pixels / squared_error), PSNR_CEILING)
