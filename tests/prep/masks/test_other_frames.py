"""A masks folder belongs to one data set, and to one process at a time."""

import shutil
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from prep.datasets import tree_pairs
from prep.datasets.layouts import Dataset
from prep.errors import MaskError
from prep.io import frames
from prep.masks import making
from prep.masks.folder import MaskRecord, MasksFolder


def data_set(folder: Path, contents: Mapping[str, int]) -> Dataset:
    """Pairs by name, each of the noise of a seed."""
    for name, seed in contents.items():
        frame = np.random.default_rng(seed).integers(0, 256, (16, 16, 3), np.uint8)
        for role in ("b", "s"):
            frames.write(folder / role / f"{name}.png", frame)
    return tree_pairs.find_pairs(folder / "b", folder / "s")


def make(dataset: Dataset, folder: Path, method: str = "laplacian", mu: float = 0.5) -> making.MaskPlan:
    plan = making.plan(dataset.pairs, MasksFolder(folder), making.recipe_of(dataset, method), mu)
    assert all(isinstance(outcome, MaskRecord) for outcome in making.make(plan, jobs=1))
    return plan


def content(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


CONTENTS = st.dictionaries(st.sampled_from("abcd"), st.integers(0, 2), min_size=1)


@settings(max_examples=25, deadline=None)
@given(first=CONTENTS, second=CONTENTS)
def test_masks_of_one_data_set_are_never_replaced_by_those_of_another(
    first: dict[str, int], second: dict[str, int]
) -> None:
    with TemporaryDirectory() as name:
        one, other = data_set(Path(name, "one"), first), data_set(Path(name, "other"), second)
        make(one, Path(name, "m"))
        before = content(Path(name, "m"))
        differ = {key for key in first.keys() & second if first[key] != second[key]}

        if not differ:
            make(other, Path(name, "m"))
            assert set(MasksFolder(Path(name, "m")).records) == first.keys() | second.keys()
            return
        with pytest.raises(MaskError, match=r"another data set: . is of .*/one/b/.\.png, not .*/other/b/"):
            make(other, Path(name, "m"))
        assert content(Path(name, "m")) == before


def test_the_same_blurry_frames_with_other_sharp_ones_are_another_data_set(tmp_path: Path) -> None:
    dataset = data_set(tmp_path / "one", {"a": 1})
    make(dataset, tmp_path / "m", method="paired")
    data_set(tmp_path / "other", {"a": 2})

    with pytest.raises(MaskError, match="another data set"):
        make(tree_pairs.find_pairs(tmp_path / "one" / "b", tmp_path / "other" / "s"), tmp_path / "m", method="paired")


def test_a_data_set_that_was_moved_keeps_its_masks_and_may_change_there(tmp_path: Path) -> None:
    make(data_set(tmp_path / "old", {"a": 1, "b": 2}), tmp_path / "m")
    (tmp_path / "old").rename(tmp_path / "new")
    moved = tree_pairs.find_pairs(tmp_path / "new" / "b", tmp_path / "new" / "s")
    assert make(moved, tmp_path / "m").tasks == []

    make(data_set(tmp_path / "new", {"c": 3}), tmp_path / "m")
    plan = make(data_set(tmp_path / "new", {"a": 4}), tmp_path / "m")

    assert [task.key for task in plan.tasks] == ["a"]


def test_a_check_finds_one_frame_that_changed_and_another_data_set(tmp_path: Path) -> None:
    dataset = data_set(tmp_path / "one", dict.fromkeys("abc", 1))
    make(dataset, tmp_path / "m")
    shutil.copytree(tmp_path / "one", tmp_path / "copy", copy_function=shutil.copyfile)
    masks = MasksFolder(tmp_path / "m")
    making.check_frames(tree_pairs.find_pairs(tmp_path / "copy" / "b", tmp_path / "copy" / "s").pairs, masks)

    with pytest.raises(MaskError, match="contains masks of another data set"):
        making.check_frames(data_set(tmp_path / "copy", {"b": 2}).pairs, masks)
    with pytest.raises(MaskError, match=r"b/c\.png changed after its mask was made; run cdg-prep masks again"):
        making.check_frames(data_set(tmp_path / "one", {"c": 2}).pairs, masks)


def test_one_process_at_a_time_fills_a_folder(tmp_path: Path) -> None:
    dataset = data_set(tmp_path, {"a": 1, "b": 2})
    recipe = making.recipe_of(dataset, "laplacian")
    late = making.plan(dataset.pairs, MasksFolder(tmp_path / "m"), recipe, 0.9)
    first = making.make(making.plan(dataset.pairs, MasksFolder(tmp_path / "m"), recipe, 0.5), jobs=1)
    next(first)

    with pytest.raises(
        MaskError, match="m is being filled by another process; wait for it, or use another masks folder"
    ):
        next(making.make(late, jobs=1))
    list(first)
    with pytest.raises(MaskError, match="m was just filled by another process; run the same command again"):
        next(making.make(late, jobs=1))

    assert MasksFolder(tmp_path / "m").mus("ab") == [0.5]
    assert make(dataset, tmp_path / "m", mu=0.5).tasks == []
    assert not list((tmp_path / "m").glob("*lock*"))
