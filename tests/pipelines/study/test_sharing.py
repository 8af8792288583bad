"""Studies that are killed, and processes that share one."""

import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from commands import call
from strokes import HAND, THING
from study_runs import CONFIG, WORDS, table

from pipelines.cli.signals import StopOnSignal
from pipelines.study import design
from pipelines.study.definitions import STUDIES
from prep.io import files
from prep.synthesis import from_photos
from prep.synthesis.recipes import PhotoRecipe

HOLD = """
import sys, time
from pathlib import Path
from prep.io import locks
with locks.hold(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.mark.slow
def test_a_study_killed_three_times_ends_with_the_same_table(train_pack: Path, test_pack: Path, tmp_path: Path) -> None:
    command = [str(Path(sys.executable).with_name("cdg-study")), "loss", "--h5", str(train_pack), "--test"]
    command += [str(test_pack), *WORDS, "--steps", "8", "--seeds", "2", "--checkpoint-minutes", "0"]
    assert subprocess.run([*command, "--out", "whole"], cwd=tmp_path).returncode == 0

    for begun in (1, 3, 5):  # of six trainings: each kill falls into the one that has just begun
        process = subprocess.Popen([*command, "--out", "killed"], cwd=tmp_path)
        while process.poll() is None and len(list((tmp_path / "killed").glob("runs/*/log.jsonl"))) < begun:
            time.sleep(0.01)
        process.kill()
        assert process.wait() == -signal.SIGKILL
    assert subprocess.run([*command, "--out", "killed"], cwd=tmp_path).returncode == 0

    one, two = ((tmp_path / name / "loss-runs.csv").read_bytes() for name in ("whole", "killed"))
    assert one == two


@pytest.mark.slow
def test_processes_share_a_study(train_pack: Path, test_pack: Path, tmp_path: Path) -> None:
    script = str(Path(sys.executable).with_name("cdg-study"))
    words = [script, "loss", "--h5", train_pack, "--test", test_pack, *WORDS, "--steps", "8", "--seeds", "2"]
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]

    done = subprocess.run([*launch, *map(str, words)], cwd=tmp_path, capture_output=True, text=True)

    assert done.returncode == 0, done.stderr
    assert len(table(tmp_path / "studies" / "loss-runs.csv")) == 6
    for run in (tmp_path / "studies" / "runs").iterdir():  # each trained by one of them, once
        assert [row["step"] for row in files.read_rows(run / "log.jsonl")] == list(range(1, 9))


@pytest.mark.slow
@pytest.mark.parametrize("is_trained", [False, True])
def test_what_another_process_has_in_hand_is_neither_trained_nor_scored(
    study: Path, train_pack: Path, test_pack: Path, tmp_path: Path, is_trained: bool
) -> None:
    shutil.copytree(study / "runs", tmp_path / "studies" / "runs")
    rows = design.rows(STUDIES["table1"], CONFIG, [train_pack])
    first, second = design.trainings(rows, 2, test_pack, tmp_path / "studies")
    shutil.rmtree(first.scores)
    if not is_trained:
        (first.folder / "weights.safetensors").unlink()  # as between its last checkpoint and its weights
    words = ("table1", "--h5", train_pack, "--test", test_pack, "--seeds", "2", *WORDS)

    with subprocess.Popen([sys.executable, "-c", HOLD, first.folder / "lock"], stdout=subprocess.PIPE) as holder:
        assert holder.stdout and holder.stdout.readline() == b"held\n"
        beside = call(tmp_path, "study", *words)
        holder.kill()
    assert beside.returncode == 0, beside.stderr
    assert "1 of 2 trainings belong to other processes" in beside.stdout
    assert not first.is_done and second.is_done

    after = call(tmp_path, "study", *words)
    assert after.returncode == 0, after.stderr
    assert "other processes" not in after.stdout
    assert table(first.scores / "results.csv") == table(
        study / "runs" / first.folder.name / first.scores.name / "results.csv"
    )


@pytest.mark.slow
def test_a_signal_while_scoring_ends_the_study_before_all_frames_are_scored(
    train_pack: Path, large_pack: Path, tmp_path: Path
) -> None:
    """The frames of the pack take some ten seconds to score, and more where other programs run."""
    command = [str(Path(sys.executable).with_name("cdg-study")), "table1", "--h5", str(train_pack), "--test"]
    command += [str(large_pack), *WORDS, "--seeds", "1"]
    process = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    while process.poll() is None and not list((tmp_path / "studies").glob("runs/*/weights.safetensors")):
        time.sleep(0.05)
    time.sleep(1)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)

    assert process.returncode == 128 + signal.SIGINT
    assert "stopped while scoring cdgnet" in said
    assert not list((tmp_path / "studies").glob("runs/*/scores-*/results.csv"))


@pytest.fixture(scope="module")
def large_pack(
    packing_of: Callable[[Path, Path, str, int | None], Path], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """Eight frames of 480 x 640 pixels."""
    folder = tmp_path_factory.mktemp("large")
    photo = np.random.default_rng(0).integers(0, 256, (500, 660, 3)).astype(np.uint8)
    recipe = PhotoRecipe(count=8, size=(480, 640), hand=HAND, thing=THING, things=(1, 1), seed=1)
    list(from_photos.write_gopro({"GOPR0009_00_00": photo}, folder / "GOPRO_Large", "test", recipe))
    return packing_of(folder / "GOPRO_Large", folder, "test", None)


def test_a_signal_ends_at_once_what_loses_nothing_by_it() -> None:
    before = signal.getsignal(signal.SIGINT)
    stopped = StopOnSignal()
    try:
        with stopped.at_once():
            pass
        assert not stopped()
        with pytest.raises(KeyboardInterrupt), stopped.at_once():
            signal.raise_signal(signal.SIGINT)
        assert stopped()
    finally:
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, before if number == signal.SIGINT else signal.SIG_DFL)
