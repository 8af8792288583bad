"""A result with another strength, computed from the picture and its result without running the network again."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2

from pipelines.tryout.pictures import Picture
from prep.io import photographs
from prep.io.photographs import Photo

MOST = 3.0  # of the page; beyond it, artefacts cover most pictures


def strengthened(picture: Picture, strength: float) -> Photo:
    """Multiply the change that restoring made to a picture by ``strength``; values are clipped to the picture's range.

    Raises:
        ReadError: If the picture or its result is gone.
    """
    result = picture.exact if picture.exact.exists() else picture.restored
    blurry, restored = photographs.read(picture.source), photographs.read(result)
    pixels: Any = cv2.addWeighted(restored.pixels, strength, blurry.pixels, 1 - strength, 0)
    return replace(blurry, pixels=pixels.reshape(blurry.pixels.shape))


@contextmanager
def written(picture: Picture, strength: float, quality: int) -> Iterator[Path]:
    """Write the file to download, the result with a strength in the format of the picture, until the context ends.

    Args:
        picture: A restored picture.
        strength: Factor on the change; with 1 the file is that of the result.
        quality: As in ``photographs.write``.

    Raises:
        ReadError, OSError: If the picture is gone, or the disk is full.
    """
    if strength == 1:
        yield picture.restored
        return
    with tempfile.TemporaryDirectory(dir=picture.folder) as folder:
        path = Path(folder, picture.restored.name)
        photographs.write(path, strengthened(picture, strength), quality)
        yield path
