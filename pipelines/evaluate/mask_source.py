"""Where the masks M of scored frames come from: a masks folder, or S computed of each frame.

Legend: H, W a frame's height and width.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from pipelines.errors import EvaluationError
from prep.arrays import Bytes, Codes
from prep.io import extents, storage
from prep.io.storage import Source
from prep.masks import equations
from prep.masks.folder import MasksFolder
from prep.sharpness import METHODS


@dataclass(frozen=True, kw_only=True)
class MaskSource:
    """Where M comes from."""

    method: str  # of the sharpness map
    mu: float
    folder: MasksFolder | None = None  # made by cdg-prep masks; None computes S of each frame

    def check(self, keys: Sequence[str]) -> None:
        """Refuse a folder that does not hold these frames.

        Raises:
            EvaluationError: If so.
        """
        if self.folder is None:
            return
        records = self.folder.records
        missing = [key for key in keys if key not in records]
        if missing:
            many = f"{missing[0]} and {len(missing) - 1} others" if len(missing) > 1 else missing[0]
            raise EvaluationError(f"{self.folder.path} holds no map of {many}; make them with cdg-prep masks")
        methods = (records[key].recipe.method for key in keys)
        other = next((method for method in methods if method != self.method), "")
        if other:
            raise EvaluationError(f"{self.folder.path} holds maps by {other}; pass --method {other}")

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
            return self.folder.read_sharpness(key)
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
