"""Commands without what Linux has: fcntl, SIGHUP, os.pwrite; and on a file system without locks."""

import subprocess
import sys
from pathlib import Path

import pytest

from prep.packs.reader import read_info

WINDOWS = """
import os, signal, sys
import psutil  # which is another on Windows: here it needs what is about to go
for name in ("fcntl", "resource"):
    sys.modules[name] = None
for name in ("SIGHUP", "SIGCHLD"):
    delattr(signal, name)
del os.pwrite, os.preadv
"""
NO_LOCKS = """
import errno, fcntl
def refuse(*_):
    raise OSError(errno.ENOLCK, "No locks available")
fcntl.lockf = fcntl.flock = refuse
"""


def run(folder: Path, platform: str, name: str, *words: object) -> subprocess.CompletedProcess[str]:
    """``cdg-NAME`` in a process of its own, on another platform."""
    script = f"{platform}\nfrom pipelines.cli.{name} import main\nmain()"
    command = [sys.executable, "-W", "ignore:only soft file lock", "-c", script, *map(str, words)]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


@pytest.mark.slow
@pytest.mark.parametrize("platform", [WINDOWS, NO_LOCKS])
def test_a_pack_made_elsewhere_is_the_same(platform: str, gopro: Path, train_pack: Path, tmp_path: Path) -> None:
    words = ("pack", "gopro", "--root", gopro, "--crop", "48", "--jobs", "1", "--out", "train.h5")

    done = run(tmp_path, platform, "prep", *words)

    assert done.returncode == 0, done.stderr
    assert read_info(tmp_path / "train.h5").checksums == read_info(train_pack).checksums
    assert run(tmp_path, platform, "prep", "verify", "train.h5").returncode == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["masks", "train.h5"]


@pytest.mark.slow
def test_a_file_system_without_locks_gets_one_warning_a_file(gopro: Path, tmp_path: Path) -> None:
    done = run(tmp_path, NO_LOCKS, "prep", "pack", "gopro", "--root", gopro, "--crop", "48", "--jobs", "1")

    warnings = [line for line in done.stderr.splitlines() if "no locks" in line]
    files = ("masks.jsonl.lock", "gopro.h5.part.lock")
    assert len(warnings) == len(files)
    for name, warning in zip(files, warnings, strict=True):
        assert f"{name}: this file system has no locks (No locks available)" in warning


@pytest.mark.slow
@pytest.mark.parametrize("platform", [WINDOWS, NO_LOCKS])
def test_training_and_deblurring_work_elsewhere(platform: str, train_pack: Path, gopro: Path, tmp_path: Path) -> None:
    size = ("--preset", "tiny", "--batch", "2", "--crop", "32", "--workers", "0", "--val", "none")

    first = run(tmp_path, platform, "train", "--h5", train_pack, *size, "--steps", "2", "--out", "run")
    second = run(tmp_path, platform, "train", "--h5", train_pack, *size, "--steps", "3", "--out", "run")

    assert (first.returncode, second.returncode) == (0, 0), first.stderr + second.stderr
    assert "continues after step 2" in second.stdout
    frames = next(gopro.rglob("blur"))
    restored = run(tmp_path, platform, "deblur", frames, "--weights", "run/weights.safetensors", "--out", "restored")
    assert restored.returncode == 0, restored.stderr
    assert len(list((tmp_path / "restored").glob("*.png"))) == len(list(frames.iterdir()))
