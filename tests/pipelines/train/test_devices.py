"""Several processes are one: each takes its part of every batch."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from cdgnet import load_weights

pytestmark = pytest.mark.slow
SETTINGS = ("--preset", "tiny", "--steps", "4", "--batch", "4", "--crop", "32", "--workers", "0", "--log-every", "1")


def train(folder: Path, pack: Path, out: str, *words: object) -> str:
    command = [Path(sys.executable).with_name("cdg-train"), "--h5", pack, "--out", out, *SETTINGS, *words]
    done = subprocess.run(list(map(str, command)), cwd=folder, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return done.stdout


def curve(run: Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]


def test_two_processes_learn_what_one_learns_and_one_of_them_speaks(train_pack: Path, tmp_path: Path) -> None:
    val = ("--val", "GOPR0002", "--val-every", "1")
    train(tmp_path, train_pack, "one", *val)
    said = train(tmp_path, train_pack, "two", *val, "--devices", "2")

    one, two = (curve(tmp_path / name) for name in ("one", "two"))
    assert [row["step"] for row in one] == [row["step"] for row in two]
    for name in ("loss", "loss_small", "val_psnr"):
        # Gradients are summed in another order; Adam's first steps are their signs.
        values = [[row[name] for row in rows if name in row] for rows in (one, two)]
        assert values[0] == pytest.approx(values[1], rel=1e-4)
    assert said.count("a new run") == said.count("step 4/4  loss") == 1


def test_torchrun_starts_the_processes_too(train_pack: Path, tmp_path: Path) -> None:
    train(tmp_path, train_pack, "one", "--val", "none")
    script = Path(sys.executable).with_name("cdg-train")
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", 2, script]
    words = ["--h5", train_pack, "--out", "two", *SETTINGS, "--val", "none", "--devices", 2]
    done = subprocess.run([*map(str, command), *map(str, words)], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr

    losses = [[row["loss"] for row in curve(tmp_path / name)] for name in ("one", "two")]
    assert losses[0] == pytest.approx(losses[1], rel=1e-4)
    assert done.stdout.count("a new run") == 1


def test_a_run_goes_on_with_another_number_of_processes(train_pack: Path, tmp_path: Path) -> None:
    train(tmp_path, train_pack, "whole", "--val", "none")
    train(tmp_path, train_pack, "parts", "--val", "none", "--steps", "2", "--devices", "2")
    train(tmp_path, train_pack, "parts", "--val", "none")

    losses = [[row["loss"] for row in curve(tmp_path / name)] for name in ("whole", "parts")]
    assert losses[0] == pytest.approx(losses[1], rel=1e-4)


def test_the_gradient_of_two_processes_is_that_of_the_joint_batch(train_pack: Path, tmp_path: Path) -> None:
    # One step of plain size: Adam's state after it holds a tenth of the gradient itself.
    for name, devices in (("one", 1), ("two", 2)):
        train(tmp_path, train_pack, name, "--val", "none", "--steps", "1", "--devices", devices)
    one, two = (
        torch.load(tmp_path / name / "checkpoints" / "step-00000001.pt", weights_only=True)["optimizer"]["state"]
        for name in ("one", "two")
    )
    for place, state in one.items():
        torch.testing.assert_close(two[place]["exp_avg"], state["exp_avg"], rtol=1e-4, atol=1e-7)
    assert load_weights(tmp_path / "two" / "weights.safetensors").config.variant == "cdgnet"
