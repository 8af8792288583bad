"""Sharpness maps S of one blurry frame, one file a published method; named here.

A method takes ``(H, W, 3)`` uint8 RGB and gives ``(H, W)`` float32 S in [0, 1], 1 where the frame is sharp.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from prep.arrays import Bytes, Floats
from prep.sharpness import lbp


@dataclass(frozen=True, kw_only=True)
class Method:
    """A sharpness map and what must be known to use it."""

    name: str
    compute: Callable[[Bytes], Floats]
    parameters: Mapping[str, float]  # all that decides S besides the frame; recorded beside every map
    ceiling: float  # no pixel's S ever exceeds it
    source: str


METHODS: Mapping[str, Method] = {
    method.name: method
    for method in (
        Method(
            name="lbp",
            compute=lbp.sharpness,
            parameters=lbp.PARAMETERS,
            ceiling=lbp.CEILING,
            source="Yi & Eramian 2016, LBP-based segmentation of defocus blur; guided filter in place of matting",
        ),
    )
}
