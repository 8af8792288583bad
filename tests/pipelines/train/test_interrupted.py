"""Runs that were stopped or killed end as if nothing had happened."""

import re
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from training_runs import CONFIG, TWO_BRANCHES, cpu, curve, log_rows, train, weights

from cdgnet import load_weights
from pipelines.errors import TrainingError
from pipelines.train import checkpoints, loop, runs


def test_a_stopped_run_goes_on_to_the_same_curve_and_weights(train_pack: Path, tmp_path: Path) -> None:
    train(train_pack, tmp_path / "whole", TWO_BRANCHES)
    assert len(train(train_pack, tmp_path / "parts", TWO_BRANCHES, stop_after=3)) == 3

    reports = train(train_pack, tmp_path / "parts", TWO_BRANCHES)

    assert [report.step for report in reports] == [4, 5, 6]
    assert curve(tmp_path / "parts") == curve(tmp_path / "whole")
    whole, parts = weights(tmp_path / "whole"), weights(tmp_path / "parts")
    assert all(torch.equal(whole[name], parts[name]) for name in whole)


@pytest.mark.slow
def test_rows_written_after_the_last_checkpoint_are_taken_back(train_pack: Path, tmp_path: Path) -> None:
    train(train_pack, tmp_path / "whole")
    prepared = runs.prepare(CONFIG, [train_pack], tmp_path / "killed")
    reports = loop.train(prepared, cpu())
    for _ in range(5):
        next(reports)
    reports.close()  # as a kill: no checkpoint was due yet
    assert log_rows(tmp_path / "killed")[-1]["step"] == 4

    train(train_pack, tmp_path / "killed")

    assert curve(tmp_path / "killed") == curve(tmp_path / "whole")


@pytest.mark.slow
@pytest.mark.parametrize(
    "change",
    [
        {"average": 0.9},
        {"schedule": "cosine", "warm_up": 3},
        {"accumulate": 2, "clip": 0.01, "weight_decay": 0.1},
        {"loss": "ssim", "mu": 0.5, "masked_out": "grey"},
    ],
)
def test_every_way_of_learning_goes_on_exactly(train_pack: Path, tmp_path: Path, change: dict[str, Any]) -> None:
    config = replace(TWO_BRANCHES, **change)
    train(train_pack, tmp_path / "whole", config)
    train(train_pack, tmp_path / "parts", config, stop_after=3)
    train(train_pack, tmp_path / "parts", config)
    train(train_pack, tmp_path / "plain", TWO_BRANCHES)

    assert curve(tmp_path / "parts") == curve(tmp_path / "whole")
    whole, parts, plain = (weights(tmp_path / name) for name in ("whole", "parts", "plain"))
    assert all(torch.equal(whole[name], parts[name]) for name in whole)
    assert not all(torch.equal(whole[name], plain[name]) for name in whole)


KILLED = """
import multiprocessing, sys
from pathlib import Path
from lightning_fabric import Fabric
from pipelines.train import loop, runs
from pipelines.errors import DataError
from pipelines.train.settings import TrainingConfig

config = TrainingConfig(
    preset="tiny", batch=2, crop=32, val=(), workers=1, steps=200, checkpoint_minutes=0.0
)
plan = runs.prepare(config, [Path(sys.argv[1])], Path(sys.argv[2]))
reports = loop.train(plan, Fabric(accelerator="cpu", devices=1))
next(reports)
(reader,) = multiprocessing.active_children()
reader.kill()
reader.join()  # a word of it reaches this process here, which is not the place to hear it
try:
    for _ in reports:
        pass
except DataError as error:
    print(error)
"""


@pytest.mark.slow
def test_a_reading_process_that_was_killed_ends_the_run_in_one_line(train_pack: Path, tmp_path: Path) -> None:
    # In a process of its own, whose children are all the loader's.
    words = [sys.executable, "-c", KILLED, train_pack, tmp_path / "r"]
    said = subprocess.run(words, capture_output=True, text=True).stdout

    assert re.fullmatch(r"a process that reads frames ended .* run the same command again to continue from .*\n", said)
    assert checkpoints.saved_steps(tmp_path / "r")


def test_a_pack_removed_while_it_is_read_is_read_on(train_pack: Path, tmp_path: Path) -> None:
    pack = Path(shutil.copy(train_pack, tmp_path / "pack.h5"))
    train(train_pack, tmp_path / "whole")
    prepared = runs.prepare(CONFIG, [pack], tmp_path / "r")
    reports = loop.train(prepared, cpu())
    next(reports)
    next(reports)
    pack.unlink()
    assert len(list(reports)) == 4

    assert curve(tmp_path / "r") == curve(tmp_path / "whole")
    with pytest.raises(FileNotFoundError, match=r"pack\.h5 does not exist"):
        runs.prepare(CONFIG, [pack], tmp_path / "r")


@pytest.mark.slow
def test_what_was_trained_is_saved_before_a_validation_that_fails_and_the_validation_is_made_up_for(
    train_pack: Path, tmp_path: Path
) -> None:
    config = replace(CONFIG, val=("GOPR0002",), val_every=1)
    train(train_pack, tmp_path / "whole", config)
    pack = Path(shutil.copy(train_pack, tmp_path / "p.h5"))
    prepared = runs.prepare(config, [pack], tmp_path / "r")
    reports = loop.train(prepared, cpu())
    next(reports)
    pack.rename(tmp_path / "moved.h5")

    with pytest.raises(TrainingError, match=r"p\.h5 does not exist.*Step 2 is saved in .*put the pack back"):
        list(reports)
    assert checkpoints.saved_steps(tmp_path / "r") == [2]
    train(tmp_path / "moved.h5", tmp_path / "r", config)

    assert curve(tmp_path / "r") == curve(tmp_path / "whole")
    best = [load_weights(tmp_path / name / "best.safetensors").state_dict() for name in ("whole", "r")]
    assert all(torch.equal(best[0][name], best[1][name]) for name in best[0])


@pytest.mark.slow
def test_a_run_killed_in_its_last_validation_is_not_done(train_pack: Path, tmp_path: Path) -> None:
    config = replace(CONFIG, val=("GOPR0002",), val_every=1)
    train(train_pack, tmp_path / "r", config)
    checkpoint = checkpoints.load(tmp_path / "r")
    assert checkpoint and not checkpoint["owes_validation"]
    checkpoints.save(tmp_path / "r", 6, {**checkpoint, "owes_validation": True}, keep=3)
    before = curve(tmp_path / "r")

    assert not runs.prepare(config, [train_pack], tmp_path / "r").is_done
    train(train_pack, tmp_path / "r", config)

    assert curve(tmp_path / "r") == before
    assert runs.prepare(config, [train_pack], tmp_path / "r").is_done


@pytest.mark.slow
@pytest.mark.parametrize("weights_are_there", [True, False])
def test_a_run_killed_between_its_last_checkpoint_and_its_weights_is_not_done(
    train_pack: Path, tmp_path: Path, weights_are_there: bool
) -> None:
    train(train_pack, tmp_path / "whole")
    train(train_pack, tmp_path / "r", replace(CONFIG, steps=CONFIG.steps - 2))
    earlier = (tmp_path / "r" / "weights.safetensors").read_bytes()
    train(train_pack, tmp_path / "r")
    if weights_are_there:
        (tmp_path / "r" / "weights.safetensors").write_bytes(earlier)
    else:
        (tmp_path / "r" / "weights.safetensors").unlink()

    assert not runs.prepare(CONFIG, [train_pack], tmp_path / "r").is_done
    train(train_pack, tmp_path / "r")

    assert runs.prepare(CONFIG, [train_pack], tmp_path / "r").is_done
    assert weights(tmp_path / "r").keys() == weights(tmp_path / "whole").keys()
    assert all(torch.equal(one, weights(tmp_path / "whole")[name]) for name, one in weights(tmp_path / "r").items())
