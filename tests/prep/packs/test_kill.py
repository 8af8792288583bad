"""A writer that is killed at any moment: the same command ends with the pack that it would have written unbroken."""

import hashlib
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest

from prep.io import frames
from prep.io.journal import Journal

MakeGopro = Callable[..., Path]
# Commit after every frame, so that a kill meets commits.
EAGER = "from prep.packs import writer; writer._COMMIT_BYTES = 0; "


def content_of(path: Path) -> tuple[list[str], bytes]:
    """Keys and a hash of all else that a pack holds."""
    with h5py.File(path) as pack:
        sha256 = hashlib.sha256()
        for name in sorted(set(pack) - {"key"}):
            sha256.update(pack[name][:].tobytes())
        for name, value in sorted(pack.attrs.items()):
            sha256.update(f"{name} {np.asarray(value).tolist()}".encode())
        return pack["key"].asstr()[:].tolist(), sha256.digest()


def committed_frames(part: Path) -> int:
    """The number of frames in the last commit; 0 if the writer was killed before its first commit."""
    with Journal(part) as journal:
        if not journal.seek(0, os.SEEK_END):
            return 0
        with h5py.File(journal, "r") as pack:
            return len(pack["key"])


@pytest.mark.slow
def test_twenty_kills_of_its_writer_leave_a_pack_as_it_would_have_been(make_gopro: MakeGopro, tmp_path: Path) -> None:
    make_gopro(train=120, test=0)
    command = [sys.executable, "-c", EAGER + "from pipelines.cli.prep import main; main()", "pack", "gopro"]
    command += ["--root", str(tmp_path / "data"), "--crop", "48", "--masks", "m"]
    quiet = {"cwd": tmp_path, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    assert subprocess.run([*command, "--jobs", "1", "--out", "whole.h5"], **quiet).returncode == 0

    dice, part, committed = random.Random(11), tmp_path / "p.h5.part", []
    for kill in range(20):
        process = subprocess.Popen([*command, "--jobs", str(1 + kill % 2), "--out", "p.h5"], **quiet)
        seen = part.stat().st_mtime_ns if part.exists() else 0
        while process.poll() is None and (part.stat().st_mtime_ns if part.exists() else 0) == seen:
            time.sleep(0.002)
        time.sleep(dice.uniform(0, 0.1) if kill else 0)  # the first kill comes before the first commit
        process.kill()
        process.wait()
        if (tmp_path / "p.h5").exists():  # a fast machine ends sooner
            break
        if part.exists():
            committed.append(committed_frames(part))
    if not (tmp_path / "p.h5").exists():
        assert subprocess.run([*command, "--jobs", "2", "--out", "p.h5"], **quiet).returncode == 0

    assert committed == sorted(committed)
    assert len(set(committed)) > 5
    assert content_of(tmp_path / "p.h5") == content_of(tmp_path / "whole.h5")
    assert {path.name for path in tmp_path.iterdir()} == {"data", "m", "p.h5", "whole.h5"}


@pytest.mark.slow
def test_five_kills_of_its_maker_leave_a_data_set_as_it_would_have_been(tmp_path: Path) -> None:
    wide = np.kron(
        np.random.default_rng(0).integers(0, 256, (40, 90, 3)).astype(np.uint8), np.ones((8, 8, 1), np.uint8)
    )
    for number in range(1, 151):
        frames.write(tmp_path / "raw" / f"{number:06}.png", np.ascontiguousarray(wide[:, 2 * number :][:, :400]))
    command = [sys.executable, "-c", "from pipelines.cli.prep import main; main()", "synth", "raw", "--window", "7"]
    quiet = {"cwd": tmp_path, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    assert subprocess.run([*command, "--jobs", "1", "--out", "whole"], **quiet).returncode == 0

    counts = []
    for kill in range(5):
        process = subprocess.Popen([*command, "--jobs", str(1 + kill % 2), "--out", "made"], **quiet)
        while process.poll() is None and len(list(tmp_path.glob("made/*/raw/blur/*.png"))) < 3 * (kill + 1):
            time.sleep(0.002)
        process.kill()
        assert process.wait() == -signal.SIGKILL
        counts.append(len(list(tmp_path.glob("made/*/raw/blur/*.png"))))
    assert subprocess.run([*command, "--jobs", "2", "--out", "made"], **quiet).returncode == 0

    assert counts == sorted(counts) and counts[-1] < 21
    one, two = (
        {
            path.relative_to(tmp_path / name): path.read_bytes()
            for path in (tmp_path / name).rglob("*.*")
            if ".part" not in path.name
        }
        for name in ("whole", "made")
    )
    assert one == two
