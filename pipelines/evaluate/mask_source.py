"""The source of the masks M of scored frames: a masks folder, or S computed for each frame.

Legend: H, W a frame's height and width.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from pipelines.errors import EvaluationError
from pipelines.packs import tensor_of
from prep.arrays import Bytes, Codes
from prep.io import extents, frames
from prep.io.storage import Source
from prep.masks import equations
from prep.masks.folder import MasksFolder
from prep.sharpness import METHODS, paired
from prep.units import counted

if TYPE_CHECKING:
    from torch import Tensor

BY_EXTENT = ("extent", "paired")  # methods whose S encodes the extent of the blur in pixels

Contents = Mapping[Source, bytes]
"""The bytes of a frame's files."""


@dataclass(frozen=True, kw_only=True)
class MaskSource:
    """The source of M, as given by the options; ``resolved`` fills in the unset fields."""

    method: str = ""  # method of the sharpness map; empty: the best available one
    mu: float | None = None  # threshold; None: that of the maps, or the method's default
    folder: MasksFolder | None = None  # made by cdg-prep masks; None: S is computed for each frame

    def resolved(self, *, has_extents: bool = False, own: tuple[str, float] | None = None) -> "MaskSource":
        """Fill in the unset fields.

        Methods that know the extent of the blur are preferred, because components mean little without it.

        Args:
            has_extents: Whether all frames have a map of the extent.
            own: Method and mu of the maps stored with the frames, as in a pack.
        """
        method = self.method or (self.folder.method if self.folder else "")
        if not method and own is not None and own[0] in BY_EXTENT:
            method = own[0]
        method = method or ("extent" if has_extents else "paired")
        mu = self.mu
        if mu is None:
            mus = self.folder.mus(self.folder.records) if self.folder else []
            mus += [own[1]] if own is not None and own[0] == method and self.folder is None else []
            mu = mus[0] if len(mus) == 1 else METHODS[method].mu
        return MaskSource(method=method, mu=mu, folder=self.folder)

    def describe(self) -> str:
        """Describe the source for the protocol: method, mu, and the blur length that mu stands for, if any."""
        assert self.mu is not None
        text = f"M by {self.method} at mu {self.mu:g}"
        if self.method in BY_EXTENT and 0 < self.mu < 1:
            length = float(paired.extent_of(np.array([self.mu], np.float32))[0])
            text += f": 1 where blur is up to {length:.1f} pixels long"
        return text

    def check(self, keys: Sequence[str]) -> None:
        """Refuse a masks folder that lacks some of these frames or was made by another method.

        Raises:
            EvaluationError: If a mask is missing or made by another method.
        """
        if self.folder is None:
            return
        records = self.folder.records
        missing = [key for key in keys if key not in records]
        if missing:
            others = counted(len(missing) - 1, "other frame")
            many = f"{missing[0]} and {others}" if len(missing) > 1 else missing[0]
            raise EvaluationError(f"{self.folder.path} has no mask of {many}; make masks with cdg-prep masks")
        methods = (records[key].recipe.method for key in keys)
        other = next((method for method in methods if method != self.method), "")
        if other:
            raise EvaluationError(f"the masks in {self.folder.path} are by {other}; use --method {other}")

    def sources(self, key: str) -> Sequence[Source]:
        """Return the file that S of a frame is read from; empty if S is computed."""
        return [self.folder.sharpness_path(key)] if self.folder else []

    def sharpness(
        self, key: str, blurry: Bytes, sharp: Bytes, contents: Contents, extent: Source | None = None
    ) -> Codes:
        """Return S of a frame, decoded or computed.

        Args:
            key: The frame's key.
            blurry: ``(H, W, 3)`` uint8 RGB.
            sharp: The same shape and type.
            contents: The bytes of the files in ``sources``, and of ``extent``.
            extent: The data set's own map of the extent of blur, if it has one.

        Returns:
            ``(H, W)`` uint16.

        Raises:
            EvaluationError: If the method needs ``extent`` and it is None.
            FrameError: If a map is damaged.
        """
        if self.folder is not None:
            path = self.folder.sharpness_path(key)
            return frames.decode_sharpness(contents[path], path)
        method = METHODS[self.method]
        beside: Bytes | Codes = sharp
        if method.beside == "extent":
            if extent is None:
                raise EvaluationError(f"{key} has no map of blur lengths (extent/ beside sharp/); use another --method")
            beside = extents.decode(contents[extent], extent)
        return equations.to_codes(method.compute(blurry, beside))

    def mask(self, codes: Codes) -> "Tensor":
        """Compute M, ``(1, H, W)``, from S."""
        assert self.mu is not None
        return tensor_of(equations.mask_of_codes(codes, self.mu))[None]


DEFAULT_MASKS = MaskSource()
"""The default: masks from known blur lengths if available, otherwise computed by ``paired``."""
