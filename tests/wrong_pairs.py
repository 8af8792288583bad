"""Pictures, their blurry partners, and everything that makes a pair none."""

from collections.abc import Callable

import cv2
import numpy as np
from skimage import data

from prep.arrays import Bytes

PICTURES: dict[str, Callable[[], Bytes]] = {
    name: getattr(data, name) for name in ("astronaut", "coffee", "chelsea", "rocket")
}


def picture(name: str) -> Bytes:
    """``(H, W, 3)`` uint8."""
    return np.ascontiguousarray(PICTURES[name]())


def smeared(sharp: Bytes, length: float, angle: float = 0.5, begin: float = -0.5) -> Bytes:
    """Seen while the camera moves ``length`` pixels, from ``begin`` of them on; the sharp frame lies at 0."""
    radius = int(np.ceil(length)) + 1
    kernel = np.zeros((2 * radius + 1, 2 * radius + 1), np.float32)
    for place in np.linspace(begin, begin + 1, 8 * radius):
        x, y = (radius + length * place * np.array([np.cos(angle), np.sin(angle)])).round().astype(int)
        kernel[y, x] += 1
    blurry = cv2.filter2D(sharp, -1, kernel / kernel.sum(), borderType=cv2.BORDER_REFLECT)
    return np.asarray(blurry, np.uint8)


def noisy(frame: Bytes, sigma: float) -> Bytes:
    """With Gaussian noise."""
    noise = np.random.default_rng(3).normal(0, sigma, frame.shape)
    return np.clip(np.rint(frame + noise), 0, 255).astype(np.uint8)


def compressed(frame: Bytes, quality: int) -> Bytes:
    """As a JPEG of that quality holds it."""
    _, stored = cv2.imencode(".jpg", frame, [cv2.IMWRITE_JPEG_QUALITY, quality])
    return np.asarray(cv2.imdecode(stored, cv2.IMREAD_COLOR), np.uint8)


def averaged_light(sharp: Bytes, length: float) -> Bytes:
    """Blurred as a sensor does it: light is averaged, and then coded with a gamma of 2.2."""
    light = (sharp / 255.0).astype(np.float32) ** 2.2
    kernel = np.full((1, int(length)), 1 / int(length), np.float32)
    return np.rint(255 * np.clip(cv2.filter2D(light, -1, kernel), 0, 1) ** (1 / 2.2)).astype(np.uint8)


def to_gamma(frame: Bytes, gamma: float) -> Bytes:
    """Codes to the power of ``gamma``."""
    return np.rint(255 * (frame / 255) ** gamma).astype(np.uint8)


def shifted(frame: Bytes, x: int, y: int) -> Bytes:
    """Moved by whole pixels, round the edges."""
    return np.roll(frame, (y, x), (0, 1))


def enlarged_middle(frame: Bytes, factor: float) -> Bytes:
    """The middle of a frame at the frame's size."""
    height, width = frame.shape[:2]
    y, x = (round(side * (1 - 1 / factor) / 2) for side in (height, width))
    return np.asarray(cv2.resize(frame[y : height - y, x : width - x], (width, height)), np.uint8)
