"""A pack that changes while it is trained on: refused in a line, never read as if it were the same."""

import os
import pickle
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import h5py
import pytest
import torch
from training_runs import CONFIG, cpu, train

from pipelines import packs
from pipelines.errors import DataError, TrainingError
from pipelines.packs import Frame
from pipelines.train import loop, runs
from pipelines.train.samples import TrainingSamples
from pipelines.train.split import split_by_source
from prep.errors import PackError
from prep.packs.reader import read_info

CHANGED = r"pack\.h5 changed or was replaced while it was in use; restore the earlier pack"


def shorten(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def overwrite(path: Path) -> None:
    """As ``cp`` onto a file that is there: the same file, other bytes."""
    path.write_bytes(path.read_bytes()[::-1])


def change_a_crop(path: Path) -> None:
    with h5py.File(path, "r+") as file:
        file["blurry"][0] = 255 - file["blurry"][0]
        file["crc32"][0] = 1
    os.utime(path, ns=(0, 0))  # whatever the resolution of the file system's clock


@pytest.fixture
def pack(train_pack: Path, tmp_path: Path) -> Path:
    return Path(shutil.copy(train_pack, tmp_path / "pack.h5"))


def samples_of(pack: Path, *, is_soft: bool = False) -> TrainingSamples:
    return TrainingSamples([pack], split_by_source([read_info(pack)], ()).train, 32, 0, is_soft=is_soft)


@pytest.mark.parametrize("change", [shorten, overwrite, change_a_crop])
def test_windows_of_a_pack_that_is_written_to_are_refused(pack: Path, change: Callable[[Path], None]) -> None:
    samples = samples_of(pack)
    assert samples[0]

    change(pack)

    with pytest.raises(PackError, match=CHANGED):
        samples[1]


@pytest.mark.parametrize("is_soft", [False, True])
def test_a_pack_put_in_the_place_of_another_is_not_read(
    pack: Path, test_pack: Path, tmp_path: Path, is_soft: bool
) -> None:
    samples, expected = samples_of(pack, is_soft=is_soft), samples_of(pack, is_soft=is_soft)
    elsewhere = pickle.dumps(samples)  # as for a process that is spawned
    before = [expected[number] for number in range(3)]

    shutil.copy(test_pack, tmp_path / "other.h5")
    (tmp_path / "other.h5").replace(pack)

    if is_soft:  # S lies compressed, and is read from a file that is opened when it is needed first
        with pytest.raises(PackError, match=CHANGED):
            samples[0]
    else:
        assert all(torch.equal(*both) for n in range(3) for both in zip(samples[n], before[n], strict=True))
    with pytest.raises(PackError, match=CHANGED):
        pickle.loads(elsewhere)[0]


@pytest.mark.parametrize("change", [shorten, change_a_crop])
def test_a_frame_of_a_pack_that_was_changed_is_refused(pack: Path, change: Callable[[Path], None]) -> None:
    info = read_info(pack)
    frame = info.frames[0]

    change(pack)

    with pytest.raises(
        PackError, match=r"pack\.h5 (changed or was replaced|is damaged or truncated|is not an HDF5 file)"
    ):
        packs.read_frame([info], Frame(0, frame.key), frame.rows)


def test_a_validation_does_not_score_a_pack_put_in_the_place_of_another(
    pack: Path, test_pack: Path, tmp_path: Path
) -> None:
    config = replace(CONFIG, val=("GOPR0002",), val_every=1)
    reports = loop.train(runs.prepare(config, [pack], tmp_path / "r"), cpu())
    next(reports)

    shutil.copy(test_pack, tmp_path / "other.h5")
    (tmp_path / "other.h5").replace(pack)

    with pytest.raises(TrainingError, match=f"validation failed: .*{CHANGED}.*Step 2 is saved"):
        list(reports)


@pytest.mark.slow
def test_a_pack_cut_short_ends_a_run_with_reading_processes_in_one_line(pack: Path, tmp_path: Path) -> None:
    reports = loop.train(runs.prepare(replace(CONFIG, steps=200, workers=1), [pack], tmp_path / "r"), cpu())
    next(reports)

    shorten(pack)

    with pytest.raises(DataError, match=f"^.*{CHANGED}$"):
        list(reports)
    with pytest.raises(PackError, match="truncated"):
        train(pack, tmp_path / "r")
