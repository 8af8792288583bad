"""Test data in small: the layouts that benchmarks read, filled with photographs that come with scikit-image.

Legend: H, W the frames' height and width, 360 and 640; photographs have 480 and 640.
"""

from pathlib import Path

import cv2
import numpy as np
from commands import call
from skimage import data as photographs

from prep.arrays import Bytes, Size
from prep.io import frames

SIZE = (360, 640)


def make_data(folder: Path) -> Path:
    """GOPRO_Large, GOPRO_Large_all, REDS, photographs and blur_detection in ``folder``."""
    sharp = _photograph("astronaut", SIZE)
    blurry = cv2.blur(sharp, (9, 1))
    for clip in ("GOPRO_Large/train/one", "GOPRO_Large/test/other"):
        _write_pairs(folder / clip / "blur", folder / clip / "sharp", blurry, sharp)
    reds = folder / "REDS/train"
    _write_pairs(reds / "train_blur/000", reds / "train_sharp/000", blurry, sharp)
    for number in range(11):  # a window of a recording that moves a pixel a frame
        frames.write(folder / f"GOPRO_Large_all/train/clip/{number:06}.png", np.roll(sharp, number, axis=1))
    frames.write(folder / "photographs/coffee.png", _photograph("coffee", (480, 640)))
    mask = np.zeros(SIZE, np.uint8)
    mask[:, : SIZE[1] // 2] = 255
    (folder / "blur_detection/image").mkdir(parents=True)
    cv2.imwrite(str(folder / "blur_detection/image/one.jpg"), np.where(mask[:, :, None] > 0, blurry, sharp))
    frames.write(folder / "blur_detection/gt/one.png", mask)
    return folder


def make_test_packs(data: Path, folder: Path) -> Path:
    """The packs of synthesised pairs that ``make weights`` leaves for the benchmark of its weights, with one frame."""
    for name, camera in (("test-codes", "none"), ("test-phone", "phone")):
        made, masks = folder / name, folder / f"{name}-masks"
        synth = ("--photos", "--count", 1, "--size", f"{SIZE[1]}x{SIZE[0]}", "--camera", camera, "--jobs", 1)
        for words in (
            ("synth", data / "photographs", *synth, "--out", made),
            ("masks", "--root", made, "--method", "extent", "--out", masks, "--jobs", 1),
            ("pack", "gopro", "--root", made, "--masks", masks, "--crop", "frame", "--out", folder / f"{name}.h5"),
        ):
            done = call(folder, "prep", *words)
            assert done.returncode == 0, done
    return folder


def _photograph(name: str, size: Size) -> Bytes:
    """With a sensor's noise, ``(H, W, 3)``."""
    photo = cv2.resize(getattr(photographs, name)(), size[::-1], interpolation=cv2.INTER_AREA)
    noise = np.random.default_rng(0).normal(0, 2, photo.shape)
    return np.rint(photo + noise).clip(0, 255).astype(np.uint8)


def _write_pairs(blurry_folder: Path, sharp_folder: Path, blurry: Bytes, sharp: Bytes) -> None:
    """Two pairs, the second a mirror of the first."""
    for number in range(2):
        for path, picture in ((blurry_folder, blurry), (sharp_folder, sharp)):
            frames.write(path / f"{number:06}.png", np.ascontiguousarray(picture[:, :: 1 - 2 * number]))
