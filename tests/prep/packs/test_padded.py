"""Whole frames of several sizes in one pack: padded on disk, and read back as they were."""

from pathlib import Path

import cv2
import h5py
import numpy as np
import pytest
from gopro_packs import pack_content

from prep.datasets import layouts, tree_pairs
from prep.datasets.layouts import Dataset
from prep.errors import PackError
from prep.io import frames
from prep.masks import equations, making
from prep.masks.folder import MasksFolder
from prep.packs import packing, reader, verification

SIZES = {"scene001/1": (60, 80), "scene001/2": (52, 96), "scene002/1": (60, 80)}


@pytest.fixture
def dataset(tmp_path: Path, photo: np.ndarray) -> Dataset:
    """RealBlur's layout, with frames of three heights and widths."""
    for number, (key, (height, width)) in enumerate(SIZES.items()):
        scene, name = key.split("/")
        sharp = photo[number : number + height, number : number + width]
        for role, pixels in (("gt", sharp), ("blur", np.roll(sharp, 1, axis=1))):
            frames.write(tmp_path / "RealBlur-J_x" / scene / role / f"{role}_{name}.png", pixels)
    return layouts.find(tmp_path)


def pack(dataset: Dataset, out: Path, mu: float = 0.5) -> Path:
    masks, recipe = MasksFolder(out.parent / "masks"), making.recipe_of(dataset, "laplacian")
    list(making.make(making.plan(dataset.pairs, masks, recipe, mu), jobs=1))
    crop = packing.crop_size(dataset.pairs, None)
    head = packing.header(
        dataset, "all", recipe, mu, crop, whole_frames=True, targets=True, is_padded=len(set(SIZES.values())) > 1
    )
    list(packing.pack(dataset.pairs, masks, out, head, jobs=1))
    return out


def test_a_padded_frame_is_zero_beyond_its_size(dataset: Dataset, tmp_path: Path) -> None:
    info = reader.read_info(pack(dataset, tmp_path / "p.h5"))

    assert (info.header.crop, info.header.version, info.sizes) == ((60, 96), 2, tuple(SIZES.values()))
    with h5py.File(info.path) as file:
        for row, pair in enumerate(dataset.pairs):
            height, width = SIZES[pair.key]
            assert np.array_equal(file["blurry"][row, :height, :width], frames.read(pair.blurry))
            assert np.array_equal(file["sgt"][row] + file["lgt"][row], file["sharp"][row])
            for name in ("blurry", "sharp", "mask", "sharpness", "sgt", "lgt"):
                assert not file[name][row, height:].any() and not file[name][row, :, width:].any()
            codes = MasksFolder(tmp_path / "masks").read_sharpness(pair.key)
            assert file["mask_share"][row] == equations.mask_of_codes(codes, 0.5).mean()
    assert not verification.structure(info)
    assert list(verification.verify(info)) == [None, None, None]


def test_wrong_pairs_of_a_padded_pack_are_found_though_their_padding_agrees(dataset: Dataset, tmp_path: Path) -> None:
    texture = np.random.default_rng(0).integers(0, 256, (8, 6, 8, 3), np.uint8)
    for noise, pair in zip(texture, dataset.pairs, strict=False):
        height, width = SIZES[pair.key]
        frames.write(Path(str(pair.sharp)), cv2.resize(noise, (width, height), interpolation=cv2.INTER_CUBIC))

    (finding,) = verification.wrong_pairs(reader.read_info(pack(dataset, tmp_path / "p.h5")))

    assert (finding.fault, finding.keys) == ("scene", tuple(SIZES))


def test_jpegs_of_several_sizes_in_one_folder_are_padded_to_the_largest(tmp_path: Path, photo: np.ndarray) -> None:
    for key, (height, width) in SIZES.items():
        for number, role in enumerate("bs"):
            path = tmp_path / role / f"{key.replace('/', '_')}.jpg"
            path.parent.mkdir(exist_ok=True)
            frames.write(path, photo[:height, number : width + number])

    jpegs = tree_pairs.find_pairs(tmp_path / "b", tmp_path / "s")

    assert reader.read_info(pack(jpegs, tmp_path / "p.h5")).sizes == tuple(SIZES.values())


def test_another_threshold_of_a_padded_pack_is_that_of_its_frames(dataset: Dataset, tmp_path: Path) -> None:
    path = pack(dataset, tmp_path / "one" / "p.h5")

    list(packing.remask(path, 0.3, path))

    assert pack_content(path) == pack_content(pack(dataset, tmp_path / "other" / "p.h5", mu=0.3))


def test_a_frame_larger_than_its_pack_is_named(dataset: Dataset, tmp_path: Path) -> None:
    masks, recipe = MasksFolder(tmp_path / "masks"), making.recipe_of(dataset, "laplacian")
    list(making.make(making.plan(dataset.pairs, masks, recipe, 0.5), jobs=1))
    head = packing.header(dataset, "all", recipe, 0.5, (60, 90), whole_frames=True, targets=True, is_padded=True)

    with pytest.raises(PackError, match=r"scene001/2 is 96 x 52, but the pack is for frames of 90 x 60; use --crop N"):
        list(packing.pack(dataset.pairs, masks, tmp_path / "p.h5", head, jobs=1))


@pytest.mark.parametrize(
    ("size", "said"),
    [
        ((61, 80), r"crop 1 \(scene001/2\) has size \(61, 80\); the limit is \(60, 96\)"),
        ((0, 80), "has size"),
        (None, "lacks size"),
    ],
)
def test_a_size_that_cannot_be_is_refused(
    dataset: Dataset, tmp_path: Path, size: tuple[int, int] | None, said: str
) -> None:
    path = pack(dataset, tmp_path / "p.h5")
    with h5py.File(path, "r+") as file:
        if size:
            file["size"][1] = size
        else:
            del file["size"]

    with pytest.raises(PackError, match=said):
        reader.read_info(path)


def test_pixels_beyond_a_frame_are_a_fault(dataset: Dataset, tmp_path: Path) -> None:
    path = pack(dataset, tmp_path / "p.h5")
    with h5py.File(path, "r+") as file:
        file["size"][1] = (51, 96)

    (fault,) = filter(None, verification.verify(reader.read_info(path)))
    assert fault.startswith("crop 1 (scene001/2 at y 0, x 0): ") and "the padding is not zero" in fault
