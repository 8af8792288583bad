"""Every command that writes, on a disk that is too small: one line names the path; with room the same command ends it.

The disk is a tmpfs of the test's own, in a namespace where it may mount one; it is made larger between two runs.
"""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from films import smooth, write_film
from study_runs import WORDS

from cdgnet import CDGNet, ModelConfig, save_weights
from prep.io import frames

NAMESPACE = ("unshare", "--user", "--map-root-user", "--mount")
MOUNT = 'mount -t tmpfs -o size="$1" tmpfs "$0"'
SECONDS = 150  # that a command may take


def can_mount() -> bool:
    return (
        shutil.which("unshare") is not None
        and not subprocess.run([*NAMESPACE, "sh", "-c", MOUNT, "/mnt", "1m"], capture_output=True).returncode
    )


pytestmark = [pytest.mark.slow, pytest.mark.skipif(not can_mount(), reason="no namespace to mount a small disk in")]


def run_twice(disk: Path, kilobytes: int, words: list[str]) -> list[tuple[int, str]]:
    """Run a command on a disk so small, and again once there is room; gives the statuses and what was printed."""
    disk.mkdir()
    code = f"from pipelines.cli.{words[0]} import main; main()"
    script = f"""{MOUNT} || exit 99
    shift
    for size in {kilobytes}k 1g; do
        mount -o remount,size=$size "$0"
        timeout -s KILL {SECONDS} "$@" 2>&1; echo "<status $?>"
    done
    find "$0" -name '*.part'"""
    command = [*NAMESPACE, "sh", "-c", script, str(disk), f"{kilobytes}k", sys.executable, "-c", code, *words[1:]]
    done = subprocess.run(command, cwd=disk.parent, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    first, first_status, second, second_status, leftovers = re.split(r"<status (\d+)>", done.stdout)
    assert not leftovers.strip(), leftovers
    return [(int(first_status), first), (int(second_status), second)]


@pytest.fixture(scope="module")
def inputs(gopro: Path, train_pack: Path, test_pack: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("inputs")
    save_weights(folder / "weights.safetensors", CDGNet(ModelConfig.preset("tiny", "dmphn-1")), {})
    noise = np.random.default_rng(0).integers(0, 256, (400, 600, 3), np.uint8)
    frames.write(folder / "photos" / "photo.png", noise)
    write_film(folder / "film.mp4", [smooth(number) for number in range(12)])
    return {
        "gopro": gopro,
        "train": train_pack,
        "test": test_pack,
        "masks": train_pack.parent / "masks",
        "weights": folder / "weights.safetensors",
        "photos": folder / "photos",
        "film": folder / "film.mp4",
    }


TRAIN = "--preset tiny --variant dmphn-1 --steps 4 --batch 2 --crop 32 --val none --checkpoint-minutes 0"
STUDY = "--variant dmphn-1 " + " ".join(WORDS)
COMMANDS = {  # and on a disk of how many kB: about half of what they write
    "masks": (48, "prep masks --root {gopro} --split train --out disk/masks --jobs 2"),
    "pack": (320, "prep pack gopro --root {gopro} --masks {masks} --crop 48 --out disk/p.h5"),
    "remask": (320, "prep remask {train} --mu 0.9 --out disk/p.h5"),
    "synth": (200, "prep synth {photos} --photos --count 2 --size 200x160 --out disk/made"),
    "view": (160, "prep view --root {gopro} --split train --masks {masks} --out disk/page"),
    "train": (2400, "train --h5 {train} --out disk/run --workers 1 " + TRAIN),
    "eval": (100, "evaluate --weights {weights} --h5 {test} --out disk/scores"),
    "deblur, a picture": (360, "deblur {photos}/photo.png --weights {weights} --out disk/restored"),
    "deblur, a video": (4, "deblur {film} --weights {weights} --out disk/restored"),
    "export": (380, "export --weights {weights} --pt2 --out disk/network.pt2"),
    "study": (600, "study loss --only l2 --h5 {train} --test {test} --out disk/study --seeds 1 " + STUDY),
}


@pytest.mark.parametrize("name", COMMANDS)
def test_a_full_disk_is_said_in_one_line_and_with_room_the_same_command_ends(
    inputs: dict[str, Path], tmp_path: Path, name: str
) -> None:
    kilobytes, words = COMMANDS[name]
    full, ended = run_twice(tmp_path / "disk", kilobytes, words.format(**inputs).split())

    status, said = full
    last = said.strip().splitlines()[-1]
    assert status in (1, 2), said
    assert "Traceback" not in said, said
    assert "disk/" in last and "free some space" in last, last
    assert ended[0] == 0, ended[1]
