"""A working folder, and weights that a command has trained."""

from pathlib import Path

import pytest
from commands import call

from prep.io import frames

TRAIN = ["--preset", "tiny", "--steps", "2", "--batch", "2", "--crop", "32", "--workers", "0"]


@pytest.fixture
def work(gopro: Path, tmp_path: Path) -> Path:
    """An empty working folder that holds ``GOPRO_Large/``."""
    (tmp_path / "GOPRO_Large").symlink_to(gopro)
    return tmp_path


@pytest.fixture(scope="module")
def weights(train_pack: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs")
    done = call(folder, "train", "--h5", train_pack, *TRAIN)
    assert done.returncode == 0, done.stderr
    return folder / "runs" / "train" / "weights.safetensors"


@pytest.fixture
def own(gopro: Path, tmp_path: Path) -> Path:
    """A copy of one clip that may be spoilt."""
    for path in sorted((gopro / "train" / "GOPR0001_00_00").rglob("*.png")):
        frames.write(
            tmp_path / "GOPRO_Large" / "train" / "GOPR0001_00_00" / path.parent.name / path.name, frames.read(path)
        )
    return tmp_path
