"""Restore pictures: arrays, images of Pillow or tensors, with 8 or 16 bits per channel.

Legend: H, W a picture's height and width.
"""

from collections.abc import Callable, Sequence
from os import PathLike
from typing import Any, TypeVar

import torch
from torch import Tensor
from torchvision.transforms import functional

from cdgnet.network import CDGNet
from cdgnet.tiling import restore as restore_frames

Picture = TypeVar("Picture")
Model = Callable[[Tensor], Tensor]
_PEAKS = {torch.uint8: 255, torch.uint16: 65535}
_MODES = ("L", "LA", "RGB", "RGBA")


def restore(picture: Picture, network: CDGNet | Model) -> Picture:
    """Restore one picture; the result has the same type, size and bit depth.

    Args:
        picture: A NumPy array or a tensor, uint8 or uint16: ``(H, W)`` grey or ``(H, W, C)`` with C = 1 (grey),
            2 (grey and alpha), 3 (RGB) or 4 (RGB and alpha). Alpha stays as it is. Or an image of Pillow in mode L,
            LA, RGB or RGBA: the result is upright by its EXIF orientation and keeps ``info`` (profile, EXIF, dpi),
            which ``save`` takes as options; a transparent colour becomes alpha.
        network: In eval mode, on any device; or any function that restores ``(B, 3, H, W)`` frames in [-0.5, 0.5].

    Raises:
        ValueError: If the picture is of another kind.
    """
    (restored,) = restore_all([picture], network)
    return restored


def restore_all(pictures: Sequence[Picture], network: CDGNet | Model) -> list[Picture]:
    """Restore pictures of one size in one pass, as ``restore`` does; their kinds may differ."""
    pictures = [_upright(picture) for picture in pictures]
    pixels = [_pixels(picture) for picture in pictures]
    frames = torch.stack([_frame(each) for each in pixels])  # (B, 3, H, W)
    if isinstance(network, CDGNet):
        place = next(network.parameters()).device
        restored = restore_frames(network, frames.to(place))
    else:
        restored = network(frames)
    return [
        _like(picture, _merge(frame, original))
        for picture, original, frame in zip(pictures, pixels, restored.to("cpu", torch.float32), strict=True)
    ]


def _upright(picture: Any) -> Any:
    """Turn an image of Pillow upright; return anything else unchanged."""
    if not _is_pillows(picture):
        return picture
    from PIL import ImageOps  # installed, because the picture is an image of Pillow

    upright = ImageOps.exif_transpose(picture)
    # Restoring would change the transparent colour.
    return upright.convert("RGBA") if upright.mode in _MODES and "transparency" in upright.info else upright


def _is_pillows(picture: Any) -> bool:
    return hasattr(picture, "getbands")


def _pixels(picture: Any) -> Tensor:
    """Convert any picture to ``(H, W, C)`` uint8 or uint16."""
    if _is_pillows(picture):
        if picture.mode not in _MODES:
            raise ValueError(
                f"the picture has mode {picture.mode}, not one of {', '.join(_MODES)}; pass picture.convert('RGB')"
            )
        planes: Tensor = functional.pil_to_tensor(picture)  # (C, H, W)
        return planes.permute(1, 2, 0)
    if isinstance(picture, str | PathLike):
        raise ValueError(f"{picture} is a path, not a picture; pass PIL.Image.open(path)")
    try:
        pixels = picture if isinstance(picture, Tensor) else torch.tensor(picture)  # a copy, as it may be read-only
    except (RuntimeError, TypeError, ValueError) as error:
        kind = type(picture).__name__
        raise ValueError(f"the picture is of type {kind}; pass an array, a tensor or an image of Pillow") from error
    pixels = pixels[:, :, None] if pixels.ndim == 2 else pixels
    if pixels.ndim != 3 or not 1 <= pixels.shape[2] <= 4 or pixels.dtype not in _PEAKS or 0 in pixels.shape:
        kind = str(pixels.dtype).removeprefix("torch.")
        raise ValueError(
            f"the picture is {kind} {tuple(pixels.shape)}; pass uint8 or uint16 of shape (H, W) or (H, W, 1 to 4)"
        )
    return pixels.cpu()


def _frame(pixels: Tensor) -> Tensor:
    """Convert the colours to ``(3, H, W)`` in the network's range; grey is repeated."""
    peak, colours = _PEAKS[pixels.dtype], _colours(pixels)
    frame = pixels[:, :, :colours].permute(2, 0, 1).to(torch.float32).div_(peak).sub_(0.5)
    return frame.expand(3, -1, -1)


def _colours(pixels: Tensor) -> int:
    return 3 if pixels.shape[2] > 2 else 1


def _merge(restored: Tensor, pixels: Tensor) -> Tensor:
    """Round a restored frame to the picture's bit depth and add its alpha, ``(H, W, C)``."""
    peak, colours = _PEAKS[pixels.dtype], _colours(pixels)
    levels = restored if colours == 3 else restored.mean(dim=0, keepdim=True)
    rounded = levels.add(0.5).clamp_(0, 1).mul_(peak).round_()
    whole = torch.empty(pixels.shape, dtype=pixels.dtype)
    # Through int32, because some versions of torch cannot convert floats to uint16.
    whole[:, :, :colours] = rounded.permute(1, 2, 0).to(torch.int32).to(pixels.dtype)
    whole[:, :, colours:] = pixels[:, :, colours:]
    return whole


def _like(picture: Any, pixels: Tensor) -> Any:
    if _is_pillows(picture):
        image = functional.to_pil_image(pixels.permute(2, 0, 1), mode=picture.mode)
        image.info = dict(picture.info)
        return image
    shaped = pixels.reshape(tuple(picture.shape))
    return shaped.to(picture.device) if isinstance(picture, Tensor) else shaped.numpy()
