"""Packs: what is written is what was cut, whole or not at all, and every fault is named."""

import errno
import shutil
import zlib
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest

from prep import errors
from prep.datasets import layouts
from prep.errors import PackError
from prep.io import frames, journal
from prep.masks import making
from prep.masks.folder import MasksFolder
from prep.packs import packing, reader, verification, writer

MakeGopro = Callable[..., Path]


class Setup:
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


@pytest.fixture
def setup(make_gopro: MakeGopro, tmp_path: Path) -> Setup:
    return Setup(make_gopro(), tmp_path / "m")


def test_a_pack_holds_the_crops_of_frames_and_masks(setup: Setup, tmp_path: Path) -> None:
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


def test_equations_14_and_15_hold_in_a_pack(setup: Setup, tmp_path: Path) -> None:
    with h5py.File(setup.pack(tmp_path / "p.h5")) as file:
        mask, sharp = file["mask"][:], file["sharp"][:]
        assert 0 < mask.mean() < 1
        assert np.array_equal(mask, file["sharpness"][:] / 65535 > 0.96)
        assert np.array_equal(file["sgt"][:], mask[..., None] * sharp)
        assert np.array_equal(file["sgt"][:] + file["lgt"][:], sharp)


def test_the_layout_is_one_crop_a_chunk_in_plain_types(setup: Setup, tmp_path: Path) -> None:
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


def test_whole_frames_make_one_crop_each(setup: Setup, tmp_path: Path) -> None:
    pack = reader.read_info(setup.pack(tmp_path / "p.h5", side=None))

    assert (pack.header.crop, pack.crop_count, pack.header.whole_frames) == ((96, 128), 3, True)


def test_targets_can_be_left_out(setup: Setup, tmp_path: Path) -> None:
    path = setup.pack(tmp_path / "p.h5", targets=False)

    with h5py.File(path) as file:
        assert not {"sgt", "lgt"} & set(file)
    assert not any(verification.verify(reader.read_info(path)))


def test_the_content_does_not_depend_on_the_number_of_processes(setup: Setup, tmp_path: Path) -> None:
    one, two = setup.pack(tmp_path / "1.h5", jobs=1), setup.pack(tmp_path / "2.h5", jobs=2)

    with h5py.File(one) as first, h5py.File(two) as second:
        for name in first:
            assert np.array_equal(first[name][:], second[name][:])


def test_the_checksum_is_that_of_the_bytes_in_order(setup: Setup, tmp_path: Path) -> None:
    with h5py.File(setup.pack(tmp_path / "p.h5")) as file:
        parts = [file[name][4].tobytes() for name in ("blurry", "sharp", "mask", "sharpness")]
        assert file["crc32"][4] == zlib.crc32(b"".join(parts))


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("blurry", "checksum differs"),
        ("sharp", "checksum differs; sgt and lgt are not"),
        ("sharpness", "checksum differs; mask is not S > 0.96"),
        ("mask", "checksum differs; mask is not S > 0.96; mask_share is not"),
        ("lgt", "sgt and lgt are not mask"),
    ],
)
def test_verify_names_the_crop_and_what_is_wrong(setup: Setup, tmp_path: Path, name: str, said: str) -> None:
    path = setup.pack(tmp_path / "p.h5")
    assert not any(verification.verify(reader.read_info(path)))
    with h5py.File(path, "r+") as file:
        row = file[name][7]
        row.flat[100] = (
            1 - row.flat[100]
            if name == "mask"
            else row.flat[100] ^ np.asarray(255 << 8 * (row.itemsize - 1), row.dtype)
        )
        if name == "sharpness":
            row.flat[100] = 0 if file["mask"][7].flat[100] else 65535
        file[name][7] = row

    faults = [fault for fault in verification.verify(reader.read_info(path)) if fault]

    assert len(faults) == 1
    assert faults[0].startswith("crop 7 (clip_train/000002 at y 0, x 40): ")
    assert said in faults[0]


def broken(path: Path, change: Callable[[h5py.File], None]) -> list[str]:
    """What the structure of a pack is said to lack after a change."""
    with h5py.File(path, "r+") as file:
        change(file)
    return verification.structure(reader.read_info(path))


def test_a_fast_check_sees_that_crops_were_dropped_swapped_or_never_stored(setup: Setup, tmp_path: Path) -> None:
    whole = setup.pack(tmp_path / "p.h5")
    assert verification.structure(reader.read_info(whole)) == []
    assert verification.count(reader.read_info(whole), fast=True) == 1

    def drop(file: h5py.File) -> None:
        for name in file:
            file[name].resize(17, axis=0)

    def swap(file: h5py.File) -> None:
        file["origin"][:2] = file["origin"][:2][::-1]

    def leave_out(file: h5py.File) -> None:
        shape, chunks = file["sharp"].shape, file["sharp"].chunks
        del file["sharp"]
        file.create_dataset("sharp", shape, np.uint8, chunks=chunks)

    def empty(file: h5py.File) -> None:
        file.attrs["empty_masks"] = 18

    said = {}
    for change in (drop, swap, leave_out, empty):
        path = Path(shutil.copy(whole, tmp_path / f"{change.__name__}.h5"))
        said[change.__name__] = " | ".join(broken(path, change))

    assert "crops 12 to 16 (clip_train/000003) are no whole grid" in said["drop"]
    assert "crops 0 to 5 (clip_train/000001) are no whole grid" in said["swap"]
    assert "sharp holds 0 of 18 crops" in said["leave_out"]
    assert "empty_masks is 18" in said["empty"]


def content(path: Path) -> dict[str, object]:
    """All that a pack holds, bytes for bytes."""
    with h5py.File(path) as file:
        held: dict[str, object] = {name: file[name][:].tolist() for name in ("key", "origin", "mask_share")}
        held |= {name: file[name][:].tobytes() for name in file if name not in held}
        return held | {f"attribute {name}": np.asarray(value).tolist() for name, value in file.attrs.items()}


def test_a_failure_leaves_nothing_under_the_final_name_and_the_same_call_goes_on(
    setup: Setup, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = content(setup.pack(tmp_path / "whole.h5"))
    last, out = setup.pairs[-1].sharp, tmp_path / "out" / "p.h5"
    data = last.read_bytes()
    last.write_bytes(data[:500])
    monkeypatch.setattr(writer, "_COMMIT_BYTES", 0)
    with pytest.raises(errors.FrameError, match=r"000003\.png is damaged"):
        setup.pack(out)
    assert not out.exists()

    last.write_bytes(data)
    setup.pairs[1].sharp.write_bytes(b"")  # stored, and not looked at again
    setup.pack(out)

    assert content(out) == whole
    assert [path.name for path in out.parent.iterdir()] == ["p.h5"]


def begin(setup: Setup, out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Store one frame of three and stop."""
    monkeypatch.setattr(writer, "_COMMIT_BYTES", 0)
    size = packing.crop_size(setup.pairs, 48)
    head = packing.header(setup.dataset, "train", setup.recipe, 0.96, size, whole_frames=False, targets=True)
    left = packing.pack(setup.pairs, setup.masks, out, head, jobs=1)
    next(left)
    left.close()


def test_a_pack_begun_otherwise_is_not_gone_on_with(
    setup: Setup, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "p.h5"
    begin(setup, out, monkeypatch)

    with pytest.raises(
        PackError, match=r"p\.h5\.part was begun with mu 0\.96, now 0\.5; finish it so, or pass --force"
    ):
        setup.pack(out, mu=0.5)
    setup.pairs = setup.pairs[1:]
    with pytest.raises(PackError, match=r"was begun with other frames"):
        setup.pack(out)
    size = packing.crop_size(setup.pairs, 48)
    head = packing.header(setup.dataset, "train", setup.recipe, 0.5, size, whole_frames=False, targets=True)
    list(packing.pack(setup.pairs, setup.masks, out, head, jobs=1, anew=True))

    with h5py.File(out) as file:
        assert file.attrs["mu"] == 0.5
        assert set(file["key"].asstr()[:]) == {pair.key for pair in setup.pairs}


@pytest.mark.parametrize("is_in_place", [False, True])
def test_another_threshold_gives_the_pack_that_frames_would_have_given(
    setup: Setup, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_in_place: bool
) -> None:
    wanted = content(setup.pack(tmp_path / "wanted.h5", mu=0.5))
    path = setup.pack(tmp_path / "p.h5")
    before, out = content(path), path if is_in_place else tmp_path / "q.h5"
    monkeypatch.setattr(writer, "_COMMIT_BYTES", 0)
    left = packing.remask(path, 0.5, out)
    next(left)
    left.close()
    assert content(path) == before

    assert list(packing.remask(path, 0.5, out)) == [pair.key for pair in setup.pairs]

    assert content(out) == wanted
    assert before != wanted
    assert is_in_place or content(path) == before


def test_a_damaged_crop_is_not_carried_into_another_pack(setup: Setup, tmp_path: Path) -> None:
    path = setup.pack(tmp_path / "p.h5")
    with h5py.File(path, "r+") as file:
        file["sharp"][7, 3, 3, 0] ^= 1

    with pytest.raises(PackError, match=r"p\.h5: crop 7 \(clip_train/000002\) is damaged"):
        list(packing.remask(path, 0.5, tmp_path / "q.h5"))
    assert not (tmp_path / "q.h5").exists()


def test_two_writers_of_one_pack_do_not_meet(setup: Setup, tmp_path: Path) -> None:
    size = packing.crop_size(setup.pairs, 48)
    head = packing.header(setup.dataset, "train", setup.recipe, 0.96, size, whole_frames=False, targets=True)
    first = packing.pack(setup.pairs, setup.masks, tmp_path / "p.h5", head, jobs=1)
    next(first)

    with pytest.raises(PackError, match=r"p\.h5 is being written by another process"):
        setup.pack(tmp_path / "p.h5")
    list(first)

    assert content(tmp_path / "p.h5") == content(setup.pack(tmp_path / "q.h5"))


@pytest.mark.parametrize("room", [0, 1, 8, 20])
def test_a_full_disk_is_named_and_the_pack_goes_on_when_there_is_space(
    setup: Setup, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, room: int
) -> None:
    whole, out, writes = content(setup.pack(tmp_path / "whole.h5")), tmp_path / "out" / "p.h5", iter(range(room))
    write = journal._write_all

    def limited(descriptor: int, data: bytes, offset: int) -> None:
        if next(writes, None) is None:
            raise OSError(errno.ENOSPC, "No space left on device")
        write(descriptor, data, offset)

    with monkeypatch.context() as patch:
        patch.setattr(writer, "_COMMIT_BYTES", 0)
        patch.setattr(journal, "_write_all", limited)
        with pytest.raises(OSError, match="No space left on device") as full:
            setup.pack(out)
    assert full.value.filename == str(out) + ".part"
    assert not out.exists()

    assert content(setup.pack(out)) == whole


def test_a_pack_that_is_there_is_kept_until_the_new_one_is_whole(setup: Setup, tmp_path: Path) -> None:
    path = setup.pack(tmp_path / "p.h5")
    before = path.read_bytes()
    setup.pairs[-1].sharp.write_bytes(b"")

    with pytest.raises(PackError, match=r"p\.h5 exists; pass --force"):
        packing.check_target(path, force=False)
    with pytest.raises(errors.FrameError):
        setup.pack(path)

    assert path.read_bytes() == before


@pytest.mark.parametrize("kept", [100, 5000, -1])
def test_a_pack_cut_short_is_refused(setup: Setup, tmp_path: Path, kept: int) -> None:
    path = setup.pack(tmp_path / "p.h5")
    path.write_bytes(path.read_bytes()[:kept])

    with pytest.raises(PackError, match=r"p\.h5 is no HDF5 file, or one cut short"):
        reader.open_pack(path)


def test_foreign_and_incomplete_files_are_refused(setup: Setup, tmp_path: Path) -> None:
    (tmp_path / "text.h5").write_text("hello")
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["x"] = 1
    path = setup.pack(tmp_path / "p.h5")
    with h5py.File(path, "r+") as file:
        del file["sgt"]

    for name, said in (("text", "no HDF5 file"), ("other", "but no pack"), ("p", "lacks sgt")):
        with pytest.raises(PackError, match=said):
            reader.open_pack(tmp_path / f"{name}.h5")
    with pytest.raises(FileNotFoundError, match="is not there; make it with cdg-prep pack"):
        reader.open_pack(tmp_path / "missing.h5")


def test_a_crop_larger_than_the_frame_is_refused_at_once(setup: Setup) -> None:
    with pytest.raises(PackError, match=r"clip_train/000001: crop 97 x 97 does not fit .* pass --crop 96 or less"):
        packing.crop_size(setup.pairs, 97)


def test_frames_of_a_pair_must_have_one_size(setup: Setup, tmp_path: Path) -> None:
    frames.write(setup.pairs[1].sharp, frames.read(setup.pairs[1].sharp)[:-1])

    with pytest.raises(PackError, match=r"000002\.png is 96 x 128, .* is 95 x 128; a pair has one size"):
        setup.pack(tmp_path / "p.h5")


def test_whole_frames_must_all_have_one_size(setup: Setup, tmp_path: Path) -> None:
    for path in (setup.pairs[1].blurry, setup.pairs[1].sharp):
        frames.write(path, np.tile(frames.read(path), (2, 1, 1)))
    sharpness = setup.masks.sharpness_path(setup.pairs[1].key)
    frames.write(sharpness, np.tile(frames.read_sharpness(sharpness), (2, 1)))

    with pytest.raises(PackError, match="000002 is 192 x 128, earlier frames 96 x 128; pass --crop with a number"):
        setup.pack(tmp_path / "p.h5", side=None)


def test_a_map_of_another_size_than_its_frame_is_refused(setup: Setup, tmp_path: Path) -> None:
    sharpness = setup.masks.sharpness_path(setup.pairs[0].key)
    frames.write(sharpness, frames.read_sharpness(sharpness)[:-1])

    with pytest.raises(PackError, match="is 95 x 128, its frame 96 x 128; run cdg-prep masks again"):
        setup.pack(tmp_path / "p.h5")


def test_the_threshold_is_that_of_the_masks_folder(setup: Setup) -> None:
    assert packing.common_mu(setup.masks, setup.pairs, None) == 0.96
    assert packing.common_mu(setup.masks, setup.pairs, 0.5) == 0.5
    assert packing.common_mu(MasksFolder(setup.masks.path / "none"), setup.pairs, None) == 0.96
    list(making.make(making.plan(setup.pairs[:1], setup.masks, setup.recipe, 0.9), jobs=1))

    with pytest.raises(PackError, match=r"made with mu \[0.9, 0.96\]; pass --mu"):
        packing.common_mu(setup.masks, setup.pairs, None)


def test_a_pack_of_another_version_is_refused(setup: Setup, tmp_path: Path) -> None:
    path = setup.pack(tmp_path / "p.h5")
    with h5py.File(path, "r+") as file:
        file.attrs["version"] = 2

    with pytest.raises(PackError, match="version 2; this tool reads 1"):
        reader.open_pack(path)


def test_the_header_comes_back_as_it_was_written(setup: Setup, tmp_path: Path) -> None:
    head = packing.header(setup.dataset, "train", setup.recipe, 0.9, (48, 48), whole_frames=False, targets=False)
    path = setup.pack(tmp_path / "p.h5", mu=0.9, targets=False)

    assert reader.read_info(path).header == head


def test_an_archive_packs_to_the_content_of_the_folder_it_was_made_of(setup: Setup, tmp_path: Path) -> None:
    root = setup.dataset.folders[0]
    archive = Path(shutil.make_archive(str(tmp_path / "GOPRO_Large"), "zip", root.parent, root.name))

    packed = Setup(archive, tmp_path / "masks-of-archive")

    assert content(packed.pack(tmp_path / "zip.h5", jobs=2)) == content(setup.pack(tmp_path / "folder.h5"))


def test_masks_of_a_folder_serve_the_archive_that_was_made_of_it(setup: Setup, tmp_path: Path) -> None:
    root = setup.dataset.folders[0]
    archive = Path(shutil.make_archive(str(tmp_path / "GOPRO_Large"), "zip", root.parent, root.name))

    pairs = layouts.find(archive).select("train")
    plan = making.plan(pairs, setup.masks, setup.recipe, 0.96)

    assert (len(plan.done), len(plan.tasks)) == (3, 0)


def test_a_pack_of_an_earlier_release_has_nothing_excluded(setup: Setup, tmp_path: Path) -> None:
    with h5py.File(setup.pack(tmp_path / "p.h5"), "r+") as file:
        del file.attrs["excluded"]

    assert reader.read_info(tmp_path / "p.h5").header.excluded_keys == []
