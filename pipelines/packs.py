"""Read crops and frames of packs as tensors; no other module turns a pack into tensors.

Legend: H, W height and width in pixels of a crop, or of the frame that is assembled from crops.
"""

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple

import h5py
import numpy as np

from prep.arrays import Bytes, Codes
from prep.masks.equations import mask_of_codes
from prep.packs import reader
from prep.packs.reader import PackInfo

if TYPE_CHECKING:
    from torch import Tensor


def to_range(picture: "Tensor") -> "Tensor":
    """Convert uint8 to the network's range, float32 in [-0.5, 0.5]."""
    return picture.float() / 255 - 0.5


def tensor_of(array: np.ndarray) -> "Tensor":
    """Return a tensor that shares the array's memory; torch is imported here, because checks of packs need no torch."""
    import torch

    return torch.from_numpy(array)


def to_tensor(picture: np.ndarray) -> "Tensor":
    """Convert an ``(H, W, 3)`` array to a ``(3, H, W)`` tensor."""
    return tensor_of(np.ascontiguousarray(picture.transpose(2, 0, 1)))


def to_array(picture: "Tensor") -> Bytes:
    """Convert a ``(3, H, W)`` uint8 tensor on any device to an ``(H, W, 3)`` array."""
    return np.ascontiguousarray(picture.permute(1, 2, 0).cpu().numpy())


class Frame(NamedTuple):
    """A frame of one of several packs."""

    pack: int  # index in the list of packs
    key: str


@dataclass(frozen=True, kw_only=True)
class PackCrop:
    """One crop of a pack."""

    key: str  # key of the frame
    origin: tuple[int, int]  # pixels; y, x of the crop's corner in the frame
    blurry: "Tensor"  # (3, H, W) uint8
    sharp: "Tensor"  # (3, H, W) uint8
    mask: "Tensor"  # (1, H, W) uint8, 0 or 1
    sharpness: np.ndarray  # (H, W) uint16


def read_crops(pack: PackInfo, rows: Sequence[int] | None = None) -> Iterator[PackCrop]:
    """Yield the crops with the indices ``rows``, in the order of ``rows``; all crops of the pack if it is None.

    Raises:
        PackError: If the pack has changed since its index was read, or a crop is damaged.
        FileNotFoundError: If the pack no longer exists.
    """
    with reader.reopen(pack) as file:
        for row in range(pack.crop_count) if rows is None else rows:
            yield _read_crop(file, pack, row)


def _read_crop(file: h5py.File, pack: PackInfo, row: int) -> PackCrop:
    key, (crc,) = pack.keys[row], struct.unpack_from("<I", pack.checksums, 4 * row)
    with reader.reading(file, f"a crop of {key}"):
        blurry, sharp, mask, sharpness = (file[name][row] for name in ("blurry", "sharp", "mask", "sharpness"))
    reader.check_crop(file, row, key, crc, blurry, sharp, mask, sharpness)
    height, width = pack.sizes[row]  # without padding
    return PackCrop(
        key=key,
        origin=pack.origins[row],
        blurry=to_tensor(blurry[:height, :width]),
        sharp=to_tensor(sharp[:height, :width]),
        mask=tensor_of(mask[:height, :width])[None],
        sharpness=sharpness[:height, :width],
    )


@dataclass(frozen=True, kw_only=True)
class WholeFrame:
    """A frame assembled from its crops."""

    key: str
    blurry: "Tensor"  # (3, H, W) uint8
    sharp: "Tensor"  # (3, H, W) uint8
    mask: "Tensor"  # (1, H, W) uint8, 0 or 1
    sharpness: Codes  # (H, W)


def read_frame(packs: Sequence[PackInfo], frame: Frame, rows: Sequence[int], mu: float | None = None) -> WholeFrame:
    """Assemble a frame from crops that cover it; the mask's threshold is ``mu``, or that of the pack if it is None.

    Raises:
        PackError, FileNotFoundError: As ``read_crops``.
    """
    import torch

    crops = list(read_crops(packs[frame.pack], rows))
    if mu is not None:
        crops = [replace(crop, mask=tensor_of(mask_of_codes(crop.sharpness, mu))[None]) for crop in crops]
    height, width = (max(crop.origin[axis] + crop.mask.shape[axis + 1] for crop in crops) for axis in (0, 1))

    def whole(name: str) -> "Tensor":
        picture = torch.empty(getattr(crops[0], name).shape[0], height, width, dtype=torch.uint8)
        for crop in crops:
            part = getattr(crop, name)
            y, x = crop.origin
            picture[:, y : y + part.shape[1], x : x + part.shape[2]] = part
        return picture

    codes = np.empty((height, width), np.uint16)
    for crop in crops:
        y, x = crop.origin
        codes[y : y + crop.sharpness.shape[0], x : x + crop.sharpness.shape[1]] = crop.sharpness
    return WholeFrame(key=frame.key, blurry=whole("blurry"), sharp=whole("sharp"), mask=whole("mask"), sharpness=codes)
