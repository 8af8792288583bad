"""Optical flow between sharp frames: the blur length over a window, and interpolated frames.

The flow is OpenCV's DIS (Kroeger et al. 2016). For 8-bit frames shifted by known fractions of a pixel, its mean error
is below 0.1 pixels where there is texture; without texture the flow is near 0.

Legend: H, W a frame's height and width; T frames of a window, oldest first.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cache

import cv2
import numpy as np

from prep.arrays import Bytes, Codes, Floats
from prep.io import extents

_LOST = 24.0  # grey levels by which a tracked pixel may change, as a mean over _AROUND
_AROUND = (7, 7)  # pixels

Steps = Callable[[int, int], Floats]  # from one frame of a window to one beside it: (H, W, 2), x and y in pixels


def steps(window: Sequence[Bytes | Codes]) -> Steps:
    """Flow between neighbouring frames, each computed once, when it is first needed.

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
    """The blur length in the middle frame, if the window is one exposure.

    Each pixel of the middle frame is tracked to the first and the last frame. The blur length is sqrt(12 l), l the
    larger eigenvalue of the covariance of its places, as ``paired`` measures it. For n places in a row, d pixels apart,
    it is d sqrt(n^2 - 1).

    Args:
        window: T of ``(H, W, 3)``, T odd.
        step: Their flow, from ``steps``.
        parts: Steps from one frame to the next, as in ``interpolate``.

    Returns:
        ``(H, W)`` float32, pixels; NaN where tracking failed: the pixel looks different at an end, because it was
        covered or left the frame.
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
    """The largest motion from one of ``count`` frames to the next, pixels: the 99th percentile over the pixels."""
    lengths = (np.hypot(*cv2.split(step(place, place + 1))) for place in range(count - 1))
    return max(float(np.percentile(length, 99)) for length in lengths)


def interpolate(lights: Iterable[Floats], step: Steps, parts: int) -> Iterator[Floats]:
    """Frames, with ``parts`` - 1 more between each two of them, evenly spaced in time.

    An interpolated frame is a mix of its neighbours, warped to its time and weighted by nearness; its flow follows from
    theirs (Jiang et al. 2018, Super SloMo, equation 4). Occlusion is not modelled: edges of moving objects are a mix.

    Args:
        lights: T of ``(H, W, 3)`` float32, in light; two are in memory at a time.
        step: Flow of the same frames.
        parts: Steps from one frame to the next; 1 adds no frames.
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
