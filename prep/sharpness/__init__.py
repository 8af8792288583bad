"""Methods for the sharpness map S of a blurry frame, one file per method.

A method takes the frame, ``(H, W, 3)`` uint8 RGB, and if it needs one the sharp partner or a blur-length map, and
returns S, ``(H, W)`` float32 in [0, 1], 1 where the frame is sharp. ``size.py`` refuses frames that are too small.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from prep.arrays import Bytes, Floats
from prep.sharpness import extent, hifst, laplacian, lbp, lbp_absolute, lbp_matting, paired


@dataclass(frozen=True, kw_only=True)
class Method:
    """A method and the facts that its users need."""

    name: str
    compute: Callable[[Bytes, Any], Floats]  # takes the blurry frame and the file that ``beside`` names
    parameters: Mapping[str, float]  # all settings that affect S; recorded with every map
    ceiling: float  # the largest possible S
    source: str
    beside: str = ""  # further input: "sharp", the partner, or "extent", the blur-length map; empty for none
    is_relative: bool = False  # S is relative to the frame, so the mask of a mostly sharp frame may be empty
    mu: float = 0.96  # usual threshold; the paper's (Wang et al. 2021, section 3.5)


METHODS: Mapping[str, Method] = {
    method.name: method
    for method in (
        Method(
            name="lbp",
            compute=lbp.sharpness,
            parameters=lbp.PARAMETERS,
            ceiling=lbp.CEILING,
            source="Yi & Eramian 2016, LBP-based segmentation of defocus blur; guided filter in place of matting",
            is_relative=True,
        ),
        Method(
            name="lbp-matting",
            compute=lbp_matting.sharpness,
            parameters=lbp_matting.PARAMETERS,
            ceiling=lbp.CEILING,
            source="Yi & Eramian 2016, with closed-form matting (Levin et al. 2008) as released",
            is_relative=True,
        ),
        Method(
            name="lbp-absolute",
            compute=lbp_absolute.sharpness,
            parameters=lbp_absolute.PARAMETERS,
            ceiling=lbp.CEILING,
            source="after Yi & Eramian 2016; scored against constants from photographs instead of the frame itself",
        ),
        Method(
            name="hifst",
            compute=hifst.sharpness,
            parameters=hifst.PARAMETERS,
            ceiling=hifst.CEILING,
            source="Golestaneh & Karam 2017, Spatially-varying blur detection (HiFST)",
        ),
        Method(
            name="laplacian",
            compute=laplacian.sharpness,
            parameters=laplacian.PARAMETERS,
            ceiling=1.0,
            source="Pech-Pacheco et al. 2000, Diatom autofocusing in brightfield microscopy; a diagnostic",
        ),
        Method(
            name="paired",
            compute=paired.sharpness,
            parameters=paired.PARAMETERS,
            ceiling=paired.CEILING,
            source="ours, 2026: second moments of the local kernel between the blurry frame and its sharp partner",
            beside="sharp",
            mu=paired.MU,
        ),
        Method(
            name="extent",
            compute=extent.sharpness,
            parameters=extent.PARAMETERS,
            ceiling=extent.CEILING,
            source="ours, 2026: blur lengths known from synthesis, on the scale of paired",
            beside="extent",
            mu=paired.MU,
        ),
    )
}


def prepare(method: str) -> None:
    """Compile a method for this machine once: up to half a minute, longer for ``lbp-matting``.

    Later processes load the compiled code. Without this call, processes that start together would each compile.
    """
    frame = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    METHODS[method].compute(frame, frame[:, :, 0].astype(np.uint16) if METHODS[method].beside == "extent" else frame)
