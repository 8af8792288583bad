"""What makes a run, and what its folder must hold for it to go on."""

import math
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from training_runs import CONFIG, TWO_BRANCHES, train

from cdgnet import ModelConfig, load_weights
from pipelines import errors
from pipelines.errors import TrainingError
from pipelines.train import runs
from pipelines.train.settings import TrainingConfig, structure_of


def test_other_weights_to_begin_with_are_another_run(train_pack: Path, tmp_path: Path) -> None:
    for name, seed in (("a", 0), ("b", 1)):
        train(train_pack, tmp_path / name, replace(CONFIG, steps=1, seed=seed))
    config = replace(CONFIG, steps=1)
    train(train_pack, tmp_path / "r", replace(config, init=str(tmp_path / "a" / "weights.safetensors")))

    with pytest.raises(TrainingError, match=r"use its settings to continue: other first weights \(--init\)$"):
        runs.prepare(replace(config, init=str(tmp_path / "b" / "weights.safetensors")), [train_pack], tmp_path / "r")


@pytest.mark.slow
def test_a_network_keeps_the_shrinkage_of_its_first_weights_unless_the_settings_name_another(
    train_pack: Path, tmp_path: Path
) -> None:
    config = replace(CONFIG, steps=1)
    train(train_pack, tmp_path / "first", replace(config, shrinkage=2.5))
    first = tmp_path / "first" / "weights.safetensors"
    for name, own in (("kept", None), ("other", 4.0), ("none", 0.0)):
        train(train_pack, tmp_path / name, replace(config, init=str(first), shrinkage=own))
    found = {name: load_weights(tmp_path / name / "weights.safetensors").config for name in ("kept", "other", "none")}

    assert load_weights(first).config.shrinkage == 2.5
    assert {name: each.shrinkage for name, each in found.items()} == {"kept": 2.5, "other": 4.0, "none": 0.0}
    with pytest.raises(TrainingError, match=r"shrinkage 2.5 \(now 3.0\)"):
        runs.prepare(replace(config, shrinkage=3.0), [train_pack], tmp_path / "first")


def test_a_run_without_shrinkage_is_described_as_before_there_was_any(train_pack: Path, tmp_path: Path) -> None:
    train(train_pack, tmp_path / "first", replace(CONFIG, steps=1))
    config = replace(CONFIG, steps=2, init=str(tmp_path / "first" / "weights.safetensors"))
    run = runs.prepare(config, [train_pack], tmp_path / "r")
    assert "shrinkage" not in run.request
    assert "shrinkage" not in run.request["network"]


def test_a_batch_that_cannot_be_divided_is_refused(train_pack: Path, tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match=r"a batch of 2 cannot be divided .* pass --batch 3"):
        train(train_pack, tmp_path / "r", replace(CONFIG, accumulate=3))


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

    with pytest.raises(TrainingError, match="other packs"):
        runs.prepare(CONFIG, [test_pack], tmp_path / "r")


def test_a_longer_run_goes_on_in_the_same_folder(train_pack: Path, tmp_path: Path) -> None:
    train(train_pack, tmp_path / "r", replace(CONFIG, steps=2))

    assert runs.prepare(CONFIG, [train_pack], tmp_path / "r").start == 2


def test_a_folder_of_the_users_is_left_alone(train_pack: Path, tmp_path: Path) -> None:
    (tmp_path / "r").mkdir()
    (tmp_path / "r" / "thesis.tex").write_text("")

    with pytest.raises(
        TrainingError, match=r"contains files but no run\.json, so it is not a run folder; choose another --out"
    ):
        runs.prepare(CONFIG, [train_pack], tmp_path / "r")


def test_a_dry_run_writes_nothing(train_pack: Path, tmp_path: Path) -> None:
    runs.prepare(CONFIG, [train_pack], tmp_path / "r", keep=False)

    assert not (tmp_path / "r").exists()


def test_graphs_need_a_compiled_undivided_step_on_one_device(train_pack: Path) -> None:
    for wrong in ({"graphs": True}, {"graphs": True, "compile": True, "accumulate": 2}):
        with pytest.raises(ValueError, match="graphs is on; it needs compile, and accumulate 1"):
            replace(CONFIG, **wrong)  # type: ignore[arg-type]
    with pytest.raises(TrainingError, match="--graphs is for one device, and there are 2"):
        runs.check_division(replace(CONFIG, graphs=True, compile=True), 2)


def test_settings_that_cannot_be_are_named_all_at_once() -> None:
    with pytest.raises(ValueError) as error:
        TrainingConfig(batch=0, learning_rate=math.nan, average=1.0, mu=1.5, loss="l3", clip=math.inf)

    assert str(error.value).count("must be") == 6
    assert "average is 1.0; it must be a number from 0 to below 1" in str(error.value)
    assert TrainingConfig(average=0.999, mu=1.0).mu == 1


def test_two_processes_cannot_train_one_run(train_pack: Path, tmp_path: Path) -> None:
    train(train_pack, tmp_path / "r", stop_after=1)
    other = "import sys; from pathlib import Path; from prep.io import locks\n"
    other += "with locks.hold(Path(sys.argv[1])): print('held', flush=True); sys.stdin.read()"
    words = [sys.executable, "-c", other, str(tmp_path / "r" / "lock")]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout and process.stdout.readline() == b"held\n"

        with pytest.raises(errors.RunInUse, match="in use by another training"):
            train(train_pack, tmp_path / "r")
        process.kill()

    assert train(train_pack, tmp_path / "r")[-1].step == 6


def test_weights_without_checkpoints_are_never_trained_over(train_pack: Path, tmp_path: Path) -> None:
    train(train_pack, tmp_path / "r")
    shutil.rmtree(tmp_path / "r" / "checkpoints")
    before = (tmp_path / "r" / "weights.safetensors").read_bytes(), (tmp_path / "r" / "log.jsonl").read_bytes()

    with pytest.raises(TrainingError, match="no checkpoint, so the run cannot continue; to train"):
        train(train_pack, tmp_path / "r")
    assert before == (
        (tmp_path / "r" / "weights.safetensors").read_bytes(),
        (tmp_path / "r" / "log.jsonl").read_bytes(),
    )


@pytest.mark.parametrize("line", ['{"step": 99, "lo\n', "garbage\n", "[1]\n", '{"loss": 1}\n'])
def test_a_damaged_log_is_named_by_its_line_and_kept(train_pack: Path, tmp_path: Path, line: str) -> None:
    train(train_pack, tmp_path / "r", replace(CONFIG, steps=2))
    with (tmp_path / "r" / "log.jsonl").open("a") as log:
        log.write(line)
    before = (tmp_path / "r" / "log.jsonl").read_bytes()

    with pytest.raises(TrainingError, match=r"line 3 of .*log\.jsonl is .*repair or remove that line"):
        train(train_pack, tmp_path / "r")
    assert (tmp_path / "r" / "log.jsonl").read_bytes() == before


def test_a_divided_fusion_is_another_run_and_needs_two_branches(train_pack: Path, tmp_path: Path) -> None:
    divided = replace(TWO_BRANCHES, fusion="divided", component_loss="region")
    train(train_pack, tmp_path / "r", replace(divided, steps=1))
    assert load_weights(tmp_path / "r" / "weights.safetensors").config.fusion == "divided"
    with pytest.raises(TrainingError, match=r"fusion divided \(now variant\)"):
        runs.prepare(replace(divided, fusion="variant"), [train_pack], tmp_path / "r")
    with pytest.raises(ValueError, match="fusion divided needs a variant of two branches; variant is dmphn-1"):
        replace(divided, variant="dmphn-1")
    for untaught in ({"component_loss": "whole"}, {"lambda_small": 0.0, "lambda_large": 0.0}):
        with pytest.raises(
            ValueError, match=r"fusion divided has a gate, which component_loss .* does not teach; make that region"
        ):
            replace(divided, **untaught)
    with pytest.raises(ValueError, match="component_loss attention needs spatial attention; attention is none"):
        replace(TWO_BRANCHES, component_loss="attention", attention="none")


def test_attention_that_a_variant_cannot_have_is_refused() -> None:
    with pytest.raises(ValueError, match="attention is both; dmphn-1-2-4 has none: leave attention out"):
        TrainingConfig(variant="dmphn-1-2-4", attention="both")
    TrainingConfig(variant="dmphn-1-2-4", attention="none")


@pytest.mark.parametrize(
    ("preset", "variant", "fusion"),
    [
        ("light", "cdgnet", "variant"),
        ("paper", "cdgnet", "divided"),
        ("tiny", "two-branch-concat", "variant"),
        ("small", "dmphn-1", "variant"),
    ],
)
def test_the_settings_of_a_network_are_found(preset: str, variant: str, fusion: str) -> None:
    settings: dict[str, Any] = {"preset": preset, "variant": variant, "fusion": fusion}
    network = runs.network_of(replace(CONFIG, **settings, component_loss="region", shrinkage=2.0))
    assert structure_of(network) == settings


def test_a_network_of_other_widths_has_no_settings() -> None:
    assert structure_of(replace(ModelConfig.preset("tiny"), widths=(8, 16, 48))) == {}
