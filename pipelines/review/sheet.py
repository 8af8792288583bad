"""Draw frames with their maps as one picture, for papers and pull requests.

Legend: H, W height and width of a frame.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pipelines.pages.sheet import draw_sheet
from prep.arrays import Bytes, Codes
from prep.masks import equations


@dataclass(frozen=True, kw_only=True)
class SheetFrame:
    """One frame of a sheet."""

    key: str
    blurry: Bytes  # (H, W, 3)
    sharp: Bytes  # (H, W, 3)
    codes: Codes  # (H, W), S as stored


def draw_masks(frames: Sequence[SheetFrame], mus: Sequence[float]) -> Bytes:
    """Draw one picture with a row per frame: blurry, S, M at each threshold, Sgt and Lgt at the last threshold.

    Args:
        frames: At least one frame.
        mus: At least one threshold.

    Returns:
        The picture, RGB uint8; 372 pixels per column.
    """
    last = f"mu {mus[-1]:g}"
    names = ["blurry", "S: yellow is sharp", *(f"M: S above {mu:g}" for mu in mus), f"Sgt, {last}", f"Lgt, {last}"]
    rows: list[tuple[list[Bytes | Codes], list[str]]] = []
    for frame in frames:
        masks = [equations.mask_of_codes(frame.codes, mu) for mu in mus]
        sgt, lgt = equations.component_targets(frame.sharp, masks[-1])
        cells: list[Bytes | Codes] = [frame.blurry, frame.codes, *(mask * np.uint8(255) for mask in masks), sgt, lgt]
        shares = [f"{mask.mean():.1%} marked" for mask in masks]
        rows.append((cells, [frame.key, "", *shares, "", ""]))
    return draw_sheet(names, rows)
