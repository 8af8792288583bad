"""Packs of a tiny data set in GoPro's layout, for tests."""

from pathlib import Path

import h5py
import numpy as np

from prep.datasets import layouts
from prep.masks import making
from prep.masks.folder import MasksFolder
from prep.packs import packing


class PackSetup:
    """A data set with its masks, ready to pack."""

    def __init__(self, root: Path, folder: Path) -> None:
        self.dataset, self.masks = layouts.find(root), MasksFolder(folder)
        self.recipe = making.recipe_of(self.dataset, "lbp")
        self.pairs = self.dataset.select("train")
        list(making.make(making.plan(self.pairs, self.masks, self.recipe, 0.96), jobs=1))

    def pack(self, out: Path, side: int | None = 48, targets: bool = True, jobs: int = 1, mu: float = 0.96) -> Path:
        size = packing.crop_size(self.pairs, side)
        head = packing.header(self.dataset, "train", self.recipe, mu, size, whole_frames=side is None, targets=targets)
        list(packing.pack(self.pairs, self.masks, out, head, jobs=jobs))
        return out


def pack_content(path: Path) -> dict[str, object]:
    """All that a pack holds, bytes for bytes."""
    with h5py.File(path) as file:
        values: dict[str, object] = {name: file[name][:].tolist() for name in ("key", "origin", "mask_share")}
        values |= {name: file[name][:].tobytes() for name in file if name not in values}
        return values | {f"attribute {name}": np.asarray(value).tolist() for name, value in file.attrs.items()}
