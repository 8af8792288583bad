"""Demo: a small data set made from scikit-image's photographs, and one picture of the results."""

import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from skimage import data

from cdgnet import CDGNet, psnr, to_bytes
from pipelines.packs import PackCrop, read_crops, to_range
from pipelines.pages.sheet import draw_sheet
from prep.arrays import Bytes, Codes
from prep.io import frames
from prep.io.frames import to_rgb8
from prep.masks.folder import MasksFolder
from prep.packs import reader
from prep.synthesis import from_photos
from prep.synthesis.cameras import CAMERAS
from prep.synthesis.outlines import Segments
from prep.synthesis.recipes import PhotoRecipe
from prep.synthesis.trajectories import Stroke

SIZE = (240, 320)  # pixels; height, width of the frames
SEED = 2021
TRAIN_FRAMES, TEST_FRAMES = 14, 4  # frames per photograph
UNSEEN = ("astronaut", "coffee", "chelsea")  # photographs that the weights of cdgnet never saw
UNSEEN_RECIPE = PhotoRecipe(
    count=1, hand=Stroke(shortest=5, longest=10, roll=3, zoom=2), things=(0, 0), camera=CAMERAS["gopro"], seed=SEED
)
# The camera follows a subject, so the background is smeared sideways and the subject hardly at all.
HAND, SUBJECT = Stroke(shortest=6, longest=8, tilt=0.15, tremor=0), Stroke(shortest=0, longest=3, tremor=0)


def photographs() -> dict[str, dict[str, Bytes]]:
    """Return the photographs by split and name; the scenes of the test split are not in the training split."""
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


def shake_unseen(folder: Path) -> None:
    """Write ``blurry/NAME.png`` and ``sharp/NAME.png`` for each of ``UNSEEN``, as if taken with a small hand camera."""
    for name in UNSEEN:
        photo = to_rgb8(getattr(data, name)())
        pair = from_photos.shake(photo, Segments(photo), UNSEEN_RECIPE, [SEED, zlib.crc32(name.encode())])
        for kind, picture in (("blurry", pair.blurry), ("sharp", pair.sharp)):
            if not (path := folder / kind / f"{name}.png").exists():
                frames.write(path, picture)


def synthesise(folder: Path) -> tuple[Iterator[Path], int]:
    """Write the data set in GoPro's layout; return an iterator that writes and yields frames, and their number."""
    photos = photographs()
    counts = {"train": TRAIN_FRAMES, "test": TEST_FRAMES}

    def written() -> Iterator[Path]:
        for split, count in counts.items():
            recipe = PhotoRecipe(count=count, size=SIZE, hand=HAND, thing=SUBJECT, things=(1, 1), seed=SEED)
            yield from from_photos.write_gopro(photos[split], folder, split, recipe)

    return written(), sum(counts[split] * len(photos[split]) for split in counts)


@torch.no_grad()
def picture(network: CDGNet, pack: Path, rows: Sequence[int], blind: MasksFolder) -> Bytes:
    """Restore whole frames of a pack on the CPU, and draw them: blurry, M of a blind map, M, restored and sharp.

    Args:
        network: Trained network.
        pack: Path of a pack of whole frames.
        rows: Indices of the frames in the pack, at least one.
        blind: Masks of the same frames from a method that sees only the blurry frame, for comparison.

    Returns:
        ``(h, 1896, 3)`` uint8 RGB with one row per frame; PSNR is below the blurry and the restored frame.
    """
    network = network.cpu().eval()
    method = reader.read_info(pack).header.method
    names = ("blurry", f"M by {blind.method}", f"M by {method}: white is small blur", "restored", "sharp")
    return draw_sheet(names, [_row(network, crop, blind) for crop in read_crops(reader.read_info(pack), rows)])


def _row(network: CDGNet, crop: PackCrop, blind: MasksFolder) -> tuple[list[Bytes | Codes], list[str]]:
    blurry, sharp = crop.blurry[None], crop.sharp[None]
    restored = to_bytes(network(to_range(blurry)).restored)
    mask = crop.mask[0].numpy() * np.uint8(255)
    guess = frames.read(blind.mask_path(crop.key))
    cells: list[Bytes | Codes] = [_pixels(blurry), guess, mask, _pixels(restored), _pixels(sharp)]
    return cells, [f"{float(psnr(blurry, sharp)):.2f} dB", "", "", f"{float(psnr(restored, sharp)):.2f} dB", ""]


def _pixels(batch: torch.Tensor) -> Bytes:
    pixels: Bytes = np.ascontiguousarray(batch[0].permute(1, 2, 0).numpy())
    return pixels
