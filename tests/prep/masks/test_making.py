"""A masks folder: whole, resumable, never mixed."""

import json
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from prep import errors
from prep.datasets import layouts
from prep.io import frames, storage
from prep.masks import equations, making
from prep.masks.folder import MaskRecord, MasksFolder
from prep.masks.making import Failure

MakeGopro = Callable[..., Path]


def run(
    root: Path, folder: Path, mu: float = 0.96, jobs: int = 1, method: str = "lbp"
) -> tuple[making.MaskPlan, list[MaskRecord | Failure]]:
    dataset = layouts.find(root)
    plan = making.plan(dataset.pairs, MasksFolder(folder), making.recipe_of(dataset, method), mu)
    return plan, list(making.make(plan, jobs))


def content(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_each_frame_gets_its_map_its_mask_and_a_row(make_gopro: MakeGopro, tmp_path: Path) -> None:
    root, folder = make_gopro(), tmp_path / "m"

    run(root, folder)

    names = {f"clip_train/{number:06}" for number in (1, 2, 3)} | {"clip_test/000001"}
    assert set(content(folder)) == {"masks.jsonl"} | {
        name + kind for name in names for kind in (".sharpness.png", ".mask.png")
    }
    for line in (folder / "masks.jsonl").read_text().splitlines():
        row = json.loads(line)
        codes = frames.read_sharpness(folder / f"{row['key']}.sharpness.png")
        mask = frames.decode((folder / f"{row['key']}.mask.png").read_bytes(), folder)
        assert np.array_equal(mask, equations.mask_of_codes(codes, 0.96) * 255)
        assert row["mask_share"] == pytest.approx((mask == 255).mean())
        assert (row["sharpness_min"], row["sharpness_max"]) == (codes.min() / 65535, codes.max() / 65535)


def test_the_bytes_do_not_depend_on_the_number_of_processes(make_gopro: MakeGopro, tmp_path: Path) -> None:
    root = make_gopro()

    run(root, tmp_path / "one", jobs=1)
    run(root, tmp_path / "two", jobs=2)

    assert content(tmp_path / "one") == content(tmp_path / "two")


@pytest.mark.parametrize("method", ["paired", "hifst", "laplacian", "lbp-absolute"])
def test_every_method_writes_the_same_bytes_in_one_process_and_in_two(
    make_gopro: MakeGopro, tmp_path: Path, method: str
) -> None:
    root = make_gopro(train=2)

    run(root, tmp_path / "one", jobs=1, method=method)
    _, outcomes = run(root, tmp_path / "two", jobs=2, method=method)

    assert all(isinstance(outcome, MaskRecord) for outcome in outcomes)
    assert content(tmp_path / "one") == content(tmp_path / "two")


def test_paired_looks_at_the_sharp_frame_and_is_computed_again_when_it_changes(
    make_gopro: MakeGopro, tmp_path: Path
) -> None:
    root, folder = make_gopro(train=1, test=0), tmp_path / "m"
    run(root, folder, method="paired")
    (sharp,) = root.glob("train/*/sharp/*.png")
    (blurry,) = root.glob("train/*/blur/*.png")
    assert frames.read_sharpness(folder / "clip_train/000001.sharpness.png").mean() < 60000

    sharp.write_bytes(blurry.read_bytes())
    plan, _ = run(root, folder, method="paired")

    assert len(plan.tasks) == 1
    assert frames.read_sharpness(folder / "clip_train/000001.sharpness.png").min() > 65000


def test_a_frame_that_a_method_refuses_is_named(make_gopro: MakeGopro, tmp_path: Path) -> None:
    root = make_gopro(train=1, test=0)
    (sharp,) = root.glob("train/*/sharp/*.png")
    frames.write(sharp, frames.read(sharp)[:, :90])

    _, (failure,) = run(root, tmp_path / "m", method="paired")

    assert isinstance(failure, Failure)
    assert failure.reason.endswith("blur/000001.png: the sharp frame is 90 x 96, the blurry frame is 128 x 96")


def test_a_second_run_has_nothing_to_do(make_gopro: MakeGopro, tmp_path: Path) -> None:
    root = make_gopro()
    run(root, tmp_path / "m")

    plan, outcomes = run(root, tmp_path / "m")

    assert len(plan.done) == 4
    assert outcomes == []


def test_nothing_is_written_where_nothing_is_to_do(make_gopro: MakeGopro, tmp_path: Path) -> None:
    root, folder = make_gopro(train=1, test=0), tmp_path / "m"
    run(root, folder)
    before = (folder / "masks.jsonl").stat().st_ino

    run(root, folder)

    assert (folder / "masks.jsonl").stat().st_ino == before


def test_another_mu_thresholds_the_stored_map_and_computes_nothing(
    make_gopro: MakeGopro, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root, folder = make_gopro(), tmp_path / "m"
    run(root, folder)
    before = content(folder)
    monkeypatch.setitem(making.METHODS, "lbp", replace(making.METHODS["lbp"], compute=lambda blurry, sharp: 1 / 0))

    run(root, folder, mu=0.5)

    after = content(folder)
    assert {name: data for name, data in after.items() if "sharpness" in name} == {
        name: data for name, data in before.items() if "sharpness" in name
    }
    assert all(json.loads(line)["mu"] == 0.5 for line in after["masks.jsonl"].splitlines())
    run(root, folder, mu=0.96)
    assert content(folder) == before


def test_an_interrupted_run_goes_on_to_the_same_bytes(make_gopro: MakeGopro, tmp_path: Path) -> None:
    root = make_gopro()
    run(root, tmp_path / "whole")
    dataset = layouts.find(root)
    plan = making.plan(dataset.pairs, MasksFolder(tmp_path / "broken"), making.recipe_of(dataset, "lbp"), 0.96)
    outcomes = making.make(plan, jobs=1)
    next(outcomes), next(outcomes)
    outcomes.close()
    with (tmp_path / "broken" / "masks.jsonl").open("a") as log:
        log.write('{"key": "torn by a ki')

    plan, _ = run(root, tmp_path / "broken")

    assert 1 <= len(plan.done) < 4
    assert content(tmp_path / "broken") == content(tmp_path / "whole")


def test_a_threshold_interrupted_between_file_and_row_is_done_again(make_gopro: MakeGopro, tmp_path: Path) -> None:
    root, folder = make_gopro(train=1, test=0), tmp_path / "m"
    run(root, folder)
    before = content(folder)
    dataset = layouts.find(root)
    plan = making.plan(dataset.pairs, MasksFolder(folder), making.recipe_of(dataset, "lbp"), 0.5)
    outcomes = making.make(plan, jobs=1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(making, "warning", lambda *args: 1 / 0)  # the mask is written by now, the row is not
        with pytest.raises(ZeroDivisionError):
            next(outcomes)

    plan, _ = run(root, folder, mu=0.96)

    assert len(plan.tasks) == 1
    assert content(folder) == before


def test_a_frame_that_changed_is_computed_again(make_gopro: MakeGopro, tmp_path: Path) -> None:
    root, folder = make_gopro(), tmp_path / "m"
    run(root, folder)
    changed = root / "train" / "clip_train" / "blur" / "000002.png"
    frames.write(changed, frames.read(changed)[::-1].copy() // 2)

    plan, _ = run(root, folder)

    assert [(task.key, task.has_sharpness) for task in plan.tasks] == [("clip_train/000002", False)]


def test_a_changed_frame_of_the_same_size_in_bytes_is_computed_again(make_gopro: MakeGopro, tmp_path: Path) -> None:
    root, folder = make_gopro(), tmp_path / "m"
    one, two = (root / "train" / "clip_train" / "blur" / f"00000{number}.bmp" for number in (1, 2))
    for path in (one, two):
        frames.write(path, frames.read(path.with_suffix(".png")))
        path.with_suffix(".png").unlink()
    run(root, folder)
    one.write_bytes(two.read_bytes())

    plan, _ = run(root, folder)

    assert [(task.key, task.has_sharpness) for task in plan.tasks] == [("clip_train/000001", False)]


def test_a_copied_data_set_is_read_again_once_and_computed_never(
    make_gopro: MakeGopro, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root, folder = make_gopro(), tmp_path / "m"
    run(root, folder)
    for path in root.rglob("*.png"):
        os.utime(path, ns=(1, 1))

    plan, _ = run(root, folder)
    assert len(plan.done) == 4

    monkeypatch.setattr(storage, "read", lambda source: 1 / 0)
    plan, _ = run(root, folder)
    assert len(plan.done) == 4


def test_a_damaged_map_is_computed_again(make_gopro: MakeGopro, tmp_path: Path) -> None:
    root, folder = make_gopro(train=1, test=0), tmp_path / "m"
    run(root, folder)
    before = content(folder)
    stored = MasksFolder(folder).sharpness_path("clip_train/000001")
    stored.write_bytes(stored.read_bytes()[:-20])

    run(root, folder, mu=0.5)
    run(root, folder)

    assert content(folder) == before


def test_maps_of_which_nothing_says_what_they_are_stay(make_gopro: MakeGopro, tmp_path: Path) -> None:
    root, folder = make_gopro(train=1, test=0), tmp_path / "m"
    run(root, folder)
    (folder / "masks.jsonl").unlink()

    with pytest.raises(errors.MaskError, match=r"contains maps but no masks\.jsonl; use another masks folder"):
        run(root, folder, method="laplacian")


def test_a_damaged_frame_is_named_and_the_others_are_done(make_gopro: MakeGopro, tmp_path: Path) -> None:
    root = make_gopro()
    broken = root / "train" / "clip_train" / "blur" / "000002.png"
    broken.write_bytes(broken.read_bytes()[:1000])

    _, outcomes = run(root, tmp_path / "m", jobs=2)

    failures = [outcome for outcome in outcomes if isinstance(outcome, Failure)]
    assert [failure.key for failure in failures] == ["clip_train/000002"]
    assert "the PNG ends early, at byte 1,000" in failures[0].reason
    assert len(MasksFolder(tmp_path / "m").records) == 3


def test_maps_of_two_variants_never_share_a_folder(make_gopro: MakeGopro, tmp_path: Path) -> None:
    root = make_gopro()
    run(root, tmp_path / "m")
    dataset = layouts.find(root)

    with pytest.raises(errors.MaskError, match=r"contains lbp maps of gopro blur .* not lbp maps of gopro blur_gamma"):
        making.plan(
            dataset.pairs,
            MasksFolder(tmp_path / "m"),
            replace(making.recipe_of(dataset, "lbp"), variant="blur_gamma"),
            0.96,
        )


def test_a_foreign_masks_jsonl_is_refused(make_gopro: MakeGopro, tmp_path: Path) -> None:
    root = make_gopro(train=1, test=0)
    (tmp_path / "m").mkdir()
    (tmp_path / "m" / "masks.jsonl").write_text('{"something": "else"}\n')

    with pytest.raises(
        errors.MaskError, match=r"is not a list of masks .*; use another masks folder, or remove this one"
    ):
        run(root, tmp_path / "m")


def test_a_mask_of_a_persons_own_is_not_replaced(make_gopro: MakeGopro, tmp_path: Path) -> None:
    root = make_gopro(train=1, test=0)
    own = tmp_path / "m" / "clip_train" / "000001.mask.png"
    own.parent.mkdir(parents=True)
    own.write_text("mine")

    with pytest.raises(errors.MaskError, match=r"\.mask\.png would be overwritten but was not written by cdg-prep"):
        run(root, tmp_path / "m")

    assert own.read_text() == "mine"
