"""Write PNG (ISO 15948) four times as fast as libraries do, at the same file size: compressed by ISA-L.

Legend: H, W a picture's height and width.
"""

import struct

import numpy as np
from isal import isal_zlib

from prep.arrays import Bytes, Codes

SIGNATURE = b"\x89PNG\r\n\x1a\n"
_LEVEL = 1  # compression level of ISA-L; level 2 takes as long and makes files of the same size
_UP = 2  # PNG filter type: each byte is stored as its difference from the byte above
_COLOUR_TYPES = {1: 0, 3: 2, 4: 6}  # number of channels -> PNG colour type: grey, RGB, RGBA


def encode(pixels: Bytes | Codes) -> bytes:
    """Encode pixels as a PNG file.

    Args:
        pixels: ``(H, W)`` grey, or ``(H, W, 3 or 4)`` RGB or RGBA; uint8 or uint16.

    Raises:
        ValueError: If a PNG cannot store the pixels.
    """
    channels = 1 if pixels.ndim == 2 else pixels.shape[2] if pixels.ndim == 3 else 0
    if channels not in _COLOUR_TYPES or pixels.dtype not in (np.uint8, np.uint16) or not pixels.size:
        raise ValueError(f"pixels are {pixels.dtype} {pixels.shape}; they must be uint8 or uint16, grey, RGB or RGBA")
    height, width = pixels.shape[:2]
    big_endian = np.ascontiguousarray(pixels, pixels.dtype.newbyteorder(">"))
    rows = big_endian.view(np.uint8).reshape(height, -1)  # (H, bytes per row)
    filtered = np.empty((height, rows.shape[1] + 1), np.uint8)
    filtered[:, 0] = _UP
    filtered[0, 1:] = rows[0]
    np.subtract(rows[1:], rows[:-1], out=filtered[1:, 1:])
    head = struct.pack(">IIBBBBB", width, height, 8 * pixels.itemsize, _COLOUR_TYPES[channels], 0, 0, 0)
    chunks = ((b"IHDR", head), (b"IDAT", isal_zlib.compress(filtered, _LEVEL)), (b"IEND", b""))
    return SIGNATURE + b"".join(_chunk(kind, data) for kind, data in chunks)


def _chunk(kind: bytes, data: bytes) -> bytes:
    checksum = isal_zlib.crc32(data, isal_zlib.crc32(kind))
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", checksum)
