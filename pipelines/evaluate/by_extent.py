"""PSNR against the extent of the blur, where that is known at each pixel.

Legend: H, W a frame's height and width.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from cdgnet.metrics import PEAK

EDGES = (0.0, 2.0, 4.0, 8.0, 16.0, 32.0, math.inf)  # pixels


def squares(extent: Tensor, sharp: Tensor, pictures: Sequence[Tensor | None]) -> list[list[int]]:
    """Squared errors of pictures, summed over the pixels between each two edges.

    Args:
        extent: ``(1, H, W)`` float, pixels; NaN where it is not known, which counts nowhere.
        sharp: ``(3, H, W)`` uint8.
        pictures: The same; None gives none.

    Returns:
        For each pair of edges: pixels, then each picture's sum over them and the channels.
    """
    known = ~extent[0].isnan()
    places = torch.bucketize(extent[0][known], torch.tensor(EDGES[1:-1]), right=True)
    sums = [torch.bincount(places, minlength=len(EDGES) - 1)]
    for picture in pictures:
        if picture is not None:
            errors = (picture.to(torch.int32) - sharp.to(torch.int32)).square().sum(dim=0)[known]  # exact below 2^24
            sums.append(torch.zeros(len(EDGES) - 1, dtype=torch.int64).index_add_(0, places, errors.long()))
    return torch.stack(sums, dim=1).tolist()


def pooled(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, float]]:
    """PSNR of all pixels of a range of extents, whatever frame they are of; ranges without a pixel are left out.

    Args:
        rows: Of ``evaluation``; what ``squares`` gave lies in ``extents``.

    Returns:
        ``from`` and ``to`` in pixels of extent, ``pixels``, ``psnr_blurry`` where blurry frames are, and ``psnr``, dB.
    """
    held = [torch.tensor(row["extents"], dtype=torch.float64) for row in rows if row.get("extents")]
    if not held:
        return []
    found = []
    for low, high, (pixels, *errors) in zip(EDGES, EDGES[1:], torch.stack(held).sum(dim=0).tolist(), strict=False):
        if pixels:
            names = ("psnr_blurry", "psnr") if len(errors) == 2 else ("psnr",)
            scores = {
                name: 10 * math.log10(PEAK**2 * 3 * pixels / error) if error else math.inf
                for name, error in zip(names, errors, strict=True)
            }
            found.append({"from": low, "to": high, "pixels": pixels, **scores})
    return found
