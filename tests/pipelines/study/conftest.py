"""Studies that were run once for all tests of them."""

from pathlib import Path

import pytest
from commands import call
from study_runs import WORDS

from prep.packs import packing


@pytest.fixture(scope="package")
def other_masks(train_pack: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The training pack with another mu."""
    path = tmp_path_factory.mktemp("other") / "other.h5"
    list(packing.remask(train_pack, 0.5, path))
    return path


@pytest.fixture(scope="package")
def study(train_pack: Path, other_masks: Path, test_pack: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A working folder after a study of two rows, two kinds of masks and two seeds."""
    folder = tmp_path_factory.mktemp("work")
    only = ("--only", "dmphn-1", "--only", "cdgnet")
    packs = ("--h5", train_pack, "--h5", other_masks, "--test", test_pack)
    done = call(folder, "study", "table3", *packs, *only, "--seeds", "2", *WORDS)
    assert done.returncode == 0, done.stderr
    assert "0 of 6 trainings done" in done.stdout
    return folder / "studies"


@pytest.fixture(scope="package")
def transferred(train_pack: Path, other_masks: Path, test_pack: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A working folder after a transfer of two seeds; the second data set is the first one at another mu."""
    folder = tmp_path_factory.mktemp("work")
    words = ("--h5", train_pack, "--fine", other_masks, "--test", test_pack, "--seeds", "2", *WORDS)
    dry = call(folder, "study", "table2", *words, "--dry-run")
    assert "0 of 6 trainings done" in dry.stdout and not list(folder.iterdir()), dry.stderr
    done = call(folder, "study", "table2", *words)
    assert done.returncode == 0, done.stderr
    assert "The paper states 35.25 dB, SSIM 0.968 for fine-tuned." in done.stdout
    assert "6 of 6 trainings done" in call(folder, "study", "table2", *words).stdout
    return folder / "studies"
