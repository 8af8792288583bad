"""What the loop learns, logs and scores."""

import json
import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from training_runs import CONFIG, TWO_BRANCHES, curve, log_rows, train, weights

from cdgnet import read_metadata
from pipelines import packs
from pipelines.errors import TrainingError
from pipelines.train import runs
from prep.io import frames
from prep.packs.reader import read_info


def test_worker_processes_give_the_same_batches(train_pack: Path, tmp_path: Path) -> None:
    config = replace(CONFIG, steps=3)
    train(train_pack, tmp_path / "here", config)
    train(train_pack, tmp_path / "workers", replace(config, workers=2))

    assert curve(tmp_path / "here") == curve(tmp_path / "workers")


def test_every_logging_row_says_what_a_watcher_needs(train_pack: Path, tmp_path: Path) -> None:
    train(train_pack, tmp_path / "r", TWO_BRANCHES)

    assert [row["step"] for row in log_rows(tmp_path / "r")] == [1, 2, 4, 6]
    row = log_rows(tmp_path / "r")[-1]
    assert row["loss"] == pytest.approx(
        row["loss_restored"] + 0.1 * row["loss_small"] + 0.1 * row["loss_large"], rel=1e-5
    )
    assert row["mean_offset"] > 0
    assert 0 <= row["data_wait_share"] <= 1
    assert row["images_per_second"] == pytest.approx(2 * row["steps_per_second"])


def test_validation_scores_the_held_out_recording_beside_the_blurry_one(train_pack: Path, tmp_path: Path) -> None:
    config = replace(CONFIG, steps=2, val=("GOPR0002",), val_every=1)
    train(train_pack, tmp_path / "r", config)

    (scored,) = (row for row in log_rows(tmp_path / "r") if "val_psnr" in row)
    split = runs.prepare(config, [train_pack], tmp_path / "r").split
    psnrs = []
    for frame, crops in split.held_out.items():
        whole = packs.read_frame([read_info(train_pack)], frame, crops)
        psnrs.append(10 * math.log10(255**2 / float((whole.blurry.double() - whole.sharp.double()).square().mean())))
    assert (scored["step"], scored["val_frames"]) == (2, 2)
    assert scored["val_psnr_blurry"] == pytest.approx(sum(psnrs) / 2)
    # Two steps have hardly changed the network, which starts as the identity.
    assert abs(scored["val_psnr"] - scored["val_psnr_blurry"]) < 1


def test_the_loss_falls(train_pack: Path, tmp_path: Path) -> None:
    train(train_pack, tmp_path / "r", replace(TWO_BRANCHES, steps=30, learning_rate=5e-4, log_every=1))

    losses = [row["loss"] for row in log_rows(tmp_path / "r")]
    assert sum(losses[-5:]) < 0.7 * sum(losses[:5])


@pytest.mark.slow
def test_a_batch_in_parts_gives_the_gradient_of_the_whole(train_pack: Path, tmp_path: Path) -> None:
    for name, accumulate in (("whole", 1), ("parts", 4)):
        train(train_pack, tmp_path / name, replace(TWO_BRANCHES, batch=4, accumulate=accumulate, steps=3, log_every=1))

    # Adam's first steps are the gradient's signs, so it is the losses after them that are compared.
    losses = [[row["loss"] for row in log_rows(tmp_path / name)] for name in ("whole", "parts")]
    assert losses[0] == pytest.approx(losses[1], rel=1e-4)


def test_the_weights_kept_are_the_ema(train_pack: Path, tmp_path: Path) -> None:
    config = replace(CONFIG, steps=2, learning_rate=1e-2, checkpoint_minutes=0.0)
    train(train_pack, tmp_path / "r", replace(config, average=0.75))
    train(train_pack, tmp_path / "plain", config)

    states = [
        torch.load(tmp_path / "plain" / "checkpoints" / f"step-0000000{step}.pt", weights_only=True)["network"]
        for step in (1, 2)
    ]
    for name, value in weights(tmp_path / "r").items():
        wanted = 0.75 * states[0][name] + 0.25 * states[1][name]  # the first step begins the average
        torch.testing.assert_close(value, wanted, rtol=1e-5, atol=1e-6)


@pytest.mark.slow
def test_fine_tuning_begins_with_the_weights_given(train_pack: Path, tmp_path: Path) -> None:
    train(train_pack, tmp_path / "first", TWO_BRANCHES)
    given = tmp_path / "first" / "weights.safetensors"
    config = replace(TWO_BRANCHES, init=str(given), steps=1, learning_rate=1e-12)

    train(train_pack, tmp_path / "second", config)

    first, second = weights(tmp_path / "first"), weights(tmp_path / "second")
    assert all(torch.allclose(first[name], second[name], rtol=0, atol=1e-9) for name in first)
    with pytest.raises(TrainingError, match=r"holds the network cdgnet .* the settings say dmphn-1, preset tiny"):
        runs.prepare(replace(config, variant="dmphn-1"), [train_pack], tmp_path / "third")


def test_fine_tuning_scores_its_first_weights_before_the_first_step(train_pack: Path, tmp_path: Path) -> None:
    config = replace(CONFIG, steps=8, val=("GOPR0002",), learning_rate=3e-3)
    train(train_pack, tmp_path / "first", config)
    given = tmp_path / "first" / "weights.safetensors"

    train(train_pack, tmp_path / "second", replace(config, init=str(given), steps=1), stop_after=1)

    before = [row for row in log_rows(tmp_path / "first") if "val_psnr" in row][-1]
    scores = [row for row in log_rows(tmp_path / "second") if "val_psnr" in row]
    assert [row["step"] for row in scores] == [0, 1]
    assert scores[0]["val_psnr"] == pytest.approx(before["val_psnr"], abs=1e-4)


@pytest.mark.slow
def test_the_first_weights_are_not_scored_again_where_a_run_continues(train_pack: Path, tmp_path: Path) -> None:
    train(train_pack, tmp_path / "first")
    init = str(tmp_path / "first" / "weights.safetensors")
    config = replace(CONFIG, steps=4, val=("GOPR0002",), init=init)
    train(train_pack, tmp_path / "whole", config)
    train(train_pack, tmp_path / "halves", config, stop_after=2)
    train(train_pack, tmp_path / "halves", config)

    assert curve(tmp_path / "halves") == curve(tmp_path / "whole")
    assert [row["step"] for row in log_rows(tmp_path / "halves") if "val_psnr" in row] == [0, 4]


@pytest.mark.slow
def test_the_best_weights_are_those_of_the_highest_score(train_pack: Path, tmp_path: Path) -> None:
    train(train_pack, tmp_path / "r", replace(CONFIG, steps=8, val=("GOPR0002",), val_every=1, learning_rate=3e-3))

    scores = {row["step"]: row["val_psnr"] for row in log_rows(tmp_path / "r") if "val_psnr" in row}
    about = read_metadata(tmp_path / "r" / "best.safetensors")
    assert len(set(scores.values())) > 1
    assert int(about["step"]) == max(scores, key=lambda step: scores[step])
    assert float(about["val_psnr"]) == pytest.approx(max(scores.values()), abs=1e-4)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # of the compiler, about the versions of its own parts
@pytest.mark.parametrize("graphs", [False, True])
def test_a_compiled_run_trains_as_one_that_is_not(train_pack: Path, tmp_path: Path, graphs: bool) -> None:
    plain = replace(CONFIG, variant="dmphn-1", steps=5, log_every=4)  # steps that are logged run uncompiled
    train(train_pack, tmp_path / "plain", plain)
    train(train_pack, tmp_path / "compiled", replace(plain, compile=True, graphs=graphs))
    for name, weight in weights(tmp_path / "plain").items():
        # Adam's first steps are the gradient's sign: what rounding turns around moves by two rates a step.
        torch.testing.assert_close(weights(tmp_path / "compiled")[name], weight, rtol=0, atol=3e-4)


def test_the_weights_say_how_they_came_about(train_pack: Path, tmp_path: Path) -> None:
    train(train_pack, tmp_path / "r", replace(CONFIG, steps=1))

    about = read_metadata(tmp_path / "r" / "weights.safetensors")
    assert about["step"] == "1"
    assert json.loads(about["training"])["preset"] == "tiny"


def test_pictures_of_a_validation_show_the_masks_that_were_trained_with(train_pack: Path, tmp_path: Path) -> None:
    config = replace(TWO_BRANCHES, steps=1, val=("GOPR0002",))
    for name, mu in (("own", None), ("other", 0.05)):
        train(train_pack, tmp_path / name, replace(config, mu=mu))

    own, other = (
        frames.decode((tmp_path / name / "pictures" / "0-mask.png").read_bytes(), Path(name))
        for name in ("own", "other")
    )
    assert other.mean() > own.mean()


@pytest.mark.parametrize("form", ["region", "soft", "attention", "whole"])
def test_every_form_of_the_component_loss_trains_and_is_a_run_of_its_own(
    train_pack: Path, tmp_path: Path, form: str
) -> None:
    config = replace(TWO_BRANCHES, steps=2, component_loss=form, lambda_small=1.0, lambda_large=1.0)
    train(train_pack, tmp_path / "r", config)

    row = log_rows(tmp_path / "r")[-1]
    assert row["loss"] == pytest.approx(row["loss_restored"] + row["loss_small"] + row["loss_large"], rel=1e-5)
    with pytest.raises(TrainingError, match=f"use its settings to continue: component-loss {form} [(]now target[)]"):
        runs.prepare(replace(config, component_loss="target"), [train_pack], tmp_path / "r")


@pytest.mark.slow
def test_the_forms_give_losses_of_their_own(train_pack: Path, tmp_path: Path) -> None:
    for form in ("target", "region", "soft", "attention", "whole"):
        train(
            train_pack, tmp_path / form, replace(TWO_BRANCHES, steps=1, batch=6, component_loss=form)
        )  # of both components
    firsts = {name: log_rows(tmp_path / name)[0]["loss_small"] for name in ("target", "region", "soft", "attention")}
    assert len(set(firsts.values())) == 4
    assert firsts["attention"] - firsts["region"] == pytest.approx(0.01 * math.log(2), rel=0.2)  # a map begins near 1/2


def test_a_run_of_the_release_before_goes_on(train_pack: Path, tmp_path: Path) -> None:
    """Its run.json knows no component loss."""
    train(train_pack, tmp_path / "r", stop_after=2)
    assert "component_loss" not in json.loads((tmp_path / "r" / "run.json").read_text())
    assert [report.step for report in train(train_pack, tmp_path / "r")][-1] == 6


@pytest.mark.slow
def test_a_loss_that_drowns_the_restoration_is_said_once_even_after_a_restart(train_pack: Path, tmp_path: Path) -> None:
    train(train_pack, tmp_path / "r", replace(TWO_BRANCHES, log_every=1), stop_after=2)
    train(train_pack, tmp_path / "r", replace(TWO_BRANCHES, log_every=1))
    train(train_pack, tmp_path / "quiet", replace(TWO_BRANCHES, log_every=1, lambda_small=1e-4, lambda_large=1e-4))

    warnings = [row for row in log_rows(tmp_path / "r") if "drowned_by" in row]
    assert [row["step"] for row in warnings] == [1]
    assert warnings[0]["share_large"] == pytest.approx(0.1 * warnings[0]["loss_large"] / warnings[0]["loss"])
    assert not any("drowned_by" in row for row in log_rows(tmp_path / "quiet"))
