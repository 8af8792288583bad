"""Scores of a network on the held-out frames: whole frames, 8 bits, both blurry and restored."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from lightning_fabric import Fabric
from torch import Tensor

from cdgnet import CDGNet, psnr, to_bytes
from cdgnet.tiling import restore
from pipelines.errors import TrainingError
from pipelines.packs import read_frame, to_range
from pipelines.pages.panels import MAP_TITLES
from pipelines.sampling import evenly_spaced
from pipelines.train.agreement import reduce_over_devices
from pipelines.train.split import Split
from prep.arrays import Bytes
from prep.io import files, frames, storage
from prep.packs.reader import PackInfo

# Shows the progress of work on items: takes the items, their number and the name of the work, returns the items.
Progress = Callable[[Iterable[Any], int, str], Iterable[Any]]


class ValidationScores(NamedTuple):
    """Means over the held-out frames."""

    blurry: float  # PSNR in dB
    restored: float  # PSNR in dB
    frames: int  # number of frames


KINDS = ("blurry", "restored", "sharp", "mask", "small", "large", *MAP_TITLES)
_SHOWN = 3  # number of frames whose pictures are kept
_SIDE = 1024  # largest side of a picture, in pixels


@torch.no_grad()
def validate(
    network: CDGNet, packs: Sequence[PackInfo], split: Split, fabric: Fabric, progress: Progress | None = None
) -> ValidationScores:
    """Restore all held-out frames, each assembled from its crops, and score them; devices share the work.

    Args:
        network: The network, on the fabric's device; whether it is in training mode stays as it is.
        packs: Header and index of each pack.
        split: The split of their frames, with at least one frame held out.
        fabric: Decides device and precision.
        progress: Shows the progress.
    """
    was_training = network.training
    network.eval()
    held_out = list(split.held_out.items())
    own = held_out[fabric.global_rank :: fabric.world_size]
    sums = torch.zeros(2, dtype=torch.float64)
    for frame, rows in progress(own, len(own), "validate") if progress else own:
        whole = read_frame(packs, frame, rows)
        blurry, sharp = (fabric.to_device(picture[None]) for picture in (whole.blurry, whole.sharp))
        with fabric.autocast():
            restored = to_bytes(restore(network, to_range(blurry)))
        sums += torch.cat([psnr(blurry, sharp), psnr(restored, sharp)]).cpu()
    network.train(was_training)
    blurry_mean, restored_mean = (reduce_over_devices(sums, fabric, "sum") / len(held_out)).tolist()
    return ValidationScores(blurry_mean, restored_mean, len(held_out))


@torch.no_grad()
def write_pictures(
    network: CDGNet, packs: Sequence[PackInfo], split: Split, fabric: Fabric, folder: Path, mu: float | None = None
) -> None:
    """Write all outputs of the network for a few held-out frames to ``pictures`` in the run folder.

    The pictures are the middles of the frames, at most 1024 x 1024, and replace earlier ones. Masks have the threshold
    ``mu``; with None they are the packs' own.
    """
    was_training = network.training
    network.eval()
    about = []
    for place, (frame, rows) in enumerate(evenly_spaced(list(split.held_out.items()), _SHOWN)):
        whole = read_frame(packs, frame, rows, mu)
        blurry, sharp, mask = (
            fabric.to_device(_middle(part)[None]) for part in (whole.blurry, whole.sharp, whole.mask)
        )
        with fabric.autocast():
            components = network(to_range(blurry))
        restored = to_bytes(components.restored)
        pictures = {"blurry": blurry, "restored": restored, "sharp": sharp, "mask": mask * 255}
        for name in ("small", "large"):
            if (image := getattr(components, name)) is not None:
                pictures[name] = to_bytes(image)
        for name in MAP_TITLES:
            if (given := getattr(components, name)) is not None:
                pictures[name] = to_bytes(given - 0.5)
        for name, picture in pictures.items():
            pixels = picture[0].permute(1, 2, 0).cpu().numpy()
            frames.write(
                folder / "pictures" / f"{place}-{name}.png", pixels if len(picture[0]) == 3 else pixels[..., 0]
            )
        scores = {"psnr_blurry": float(psnr(blurry, sharp)), "psnr_restored": float(psnr(restored, sharp))}
        about.append({"key": frame.key, "kinds": list(pictures), **scores})
    files.write_rows(folder / "pictures" / "pictures.jsonl", about)
    network.train(was_training)


def read_pictures(folder: Path) -> Iterator[tuple[str, Mapping[str, Bytes], Mapping[str, float]]]:
    """Read what ``write_pictures`` wrote to a run folder: for each frame its key, the pictures by kind, the scores.

    Raises:
        TrainingError, ReadError: If a file is damaged.
    """
    path = folder / "pictures" / "pictures.jsonl"
    for place, row in enumerate(files.read_rows(path)):
        kinds, scores = row.get("kinds"), (row.get("psnr_blurry"), row.get("psnr_restored"))
        has_kinds = isinstance(kinds, list) and {"blurry", "restored"} <= set(map(str, kinds)) <= set(KINDS)
        if not has_kinds or not isinstance(row.get("key"), str) or not all(type(score) is float for score in scores):
            raise TrainingError(
                f"line {place + 1} of {path} does not describe a picture; remove {path.parent}, and the "
                "next validation writes it again"
            )
        paths = {name: folder / "pictures" / f"{place}-{name}.png" for name in row["kinds"]}
        yield row["key"], {name: _read(path) for name, path in paths.items()}, row


def _read(path: Path) -> Bytes:
    return np.asarray(frames.decode(storage.read(path), path), np.uint8)


def _middle(picture: Tensor) -> Tensor:
    height, width = picture.shape[-2:]
    top, left = (max(0, (side - _SIDE) // 2) for side in (height, width))
    return picture[..., top : top + _SIDE, left : left + _SIDE]
