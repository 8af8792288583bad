"""The embedded default: a small data set of scikit-image's own photographs, and the pictures of its report."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from skimage import data

from cdgnet import CDGNet, psnr, to_bytes
from pipelines.packs import PackCrop, read_crops, to_range
from pipelines.report import Example
from prep.arrays import Bytes
from prep.io import files
from prep.io.frames import to_rgb8
from prep.synthesis import motion, pairs
from prep.synthesis.pairs import PhotoRecipe

SIZE = (240, 320)  # height, width of the frames
SEED = 2021
TRAIN_FRAMES, TEST_FRAMES = 14, 4  # a photograph


def photographs() -> dict[str, dict[str, Bytes]]:
    """The photographs by split and name; those of the test split are of other scenes than any trained on."""
    train = {
        "brick": data.brick(),
        "camera": data.camera(),
        "coffee": data.coffee(),
        "coins": data.coins(),
        "immunohistochemistry": data.immunohistochemistry(),
        "motorcycle": data.stereo_motorcycle()[0],
        "rocket": data.rocket(),
    }
    test = {"astronaut": data.astronaut(), "chelsea": data.chelsea()}
    return {
        split: {name: to_rgb8(photo) for name, photo in photos.items()}
        for split, photos in (("train", train), ("test", test))
    }


def synthesise(folder: Path) -> tuple[Iterator[Path], int]:
    """Write the data set in GoPro's layout; gives the frames as they come, and their number."""
    photos = photographs()
    counts = {"train": TRAIN_FRAMES, "test": TEST_FRAMES}

    def written() -> Iterator[Path]:
        for split, count in counts.items():
            recipe = PhotoRecipe(count=count, size=SIZE, camera=motion.CAMERA, region=motion.REGION, seed=SEED)
            yield from pairs.write_gopro(photos[split], folder, split, recipe)

    return written(), sum(counts[split] * len(photos[split]) for split in counts)


@torch.no_grad()
def examples(network: CDGNet, pack: Path, rows: Sequence[int]) -> list[Example]:
    """Restore some whole frames of a pack on the CPU, with all that the network sees in them."""
    network = network.cpu().eval()
    return [_example(network, crop) for crop in read_crops(pack, rows)]


def _example(network: CDGNet, crop: PackCrop) -> Example:
    blurry, sharp = crop.blurry[None], crop.sharp[None]
    components = network(to_range(blurry))
    if components.small is None or components.large is None:
        raise ValueError(f"{network.config.variant} has no components to show; pass a network of both branches")
    restored = to_bytes(components.restored)
    return Example(
        key=crop.key,
        blurry=_picture(blurry),
        codes=crop.sharpness,
        mask=crop.mask[0].numpy(),
        small=_picture(to_bytes(components.small)),
        large=_picture(to_bytes(components.large)),
        restored=_picture(restored),
        sharp=_picture(sharp),
        psnr_blurry=float(psnr(blurry, sharp)),
        psnr_restored=float(psnr(restored, sharp)),
    )


def _picture(batch: torch.Tensor) -> Bytes:
    picture: Bytes = np.ascontiguousarray(batch[0].permute(1, 2, 0).numpy())
    return picture


def curve(log: Path) -> list[tuple[int, float, float, float]]:
    """Step and the three losses of every row of a run's log."""
    rows = [row for row in files.read_rows(log) if "loss" in row]
    return [(row["step"], row["loss_restored"], row["loss_small"], row["loss_large"]) for row in rows]
