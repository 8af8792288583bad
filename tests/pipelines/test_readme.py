"""What the read-me promises about reading a pack."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

README = Path(__file__).parents[2] / "README.md"


def test_a_pack_is_read_by_the_read_mes_lines_without_this_project(train_pack: Path, tmp_path: Path) -> None:
    shutil.copy(train_pack, tmp_path / "gopro.h5")
    example = re.findall(r"```python\n(import h5py.*?)```", README.read_text(), re.DOTALL)[0]
    alone = "import sys\nsys.modules.update(dict.fromkeys(('prep', 'cdgnet', 'pipelines')))\n"

    done = subprocess.run([sys.executable, "-c", alone + example], cwd=tmp_path, capture_output=True, text=True)

    assert done.returncode == 0, done.stderr
    assert "'layout': 'gopro'" in done.stdout
    assert len(example.splitlines()) <= 6


def test_the_read_mes_training_in_ten_lines_trains(train_pack: Path, tmp_path: Path) -> None:
    shutil.copy(train_pack, tmp_path / "gopro.h5")
    example = re.findall(r"```python\n([^`]*?training\.train[^`]*?)```", README.read_text())[0]
    short = example.replace('"light", steps=100_000, crop=256', '"tiny", steps=2, crop=32, workers=0')
    assert short != example and len([line for line in example.splitlines() if line]) <= 10

    done = subprocess.run([sys.executable, "-c", short], cwd=tmp_path, capture_output=True, text=True)

    assert done.returncode == 0, done.stderr
    assert "'loss'" in done.stdout
    assert (tmp_path / "runs" / "light" / "weights.safetensors").exists()
