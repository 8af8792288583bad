"""Optical flow between sharp frames, for the blur length over a window and for interpolated frames.

The flow is OpenCV's DIS (Kroeger et al. 2016). For 8-bit frames shifted by known fractions of a pixel, its mean error
is below 0.1 pixels in textured regions; without texture, the flow is near 0.

Legend: H, W a frame's height and width; T frames of a window, oldest first.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cache

import cv2
import numpy as np

from prep.arrays import Bytes, Codes, Floats
from prep.io import extents

_LOST = 24.0  # grey levels: largest change of a tracked pixel, averaged over _AROUND
_AROUND = (7, 7)  # pixels: width and height of that average

# Flow from a frame of a window to a neighbouring frame: (H, W, 2), x and y in pixels.
Steps = Callable[[int, int], Floats]


def steps(window: Sequence[Bytes | Codes]) -> Steps:
    """Return a function for the flow between neighbouring frames; each flow is computed once, when first needed.

    Args:
        window: T frames, ``(H, W, 3)`` RGB, uint8 or uint16.
    """
    greys = [grey(pixels) for pixels in window]
    seeker = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)

    @cache
    def step(first: int, second: int) -> Floats:
        return np.asarray(seeker.calc(greys[first], greys[second], None), np.float32)  # type: ignore[call-overload]

    return step


def grey(pixels: Bytes | Codes) -> Bytes:
    """Convert ``(H, W, 3)`` RGB to 8-bit grey, ``(H, W)``."""
    eight = pixels if pixels.dtype == np.uint8 else (pixels >> 8).astype(np.uint8)
    return np.asarray(cv2.cvtColor(eight, cv2.COLOR_RGB2GRAY), np.uint8)


def extent(window: Sequence[Bytes | Codes], step: Steps, parts: int = 1) -> Floats:
    """Compute the blur length in the middle frame, taking the window as one exposure.

    Each pixel of the middle frame is tracked to the first and the last frame. The blur length is sqrt(12 l), where l is
    the larger eigenvalue of the covariance of the pixel's positions, as ``paired`` measures it. For n positions on a
    line, d pixels apart, it is d sqrt(n^2 - 1).

    Args:
        window: T frames, ``(H, W, 3)``, T odd.
        step: The flow between them, from ``steps``.
        parts: Steps from one frame to the next, as in ``interpolate``.

    Returns:
        ``(H, W)`` float32, pixels; NaN where tracking failed: the pixel looks different in the first or last frame,
        because it was covered or left the frame.
    """
    middle = len(window) // 2
    x, y = np.meshgrid(*(np.arange(side, dtype=np.float32) for side in window[0].shape[1::-1]))
    here = grey(window[middle]).astype(np.float32)
    sums = np.zeros((5, *here.shape), np.float32)  # sums of the shifts from the middle frame: x, y, x^2, y^2, x y
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
    """Return the largest motion in a step between ``count`` frames, in pixels: the 99th percentile over the pixels."""
    lengths = (np.hypot(*cv2.split(step(place, place + 1))) for place in range(count - 1))
    return max(float(np.percentile(length, 99)) for length in lengths)


def interpolate(lights: Iterable[Floats], step: Steps, parts: int) -> Iterator[Floats]:
    """Yield frames, with ``parts`` - 1 interpolated frames between neighbours, evenly spaced in time.

    An interpolated frame is the mean of its neighbours, warped to its time and weighted by nearness in time; its flow
    is computed from theirs (Jiang et al. 2018, Super SloMo, equation 4). Occlusion is not modelled, so both frames are
    mixed at the edges of moving objects.

    Args:
        lights: T frames, ``(H, W, 3)`` float32 light; two are in memory at a time.
        step: Flow between the same frames.
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
    """Sample light, ``(H, W, 3)``, at every pixel plus its offset, ``(H, W, 2)``."""
    x, y = np.meshgrid(*(np.arange(side, dtype=np.float32) for side in light.shape[1::-1]))
    sampled = cv2.remap(
        light, x + offsets[..., 0], y + offsets[..., 1], cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE
    )
    return np.asarray(sampled.clip(0), np.float32)
