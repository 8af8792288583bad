"""Packs hold what was cut from frames and masks; what cannot be packed is named."""

import shutil
import zlib
from pathlib import Path

import h5py
import numpy as np
import pytest
from gopro_packs import PackSetup, pack_content

from prep import errors
from prep.datasets import layouts
from prep.errors import PackError
from prep.io import frames
from prep.masks import making
from prep.masks.folder import MasksFolder
from prep.packs import packing, reader, verification, writer
from prep.sharpness import METHODS


def test_a_pack_holds_the_crops_of_frames_and_masks(setup: PackSetup, tmp_path: Path) -> None:
    with h5py.File(setup.pack(tmp_path / "p.h5")) as file:
        assert len(file["key"]) == 3 * 2 * 3  # 96 x 128 frames in crops of 48
        for index in range(len(file["key"])):
            key, (y, x) = file["key"].asstr()[index], file["origin"][index]
            pair = next(pair for pair in setup.pairs if pair.key == key)
            window = np.s_[y : y + 48, x : x + 48]
            assert np.array_equal(file["blurry"][index], frames.read(pair.blurry)[window])
            assert np.array_equal(file["sharp"][index], frames.read(pair.sharp)[window])
            codes = setup.masks.read_sharpness(key)[window]
            assert np.array_equal(file["sharpness"][index], codes)


def test_equations_14_and_15_hold_in_a_pack(setup: PackSetup, tmp_path: Path) -> None:
    with h5py.File(setup.pack(tmp_path / "p.h5")) as file:
        mask, sharp = file["mask"][:], file["sharp"][:]
        assert 0 < mask.mean() < 1
        assert np.array_equal(mask, file["sharpness"][:] / 65535 > 0.96)
        assert np.array_equal(file["sgt"][:], mask[..., None] * sharp)
        assert np.array_equal(file["sgt"][:] + file["lgt"][:], sharp)


def test_the_layout_is_one_crop_a_chunk_in_plain_types(setup: PackSetup, tmp_path: Path) -> None:
    with h5py.File(setup.pack(tmp_path / "p.h5")) as file:
        assert {name: str(file[name].dtype) for name in file} == {
            **dict.fromkeys(("blurry", "sharp", "sgt", "lgt", "mask"), "uint8"),
            **{"sharpness": "uint16", "key": "object", "origin": "int32", "crc32": "uint32", "mask_share": "float64"},
        }
        assert file["blurry"].chunks == (1, 48, 48, 3)
        assert file["mask"].chunks == (1, 48, 48)
        assert file["blurry"].compression is None
        assert dict(file.attrs) == {
            **{"format": "cdgnet-pack", "version": 1, "layout": "gopro", "split": "train", "variant": "blur"},
            **{"mu": 0.96, "method": "lbp", "crop": pytest.approx([48, 48]), "whole_frames": False},
            **{"has_targets": True, "tool_version": file.attrs["tool_version"]},
            **{"method_parameters": file.attrs["method_parameters"], "excluded": "[]"},
            **{
                "mask_share": pytest.approx(file["mask"][:].mean()),
                "empty_masks": sum(not mask.any() for mask in file["mask"]),
            },
        }


def test_whole_frames_make_one_crop_each(setup: PackSetup, tmp_path: Path) -> None:
    pack = reader.read_info(setup.pack(tmp_path / "p.h5", side=None))

    assert (pack.header.crop, pack.crop_count, pack.header.whole_frames) == ((96, 128), 3, True)


def test_targets_can_be_left_out(setup: PackSetup, tmp_path: Path) -> None:
    path = setup.pack(tmp_path / "p.h5", targets=False)

    with h5py.File(path) as file:
        assert not {"sgt", "lgt"} & set(file)
    assert not any(verification.verify(reader.read_info(path)))


def test_the_content_does_not_depend_on_the_number_of_processes(setup: PackSetup, tmp_path: Path) -> None:
    one, two = setup.pack(tmp_path / "1.h5", jobs=1), setup.pack(tmp_path / "2.h5", jobs=2)

    with h5py.File(one) as first, h5py.File(two) as second:
        for name in first:
            assert np.array_equal(first[name][:], second[name][:])


def test_the_checksum_is_that_of_the_bytes_in_order(setup: PackSetup, tmp_path: Path) -> None:
    with h5py.File(setup.pack(tmp_path / "p.h5")) as file:
        parts = [file[name][4].tobytes() for name in ("blurry", "sharp", "mask", "sharpness")]
        assert file["crc32"][4] == zlib.crc32(b"".join(parts))


@pytest.mark.parametrize("is_in_place", [False, True])
def test_another_threshold_gives_the_pack_that_frames_would_have_given(
    setup: PackSetup, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_in_place: bool
) -> None:
    wanted = pack_content(setup.pack(tmp_path / "wanted.h5", mu=0.5))
    path = setup.pack(tmp_path / "p.h5")
    before, out = pack_content(path), path if is_in_place else tmp_path / "q.h5"
    monkeypatch.setattr(writer, "_COMMIT_BYTES", 0)
    left = packing.remask(path, 0.5, out)
    next(left)
    left.close()
    assert pack_content(path) == before

    assert list(packing.remask(path, 0.5, out)) == [pair.key for pair in setup.pairs]

    assert pack_content(out) == wanted
    assert before != wanted
    assert is_in_place or pack_content(path) == before


def test_a_damaged_crop_is_not_carried_into_another_pack(setup: PackSetup, tmp_path: Path) -> None:
    path = setup.pack(tmp_path / "p.h5")
    with h5py.File(path, "r+") as file:
        file["sharp"][7, 3, 3, 0] ^= 1

    with pytest.raises(PackError, match=r"p\.h5: crop 7 \(clip_train/000002\) is damaged"):
        list(packing.remask(path, 0.5, tmp_path / "q.h5"))
    assert not (tmp_path / "q.h5").exists()


def test_a_pack_that_is_there_is_kept_until_the_new_one_is_whole(setup: PackSetup, tmp_path: Path) -> None:
    path = setup.pack(tmp_path / "p.h5")
    before = path.read_bytes()
    setup.pairs[-1].sharp.write_bytes(b"")

    with pytest.raises(errors.FrameError):
        setup.pack(path)

    assert path.read_bytes() == before


def test_a_crop_larger_than_the_frame_is_refused_at_once(setup: PackSetup) -> None:
    with pytest.raises(
        PackError, match=r"clip_train/000001: a crop of 97 x 97 pixels does not fit .* use --crop 96 or less"
    ):
        packing.crop_size(setup.pairs, 97)


def test_frames_of_a_pair_must_have_one_size(setup: PackSetup, tmp_path: Path) -> None:
    frames.write(setup.pairs[1].sharp, frames.read(setup.pairs[1].sharp)[:-1])

    with pytest.raises(PackError, match=r"000002\.png is 128 x 96, .* is 128 x 95; make both the same size"):
        setup.pack(tmp_path / "p.h5")


def test_whole_frames_that_are_not_padded_have_one_size(setup: PackSetup, tmp_path: Path) -> None:
    for path in (setup.pairs[1].blurry, setup.pairs[1].sharp):
        frames.write(path, np.tile(frames.read(path), (2, 1, 1)))
    sharpness = setup.masks.sharpness_path(setup.pairs[1].key)
    frames.write(sharpness, np.tile(frames.read_sharpness(sharpness), (2, 1)))

    with pytest.raises(PackError, match="000001 is 128 x 96, but the pack is for frames of 128 x 192; use --crop N"):
        setup.pack(tmp_path / "p.h5", side=None)


def test_a_map_of_another_size_than_its_frame_is_refused(setup: PackSetup, tmp_path: Path) -> None:
    sharpness = setup.masks.sharpness_path(setup.pairs[0].key)
    frames.write(sharpness, frames.read_sharpness(sharpness)[:-1])

    with pytest.raises(PackError, match="is 128 x 95, but its frame is 128 x 96; run cdg-prep masks again"):
        setup.pack(tmp_path / "p.h5")


def test_the_threshold_is_that_of_the_masks_folder(setup: PackSetup) -> None:
    assert packing.common_mu(setup.masks, setup.pairs, None, "lbp") == 0.96
    assert packing.common_mu(setup.masks, setup.pairs, 0.5, "lbp") == 0.5
    usual = {method: packing.common_mu(MasksFolder(setup.masks.path / "none"), [], None, method) for method in METHODS}
    assert usual == {**dict.fromkeys(METHODS, 0.96), "paired": 0.85, "extent": 0.85}
    assert packing.common_mu(setup.masks, [], None, "paired") == 0.96, "new frames get the threshold of the others"
    list(making.make(making.plan(setup.pairs[:1], setup.masks, setup.recipe, 0.9), jobs=1))

    with pytest.raises(PackError, match=r"made with mu = 0\.9 and 0\.96; choose one with --mu"):
        packing.common_mu(setup.masks, setup.pairs, None, "lbp")


def test_an_archive_packs_to_the_content_of_the_folder_it_was_made_of(setup: PackSetup, tmp_path: Path) -> None:
    root = setup.dataset.folders[0]
    archive = Path(shutil.make_archive(str(tmp_path / "GOPRO_Large"), "zip", root.parent, root.name))

    packed = PackSetup(archive, tmp_path / "masks-of-archive")

    assert pack_content(packed.pack(tmp_path / "zip.h5", jobs=2)) == pack_content(setup.pack(tmp_path / "folder.h5"))


def test_masks_of_a_folder_serve_the_archive_that_was_made_of_it(setup: PackSetup, tmp_path: Path) -> None:
    root = setup.dataset.folders[0]
    archive = Path(shutil.make_archive(str(tmp_path / "GOPRO_Large"), "zip", root.parent, root.name))

    pairs = layouts.find(archive).select("train")
    plan = making.plan(pairs, setup.masks, setup.recipe, 0.96)

    assert (len(plan.done), len(plan.tasks)) == (3, 0)
