"""Deblurring networks of other projects, recognised and run by spandrel: NAFNet, Restormer and others.

Legend: B batch, H and W height and width of a frame in pixels.
"""

import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from pickle import UnpicklingError
from typing import TYPE_CHECKING, Any

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from cdgnet import WeightsError
from cdgnet.tiling import Progress
from cdgnet.weights import fault_of
from pipelines.restore import weights_files
from prep.units import counted

if TYPE_CHECKING:
    from spandrel import ImageModelDescriptor

HALO = 64
"""Pixels around a tile that are computed with it."""

_MIXED = 32  # most pixels on each side of a border between tiles in which their results are blended


class PeerNetwork(nn.Module):
    """A network of another project. spandrel pads the frames and clamps the results.

    Args:
        descriptor: spandrel's descriptor of a network that takes RGB and keeps the size.
    """

    def __init__(self, descriptor: "ImageModelDescriptor[nn.Module]") -> None:
        super().__init__()
        self.model = descriptor.model
        self._descriptor = descriptor
        self.name = ", ".join([descriptor.architecture.name, *descriptor.tags])

    def forward(self, blurry: Tensor) -> Tensor:
        """Restore ``(B, 3, H, W)`` float in [-0.5, 0.5]; the result has the same shape and is clamped to that range."""
        with _without_warnings():
            # (1, 3, H, W) each; subtracting 0.5 copies the result before the next frame's CUDA graph overwrites it
            restored = [self._descriptor(frame + 0.5) - 0.5 for frame in torch.split(blurry, 1)]
        return torch.cat(restored)

    def padded(self, height: int, width: int) -> int:
        """Return the number of pixels of a frame padded to a size that the network accepts."""
        right, below = self._descriptor.size_requirements.get_padding(width, height)
        return int((height + below) * (width + right))


def load(path: Path) -> PeerNetwork:
    """Load the network in a weights file that another project published, on the CPU, in eval mode.

    No code in the file is run: only tensors and plain containers are read from a pickle.

    Args:
        path: A file written by ``torch.save``, or a safetensors file.

    Raises:
        ModuleNotFoundError: If spandrel is not installed; the extra ``peers`` installs it.
        WeightsError: If the file is damaged, the architecture is unknown, or the network does not restore RGB
            pictures at their size.
        OSError: If the file cannot be opened.
    """
    with _without_warnings():
        import spandrel
        import spandrel_extra_arches

        spandrel_extra_arches.install(ignore_duplicates=True)
        tensors = _read(path)
        _check_sizes(path, tensors)
        try:
            descriptor = spandrel.ModelLoader().load_from_state_dict(tensors)
        except spandrel.UnsupportedModelError as error:
            raise WeightsError(
                f"{path}: spandrel does not know the architecture of these weights; pass weights of cdg-train, or of "
                "NAFNet, Restormer, FFTformer, MPRNet, Uformer, KBNet, MIRNet-v2, M3SNet or another that it knows"
            ) from error
        except Exception as error:  # unexpected shapes can raise any error in the library
            reason = " ".join(str(error).split())[:200]
            raise WeightsError(
                f"{path} is damaged, or a variant that spandrel does not know ({reason}); download it again"
            ) from error
    channels = (descriptor.input_channels, descriptor.output_channels)
    if descriptor.purpose == "Inpainting" or descriptor.scale != 1 or channels != (3, 3):
        what = f"{descriptor.architecture.name}, {descriptor.purpose}"
        raise WeightsError(
            f"{path}: {what}, {channels[0]} to {channels[1]} channels, scale {descriptor.scale}; pass a network that "
            "takes RGB pictures and keeps their size"
        )
    values = descriptor.model.named_parameters()
    faults = [f"{name} {fault}" for name, value in values if (fault := fault_of(value.detach()))]
    if faults:
        many = f" (and {counted(len(faults) - 1, 'other tensor')})" if len(faults) > 1 else ""
        raise WeightsError(f"{path} cannot be used: {faults[0]}{many}; download it again")
    return PeerNetwork(descriptor).eval()


def _read(path: Path) -> Mapping[str, Any]:
    """Read the content of a file: tensors by name, or dictionaries of them."""
    weights_files.check(path)
    if not weights_files.is_pickle(path):
        return load_file(path)
    try:
        with path.open("rb") as file:
            content = torch.load(file, map_location="cpu", weights_only=True)
    except UnpicklingError as error:
        raise WeightsError(
            f"{path} contains more than tensors, and code in it is never run; save only its state_dict(), with "
            "torch.save or as safetensors"
        ) from error
    except Exception as error:  # damaged bytes can raise any error in torch
        raise WeightsError(f"{path} is damaged ({' '.join(str(error).split())[:200]}); download it again") from error
    if not isinstance(content, dict) or not all(isinstance(name, str) for name in content):
        raise WeightsError(f"{path} contains a {type(content).__name__}, not tensors by name; save its state_dict()")
    return content


def _check_sizes(path: Path, content: Mapping[str, Any]) -> None:
    """Refuse tensors larger than their data in the file, which could need unlimited memory.

    Raises:
        WeightsError: If there is such a tensor.
    """
    for name, value in content.items():
        if isinstance(value, Tensor) and value.numel() * value.element_size() > value.untyped_storage().nbytes():
            raise WeightsError(f"{path}: {name} is larger than its data in the file; download it again")
        if isinstance(value, Mapping):
            _check_sizes(path, value)


@contextmanager
def _without_warnings() -> Iterator[None]:
    """Hide the libraries' warnings, which are meant for their own developers."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


@torch.no_grad()
def restore(network: PeerNetwork, blurry: Tensor, *, tile: int, on_tile: Progress | None = None) -> Tensor:
    """Restore frames in bounded memory.

    A frame that has no more pixels than a tile and its halo is restored whole. A larger one is cut into tiles, each
    restored with ``HALO`` pixels around it; the results of neighbours are blended linearly over up to 64 pixels. The
    result differs from that of the whole frame if the receptive field exceeds the halo, as for most networks:
    attention and averages then cover a tile instead of the frame.

    Args:
        network: In eval mode.
        blurry: ``(B, 3, H, W)`` float in [-0.5, 0.5], of any size.
        tile: Side of a tile in pixels, at least 64.
        on_tile: Called after each tile with the share of the work done.

    Returns:
        ``(B, 3, H, W)``, clamped to [-0.5, 0.5].
    """
    report: Progress = on_tile or (lambda _: None)
    height, width = blurry.shape[-2:]
    if network.padded(height, width) <= (tile + 2 * HALO) ** 2:
        restored: Tensor = network(blurry)
        report(1.0)
        return restored
    whole = torch.zeros_like(blurry)
    rows, columns = _Cuts(height, tile), _Cuts(width, tile)
    for row in range(rows.count):
        for column in range(columns.count):
            above, beside = rows.window(row), columns.window(column)
            weight = rows.weight(row).to(blurry)[:, None] * columns.weight(column).to(blurry)  # (h, w)
            whole[..., above, beside] += network(blurry[..., above, beside]) * weight
            report((row * columns.count + column + 1) / (rows.count * columns.count))
    return whole


class _Cuts:
    """A side cut into equal parts of at most ``tile`` pixels."""

    def __init__(self, side: int, tile: int) -> None:
        self.count = -(-side // tile)
        self._borders = [side * number // self.count for number in range(self.count + 1)]
        self._mixed = min(_MIXED, side // self.count / 2)  # limited, so that at most two tiles are blended

    def window(self, number: int) -> slice:
        """Return the pixels of a part and its halo."""
        return slice(max(self._borders[number] - HALO, 0), min(self._borders[number + 1] + HALO, self._borders[-1]))

    def weight(self, number: int) -> Tensor:
        """Return the weight of each pixel in a window; over all windows the weights of a pixel add up to 1."""
        window = self.window(number)
        places = torch.arange(window.start, window.stop) + 0.5
        first, last = self._borders[number], self._borders[number + 1]
        weight = torch.ones(len(places))
        if number > 0:
            weight *= ((places - first) / (2 * self._mixed) + 0.5).clamp(0, 1)
        if number < self.count - 1:
            weight *= ((last - places) / (2 * self._mixed) + 0.5).clamp(0, 1)
        return weight
