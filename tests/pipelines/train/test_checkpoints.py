"""Checkpoints: whole, the last few, one to fall back to; readable by their keys for ever."""

import math
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from file_limit import largest_file
from training_runs import CONFIG, TWO_BRANCHES, cpu, curve, log_rows, train

from pipelines.errors import TrainingError
from pipelines.train import checkpoints, runs
from pipelines.train.learner import set_up


@pytest.fixture(scope="module")
def saved(train_pack: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of four steps with the checkpoints of the last three; who changes one puts it back."""
    folder = tmp_path_factory.mktemp("saved") / "r"
    train(train_pack, folder, replace(CONFIG, steps=4, checkpoint_minutes=0.0))
    return folder


def damage(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def test_a_damaged_checkpoint_gives_way_to_the_one_before_it(train_pack: Path, tmp_path: Path) -> None:
    config = replace(CONFIG, checkpoint_minutes=0.0)
    train(train_pack, tmp_path / "whole", config)
    train(train_pack, tmp_path / "r", config, stop_after=5)
    damage(tmp_path / "r" / "checkpoints" / "step-00000005.pt")

    prepared = runs.prepare(config, [train_pack], tmp_path / "r")
    assert (prepared.start, len(prepared.damaged_checkpoints)) == (4, 1)
    assert "step-00000005.pt cannot be read (" in prepared.damaged_checkpoints[0]
    train(train_pack, tmp_path / "r", config)

    assert curve(tmp_path / "r") == curve(tmp_path / "whole")


def test_where_all_checkpoints_are_damaged_the_newest_is_named(train_pack: Path, tmp_path: Path) -> None:
    train(train_pack, tmp_path / "r", replace(CONFIG, steps=1))
    (tmp_path / "r" / "checkpoints" / "step-00000001.pt").write_bytes(b"PK rubbish")

    with pytest.raises(TrainingError, match=r"step-00000001\.pt cannot be read .* nor any before it"):
        runs.prepare(CONFIG, [train_pack], tmp_path / "r")


def test_the_last_checkpoints_are_kept(train_pack: Path, tmp_path: Path) -> None:
    train(train_pack, tmp_path / "r", replace(CONFIG, checkpoint_minutes=0.0, keep=2))

    assert checkpoints.saved_steps(tmp_path / "r") == [5, 6]


def test_a_full_disk_is_named_and_leaves_the_checkpoints_before(train_pack: Path, tmp_path: Path) -> None:
    train(train_pack, tmp_path / "r", replace(CONFIG, steps=2))

    with largest_file(100_000), pytest.raises(OSError) as caught:
        train(train_pack, tmp_path / "r")

    assert caught.value.filename == str(tmp_path / "r" / "checkpoints" / "step-00000006.pt")
    assert runs.prepare(CONFIG, [train_pack], tmp_path / "r").start == 2
    assert not list((tmp_path / "r").rglob("*.part"))


NEVER = {
    "step": ["4", 4.0, True, -1, 10**22, None],
    "strikes": [-1, "0"],
    "factor": [math.inf, math.nan, -1.0, "1"],
    "went_back_to": [-2, 0.5],
    "best": [math.nan, "30", -1.0],
    "owes_validation": [1, None],
    "has_warned": ["yes"],
    "usual_loss": [math.inf, math.nan, "1"],
    "seconds": [math.inf, -1.0, None],
    "plan": [None, (6, 0), (6, 6, 0.0), (6, 0, math.nan), ("6", 0, 0.0), (10**22, 0, 0.0)],
}


@pytest.mark.parametrize(("key", "value"), [(key, value) for key, values in NEVER.items() for value in values])
def test_a_checkpoint_that_holds_what_none_does_gives_way_to_the_one_before_it(
    saved: Path, key: str, value: object
) -> None:
    path = saved / "checkpoints" / "step-00000004.pt"
    whole = path.read_bytes()
    torch.save({**torch.load(path, weights_only=True), key: value}, path)

    state, problems = checkpoints.load_state(saved)

    path.write_bytes(whole)
    assert (state.step, len(problems)) == (3, 1)
    assert "step-00000004.pt cannot be read (its " in problems[0] and "\n" not in problems[0]


@pytest.mark.parametrize("content", [[1, 2], {"step": 4}, torch.zeros(3), CONFIG, None, {"step": 4, "network": 1}])
def test_a_file_that_is_no_checkpoint_gives_way_to_the_one_before_it(saved: Path, content: object) -> None:
    path = saved / "checkpoints" / "step-00000004.pt"
    whole = path.read_bytes()
    torch.save(content, path)  # CONFIG: a pickle that torch does not run

    state, problems = checkpoints.load_state(saved)

    path.write_bytes(whole)
    assert (state.step, len(problems)) == (3, 1) and "\n" not in problems[0]
    assert "still be loaded" not in problems[0]  # torch's advice to run what it holds


def test_a_checkpoint_of_another_step_gives_way_to_the_one_before_it(saved: Path) -> None:
    path = saved / "checkpoints" / "step-00000009.pt"
    shutil.copy(saved / "checkpoints" / "step-00000004.pt", path)

    state, problems = checkpoints.load_state(saved)

    path.unlink()
    assert state.step == 4 and "it is of step 4" in problems[0]


def test_a_checkpoint_of_another_network_is_named(train_pack: Path, tmp_path: Path) -> None:
    train(train_pack, tmp_path / "r", replace(CONFIG, steps=2))
    train(train_pack, tmp_path / "other", replace(TWO_BRANCHES, steps=2))
    name = "checkpoints/step-00000002.pt"
    shutil.copy(tmp_path / "other" / name, tmp_path / "r" / name)

    with pytest.raises(
        TrainingError, match=r"step-00000002\.pt is not a checkpoint of this run \(.*move it away"
    ) as caught:
        train(train_pack, tmp_path / "r")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("moments", [{"step": torch.tensor(2.0)}, {"exp_avg": torch.zeros(3)}])
def test_moments_that_do_not_fit_the_network_are_named(
    train_pack: Path, tmp_path: Path, moments: dict[str, object]
) -> None:
    train(train_pack, tmp_path / "r", replace(CONFIG, steps=2))
    path = tmp_path / "r" / "checkpoints" / "step-00000002.pt"
    checkpoint = torch.load(path, weights_only=True)
    first = checkpoint["optimizer"]["state"][0]
    checkpoint["optimizer"]["state"][0] = moments if moments.keys() == {"step"} else first | moments
    torch.save(checkpoint, path)

    with pytest.raises(
        TrainingError, match=r"step-00000002\.pt is not a checkpoint of this run \(the optimiser's moments"
    ):
        train(train_pack, tmp_path / "r", replace(CONFIG, steps=4))


def test_weights_that_are_not_finite_are_never_saved(train_pack: Path, tmp_path: Path) -> None:
    prepared = runs.prepare(CONFIG, [train_pack], tmp_path / "r")
    learner = set_up(prepared, cpu())
    with torch.no_grad():
        next(learner.network.parameters()).fill_(torch.nan)

    assert not learner.save()
    assert checkpoints.saved_steps(tmp_path / "r") == []


def test_a_checkpoint_of_the_keys_that_releases_wrote_goes_on(train_pack: Path, tmp_path: Path) -> None:
    config = replace(CONFIG, val=("GOPR0002",), val_every=100, average=0.9)
    train(train_pack, tmp_path / "r", config, stop_after=3)
    path = tmp_path / "r" / "checkpoints" / "step-00000003.pt"
    written = torch.load(path, weights_only=True)
    keys = ("network", "optimizer", "averaged", "precision")
    state = {"step": 3, "strikes": 0, "factor": 0.5, "went_back_to": 1, "best": 99.0, "owes_validation": True}
    assert written.keys() == {
        *state,
        *keys,
        "has_warned",
        "seconds",
        "plan",
        "usual_loss",
    }  # releases before wrote none of these
    torch.save({**state, **{key: written[key] for key in keys}}, path)

    train(train_pack, tmp_path / "r", config)

    new = log_rows(tmp_path / "r")[2:]
    assert [row["step"] for row in new if "val_psnr" in row] == [3, 6]  # the one that was due, and the last
    assert {row["learning_rate"] for row in new if "loss" in row} == {5e-5}
    last = checkpoints.load(tmp_path / "r")
    assert last and (last["step"], last["factor"], last["went_back_to"], last["best"]) == (6, 0.5, 1, 99.0)
    assert not (tmp_path / "r" / "best.safetensors").exists()  # no validation was better
