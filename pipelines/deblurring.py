"""Pictures and folders in; the same out, sharper: same names, sizes, bit depth and alpha."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from cdgnet import CDGNet, tiling
from cdgnet.network import MINIMUM_SIZE
from pipelines.data import to_tensor
from prep import frames, sources
from prep.arrays import Bytes, Codes
from prep.sources import SourceError

TILE = 1024  # pixels; with its halo three GB in the paper's widths


class InputError(ValueError):
    """Inputs that are not there, or would overwrite one another."""


@dataclass(frozen=True, kw_only=True)
class Job:
    """One picture: where from, where to."""

    source: Path
    target: Path


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What became of a picture; ``fault`` is empty when it was written."""

    job: Job
    fault: str = ""


def plan(inputs: Sequence[Path], out: Path) -> list[Job]:
    """Name a target for each picture: a file by its name, a folder's pictures by their path below it.

    Raises:
        InputError: If an input is missing, a folder holds no picture, two share a target, or one would replace itself.
    """
    jobs = [job for path in inputs for job in _jobs(path, out)]
    targets: dict[Path, Path] = {}
    for job in jobs:
        other = targets.setdefault(job.target, job.source)
        if other != job.source:
            raise InputError(f"{other} and {job.source} would both become {job.target}; run them apart")
        if job.target.resolve() == job.source.resolve():
            raise InputError(f"{job.source} would be replaced by its own result; pass another --out")
    return jobs


def _jobs(path: Path, out: Path) -> Iterable[Job]:
    if path.is_file():
        return [Job(source=path, target=out / path.name)]
    if not path.is_dir():
        raise InputError(f"{path} is not there; pass pictures or folders")
    found = [source for source in sorted(path.rglob("*")) if frames.is_frame(source) and source.is_file()]
    if not found:
        raise InputError(f"{path} holds no picture ({', '.join(frames.SUFFIXES)})")
    return [Job(source=source, target=out / source.relative_to(path)) for source in found]


def deblur(jobs: Sequence[Job], network: CDGNet, device: torch.device, tile: int = TILE) -> Iterator[Outcome]:
    """Restore picture after picture; one that cannot be read is named and passed over."""
    network = network.to(device).eval()
    for job in jobs:
        try:
            pixels = frames.decode(sources.read(job.source), job.source)
            if min(pixels.shape[:2]) < MINIMUM_SIZE:
                raise frames.FrameError(f"{job.source} is smaller than {MINIMUM_SIZE} x {MINIMUM_SIZE} pixels")
        except SourceError as error:
            yield Outcome(job=job, fault=str(error))
            continue
        frames.write(job.target, restore(pixels, network, device, tile))
        yield Outcome(job=job)


@torch.no_grad()
def restore(pixels: Bytes | Codes, network: CDGNet, device: torch.device, tile: int = TILE) -> Bytes | Codes:
    """Restore one picture.

    Args:
        pixels: ``(H, W)`` or ``(H, W, 3 or 4)``, uint8 or uint16. Alpha is kept as it is; grey stays grey.
        network: Trained, on ``device``.
        device: Where it runs.
        tile: Side of the tiles that a larger picture is cut into, a multiple of 4; the result is that of the whole.

    Returns:
        The same shape and type.
    """
    top = np.iinfo(pixels.dtype).max
    is_grey = pixels.ndim == 2
    colour = np.repeat(pixels[:, :, None], 3, axis=2) if is_grey else pixels[:, :, :3]
    blurry = to_tensor(colour.astype(np.float32) / top - 0.5)[None].to(device)  # (1, 3, H, W)
    restored = tiling.restore(network, blurry, tile=tile)[0].permute(1, 2, 0).cpu().numpy()  # (H, W, 3)
    levels = (restored + 0.5).clip(0, 1) * top
    if is_grey:
        levels = levels.mean(axis=2)
    result: Bytes | Codes = np.rint(levels).astype(pixels.dtype)
    return result if is_grey else np.concatenate([result, pixels[:, :, 3:]], axis=2)
