"""Whether the frames that are scored are pairs: each is compared as it comes, at no extra reading."""

from collections.abc import Mapping, Sequence

import numpy as np
from torch import Tensor

from pipelines.evaluate.frame_sources import EvaluationFrame, FrameSource
from prep.arrays import Bytes
from prep.pairing import search
from prep.pairing.comparison import Comparison, compare
from prep.pairing.search import Finding

Comparisons = Mapping[str, Comparison]
"""Of one frame: what each of its pictures, by name, looks like beside the sharp one."""


def compare_frame(frame: EvaluationFrame, restored: str = "restored") -> Comparisons:
    """Compare what a frame brings with it, not what a network is to make of it.

    Args:
        frame: To be scored.
        restored: What another program's picture is called.
    """
    pictures = {"blurry": frame.blurry, restored: frame.restored}
    sharp = _to_array(frame.sharp)
    return {name: compare(_to_array(each), sharp) for name, each in pictures.items() if each is not None}


def findings(compared: Mapping[str, Comparisons]) -> list[Finding]:
    """What is wrong with frames that were compared.

    Args:
        compared: By key, in the frames' order.
    """
    names = dict.fromkeys(name for comparisons in compared.values() for name in comparisons)
    return [
        finding
        for name in names
        for finding in search.summarise({key: each[name] for key, each in compared.items() if name in each}, name)
    ]


def compare_sample(frames: FrameSource, keys: Sequence[str]) -> dict[str, Comparisons]:
    """Read and compare a sample of frames: those that were scored in an earlier run, of which nothing is kept."""
    numbers = {key: number for number, key in enumerate(frames.keys)}
    return {key: compare_frame(frames[numbers[key]], frames.scored) for key in search.sample(keys)}


def _to_array(picture: Tensor) -> Bytes:
    """``(3, H, W)`` -> ``(H, W, 3)``."""
    return np.ascontiguousarray(picture.permute(1, 2, 0).numpy())
