"""Every fault of a pack is named."""

import shutil
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest
from gopro_packs import PackSetup

from prep.packs import reader, verification


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("blurry", "checksum differs"),
        ("sharp", "checksum differs; sgt and lgt are not"),
        ("sharpness", "checksum differs; the mask is not S > 0.96"),
        ("mask", "checksum differs; the mask is not S > 0.96; mask_share is not"),
        ("lgt", "sgt and lgt are not mask"),
    ],
)
def test_verify_names_the_crop_and_what_is_wrong(setup: PackSetup, tmp_path: Path, name: str, expected: str) -> None:
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
    assert expected in faults[0]


def broken(path: Path, change: Callable[[h5py.File], None]) -> list[str]:
    """What the structure of a pack lacks, as verify words it, after a change."""
    with h5py.File(path, "r+") as file:
        change(file)
    return verification.structure(reader.read_info(path))


def test_a_fast_check_sees_that_crops_were_never_stored_or_miscounted(setup: PackSetup, tmp_path: Path) -> None:
    whole = setup.pack(tmp_path / "p.h5")
    assert verification.structure(reader.read_info(whole)) == []
    assert verification.count(reader.read_info(whole), fast=True) == 1

    def leave_out(file: h5py.File) -> None:
        shape, chunks = file["sharp"].shape, file["sharp"].chunks
        del file["sharp"]
        file.create_dataset("sharp", shape, np.uint8, chunks=chunks)

    def empty(file: h5py.File) -> None:
        file.attrs["empty_masks"] = 18

    faults_of = {}
    for change in (leave_out, empty):
        path = Path(shutil.copy(whole, tmp_path / f"{change.__name__}.h5"))
        faults_of[change.__name__] = " | ".join(broken(path, change))

    assert "sharp contains 0 of 18 crops" in faults_of["leave_out"]
    assert "empty_masks is 18" in faults_of["empty"]
