"""Restore frames of any size: the one place that pads frames, crops results, and cuts large frames into tiles.

Legend: B batch, C channels, H and W a frame's height and width in pixels.
"""

from collections.abc import Callable, Iterator
from typing import NamedTuple

import torch
import torch.nn.functional as functional
from torch import Tensor

from cdgnet.config import ModelConfig
from cdgnet.float64 import to_float64
from cdgnet.network import CDGNet, Components
from cdgnet.padding import MINIMUM_SIZE, SIZE_MULTIPLE, crop_to_size, pad_to_multiple
from cdgnet.patches import in_window, size_multiples, whole_frame
from cdgnet.shrinkage import shrink

HALO = 144
"""Pixels around a tile that are computed with it: 117 that it depends on if all offsets are 0, and 27 for offsets."""

# Pixels by encoder, without deformable convolutions: the reach of one level.
_PLAIN_HALO = {"residual": 64, "dense": 80}
_ENCODER_HALO = 48  # pixels; the encoder alone reaches 46
_ENCODER_SHARE = 0.15  # the encoder pass's share of the time for a frame in tiles; measured with `tiny` on a CPU

Progress = Callable[[float], None]
"""Called after each tile with the share of the work that is done, in (0, 1]; an exception from it ends the work."""


class _Tile(NamedTuple):
    """A part of a frame, and the larger part around it that is computed."""

    part: tuple[slice, slice]  # rows, columns of the frame
    window: tuple[slice, slice]


def halo_of(config: ModelConfig) -> int:
    """Return the pixels that a network needs around a tile.

    ``HALO``, or without deformable convolutions (``dmphn-1``) the reach of one level times the number of levels.
    """
    is_plain = config.branches == "plain" and config.attention in ("channel", "none")
    return config.levels * _PLAIN_HALO[config.encoder] if is_plain else HALO


@torch.no_grad()
def restore(
    network: CDGNet, blurry: Tensor, *, tile: int = 1024, halo: int | None = None, on_tile: Progress | None = None
) -> Tensor:
    """Restore frames of any size in bounded memory; the result is the same as for the whole frame.

    A frame that is too small for the network is padded with its last row and column. A frame that fits into a tile and
    its halo is restored whole. For a larger frame, if channel attention needs an average over the whole frame, the
    encoder first runs over all tiles. Then each tile is restored with its halo, which is dropped. A pixel depends on
    pixels beyond the halo only with very large offsets; only that is lost. Patch levels cut a tile where they cut its
    frame.

    Args:
        network: In eval mode.
        blurry: ``(B, 3, H, W)`` float in [-0.5, 0.5], of any size.
        tile: Side of a tile in pixels, a multiple of 4.
        halo: Pixels around a tile, a multiple of 4. None for the value of ``halo_of``.
        on_tile: Called after each tile with the share of the work that is done.

    Returns:
        ``(B, 3, H, W)``, not clamped.

    Raises:
        ValueError: If ``tile`` or ``halo`` is not a multiple of 4, or for the reasons of ``CDGNet.forward``.
    """
    (restored,) = _in_tiles(network, blurry, tile, halo, on_tile, lambda components: (components.restored,))
    assert restored is not None
    return restored


@torch.no_grad()
def components(
    network: CDGNet, blurry: Tensor, *, tile: int = 1024, halo: int | None = None, on_tile: Progress | None = None
) -> Components:
    """Compute all outputs of a network for frames of any size, in tiles as ``restore`` does."""
    return Components(*_in_tiles(network, blurry, tile, halo, on_tile, lambda whole: whole))  # type: ignore[arg-type]


def _in_tiles(
    network: CDGNet,
    blurry: Tensor,
    tile: int,
    halo: int | None,
    on_tile: Progress | None,
    chosen: Callable[[Components], tuple[Tensor | None, ...]],
) -> list[Tensor | None]:
    """Compute the chosen results of a network; maps of a quarter of the frame's size keep that size."""
    halo = halo_of(network.config) if halo is None else halo
    if tile < SIZE_MULTIPLE or tile % SIZE_MULTIPLE or halo < 0 or halo % SIZE_MULTIPLE:
        raise ValueError(f"tile is {tile} and halo {halo}; both must be multiples of {SIZE_MULTIPLE}")
    height, width = blurry.shape[-2:]
    quarter = (-(-height // SIZE_MULTIPLE), -(-width // SIZE_MULTIPLE))

    report: Progress = on_tile or (lambda _: None)

    def cropped(result: Tensor | None) -> Tensor | None:
        return result if result is None else crop_to_size(result, quarter if result.shape[1] == 1 else (height, width))

    below, right = (max(0, MINIMUM_SIZE - side) for side in (height, width))
    large = functional.pad(blurry, (0, right, 0, below), mode="replicate") if below or right else blurry
    if max(height, width) <= tile + 2 * halo:
        at_once = [cropped(result) for result in chosen(network(large))]
        report(1.0)
        return at_once
    levels = network.config.levels
    frame = pad_to_multiple(large, size_multiples(levels))
    size = (frame.shape[-2], frame.shape[-1])
    needs_mean = network.config.attention in ("channel", "both")
    mean = _mean_features(network, frame, tile, report) if needs_mean else None
    before = _ENCODER_SHARE if needs_mean else 0.0
    wholes: list[Tensor | None] = []
    done = 0  # pixels restored so far
    cuts = whole_frame(levels, size) if levels > 1 else None
    for part, window in _tiles(size, tile, halo):
        results = chosen(
            network(frame[..., window[0], window[1]], mean, cuts and in_window(cuts, window), shrinks=False)
        )
        wholes = wholes or [None if each is None else _empty_whole(each, frame) for each in results]
        for whole, result in zip(wholes, results, strict=True):
            if whole is not None and result is not None:
                _put(whole, result, part, window)
        done += _area(part)
        report(before + (1 - before) * done / (size[0] * size[1]))
    restored = wholes[0]
    if network.config.shrinkage and restored is not None:
        whole = crop_to_size(restored, (large.shape[-2], large.shape[-1]))
        wholes[0] = shrink(large, whole, network.config.shrinkage)
    return [cropped(whole) for whole in wholes]


def _empty_whole(result: Tensor, frame: Tensor) -> Tensor:
    """Return an empty tensor for the results of all tiles: of the frame's size for images, a quarter of it for maps."""
    shrink = SIZE_MULTIPLE if result.shape[1] == 1 else 1
    return result.new_empty(*result.shape[:2], frame.shape[-2] // shrink, frame.shape[-1] // shrink)


def _put(whole: Tensor, result: Tensor, part: tuple[slice, slice], window: tuple[slice, slice]) -> None:
    """Copy the inner part of a tile's result to its place."""
    inner = tuple(_within(one, around) for one, around in zip(part, window, strict=True))
    if result.shape[1] == 1:
        part, inner = (_quarter(part[0]), _quarter(part[1])), tuple(map(_quarter, inner))
    whole[..., part[0], part[1]] = result[..., inner[0], inner[1]]


def _mean_features(network: CDGNet, frame: Tensor, tile: int, report: Progress) -> Tensor:
    """Average the encoder's last features over a frame, ``(B, widths[2], 1, 1)``, summed in float64."""
    size = (frame.shape[-2], frame.shape[-1])
    total, done = torch.zeros(()), 0
    for part, window in _tiles(size, tile, _ENCODER_HALO):
        features = network.encoder(frame[..., window[0], window[1]]).quarter
        rows, columns = (_quarter(_within(one, around)) for one, around in zip(part, window, strict=True))
        total = total + to_float64(features[..., rows, columns]).sum(dim=(-2, -1), keepdim=True)
        done += _area(part)
        report(_ENCODER_SHARE * done / (size[0] * size[1]))
    return (total / (size[0] * size[1] / SIZE_MULTIPLE**2)).to(frame.dtype).to(frame.device)


def _tiles(size: tuple[int, int], tile: int, halo: int) -> Iterator[_Tile]:
    for top in range(0, size[0], tile):
        for left in range(0, size[1], tile):
            starts = (top, left)
            part = [slice(start, min(start + tile, side)) for start, side in zip(starts, size, strict=True)]
            window = [
                slice(max(one.start - halo, 0), min(one.stop + halo, side))
                for one, side in zip(part, size, strict=True)
            ]
            yield _Tile((part[0], part[1]), (window[0], window[1]))


def _area(part: tuple[slice, slice]) -> int:
    rows, columns = part
    return int((rows.stop - rows.start) * (columns.stop - columns.start))


def _within(part: slice, window: slice) -> slice:
    return slice(part.start - window.start, part.stop - window.start)


def _quarter(pixels: slice) -> slice:
    return slice(pixels.start // SIZE_MULTIPLE, pixels.stop // SIZE_MULTIPLE)
