"""The smallest frame that has a sharpness map."""

from prep.arrays import Bytes

SMALLEST = 16  # pixels


def check(blurry: Bytes) -> None:
    """Check that a frame is large enough for the windows of the methods.

    Raises:
        ValueError: If a side of ``(H, W, 3)`` is below 16 pixels.
    """
    if min(blurry.shape[:2]) < SMALLEST:
        raise ValueError(f"the frame is {blurry.shape[1]} x {blurry.shape[0]}; the smallest is {SMALLEST} x {SMALLEST}")
