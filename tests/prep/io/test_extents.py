"""Maps of extents: their codes, where they lie, and the masks made of them."""

import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from prep import errors
from prep.datasets import layouts
from prep.errors import FrameError
from prep.io import extents, frames
from prep.io.storage import ArchiveMember
from prep.masks import making
from prep.masks.equations import LEVELS
from prep.masks.folder import MaskRecord, MasksFolder
from prep.sharpness import METHODS, paired

MakeGopro = Callable[..., Path]


def test_extents_keep_a_256th_of_a_pixel_and_what_is_unknown() -> None:
    extent = np.array([[0, 0.5, 3.3, 255.9], [1000, np.nan, 1 / 256, 40]], np.float32)

    again = extents.to_pixels(extents.to_codes(extent))

    assert np.isnan(again[1, 1])
    assert again[1, 0] == extents.LARGEST
    known = np.isfinite(extent) & (extent < 256)
    assert np.abs(again - extent)[known].max() <= 0.5 / extents.SCALE + 1e-6


def test_a_map_is_found_beside_the_sharp_frame_in_a_folder_and_in_a_zip(make_gopro: MakeGopro, tmp_path: Path) -> None:
    root = make_gopro(train=1, test=0)
    (pair,) = layouts.find(root).pairs
    assert extents.find(pair.sharp) == root / "train/clip_train/extent/000001.png"

    with zipfile.ZipFile(tmp_path / "all.zip", "w") as archive:
        for path in sorted(root.rglob("*.png")):
            archive.write(path, path.relative_to(root.parent))
    (packed,) = layouts.find(tmp_path / "all.zip").pairs
    place = extents.find(packed.sharp)
    assert isinstance(place, ArchiveMember)
    assert place.name == "GOPRO_Large/train/clip_train/extent/000001.png"

    (root / "train/clip_train/extent/000001.png").unlink()
    assert extents.find(pair.sharp) is None


def test_masks_of_known_extents_are_the_pixels_blurred_less(make_gopro: MakeGopro, tmp_path: Path) -> None:
    dataset = layouts.find(make_gopro(train=2, test=0))
    plan = making.plan(dataset.pairs, MasksFolder(tmp_path / "m"), making.recipe_of(dataset, "extent"), 0.85)
    assert all(isinstance(row, MaskRecord) for row in making.make(plan, jobs=1))

    limit = float(paired.extent_of(np.float32([0.85]))[0])
    for pair in dataset.pairs:
        place = extents.find(pair.sharp)
        assert isinstance(place, Path)
        length = extents.to_pixels(frames.read_sharpness(place))
        mask = frames.read(MasksFolder(tmp_path / "m").mask_path(pair.key))[:, :, 0] > 0
        sure = np.abs(length - limit) > 0.01
        assert 0.02 < mask.mean() < 0.98
        assert np.array_equal(mask[sure], length[sure] < limit)


def test_a_changed_map_gives_a_new_mask(make_gopro: MakeGopro, tmp_path: Path) -> None:
    dataset = layouts.find(make_gopro(train=1, test=0))
    recipe = making.recipe_of(dataset, "extent")
    list(making.make(making.plan(dataset.pairs, MasksFolder(tmp_path / "m"), recipe, 0.96), jobs=1))
    place = extents.find(dataset.pairs[0].sharp)
    assert isinstance(place, Path)
    frames.write(place, np.full((96, 128), extents.UNKNOWN, np.uint16))

    (row,) = making.make(making.plan(dataset.pairs, MasksFolder(tmp_path / "m"), recipe, 0.96), jobs=1)

    assert isinstance(row, MaskRecord)
    assert (row.mask_share, row.sharpness_max) == (0, 0)  # unknown counts as blurred


def test_s_of_extents_is_on_the_scale_of_paired() -> None:
    frame = np.zeros((16, 16, 3), np.uint8)
    codes = extents.to_codes(np.linspace(0, 60, 256, dtype=np.float32).reshape(16, 16))

    sharpness = METHODS["extent"].compute(frame, codes)

    assert sharpness[0, 0] == 1
    assert np.abs(paired.extent_of(sharpness) - extents.to_pixels(codes)).max() < 1e-2
    assert np.rint(METHODS["extent"].compute(frame, np.full((16, 16), 3 * 256, np.uint16)) * LEVELS)[0, 0] == round(
        0.96 * LEVELS
    )


def test_without_maps_or_with_wrong_ones_it_is_one_line(make_gopro: MakeGopro, tmp_path: Path) -> None:
    root = make_gopro(train=1, test=0)
    dataset, place = layouts.find(root), root / "train/clip_train/extent/000001.png"
    recipe = making.recipe_of(dataset, "extent")
    frames.write(place, np.zeros((96, 100), np.uint16))
    (failure,) = making.make(making.plan(dataset.pairs, MasksFolder(tmp_path / "m"), recipe, 0.96), jobs=1)
    assert isinstance(failure, making.Failure)
    assert "the blur-length map is uint16 (96, 100), but must be uint16 (96, 128)" in failure.reason

    place.unlink()
    with pytest.raises(errors.MaskError, match=r"clip_train/000001 has no blur-length map: .* use --method"):
        making.plan(dataset.pairs, MasksFolder(tmp_path / "m"), recipe, 0.96)

    with pytest.raises(FrameError, match=r"not a 16-bit grey map of blur lengths; make the data set again"):
        extents.decode(frames.encode(np.zeros((4, 4), np.uint8), Path("a.png")), Path("a.png"))
