"""What ``pip install cdgnet`` alone must be enough for, and what says which extra is missing."""

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from pipelines.cli.entry import EXTRAS

TORCHLESS = """
import sys
for name in ("torch", "torchvision", "lightning_fabric", "safetensors", "skimage"):
    sys.modules[name] = None
"""


def run(folder: Path, name: str, *words: object) -> subprocess.CompletedProcess[str]:
    script = f"{TORCHLESS}\nfrom pipelines.cli.{name} import main\nmain()"
    command = [sys.executable, "-c", script, *map(str, words)]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


@pytest.mark.slow
def test_data_are_prepared_and_judged_without_torch(gopro: Path, tmp_path: Path) -> None:
    for words in (
        ("info", gopro),
        ("masks", "--root", gopro, "--jobs", "1"),
        ("pack", "gopro", "--root", gopro, "--crop", "48", "--jobs", "1"),
        ("remask", "gopro.h5", "--mu", "0.9"),
        ("verify", "gopro.h5"),
        ("view", "--root", gopro),
        ("view", "--root", gopro, "--sheet", "sheet.png"),
        (
            "synth",
            gopro / "train" / "GOPR0001_00_00" / "sharp",
            "--photos",
            "--size",
            "64x48",
            "--count",
            "1",
            "--out",
            "made",
        ),
    ):
        done = run(tmp_path, "prep", *words)
        assert done.returncode == 0, (words, done.stderr)


@pytest.mark.parametrize("name", ["train", "evaluate", "deblur", "export", "imports", "info", "study"])
def test_a_command_that_needs_torch_names_the_extra(name: str, train_pack: Path, tmp_path: Path) -> None:
    (tmp_path / "w.safetensors").touch()
    words: dict[str, tuple[object, ...]] = {
        "train": ("--h5", train_pack),
        "evaluate": ("--h5", train_pack, "--weights", "w.safetensors"),
        "deblur": (tmp_path, "--weights", "w.safetensors", "--out", "out"),
        "export": ("--weights", "w.safetensors"),
        "imports": ("dmphn", tmp_path),
        "study": ("table3", "--h5", train_pack, "--test", train_pack),
    }
    (tmp_path / "a.png").touch()
    for level in (1, 2, 3):
        (tmp_path / f"encoder_lv{level}.pkl").touch()
        (tmp_path / f"decoder_lv{level}.pkl").touch()

    done = run(tmp_path, name, *words.get(name, ()))

    assert done.returncode == 1
    assert "is not installed; run: pip install 'cdgnet[train]'" in done.stderr.splitlines()[-1]
    assert run(tmp_path, name, "--help").returncode == 0


def test_every_extra_that_is_named_exists() -> None:
    project = tomllib.loads(Path("pyproject.toml").read_text(encoding="utf-8"))["project"]

    for package, extra in EXTRAS.items():
        wanted = " ".join(project["optional-dependencies"][extra]).replace("-", "_")
        assert {"skimage": "scikit_image"}.get(package, package) in wanted
        assert package not in " ".join(project["dependencies"]).replace("-", "_").split(">=")
