"""The loop: exact, resumable, never two runs in one folder."""

import json
import math
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning_fabric import Fabric

from cdgnet import load_weights, read_metadata
from pipelines import errors
from pipelines.errors import TrainingError
from pipelines.train import checkpoints, loop, runs
from pipelines.train.settings import TrainingConfig
from prep.io import frames
from prep.packs import store

CONFIG = TrainingConfig(preset="tiny", steps=6, batch=2, crop=32, workers=0, log_every=2, val=())


def run(pack: Path, folder: Path, config: TrainingConfig = CONFIG, stop_after: int | None = None) -> list[loop.Tick]:
    plan = runs.prepare(config, [pack], folder)
    ticks: list[loop.Tick] = []
    fabric = Fabric(accelerator="cpu", devices=1)
    for tick in loop.train(plan, fabric, lambda: stop_after is not None and len(ticks) + 1 >= stop_after):
        ticks.append(tick)
    return ticks


def rows(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]


def curve(folder: Path) -> list[Mapping[str, Any]]:
    times = ("images_per_second", "steps_per_second", "data_wait_share")
    return [{name: value for name, value in row.items() if name not in times} for row in rows(folder)]


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return load_weights(folder / "weights.safetensors").state_dict()


def test_a_stopped_run_goes_on_to_the_same_curve_and_weights(train_pack: Path, tmp_path: Path) -> None:
    run(train_pack, tmp_path / "whole")
    assert len(run(train_pack, tmp_path / "parts", stop_after=3)) == 3

    ticks = run(train_pack, tmp_path / "parts")

    assert [tick.step for tick in ticks] == [4, 5, 6]
    assert curve(tmp_path / "parts") == curve(tmp_path / "whole")
    whole, parts = weights(tmp_path / "whole"), weights(tmp_path / "parts")
    assert all(torch.equal(whole[name], parts[name]) for name in whole)


def test_rows_written_after_the_last_checkpoint_are_taken_back(train_pack: Path, tmp_path: Path) -> None:
    run(train_pack, tmp_path / "whole")
    plan = runs.prepare(CONFIG, [train_pack], tmp_path / "killed")
    ticks = loop.train(plan, Fabric(accelerator="cpu", devices=1))
    for _ in range(5):
        next(ticks)
    ticks.close()  # as a kill: no checkpoint was due yet
    assert rows(tmp_path / "killed")[-1]["step"] == 4

    run(train_pack, tmp_path / "killed")

    assert curve(tmp_path / "killed") == curve(tmp_path / "whole")


def test_worker_processes_give_the_same_batches(train_pack: Path, tmp_path: Path) -> None:
    config = replace(CONFIG, steps=3)
    run(train_pack, tmp_path / "here", config)
    run(train_pack, tmp_path / "workers", replace(config, workers=2))

    assert curve(tmp_path / "here") == curve(tmp_path / "workers")


def test_every_logging_row_says_what_a_watcher_needs(train_pack: Path, tmp_path: Path) -> None:
    run(train_pack, tmp_path / "r")

    assert [row["step"] for row in rows(tmp_path / "r")] == [1, 2, 4, 6]
    row = rows(tmp_path / "r")[-1]
    assert row["loss"] == pytest.approx(
        row["loss_restored"] + 0.1 * row["loss_small"] + 0.1 * row["loss_large"], rel=1e-5
    )
    assert row["mean_offset"] > 0
    assert 0 <= row["data_wait_share"] <= 1
    assert row["images_per_second"] == pytest.approx(2 * row["steps_per_second"])


def test_validation_scores_the_held_out_recording_beside_the_blurry_one(train_pack: Path, tmp_path: Path) -> None:
    run(train_pack, tmp_path / "r", replace(CONFIG, steps=2, val=("GOPR0002",), val_every=1))

    scored = [row for row in rows(tmp_path / "r") if "val_psnr" in row]
    assert [row["step"] for row in scored] == [2]
    assert scored[0]["val_frames"] == 2
    assert abs(scored[0]["val_psnr"] - scored[0]["val_psnr_blurry"]) < 1


def test_the_loss_falls(train_pack: Path, tmp_path: Path) -> None:
    run(train_pack, tmp_path / "r", replace(CONFIG, steps=30, learning_rate=5e-4, log_every=1))

    losses = [row["loss"] for row in rows(tmp_path / "r")]
    assert sum(losses[-5:]) < 0.7 * sum(losses[:5])


def test_the_rate_is_halved_every_500_epochs_of_the_paper() -> None:
    config = TrainingConfig()

    rates = [loop.rate_at(config, step, 1_051_500, frames=2103) for step in (0, 175_000, 175_500, 1_051_000)]

    assert rates == [1e-4, 1e-4, 5e-5, 1e-4 / 32]


def test_the_rate_rises_and_falls_along_half_a_cosine() -> None:
    config = TrainingConfig(schedule="cosine", warm_up=10)

    rates = [loop.rate_at(config, step, 1000, frames=10) / 1e-4 for step in (0, 4, 500, 999)]

    # (1 + cos(pi t)) / 2, by hand: at the half 1/2, a thousandth before the end 2.5e-6.
    assert rates == pytest.approx([0.1, 0.5 * 0.99996, 0.5, 2.467e-6], rel=1e-3)


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
    config = replace(CONFIG, **change)
    run(train_pack, tmp_path / "whole", config)
    run(train_pack, tmp_path / "parts", config, stop_after=3)
    run(train_pack, tmp_path / "parts", config)
    run(train_pack, tmp_path / "plain")

    assert curve(tmp_path / "parts") == curve(tmp_path / "whole")
    whole, parts, plain = (weights(tmp_path / name) for name in ("whole", "parts", "plain"))
    assert all(torch.equal(whole[name], parts[name]) for name in whole)
    assert not all(torch.equal(whole[name], plain[name]) for name in whole)


def test_a_batch_in_parts_gives_the_gradient_of_the_whole(train_pack: Path, tmp_path: Path) -> None:
    for name, accumulate in (("whole", 1), ("parts", 4)):
        run(train_pack, tmp_path / name, replace(CONFIG, batch=4, accumulate=accumulate, steps=3, log_every=1))

    # Adam's first steps are the gradient's signs, so it is the losses after them that are compared.
    losses = [[row["loss"] for row in rows(tmp_path / name)] for name in ("whole", "parts")]
    assert losses[0] == pytest.approx(losses[1], rel=1e-4)


def test_the_weights_kept_are_the_moving_average(train_pack: Path, tmp_path: Path) -> None:
    config = replace(CONFIG, steps=2, learning_rate=1e-2, checkpoint_minutes=0.0)
    run(train_pack, tmp_path / "r", replace(config, average=0.75))
    run(train_pack, tmp_path / "plain", config)

    states = [
        torch.load(tmp_path / "plain" / "checkpoints" / f"step-0000000{step}.pt", weights_only=True)["network"]
        for step in (1, 2)
    ]
    for name, value in weights(tmp_path / "r").items():
        wanted = 0.75 * states[0][name] + 0.25 * states[1][name]  # the first step begins the average
        torch.testing.assert_close(value, wanted, rtol=1e-5, atol=1e-6)


def test_fine_tuning_begins_with_the_weights_given(train_pack: Path, tmp_path: Path) -> None:
    run(train_pack, tmp_path / "first")
    given = tmp_path / "first" / "weights.safetensors"
    config = replace(CONFIG, init=str(given), steps=1, learning_rate=1e-12)

    run(train_pack, tmp_path / "second", config)

    first, second = weights(tmp_path / "first"), weights(tmp_path / "second")
    assert all(torch.allclose(first[name], second[name], rtol=0, atol=1e-9) for name in first)
    with pytest.raises(TrainingError, match=r"holds the network cdgnet .* asked is dmphn-1 in tiny"):
        runs.prepare(replace(config, variant="dmphn-1"), [train_pack], tmp_path / "third")


def test_other_weights_to_begin_with_are_another_run(train_pack: Path, tmp_path: Path) -> None:
    for name, seed in (("a", 0), ("b", 1)):
        run(train_pack, tmp_path / name, replace(CONFIG, steps=1, seed=seed))
    config = replace(CONFIG, steps=1)
    run(train_pack, tmp_path / "r", replace(config, init=str(tmp_path / "a" / "weights.safetensors")))

    with pytest.raises(TrainingError, match=r"init crc32 \w+ \(now crc32 \w+\)"):
        runs.prepare(replace(config, init=str(tmp_path / "b" / "weights.safetensors")), [train_pack], tmp_path / "r")


def test_the_best_weights_are_those_of_the_highest_score(train_pack: Path, tmp_path: Path) -> None:
    run(train_pack, tmp_path / "r", replace(CONFIG, steps=8, val=("GOPR0002",), val_every=1, learning_rate=3e-3))

    scores = {row["step"]: row["val_psnr"] for row in rows(tmp_path / "r") if "val_psnr" in row}
    about = read_metadata(tmp_path / "r" / "best.safetensors")
    assert len(set(scores.values())) > 1
    assert int(about["step"]) == max(scores, key=lambda step: scores[step])
    assert float(about["val_psnr"]) == pytest.approx(max(scores.values()), abs=1e-4)


def test_a_batch_that_cannot_be_divided_is_refused(train_pack: Path, tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match=r"a batch of 2 cannot be divided .* pass --batch 3"):
        run(train_pack, tmp_path / "r", replace(CONFIG, accumulate=3))


def test_the_paper_takes_1_05_million_steps_on_gopro() -> None:
    config = TrainingConfig()

    assert -(-config.epochs * 2103 // config.batch) == 1_051_500


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"learning_rate": 1e-3}, r"learning-rate 0.0001 \(now 0.001\)"),
        ({"batch": 3}, r"batch 2 \(now 3\)"),
        ({"seed": 1}, r"seed 0 \(now 1\)"),
    ],
)
def test_two_runs_never_share_a_folder(train_pack: Path, tmp_path: Path, change: dict[str, Any], said: str) -> None:
    runs.prepare(CONFIG, [train_pack], tmp_path / "r")

    with pytest.raises(TrainingError, match=said):
        runs.prepare(replace(CONFIG, **change), [train_pack], tmp_path / "r")


def test_another_pack_is_another_run(train_pack: Path, test_pack: Path, tmp_path: Path) -> None:
    runs.prepare(CONFIG, [train_pack], tmp_path / "r")

    with pytest.raises(TrainingError, match="packs of another content"):
        runs.prepare(CONFIG, [test_pack], tmp_path / "r")


def test_a_longer_run_goes_on_in_the_same_folder(train_pack: Path, tmp_path: Path) -> None:
    run(train_pack, tmp_path / "r", replace(CONFIG, steps=2))

    assert runs.prepare(CONFIG, [train_pack], tmp_path / "r").start == 2


def test_a_folder_of_the_users_is_left_alone(train_pack: Path, tmp_path: Path) -> None:
    (tmp_path / "r").mkdir()
    (tmp_path / "r" / "thesis.tex").write_text("")

    with pytest.raises(TrainingError, match=r"holds files but no run\.json, so no run of ours; pass another --out"):
        runs.prepare(CONFIG, [train_pack], tmp_path / "r")


def test_a_dry_run_writes_nothing(train_pack: Path, tmp_path: Path) -> None:
    runs.prepare(CONFIG, [train_pack], tmp_path / "r", keep=False)

    assert not (tmp_path / "r").exists()


class Saboteur:
    """Makes the loss of chosen steps no number, as a broken frame would."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *steps: int) -> None:
        self.steps, self.step, self.honest = set(steps), 0, loop.compute_losses
        monkeypatch.setattr(loop, "compute_losses", self.lose)

    def lose(self, *words: Any) -> loop.Losses:
        self.step += 1
        losses = self.honest(*words)
        return loop.Losses(*(each * torch.nan for each in losses)) if self.step in self.steps else losses


def test_a_step_whose_loss_is_no_number_is_skipped_and_names_its_frames(
    train_pack: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Saboteur(monkeypatch, 3)

    ticks = run(train_pack, tmp_path / "r", replace(CONFIG, log_every=1))

    (row,) = (row for row in rows(tmp_path / "r") if "skipped" in row)
    assert (row["step"], len(row["skipped"]), len(ticks)) == (3, 2, 6)
    with store.open_pack(train_pack) as file:
        assert set(row["skipped"]) <= set(store.read_keys(file))
    assert all(torch.isfinite(weight).all() for weight in weights(tmp_path / "r").values())


def test_three_such_steps_in_a_row_stop_the_run_and_keep_the_checkpoint(
    train_pack: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(train_pack, tmp_path / "r", replace(CONFIG, steps=2))
    before = weights(tmp_path / "r")
    Saboteur(monkeypatch, *range(100))

    with pytest.raises(TrainingError, match=r"no number in 3 steps in a row, up to step 5 .* pass --divergence halve"):
        run(train_pack, tmp_path / "r")

    assert checkpoints.steps(tmp_path / "r") == [2]
    assert all(torch.equal(value, before[name]) for name, value in weights(tmp_path / "r").items())


def test_on_request_the_run_goes_back_and_on_with_half_the_rate(
    train_pack: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = replace(CONFIG, log_every=1, divergence="halve")
    run(train_pack, tmp_path / "r", replace(config, steps=2))
    Saboteur(monkeypatch, 1, 2, 3)

    ticks = run(train_pack, tmp_path / "r", config)

    (back,) = (row for row in rows(tmp_path / "r") if "factor" in row)
    assert back == {"step": 2, "went_back_from": 5, "factor": 0.5}
    assert [tick.step for tick in ticks] == [3, 4, 5, 3, 4, 5, 6]
    assert [row["learning_rate"] for row in rows(tmp_path / "r") if "loss" in row] == [1e-4] * 2 + [5e-5] * 4


def test_weights_that_are_no_numbers_are_never_saved(train_pack: Path, tmp_path: Path) -> None:
    plan = runs.prepare(CONFIG, [train_pack], tmp_path / "r")
    parts = loop.set_up(plan, Fabric(accelerator="cpu", devices=1))
    with torch.no_grad():
        next(parts.network.parameters()).fill_(torch.nan)

    parts.save()

    assert checkpoints.steps(tmp_path / "r") == []


def damage(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def test_a_damaged_checkpoint_gives_way_to_the_one_before_it(train_pack: Path, tmp_path: Path) -> None:
    config = replace(CONFIG, checkpoint_minutes=0.0)
    run(train_pack, tmp_path / "whole", config)
    run(train_pack, tmp_path / "r", config, stop_after=5)
    damage(tmp_path / "r" / "checkpoints" / "step-00000005.pt")

    plan = runs.prepare(config, [train_pack], tmp_path / "r")
    assert (plan.start, len(plan.faults)) == (4, 1)
    assert "step-00000005.pt cannot be read (" in plan.faults[0]
    run(train_pack, tmp_path / "r", config)

    assert curve(tmp_path / "r") == curve(tmp_path / "whole")


def test_where_all_checkpoints_are_damaged_the_newest_is_named(train_pack: Path, tmp_path: Path) -> None:
    run(train_pack, tmp_path / "r", replace(CONFIG, steps=1))
    (tmp_path / "r" / "checkpoints" / "step-00000001.pt").write_bytes(b"PK rubbish")

    with pytest.raises(TrainingError, match=r"step-00000001\.pt cannot be read .* nor any before it"):
        runs.prepare(CONFIG, [train_pack], tmp_path / "r")


def test_the_last_checkpoints_are_kept(train_pack: Path, tmp_path: Path) -> None:
    run(train_pack, tmp_path / "r", replace(CONFIG, checkpoint_minutes=0.0, keep=2))

    assert checkpoints.steps(tmp_path / "r") == [5, 6]


def test_a_full_disk_leaves_the_checkpoints_before(
    train_pack: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(train_pack, tmp_path / "r", replace(CONFIG, steps=2))

    def full(*words: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(torch, "save", full)
    with pytest.raises(OSError, match="No space left"):
        run(train_pack, tmp_path / "r")

    monkeypatch.undo()
    assert runs.prepare(CONFIG, [train_pack], tmp_path / "r").start == 2
    assert not list((tmp_path / "r").rglob("*.part"))


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # of the compiler, about the versions of its own parts
@pytest.mark.parametrize("graphs", [False, True])
def test_a_compiled_run_trains_as_one_that_is_not(train_pack: Path, tmp_path: Path, graphs: bool) -> None:
    plain = replace(CONFIG, variant="dmphn-1", steps=5, log_every=4)  # steps that are logged run uncompiled
    run(train_pack, tmp_path / "plain", plain)
    run(train_pack, tmp_path / "compiled", replace(plain, compile=True, graphs=graphs))
    for name, weight in weights(tmp_path / "plain").items():
        # Adam's first steps are the gradient's sign: what rounding turns around moves by two rates a step.
        torch.testing.assert_close(weights(tmp_path / "compiled")[name], weight, rtol=0, atol=3e-4)


def test_graphs_want_a_compiled_undivided_step_on_one_device(train_pack: Path) -> None:
    for wrong in ({"graphs": True}, {"graphs": True, "compile": True, "accumulate": 2}):
        with pytest.raises(ValueError, match="graphs is on; it wants compile, and accumulate 1"):
            replace(CONFIG, **wrong)  # type: ignore[arg-type]
    with pytest.raises(TrainingError, match="--graphs is for one device, and there are 2"):
        loop.check_division(replace(CONFIG, graphs=True, compile=True), 2)


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
ticks = loop.train(plan, Fabric(accelerator="cpu", devices=1))
next(ticks)
(reader,) = multiprocessing.active_children()
reader.kill()
reader.join()  # a word of it reaches this process here, which is not the place to hear it
try:
    for _ in ticks:
        pass
except DataError as error:
    print(error)
"""


def test_a_reading_process_that_was_killed_ends_the_run_in_one_line(train_pack: Path, tmp_path: Path) -> None:
    # In a process of its own, whose children are all the loader's.
    words = [sys.executable, "-c", KILLED, train_pack, tmp_path / "r"]
    said = subprocess.run(words, capture_output=True, text=True).stdout

    assert re.fullmatch(r"a process that reads frames ended .* the same command goes on from .*\n", said)
    assert checkpoints.steps(tmp_path / "r")


def test_a_pack_removed_while_it_is_read_is_read_on(train_pack: Path, tmp_path: Path) -> None:
    pack = Path(shutil.copy(train_pack, tmp_path / "pack.h5"))
    run(train_pack, tmp_path / "whole")
    plan = runs.prepare(CONFIG, [pack], tmp_path / "r")
    ticks = loop.train(plan, Fabric(accelerator="cpu", devices=1))
    next(ticks)
    next(ticks)
    pack.unlink()
    assert len(list(ticks)) == 4

    assert curve(tmp_path / "r") == curve(tmp_path / "whole")
    with pytest.raises(FileNotFoundError, match=r"pack\.h5 is not there"):
        runs.prepare(CONFIG, [pack], tmp_path / "r")


def test_the_weights_say_how_they_came_about(train_pack: Path, tmp_path: Path) -> None:
    run(train_pack, tmp_path / "r", replace(CONFIG, steps=1))

    about = read_metadata(tmp_path / "r" / "weights.safetensors")
    assert about["step"] == "1"
    assert json.loads(about["training"])["preset"] == "tiny"


def test_two_processes_cannot_train_one_run(train_pack: Path, tmp_path: Path) -> None:
    run(train_pack, tmp_path / "r", stop_after=1)
    other = "import sys; from pathlib import Path; from prep.io import files\n"
    other += "with files.held(Path(sys.argv[1])): print('held', flush=True); sys.stdin.read()"
    words = [sys.executable, "-c", other, str(tmp_path / "r" / "lock")]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout and process.stdout.readline() == b"held\n"

        with pytest.raises(errors.RunInUse, match="trained by another process"):
            run(train_pack, tmp_path / "r")
        process.kill()

    assert run(train_pack, tmp_path / "r")[-1].step == 6


def test_what_was_trained_is_saved_before_a_validation_that_fails_and_the_validation_is_made_up_for(
    train_pack: Path, tmp_path: Path
) -> None:
    config = replace(CONFIG, val=("GOPR0002",), val_every=1)
    run(train_pack, tmp_path / "whole", config)
    pack = Path(shutil.copy(train_pack, tmp_path / "p.h5"))
    plan = runs.prepare(config, [pack], tmp_path / "r")
    ticks = loop.train(plan, Fabric(accelerator="cpu", devices=1))
    next(ticks)
    pack.rename(tmp_path / "moved.h5")

    with pytest.raises(TrainingError, match=r"p\.h5 is not there.*Step 2 is saved in .*put the pack back"):
        list(ticks)
    assert checkpoints.steps(tmp_path / "r") == [2]
    run(tmp_path / "moved.h5", tmp_path / "r", config)

    assert curve(tmp_path / "r") == curve(tmp_path / "whole")
    best = [load_weights(tmp_path / name / "best.safetensors").state_dict() for name in ("whole", "r")]
    assert all(torch.equal(best[0][name], best[1][name]) for name in best[0])


def test_a_run_killed_in_its_last_validation_is_not_done(train_pack: Path, tmp_path: Path) -> None:
    config = replace(CONFIG, val=("GOPR0002",), val_every=1)
    run(train_pack, tmp_path / "r", config)
    held, _ = checkpoints.load(tmp_path / "r")
    assert held and not held["owes_validation"]
    checkpoints.save(tmp_path / "r", 6, {**held, "owes_validation": True}, keep=3)
    before = curve(tmp_path / "r")

    assert not runs.prepare(config, [train_pack], tmp_path / "r").is_done
    run(train_pack, tmp_path / "r", config)

    assert curve(tmp_path / "r") == before
    assert runs.prepare(config, [train_pack], tmp_path / "r").is_done


@pytest.mark.parametrize("weights_are_there", [True, False])
def test_a_run_killed_between_its_last_checkpoint_and_its_weights_is_not_done(
    train_pack: Path, tmp_path: Path, weights_are_there: bool
) -> None:
    run(train_pack, tmp_path / "whole")
    run(train_pack, tmp_path / "r", replace(CONFIG, steps=CONFIG.steps - 2))
    earlier = (tmp_path / "r" / "weights.safetensors").read_bytes()
    run(train_pack, tmp_path / "r")
    if weights_are_there:
        (tmp_path / "r" / "weights.safetensors").write_bytes(earlier)
    else:
        (tmp_path / "r" / "weights.safetensors").unlink()

    assert not runs.prepare(CONFIG, [train_pack], tmp_path / "r").is_done
    run(train_pack, tmp_path / "r")

    assert runs.prepare(CONFIG, [train_pack], tmp_path / "r").is_done
    assert weights(tmp_path / "r").keys() == weights(tmp_path / "whole").keys()
    assert all(torch.equal(one, weights(tmp_path / "whole")[name]) for name, one in weights(tmp_path / "r").items())


def test_weights_without_checkpoints_are_never_trained_over(train_pack: Path, tmp_path: Path) -> None:
    run(train_pack, tmp_path / "r")
    shutil.rmtree(tmp_path / "r" / "checkpoints")
    before = (tmp_path / "r" / "weights.safetensors").read_bytes(), (tmp_path / "r" / "log.jsonl").read_bytes()

    with pytest.raises(TrainingError, match="none of its checkpoints, so it cannot go on; pass another --out"):
        run(train_pack, tmp_path / "r")
    assert before == (
        (tmp_path / "r" / "weights.safetensors").read_bytes(),
        (tmp_path / "r" / "log.jsonl").read_bytes(),
    )


def test_a_checkpoint_that_diverges_again_gives_way_to_the_one_before_it(
    train_pack: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = replace(CONFIG, log_every=1, divergence="halve", checkpoint_minutes=0.0)
    Saboteur(monkeypatch, *range(4, 10))  # steps 4, 5, 6, and again after going back to 3

    run(train_pack, tmp_path / "r", config)

    (back,) = (row for row in rows(tmp_path / "r") if "factor" in row)
    assert back == {"step": 2, "went_back_from": 6, "factor": 0.25}
    assert [row["step"] for row in rows(tmp_path / "r") if "loss" in row] == [1, 2, 3, 4, 5, 6]


def test_a_divergence_before_anything_was_saved_says_so(
    train_pack: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Saboteur(monkeypatch, *range(100))

    with pytest.raises(TrainingError, match="nothing good was saved; begin a new run with a lower --learning-rate"):
        run(train_pack, tmp_path / "r")
    assert rows(tmp_path / "r")[-1]["gave_up"].startswith("the loss was no number in 3 steps in a row, up to step 3")


@pytest.mark.parametrize("line", ['{"step": 99, "lo\n', "garbage\n", "[1]\n", '{"loss": 1}\n'])
def test_a_damaged_log_is_named_by_its_line_and_kept(train_pack: Path, tmp_path: Path, line: str) -> None:
    run(train_pack, tmp_path / "r", replace(CONFIG, steps=2))
    with (tmp_path / "r" / "log.jsonl").open("a") as log:
        log.write(line)
    before = (tmp_path / "r" / "log.jsonl").read_bytes()

    with pytest.raises(TrainingError, match=r"line 3 of .*log\.jsonl is no row of a log"):
        run(train_pack, tmp_path / "r")
    assert (tmp_path / "r" / "log.jsonl").read_bytes() == before


def test_settings_that_cannot_be_are_named_all_at_once() -> None:
    with pytest.raises(ValueError) as error:
        TrainingConfig(batch=0, learning_rate=math.nan, average=1.0, mu=1.5, loss="l3", clip=math.inf)

    assert str(error.value).count("must be") == 6
    assert "average is 1.0; it must be a number from 0 to below 1" in str(error.value)
    assert TrainingConfig(average=0.999, mu=1.0).mu == 1


def test_pictures_of_a_validation_show_the_masks_that_were_trained_with(train_pack: Path, tmp_path: Path) -> None:
    config = replace(CONFIG, steps=1, val=("GOPR0002",))
    for name, mu in (("own", None), ("other", 0.05)):
        run(train_pack, tmp_path / name, replace(config, mu=mu))

    own, other = (
        frames.decode((tmp_path / name / "pictures" / "0-mask.png").read_bytes(), Path(name))
        for name in ("own", "other")
    )
    assert other.mean() > own.mean()
