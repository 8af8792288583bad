"""Optical flow between sharp frames: the extent of the blur over a window, and interpolated frames.

Flow is that of Kroeger et al. 2016 (DIS) as OpenCV has it: on textured places of 8-bit frames shifted by known parts of
a pixel it is within 0.1 px in the mean, where nothing can be seen it is near 0.

Legend: H, W a frame's height and width; T frames of a window, oldest first.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cache

import cv2
import numpy as np

from prep.arrays import Bytes, Codes, Floats
from prep.io import extents

_LOST = 24.0  # grey levels by which a pixel that was followed may differ from itself, as a mean over _AROUND
_AROUND = (7, 7)  # pixels

Steps = Callable[[int, int], Floats]  # from one frame of a window to one beside it: (H, W, 2), x and y in pixels


def steps(window: Sequence[Bytes | Codes]) -> Steps:
    """Flow between neighbouring frames, each computed once and when it is first asked for.

    Args:
        window: T of ``(H, W, 3)`` RGB, uint8 or uint16.
    """
    greys = [grey(pixels) for pixels in window]
    seeker = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)

    @cache
    def step(first: int, second: int) -> Floats:
        return np.asarray(seeker.calc(greys[first], greys[second], None), np.float32)  # type: ignore[call-overload]

    return step


def grey(pixels: Bytes | Codes) -> Bytes:
    """``(H, W, 3)`` RGB -> ``(H, W)``, 8 bits."""
    eight = pixels if pixels.dtype == np.uint8 else (pixels >> 8).astype(np.uint8)
    return np.asarray(cv2.cvtColor(eight, cv2.COLOR_RGB2GRAY), np.uint8)


def extent(window: Sequence[Bytes | Codes], step: Steps, parts: int = 1) -> Floats:
    """The extent of the blur in the middle frame, if the window is one exposure.

    Each pixel of the middle frame is followed to the first frame and to the last. The extent is that of the straight,
    even stroke with the largest variance of its places, as ``paired`` measures it: sqrt(12 l), l the larger eigenvalue
    of their covariance. n places in a row, d pixels apart, have d sqrt(n^2 - 1).

    Args:
        window: T of ``(H, W, 3)``, T odd.
        step: Their flow, from ``steps``.
        parts: As in ``interpolate``: how many steps one becomes.

    Returns:
        ``(H, W)`` float32, pixels; NaN where a pixel was lost on the way: it looks different at either end, because it
        was covered or left the frame.
    """
    middle = len(window) // 2
    x, y = np.meshgrid(*(np.arange(side, dtype=np.float32) for side in window[0].shape[1::-1]))
    here = grey(window[middle]).astype(np.float32)
    sums = np.zeros((5, *here.shape), np.float32)  # of the ways from the middle: x, y, x^2, y^2, x y
    is_lost = np.zeros(here.shape, bool)
    for end, sign in ((len(window) - 1, 1), (0, -1)):
        way_x, way_y = np.zeros((2, *here.shape), np.float32)
        for place in range(middle, end, sign):
            moved = cv2.remap(
                step(place, place + sign), x + way_x, y + way_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
            ) / np.float32(parts)
            for _ in range(parts):
                way_x += moved[..., 0]
                way_y += moved[..., 1]
                for total, term in zip(sums, (way_x, way_y, way_x**2, way_y**2, way_x * way_y), strict=True):
                    total += term
        there = cv2.remap(grey(window[end]), x + way_x, y + way_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        is_lost |= cv2.blur(np.abs(there - here), _AROUND) > _LOST
    mean_x, mean_y, xx, yy, xy = sums / np.float32((len(window) - 1) * parts + 1)
    length = extents.of_variances(xx - mean_x**2, yy - mean_y**2, xy - mean_x * mean_y)
    return np.where(is_lost, np.float32(np.nan), length)


def longest_step(count: int, step: Steps) -> float:
    """What 99 % of the pixels do not exceed between any two of ``count`` neighbouring frames, in pixels."""
    lengths = (np.hypot(*cv2.split(step(place, place + 1))) for place in range(count - 1))
    return max(float(np.percentile(length, 99)) for length in lengths)


def interpolate(lights: Iterable[Floats], step: Steps, parts: int) -> Iterator[Floats]:
    """Frames, and between each two of them ``parts`` - 1 more at even times.

    A frame between is both its neighbours, warped to its time and mixed by nearness; the flow at its time follows from
    theirs (Jiang et al. 2018, Super SloMo, equation 4). There is no model of what is covered: edges of things that
    pass before others are a mixture.

    Args:
        lights: T of ``(H, W, 3)`` float32, in light; two are held at a time.
        step: The flow of the same frames.
        parts: How many steps one becomes; 1 gives the frames alone.
    """
    remaining = iter(lights)
    before = next(remaining)
    for place, after in enumerate(remaining):
        yield before
        for part in range(1, parts):
            time = np.float32(part / parts)
            there, back = step(place, place + 1), step(place + 1, place)
            to_before = time * time * back - (1 - time) * time * there
            to_after = (1 - time) * (1 - time) * there - time * (1 - time) * back
            yield (1 - time) * _sample(before, to_before) + time * _sample(after, to_after)
        before = after
    yield before


def _sample(light: Floats, offsets: Floats) -> Floats:
    """``(H, W, 3)`` looked up at every pixel plus its ``(H, W, 2)`` offset."""
    x, y = np.meshgrid(*(np.arange(side, dtype=np.float32) for side in light.shape[1::-1]))
    sampled = cv2.remap(
        light, x + offsets[..., 0], y + offsets[..., 1], cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE
    )
    return np.asarray(sampled.clip(0), np.float32)
