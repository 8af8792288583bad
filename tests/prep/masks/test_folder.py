"""The records of a masks folder, on disk and in memory."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from prep.datasets import layouts
from prep.errors import MaskError
from prep.masks import making
from prep.masks.folder import MasksFolder

MakeGopro = Callable[..., Path]


@pytest.fixture
def masks(make_gopro: MakeGopro, tmp_path: Path) -> MasksFolder:
    dataset, folder = layouts.find(make_gopro()), MasksFolder(tmp_path / "m")
    list(making.make(making.plan(dataset.pairs, folder, making.recipe_of(dataset, "laplacian"), 0.9), jobs=1))
    return folder


def test_a_folder_that_was_filled_equals_the_one_read_again(masks: MasksFolder) -> None:
    assert MasksFolder(masks.path).records == masks.records
    assert len(masks.records) == 4


def test_a_later_record_of_a_frame_replaces_the_earlier_one(masks: MasksFolder) -> None:
    record = replace(masks.records["clip_train/000002"], mu=0.5)

    masks.append(record)

    assert MasksFolder(masks.path).records["clip_train/000002"].mu == 0.5
    assert MasksFolder(masks.path).mus(masks.records) == [0.5, 0.9]


def test_frames_whose_mask_is_not_done_have_no_threshold(masks: MasksFolder) -> None:
    masks.append(replace(masks.records["clip_train/000001"], mu=None))

    assert masks.mus(["clip_train/000001", "missing"]) == []


def test_a_folder_that_is_not_there_holds_nothing(tmp_path: Path) -> None:
    masks = MasksFolder(tmp_path / "none")

    assert (masks.records, masks.method, masks.mus(["a"])) == ({}, None, [])


def test_the_method_is_that_of_the_maps(masks: MasksFolder) -> None:
    assert masks.method == "laplacian"


def test_another_recipe_is_refused_with_both_in_words(masks: MasksFolder) -> None:
    recipe = masks.records["clip_train/000001"].recipe

    with pytest.raises(MaskError, match="contains maps by laplacian, not by hifst; use --method laplacian, or another"):
        masks.check_recipe(replace(recipe, method="hifst"))
    maps = r"laplacian maps of gopro blur \(window 5, level 40\), not laplacian .* \(window 5, level 4\)"
    with pytest.raises(MaskError, match=maps):
        masks.check_recipe(replace(recipe, parameters={**recipe.parameters, "level": 4}))
