"""Frames beside their maps as one picture, for papers and pull requests.

Legend: H, W a frame's height and width.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pipelines.pages.sheet import draw
from prep.arrays import Bytes, Codes
from prep.masks import equations


@dataclass(frozen=True, kw_only=True)
class Shown:
    """One frame of a sheet."""

    key: str
    blurry: Bytes  # (H, W, 3)
    sharp: Bytes  # (H, W, 3)
    codes: Codes  # (H, W), S as stored


def sheet(shown: Sequence[Shown], mus: Sequence[float]) -> Bytes:
    """Draw a row a frame: blurry, S, M at each threshold, Sgt and Lgt at the last of them.

    Args:
        shown: At least one frame.
        mus: At least one threshold.

    Returns:
        RGB, uint8; 372 pixels a column.
    """
    last = f"mu {mus[-1]:g}"
    names = ["blurry", "S: yellow is sharp", *(f"M: S above {mu:g}" for mu in mus), f"Sgt, {last}", f"Lgt, {last}"]
    rows: list[tuple[list[Bytes | Codes], list[str]]] = []
    for one in shown:
        found = [equations.mask_of_codes(one.codes, mu) for mu in mus]
        sgt, lgt = equations.component_targets(one.sharp, found[-1])
        cells: list[Bytes | Codes] = [one.blurry, one.codes, *(mask * np.uint8(255) for mask in found), sgt, lgt]
        shares = [f"{mask.mean():.1%} marked" for mask in found]
        rows.append((cells, [one.key, "", *shares, "", ""]))
    return draw(names, rows)
