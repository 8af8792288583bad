"""What a person sees while libraries load, and what is refused before they do."""

import importlib
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from cdgnet import PRETRAINED
from pipelines.cli import loading
from pipelines.cli.loading import announced_imports
from pipelines.restore import origins
from pipelines.restore.jobs import RestoreJob
from prep.io import frames


@pytest.fixture
def library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A library that takes a while to load."""
    (tmp_path / "slow_library.py").write_text("import time; time.sleep(0.2)")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setitem(loading.LIBRARIES, "slow_library", "Slow Library")
    monkeypatch.delitem(sys.modules, "slow_library", raising=False)
    return "slow_library"


def test_a_library_that_loads_slowly_is_reported_once(
    library: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(loading, "PATIENCE", 0.02)
    with announced_imports():
        module = importlib.import_module(library)
        del sys.modules[library]
        importlib.import_module(library)

    said = capsys.readouterr()
    assert said.err == "loading Slow Library ...\n" and said.out == ""
    assert module.__spec__ is not None and "exec_module" not in vars(module.__spec__.loader)


def test_a_library_that_loads_fast_is_not_reported(library: str, capsys: pytest.CaptureFixture[str]) -> None:
    with announced_imports():
        importlib.import_module(library)

    assert capsys.readouterr().err == ""
    assert not any(isinstance(finder, loading._Finder) for finder in sys.meta_path)


MISTAKES = {  # and what is said of them
    "evaluate --blurry no --sharp no2": "--blurry takes a folder",
    "evaluate --root folder": "contains no data set",
    "evaluate --h5 train.h5 --against nowhere": "--against: nowhere does not exist",
    "evaluate --h5 text.h5": "text.h5 is no",
    "evaluate --h5 train.h5 --measure nique": "--measure nique is not known; did you mean",
    "evaluate --h5 train.h5 --out text.h5/scores": "text.h5 is a file, not a folder; choose another path",
    "evaluate --h5 train.h5 --weights cut.safetensors": "cut.safetensors is not a safetensors file",
    "train --h5 text.h5": "text.h5 is no",
    "train --h5 train.h5 --crop 4000": "use --crop",
    "train --h5 train.h5 --crop 16 --out text.h5": "text.h5",
    "train --h5 train.h5 --batch 7 --accumulate 2": "pass --batch 8",
    "train --h5 train.h5 --init text.pth": "text.pth is not a weights file",
    "deblur no.png": "no.png does not exist",
    "deblur a.png": "was made with other weights",
    "deblur a.png --weights cut.safetensors": "cut.safetensors is not a safetensors file",
    "info --weights folder": "folder is a folder; pass a file in it",
    "info --card --weights text.pth": "text.pth is not a weights file",
    "export --weights cut.safetensors": "cut.safetensors is not a safetensors file",
    "export --out text.h5/x.onnx": "text.h5 is a file, not a folder",
    "imports dmphn folder": "contains no encoder_lv1.pkl",
    "study table3 --h5 text.h5 --test train.h5": "text.h5 is no",
    "study table3 --h5 train.h5 --test train.h5 --only no": "has no row no",
    "prep verify no.h5": "no.h5",
}


@pytest.fixture(scope="module")
def spoilt(train_pack: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of files that are not what their names say, and one result of other weights."""
    folder = tmp_path_factory.mktemp("spoilt")
    (folder / "folder").mkdir()
    for name in ("text.h5", "text.pth"):
        (folder / name).write_text("hello")
    (folder / "cut.safetensors").write_bytes(PRETRAINED.read_bytes()[:20_000])
    (folder / "train.h5").symlink_to(train_pack)
    for path in (folder / "a.png", folder / "restored" / "a.png"):
        frames.write(path, np.zeros((20, 20), np.uint8))
    network = origins.Network(weights="of another network", is_ensemble=False)
    job = RestoreJob(source=folder / "a.png", target=folder / "restored" / "a.png")
    origins.Origins(folder / "restored").add(job, job.source.stat(), network)
    return folder


@pytest.fixture(scope="module")
def answers(spoilt: Path) -> dict[str, tuple[str, list[str]]]:
    """What each of ``MISTAKES`` printed in a fresh process, and which heavy libraries it asked for."""
    script = Path(__file__).parents[2] / "fresh_commands.py"
    done = subprocess.run(
        [sys.executable, "-P", script], cwd=spoilt, input=json.dumps(list(MISTAKES)), capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return dict(zip(MISTAKES, json.loads(done.stdout), strict=True))


@pytest.mark.parametrize("line", MISTAKES)
def test_a_mistake_is_reported_before_heavy_libraries_load(
    line: str, answers: dict[str, tuple[str, list[str]]]
) -> None:
    said, asked = answers[line]

    last = said.splitlines()[-1]
    assert last.startswith("cdg-") and MISTAKES[line] in last, said
    assert asked == []
