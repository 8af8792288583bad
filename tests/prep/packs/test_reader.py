"""Reading a pack: what it says of itself, and what is refused."""

from pathlib import Path

import h5py
import numpy as np
import pytest
from gopro_packs import PackSetup

from prep.errors import PackError
from prep.packs import packing, reader


@pytest.mark.parametrize("kept", [100, 5000, -1])
def test_a_pack_cut_short_is_refused(setup: PackSetup, tmp_path: Path, kept: int) -> None:
    path = setup.pack(tmp_path / "p.h5")
    path.write_bytes(path.read_bytes()[:kept])

    with pytest.raises(PackError, match=r"p\.h5 is damaged or truncated"):
        reader.open_pack(path)


def test_foreign_and_incomplete_files_are_refused(setup: PackSetup, tmp_path: Path) -> None:
    (tmp_path / "text.h5").write_text("hello")
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["x"] = 1
    path = setup.pack(tmp_path / "p.h5")
    with h5py.File(path, "r+") as file:
        del file["sgt"]

    for name, message in (
        ("text", "not an HDF5"),
        ("other", "but not a pack"),
        ("p", "lacks sgt"),
    ):
        with pytest.raises(PackError, match=message):
            reader.open_pack(tmp_path / f"{name}.h5")
    with pytest.raises(FileNotFoundError, match="does not exist; make it with cdg-prep pack"):
        reader.open_pack(tmp_path / "missing.h5")


def test_a_pack_of_another_version_is_refused(setup: PackSetup, tmp_path: Path) -> None:
    path = setup.pack(tmp_path / "p.h5")
    with h5py.File(path, "r+") as file:
        file.attrs["version"] = 3

    with pytest.raises(PackError, match="version 3; only 1 and 2 can be read"):
        reader.open_pack(path)


def test_the_header_comes_back_as_it_was_written(setup: PackSetup, tmp_path: Path) -> None:
    head = packing.header(setup.dataset, "train", setup.recipe, 0.9, (48, 48), whole_frames=False, targets=False)
    path = setup.pack(tmp_path / "p.h5", mu=0.9, targets=False)

    assert reader.read_info(path).header == head


def test_a_pack_of_an_earlier_release_has_nothing_excluded(setup: PackSetup, tmp_path: Path) -> None:
    with h5py.File(setup.pack(tmp_path / "p.h5"), "r+") as file:
        del file.attrs["excluded"]

    assert reader.read_info(tmp_path / "p.h5").header.excluded_keys == []


def test_what_a_pack_says_of_itself_agrees_with_its_data_sets(setup: PackSetup, tmp_path: Path) -> None:
    path = setup.pack(tmp_path / "p.h5")

    pack = reader.read_info(path)

    with h5py.File(path) as file:
        assert list(pack.keys) == file["key"].asstr()[:].tolist()
        assert np.array_equal(pack.origins, file["origin"][:])
        assert pack.checksums == file["crc32"][:].tobytes()
    assert [frame.key for frame in pack.frames] == [pair.key for pair in setup.pairs]
    assert [row for frame in pack.frames for row in frame.rows] == list(range(pack.crop_count))
    assert all({pack.keys[row] for row in frame.rows} == {frame.key} for frame in pack.frames)
    assert pack.bytes == path.stat().st_size


def test_packs_of_the_same_crops_have_one_checksum_whatever_they_are_called(setup: PackSetup, tmp_path: Path) -> None:
    whole = reader.read_info(setup.pack(tmp_path / "whole.h5"))
    same = reader.read_info(setup.pack(tmp_path / "same.h5", targets=False))
    other = reader.read_info(setup.pack(tmp_path / "other.h5", mu=0.5))

    assert reader.content_checksum([whole]) == reader.content_checksum([same])
    assert reader.content_checksum([whole]) != reader.content_checksum([other])
    assert reader.content_checksum([whole, other]) != reader.content_checksum([other, whole])
