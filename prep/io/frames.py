"""Read and write frames as image files.

Legend: H, W a frame's height and width.
"""

import struct
import warnings
from pathlib import Path, PurePath
from typing import Any

import cv2
import imagecodecs
import numpy as np
from isal import isal_zlib
from PIL import Image

from prep.arrays import Bytes, Codes
from prep.errors import FrameError
from prep.io import files, png, storage
from prep.io.storage import Source
from prep.units import file_size

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp")
cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)  # this module raises errors, with the file name
_JPEG = (cv2.IMWRITE_JPEG_QUALITY, 95)
_OPTIONS = {
    ".webp": (cv2.IMWRITE_WEBP_QUALITY, 101),  # above 100: lossless
    ".jpg": _JPEG,
    ".jpeg": _JPEG,
}
_PNG_KIND = slice(24, 26)  # bytes of a PNG with its bits per channel and colour type
_PNG_DECODERS = {  # bits per channel and colour type -> decoder; they take two thirds of OpenCV's time
    b"\x08\x02": imagecodecs.spng_decode,  # 8 bits, RGB
    b"\x08\x06": imagecodecs.spng_decode,  # 8 bits, RGBA
    b"\x10\x00": imagecodecs.png_decode,  # 16 bits, grey, such as a map of S
}
_MOST_PIXELS = 2**30  # limit of OpenCV, applied also to the PNGs that other libraries decode
PNG_HEADER = 33  # bytes of the signature and the first chunk
_ORIENTATION, _LYING = 0x0112, range(5, 9)  # the EXIF tag, and its values that swap height and width
Image.MAX_IMAGE_PIXELS = None  # turn off Pillow's limit, which photographs of 200 megapixels exceed
warnings.filterwarnings("ignore", module=r"PIL\.")  # Pillow warns about odd metadata, but only pixels matter here


def is_frame(path: PurePath) -> bool:
    """Check whether a file name is that of a picture: a known suffix in upper or lower case, and not hidden."""
    return path.suffix.lower() in SUFFIXES and not path.name.startswith(".")


def read(source: Source) -> Bytes:
    """Read a picture as ``(H, W, 3)`` uint8 RGB; grey is repeated, alpha dropped, 16 bits rounded to 8.

    Raises:
        FrameError: If the file is damaged, cut short, or not a picture.
        ReadError: If the file cannot be read at all.
    """
    return decode_rgb8(storage.read(source), source)


def decode_rgb8(data: bytes, path: Source) -> Bytes:
    """Decode a file's bytes as ``read`` does; ``path`` is for error messages."""
    return to_rgb8(decode(data, path))


def read_sharpness(path: Path) -> Codes:
    """Read a 16-bit map of S as ``(H, W)`` codes, code = round(S * 65535).

    Raises:
        FrameError: If the file is damaged, or not a 16-bit grey picture.
        ReadError: If the file cannot be read at all.
    """
    return decode_sharpness(storage.read(path), path)


def decode_sharpness(data: bytes, path: Path) -> Codes:
    """Decode a file's bytes as ``read_sharpness`` does; ``path`` is for error messages."""
    try:
        codes = decode(data, path)
    except FrameError as error:
        raise FrameError(f"{path} is damaged; remove it, and the next run makes it again") from error
    if codes.dtype != np.uint16 or codes.ndim != 2:
        raise FrameError(
            f"{path} is {codes.dtype} {codes.shape}, not a 16-bit grey PNG; remove it, and the next run makes it again"
        )
    return codes.astype(np.uint16, copy=False)


def decode(data: bytes, path: Source) -> Bytes | Codes:
    """Decode a picture as it is stored: ``(H, W)`` or ``(H, W, 3 or 4)``, uint8 or uint16, RGB order.

    A JPEG is rotated by its EXIF orientation, and is always RGB. It has no checksum: damage in its middle shows as a
    grey or shifted part, without an error.

    Args:
        data: The file's bytes.
        path: The file or archive member, for error messages.

    Raises:
        FrameError: If the data are damaged, cut short, or not a picture.
    """
    check_whole(data, path)
    if data.startswith(png.SIGNATURE) and data[_PNG_KIND] in _PNG_DECODERS:
        return _decode_png(data, path)
    flags = cv2.IMREAD_COLOR if data.startswith(b"\xff\xd8") else cv2.IMREAD_UNCHANGED  # only COLOR rotates upright
    try:
        pixels = cv2.imdecode(np.frombuffer(data, np.uint8), flags) if data else None
    except cv2.error as error:  # the header states a size above OpenCV's limits
        raise FrameError(
            f"{path} is damaged, or too large: {' '.join(error.err.split())}; copy or download it again"
        ) from error
    if pixels is None:
        raise FrameError(f"{path} is not a readable picture ({file_size(len(data))}); replace or remove it")
    if pixels.dtype not in (np.uint8, np.uint16):
        raise FrameError(f"{path} has {pixels.dtype} pixels; convert it to 8 or 16 bits per channel")
    swapped: Bytes | Codes = swap_red_blue(pixels)
    return swapped


def check(data: bytes, path: Source) -> tuple[int, int]:
    """Check a picture and return its ``(height, width)``: a PNG by its checksums, any other format by decoding it.

    Raises:
        FrameError: If the data are damaged, cut short, or not a picture.
    """
    if not data.startswith(png.SIGNATURE):
        height, width = decode(data, path).shape[:2]
        return height, width
    check_whole(data, path)
    return png_size(data, path)


def check_whole(data: bytes, path: Source) -> None:
    """Verify the checksums of a PNG; other formats have none.

    Raises:
        FrameError: If a checksum is wrong, or the PNG ends early.
    """
    if data.startswith(png.SIGNATURE) and (fault := _png_fault(data)):
        raise FrameError(f"{path} is damaged: {fault}; copy or download it again")


def png_size(head: bytes, path: Source) -> tuple[int, int]:
    """Return the ``(height, width)`` in the header of a PNG, its first ``PNG_HEADER`` bytes.

    Raises:
        FrameError: If the bytes are not those of a PNG, or too few.
    """
    if len(head) < PNG_HEADER or not head.startswith(png.SIGNATURE):
        raise FrameError(f"{path} is not a PNG; replace or remove it")
    width, height = struct.unpack_from(">II", head, len(png.SIGNATURE) + 8)
    return height, width


def size_of(source: Source) -> tuple[int, int]:
    """Return the ``(height, width)`` of the decoded picture, from its header if possible.

    Raises:
        FrameError: If the header is damaged, or the file is not a picture.
        ReadError: If the file cannot be read at all.
    """
    if source.suffix.lower() == ".png":
        return png_size(storage.read(source, PNG_HEADER), source)
    try:
        with storage.opened(source) as file, Image.open(file) as image:
            is_lying = image.format in ("JPEG", "MPO") and image.getexif().get(_ORIENTATION) in _LYING
            return image.size if is_lying else image.size[::-1]
    except Exception:  # Pillow and zipfile raise any error; decoding the whole file raises ours
        height, width = decode(storage.read(source), source).shape[:2]
        return height, width


def _decode_png(data: bytes, path: Source) -> Bytes | Codes:
    height, width = png_size(data, path)
    if height * width > _MOST_PIXELS:
        raise FrameError(
            f"{path} has {width:,} x {height:,} pixels; the limit is {_MOST_PIXELS:,} in all; make it smaller"
        )
    try:
        pixels: Bytes | Codes = _PNG_DECODERS[data[_PNG_KIND]](data)
    except (imagecodecs.SpngError, imagecodecs.PngError) as error:
        raise FrameError(f"{path} is damaged: {error}; copy or download it again") from error
    return pixels


def swap_red_blue(pixels: Any) -> Any:
    """Convert RGB to OpenCV's order or back; grey stays the same."""
    if pixels.ndim == 2:
        return pixels
    return cv2.cvtColor(pixels, cv2.COLOR_BGRA2RGBA if pixels.shape[2] == 4 else cv2.COLOR_BGR2RGB)


def _png_fault(data: bytes) -> str | None:
    """Return the first fault of a PNG's chunks, or None; a decoder may fill a damaged part with grey instead."""
    at, view = len(png.SIGNATURE), memoryview(data)
    while at + 12 <= len(data):
        (length,), kind = struct.unpack_from(">I", data, at), data[at + 4 : at + 8]
        end = at + 12 + length
        if end > len(data):
            break
        if isal_zlib.crc32(view[at + 4 : end - 4]) != struct.unpack_from(">I", data, end - 4)[0]:
            return f"the PNG chunk at byte {at:,} has a wrong checksum"
        if kind == b"IEND":
            return None
        at = end
    return f"the PNG ends early, at byte {len(data):,}"


def to_rgb8(pixels: Bytes | Codes) -> Bytes:
    """Convert any decoded picture to ``(H, W, 3)`` uint8."""
    eight = (
        np.rint(pixels / 257.0).astype(np.uint8) if pixels.dtype == np.uint16 else pixels.astype(np.uint8, copy=False)
    )
    if eight.ndim == 2:
        eight = np.repeat(eight[:, :, None], 3, axis=2)
    return np.ascontiguousarray(eight[:, :, :3])


def write(path: Path, pixels: Bytes | Codes) -> None:
    """Write ``(H, W)`` or ``(H, W, 3 or 4)`` pixels atomically, in the format of the suffix.

    JPEG is written at quality 95, all other formats are lossless.

    Raises:
        FrameError: If the format is unknown or cannot store these pixels.
    """
    files.write_bytes(path, encode(pixels, path))


def encode(pixels: Bytes | Codes, path: Path) -> bytes:
    """Encode pixels as ``write`` does; the suffix of ``path`` sets the format, and error messages name it."""
    suffix = path.suffix.lower()
    try:
        if suffix == ".png":
            return png.encode(pixels)
        done, data = cv2.imencode(suffix, swap_red_blue(pixels), _OPTIONS.get(suffix, ()))
    except (cv2.error, ValueError):
        done = False
    if not done:
        raise FrameError(
            f"{pixels.dtype} {pixels.shape} cannot be written as {path.name}; use one of {', '.join(SUFFIXES)}"
        )
    return bytes(data)
