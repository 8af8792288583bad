"""Frames of any size brought to one that a network takes, and back.

Legend: B batch, C channels, H and W a frame's height and width in pixels.
"""

import torch
import torch.nn.functional as functional
from torch import Tensor

from cdgnet.tracing import is_exporting

MINIMUM_SIZE = 16
"""Pixels on a network's shorter side; below it a quarter-resolution map is smaller than two 3x3 kernels."""

SIZE_MULTIPLE = 4
"""The encoder halves the frame twice, so both sides must be a multiple of this many pixels."""


def pad_to_multiple(images: Tensor, multiple: int | tuple[int, int] = SIZE_MULTIPLE) -> Tensor:
    """Repeat the last row and column until both sides are a multiple of ``multiple``.

    Only below and to the right, so that a pixel keeps its coordinates; repeated rather than mirrored, so that
    no frame is too small for it.

    Args:
        images: ``(B, C, H, W)``, float.
        multiple: Pixels, at least 1; two are of the height and of the width.

    Returns:
        ``(B, C, H', W')``, each side the next multiple; ``images`` itself where nothing is missing.
    """
    height, width = images.shape[-2:]
    down, across = multiple if isinstance(multiple, tuple) else (multiple, multiple)
    below, right = -height % down, -width % across
    if not is_exporting() and not below and not right:  # an exported program must not depend on one frame's size
        return images
    return functional.pad(images, (0, right, 0, below), mode="replicate")


def crop_to_size(images: Tensor, size: tuple[int, int]) -> Tensor:
    """Undo ``pad_to_multiple``: the upper left ``size`` = (height, width) of ``(B, C, H, W)``, as a view.

    Raises:
        ValueError: If ``images`` is smaller than ``size``.
    """
    height, width = size
    if is_exporting():  # a view would ask whether anything was cropped, and the answer would be a part of the program
        rows, columns = (torch.arange(side, device=images.device) for side in size)
        return images.index_select(-2, rows).index_select(-1, columns)
    if images.shape[-2] < height or images.shape[-1] < width:
        found = f"{images.shape[-1]} x {images.shape[-2]}"
        raise ValueError(f"images of {found} cannot be cropped to {width} x {height}; pass a smaller size")
    return images[..., :height, :width]
