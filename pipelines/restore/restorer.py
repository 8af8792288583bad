"""Run a trained network on frames, on a device, in a given precision and bounded memory."""

import itertools
import math
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import psutil
import torch
from lightning_fabric import Fabric
from torch import Tensor

from cdgnet import Components, padding, tiling
from cdgnet.tiling import Progress
from pipelines.errors import InputError
from pipelines.restore import footprint, peers
from pipelines.restore.compilation import compile_for_restoring
from pipelines.restore.networks import Network, name_of
from pipelines.restore.peers import PeerNetwork
from prep.units import file_size

Result = TypeVar("Result")

ORIENTATIONS = 8  # orientations of a frame in an ensemble

_SMALLEST_TILE, _LARGEST_TILE, _LARGEST_TILE_CPU = 128, 4096, 1024  # pixels; larger ones are no faster on a CPU
_SAMPLE = 256  # pixels; side of the frame on which the memory of other projects' networks is measured
# Bytes of memory per pixel, and in addition per pixel and channel of the first width; measured on a CPU, together 720
# (`tiny`) to 1,680 (`paper`) per pixel.
_PIXEL_BYTES, _CHANNEL_BYTES = 400, 40


class Restorer:
    """Restores frames on a device, in bounded memory.

    Args:
        network: Trained network. It is moved to the device and put into eval mode.
        fabric: Decides device and precision.
        is_compiled: Compile the network for each frame size, which takes a minute at the first frame of a size. On
            CUDA all work of a frame then starts at once (CUDA graphs), and frames of equal size share its memory.
        tile: Side of the tiles that a larger frame is cut into, a multiple of 4. Tiles do not change the result,
            except with networks of other projects (``peers.restore``). None: as large as half of the free memory
            allows, and halved if memory still runs out.
        is_ensemble: Restore each frame in its eight orientations and return the mean, which is eight times the work.
        strength: Factor on the change that the network makes to a frame; 1 is the network's own result.
        batch: Number of frames restored at once, for the choice of the tile.
        is_whole: Restore frames whole if tiles would change the result, unless ``tile`` is given.

    Source of the ensemble: Timofte et al. 2016, Seven ways to improve example-based single image super resolution.
    """

    def __init__(
        self,
        network: Network,
        fabric: Fabric,
        *,
        is_compiled: bool = False,
        tile: int | None = None,
        is_ensemble: bool = False,
        strength: float = 1.0,
        batch: int = 1,
        is_whole: bool = False,
    ) -> None:
        self.network, self.fabric, self.is_ensemble = network.to(fabric.device).eval(), fabric, is_ensemble
        self.strength = strength
        self.is_tile_free = tile is None
        self.is_whole = is_whole and self.is_tile_free and isinstance(network, PeerNetwork)
        self._fitting_sizes: set[tuple[int, int]] = set()  # height, width of frames that are known to fit whole
        if self.is_whole:
            self.tile = _SMALLEST_TILE  # ``_make_room`` enlarges it at the first frame
        else:
            self.tile = tile or fitting_tile(network, fabric.device, free_memory(fabric.device) // 2, batch)
        if is_compiled:
            compile_for_restoring(network.model if isinstance(network, PeerNetwork) else network, fabric.device)

    @property
    def device(self) -> torch.device:
        """Device of the network."""
        return self.fabric.device

    @torch.no_grad()
    def __call__(self, blurry: Tensor, on_tile: Progress | None = None) -> Tensor:
        """Restore ``(B, 3, H, W)`` float32 in [-0.5, 0.5] on any device.

        Returns:
            Restored frames of the same shape on the restorer's device, not clamped.
        """
        blurry, report = self.fabric.to_device(blurry), self._when_done(on_tile)
        restored = self._ensemble(self._restore, blurry, report) if self.is_ensemble else self._restore(blurry, report)
        return self._strengthened(blurry, restored)

    @torch.no_grad()
    def components(self, blurry: Tensor, on_tile: Progress | None = None) -> Components:
        """Return all outputs of the network; ``restored`` equals the result of ``__call__``.

        The other outputs are the network's own, with an ensemble those of the upright frame.
        """
        blurry, report = self.fabric.to_device(blurry), self._when_done(on_tile)
        outputs = self._components_of_ensemble(blurry, report) if self.is_ensemble else self._components(blurry, report)
        return outputs._replace(restored=self._strengthened(blurry, outputs.restored))

    def _strengthened(self, blurry: Tensor, restored: Tensor) -> Tensor:
        return restored.lerp_(blurry, 1 - self.strength)  # in place, because a large picture takes gigabytes

    def _components_of_ensemble(self, blurry: Tensor, report: Progress | None) -> Components:
        upright: list[Components] = []

        def restore(seen: Tensor, report: Progress | None) -> Tensor:
            if upright:
                return self._restore(seen, report)
            upright.append(self._components(seen, report))
            return upright[0].restored

        mean = self._ensemble(restore, blurry, report)
        return upright[0]._replace(restored=mean)

    def _ensemble(
        self, restore: Callable[[Tensor, Progress | None], Tensor], blurry: Tensor, report: Progress | None
    ) -> Tensor:
        passes = itertools.count()

        def restore_one(seen: Tensor) -> Tensor:
            before = next(passes)
            return restore(seen, report and (lambda share: report((before + share) / ORIENTATIONS)))

        return ensemble(restore_one, blurry)

    def _components(self, blurry: Tensor, report: Progress | None) -> Components:
        network = self.network
        if isinstance(network, PeerNetwork):
            return Components(self._restore(blurry, report), None, None, None, None)
        results = self._fitting(lambda: tiling.components(network, blurry, tile=self.tile, on_tile=report))
        return Components(*(None if result is None else _kept(result) for result in results))  # type: ignore[arg-type]

    def _restore(self, blurry: Tensor, report: Progress | None) -> Tensor:
        network = self.network
        if isinstance(network, PeerNetwork):
            if self.is_whole:
                self._make_room(network, blurry)
            return _kept(self._fitting(lambda: peers.restore(network, blurry, tile=self.tile, on_tile=report)))
        return _kept(self._fitting(lambda: tiling.restore(network, blurry, tile=self.tile, on_tile=report)))

    def _make_room(self, network: PeerNetwork, blurry: Tensor) -> None:
        """Make tiles large enough to restore a frame whole.

        Raises:
            InputError: If the frame needs more memory than is free.
        """
        height, width = blurry.shape[-2:]
        if (height, width) in self._fitting_sizes:
            return
        needed, free = footprint.measure(network, height, width).bytes, free_memory(self.device)
        if needed > free:
            raise InputError(
                f"{name_of(network)} needs {file_size(needed)} for a frame of {width} x {height} pixels, and "
                f"{file_size(free)} are free; use --tile 512, which changes the result slightly"
            )
        self.tile = max(self.tile, math.ceil(math.sqrt(network.padded(height, width))))
        self._fitting_sizes.add((height, width))

    def _when_done(self, on_tile: Progress | None) -> Progress | None:
        """Make ``on_tile`` wait until a tile is done, because Python continues when a GPU's work has only started."""
        if on_tile is None or self.device.type != "cuda":
            return on_tile

        def report(share: float) -> None:
            torch.cuda.synchronize(self.device)
            on_tile(share)

        return report

    def _fitting(self, work: Callable[[], Result]) -> Result:
        """Return the result of ``work``, which is repeated with smaller tiles if memory runs out."""
        while True:
            try:
                with self.fabric.autocast():
                    return work()
            except torch.OutOfMemoryError:
                if not self.is_tile_free or self.is_whole or self.tile <= _SMALLEST_TILE:
                    raise
            torch.cuda.empty_cache()
            self.tile = max(_SMALLEST_TILE, self.tile // 8 * 4)


def _kept(result: Tensor) -> Tensor:
    """Return a copy in float32, because with CUDA graphs the next frame overwrites the result."""
    return result.to(torch.float32, copy=True)


def ensemble(restore: Callable[[Tensor], Tensor], blurry: Tensor) -> Tensor:
    """Return the mean result over the eight orientations of ``(B, 3, H, W)``, each turned back; upright comes first."""
    total = torch.zeros_like(blurry)
    for is_turned in (False, True):
        for flips in ((), (-1,), (-2,), (-2, -1)):
            seen = (blurry.transpose(-2, -1) if is_turned else blurry).flip(flips)
            back = restore(seen).flip(flips)
            total += back.transpose(-2, -1) if is_turned else back
    return total / ORIENTATIONS


def free_memory(device: torch.device) -> int:
    """Return the free memory of a device in bytes."""
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    return int(psutil.virtual_memory().available)


def out_of_memory(source: Path) -> str:
    """Return the message for a picture or video that ran out of memory."""
    return f"{source} needs more memory than is free; use a smaller --tile, such as --tile 256"


def is_out_of_memory(error: BaseException) -> bool:
    """Return whether an error is Python's or torch's for lack of memory; torch's on a CPU is a RuntimeError."""
    return isinstance(error, MemoryError | torch.OutOfMemoryError) or "allocate memory" in str(error)


def fitting_tile(network: Network, device: torch.device, memory: int, batch: int = 1) -> int:
    """Return the side in pixels of the largest tiles of which ``batch``, with their halo, fit ``memory`` bytes."""
    if isinstance(network, PeerNetwork):  # restores the frames of a batch one by one
        pixel_bytes = footprint.measure(network, _SAMPLE, _SAMPLE).bytes / _SAMPLE**2
        return max(int(math.sqrt(memory / pixel_bytes)) - 2 * peers.HALO, _SMALLEST_TILE)
    pixels = memory / (batch * (_PIXEL_BYTES + _CHANNEL_BYTES * network.config.widths[0]))
    side = int(math.sqrt(pixels)) - 2 * tiling.halo_of(network.config)
    largest = _LARGEST_TILE_CPU if device.type == "cpu" else _LARGEST_TILE
    return min(max(side - side % padding.SIZE_MULTIPLE, _SMALLEST_TILE), largest)
