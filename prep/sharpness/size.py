"""The smallest frame that a sharpness map is made of."""

from prep.arrays import Bytes

SMALLEST = 16  # pixels; smaller frames hold no window worth the name


def check(blurry: Bytes) -> None:
    """Refuse a frame without room for a window.

    Raises:
        ValueError: If a side of ``(H, W, 3)`` is below 16 pixels.
    """
    if min(blurry.shape[:2]) < SMALLEST:
        raise ValueError(f"frame is {blurry.shape[0]} x {blurry.shape[1]}; wanted at least {SMALLEST} x {SMALLEST}")
