"""Where the masks M of scored frames come from: a masks folder, or S computed of each frame.

Legend: H, W a frame's height and width.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from pipelines.errors import EvaluationError
from prep.arrays import Bytes, Codes
from prep.io import extents, frames, storage
from prep.io.storage import Source
from prep.masks import equations, making
from prep.sharpness import METHODS


@dataclass(frozen=True, kw_only=True)
class MaskSource:
    """Where M comes from."""

    method: str  # of the sharpness map
    mu: float
    folder: Path | None = None  # made by cdg-prep masks; None computes S of each frame

    def check(self, keys: Sequence[str]) -> None:
        """Refuse a folder that does not hold these frames.

        Raises:
            EvaluationError: If so.
            MaskError: If it is no masks folder.
        """
        if self.folder is None:
            return
        rows = making.read_rows(self.folder)
        missing = [key for key in keys if key not in rows]
        if missing:
            many = f"{missing[0]} and {len(missing) - 1} others" if len(missing) > 1 else missing[0]
            raise EvaluationError(f"{self.folder} holds no map of {many}; make them with cdg-prep masks")
        other = next((row.recipe.method for row in map(rows.get, keys) if row and row.recipe.method != self.method), "")
        if other:
            raise EvaluationError(f"{self.folder} holds maps by {other}; pass --method {other}")

    def read_sharpness(self, key: str, blurry: Bytes, sharp: Bytes, extent: Source | None) -> Codes:
        """S of a frame, read or computed.

        Args:
            key: Of the frame.
            blurry: ``(H, W, 3)`` uint8 RGB.
            sharp: The same.
            extent: The data set's own map of the extent of blur, if it has one.

        Returns:
            ``(H, W)`` uint16.

        Raises:
            EvaluationError: If the method needs the map and there is none.
            ReadError: If a map cannot be read.
        """
        if self.folder is not None:
            return frames.read_sharpness(making.sharpness_path(self.folder, key))
        method = METHODS[self.method]
        beside: Bytes | Codes = sharp
        if method.beside == "extent":
            if extent is None:
                raise EvaluationError(f"{key} has no extent/ beside its sharp/; pass another --method")
            beside = extents.decode(storage.read(extent), extent)
        return equations.to_codes(method.compute(blurry, beside))

    def mask(self, codes: Codes) -> Tensor:
        """M, ``(1, H, W)``."""
        return torch.from_numpy(equations.mask_of_codes(codes, self.mu))[None]
