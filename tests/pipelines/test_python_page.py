"""What the lines of Python in the documentation promise, beyond that they run."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

DOCS = Path(__file__).parents[2] / "docs"


def test_a_pack_is_read_by_the_lines_of_its_page_without_this_project(train_pack: Path, tmp_path: Path) -> None:
    shutil.copy(train_pack, tmp_path / "gopro.h5")
    example = re.findall(r"```python\n(import h5py.*?)```", (DOCS / "packs.md").read_text(), re.DOTALL)[0]
    alone = "import sys\nsys.modules.update(dict.fromkeys(('prep', 'cdgnet', 'pipelines')))\n"

    done = subprocess.run([sys.executable, "-c", alone + example], cwd=tmp_path, capture_output=True, text=True)

    assert done.returncode == 0, done.stderr
    assert "'layout': 'gopro'" in done.stdout
    assert len(example.splitlines()) <= 6


@pytest.mark.slow
def test_the_training_in_ten_lines_trains(train_pack: Path, tmp_path: Path) -> None:
    shutil.copy(train_pack, tmp_path / "gopro.h5")
    example = re.findall(r"```python\n([^`]*?TrainingConfig[^`]*?)```", (DOCS / "python.md").read_text())[0]
    short = example.replace('"light", steps=100_000, crop=256', '"tiny", steps=2, crop=32, workers=0')
    assert short != example and len([line for line in example.splitlines() if line]) <= 10

    done = subprocess.run([sys.executable, "-c", short], cwd=tmp_path, capture_output=True, text=True)

    assert done.returncode == 0, done.stderr
    assert "'loss'" in done.stdout
    assert (tmp_path / "runs" / "light" / "weights.safetensors").exists()


@pytest.mark.slow
def test_five_lines_restore_a_picture(tmp_path: Path) -> None:
    example = re.findall(r"```python\n(from PIL import Image.*?)```", (DOCS / "python.md").read_text(), re.DOTALL)[0]
    Image.linear_gradient("L").convert("RGB").save(tmp_path / "photo.png")

    done = subprocess.run([sys.executable, "-c", example], cwd=tmp_path, capture_output=True, text=True)

    assert done.returncode == 0, done.stderr
    assert len([line for line in example.splitlines() if line]) <= 5
    with Image.open(tmp_path / "photo.png") as photo, Image.open(tmp_path / "sharp.png") as sharp:
        assert photo.size == sharp.size
        assert np.abs(np.asarray(photo, int) - np.asarray(sharp, int)).mean() < 2  # there is nothing to sharpen in it
