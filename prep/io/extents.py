"""Find and decode maps of the blur length: 16 bits per pixel, in files beside the sharp frames.

A pixel is smeared along a path during the exposure. Its blur length, in pixels of the frame, is the length of the
straight, uniform stroke with the same variance along its main axis: 0 where nothing moves.

Legend: H, W a frame's height and width.
"""

import functools
from pathlib import Path, PurePosixPath

import numpy as np

from prep.arrays import Codes, Floats
from prep.errors import FrameError
from prep.io import frames, storage
from prep.io.storage import ArchiveMember, Source

SCALE = 256  # code = round(pixels * 256)
UNKNOWN = 65535  # code of pixels whose blur length is not known
LARGEST = (UNKNOWN - 1) / SCALE  # pixels; longer blur is clipped to this


def to_codes(extent: Floats) -> Codes:
    """Convert blur lengths in pixels to codes; NaN means unknown."""
    known = np.rint(np.nan_to_num(extent, nan=0) * SCALE).clip(0, UNKNOWN - 1)
    return np.where(np.isnan(extent), np.uint16(UNKNOWN), known.astype(np.uint16))


def to_pixels(codes: Codes) -> Floats:
    """Convert codes to blur lengths in pixels, float32; NaN where unknown."""
    return np.where(codes == UNKNOWN, np.float32(np.nan), codes.astype(np.float32) / SCALE)


def of_variances(xx: Floats, yy: Floats, xy: Floats) -> Floats:
    """Compute the blur lengths, in pixels, of paths with this covariance: sqrt(12 l), l the larger eigenvalue."""
    half = (xx - yy) / 2
    largest = (xx + yy) / 2 + np.sqrt(half * half + xy * xy)
    return np.asarray(np.sqrt(12 * largest.clip(0)), np.float32)


def find(sharp: Source) -> Source | None:
    """Find the blur-length map of a sharp frame, ``extent/NAME.png`` beside ``sharp/``; None if it does not exist."""
    if isinstance(sharp, ArchiveMember):
        inside = PurePosixPath(sharp.name)
        name = str(inside.parent.parent / "extent" / f"{inside.stem}.png")
        return ArchiveMember(archive=sharp.archive, name=name) if name in _names(sharp.archive) else None
    path = sharp.parent.parent / "extent" / f"{sharp.stem}.png"
    return path if path.is_file() else None


@functools.lru_cache(maxsize=4)
def _names(archive: Path) -> frozenset[str]:
    return frozenset(storage.open_archive(archive).namelist())


def decode(data: bytes, source: Source) -> Codes:
    """Decode the bytes of a map to its codes, ``(H, W)``.

    Raises:
        FrameError: If the map is damaged, or not a 16-bit grey picture.
    """
    codes = frames.decode(data, source)
    if codes.dtype != np.uint16 or codes.ndim != 2:
        raise FrameError(
            f"{source} is {codes.dtype} {codes.shape}, not a 16-bit grey map of blur lengths; make the data set again"
        )
    return codes.astype(np.uint16, copy=False)
