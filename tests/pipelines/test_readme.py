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
