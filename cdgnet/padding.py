"""Padding frames to a size that a network accepts, and cropping them back.

Legend: B batch, C channels, H and W a frame's height and width in pixels.
"""

import torch
import torch.nn.functional as functional
from torch import Tensor

from cdgnet.tracing import is_exporting

MINIMUM_SIZE = 16
"""Smallest height and width of a frame, in pixels; its quarter-resolution map is then 4 x 4."""

SIZE_MULTIPLE = 4
"""Height and width must be multiples of this number of pixels, because the encoder halves the resolution twice."""


def pad_to_multiple(images: Tensor, multiple: int | tuple[int, int] = SIZE_MULTIPLE) -> Tensor:
    """Repeat the last row and column until height and width are multiples of ``multiple``.

    Padding is added below and on the right only, so that pixels keep their coordinates. It repeats the edge instead
    of mirroring it, which works for frames of any size.

    Args:
        images: ``(B, C, H, W)``, float.
        multiple: In pixels, at least 1; one number, or (height, width).

    Returns:
        ``(B, C, H', W')``, rounded up to the next multiples; ``images`` itself if no padding is needed.
    """
    height, width = images.shape[-2:]
    down, across = multiple if isinstance(multiple, tuple) else (multiple, multiple)
    below, right = -height % down, -width % across
    if not is_exporting() and not below and not right:  # an export must not depend on the traced size
        return images
    return functional.pad(images, (0, right, 0, below), mode="replicate")


def crop_to_size(images: Tensor, size: tuple[int, int]) -> Tensor:
    """Undo ``pad_to_multiple``: return the upper left ``size`` = (height, width) of ``(B, C, H, W)``, as a view.

    Raises:
        ValueError: If ``images`` is smaller than ``size``.
    """
    height, width = size
    if is_exporting():  # a slice would record in the program whether the traced frame was cropped
        rows, columns = (torch.arange(side, device=images.device) for side in size)
        return images.index_select(-2, rows).index_select(-1, columns)
    if images.shape[-2] < height or images.shape[-1] < width:
        found = f"{images.shape[-1]} x {images.shape[-2]}"
        raise ValueError(f"images of {found} cannot be cropped to {width} x {height}; pass a smaller size")
    return images[..., :height, :width]
