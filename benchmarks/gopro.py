"""A GoPro folder of any size for the benchmarks, filled with links to a few pairs."""

from pathlib import Path

import cv2
import numpy as np

SIZE = (720, 1280)


def make_gopro(folder: Path, count: int, data: Path | None) -> Path:
    """Make a GoPro data set of ``count`` training pairs of 1280 x 720 pixels, as links to a few different pairs.

    Args:
        folder: Folder for ``GOPRO_Large``.
        count: Number of pairs.
        data: Folder of the test data, to use its real pairs; None to blur photographs of scikit-image.

    Returns:
        Path of ``GOPRO_Large``.
    """
    root = folder / "GOPRO_Large"
    clip = root / "train" / "clip"
    for side in ("blur", "sharp"):
        (clip / side).mkdir(parents=True)
    first = _real(data) if data else _photographs(folder / "photographs")
    for number in range(count):
        for side, path in zip(("blur", "sharp"), first[number % len(first)], strict=True):
            target = clip / side / f"{number:06}.png"
            if data:
                target.symlink_to(path.resolve())
            else:
                target.hardlink_to(path)
    return root


def _real(data: Path) -> list[tuple[Path, Path]]:
    blurry = sorted((data / "GOPRO_Large").rglob("blur/*.png"))
    return [(path, path.parents[1] / "sharp" / path.name) for path in blurry]


def _photographs(folder: Path) -> list[tuple[Path, Path]]:
    """Write photographs of 1280 x 720 pixels with noise, sharp and with a horizontal blur of nine pixels."""
    from skimage import data

    from prep.io import frames

    rng = np.random.default_rng(0)
    pairs = []
    for name in ("astronaut", "chelsea", "coffee", "rocket"):
        large = cv2.resize(getattr(data, name)(), SIZE[::-1], interpolation=cv2.INTER_CUBIC).astype(np.float32)
        seen = (large, cv2.blur(large, (9, 1)))
        sharp, blurry = (np.rint(one + rng.normal(0, 2, large.shape)).clip(0, 255).astype(np.uint8) for one in seen)
        pairs.append((folder / f"{name}-blur.png", folder / f"{name}-sharp.png"))
        for path, picture in zip(pairs[-1], (blurry, sharp), strict=True):
            frames.write(path, picture)
    return pairs
