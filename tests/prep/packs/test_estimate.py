"""What ``cdg-prep pack --dry-run`` says beforehand, against what comes out."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from prep.datasets import layouts, tree_pairs
from prep.errors import PackError
from prep.io import frames
from prep.masks import making
from prep.masks.folder import MasksFolder
from prep.packs import estimate, packing, reader

MakeGopro = Callable[..., Path]


def test_the_estimate_is_near_what_comes_out_and_leaves_nothing_behind(make_gopro: MakeGopro, tmp_path: Path) -> None:
    dataset = layouts.find(make_gopro(train=8))
    pairs, recipe = dataset.select("train"), making.recipe_of(dataset, "lbp")
    head = packing.header(dataset, "train", recipe, 0.96, (48, 48), whole_frames=False, targets=True)
    before = sorted(tmp_path.rglob("*"))

    expected = estimate.estimate(dataset, pairs, head, estimate.count_crops(pairs, (48, 48), whole_frames=False))

    assert sorted(tmp_path.rglob("*")) == before
    list(making.make(making.plan(pairs, MasksFolder(tmp_path / "m"), recipe, 0.96), jobs=1))
    list(packing.pack(pairs, MasksFolder(tmp_path / "m"), tmp_path / "p.h5", head, jobs=1))
    pack = reader.read_info(tmp_path / "p.h5")
    assert expected.crops == pack.crop_count == 48
    assert expected.bytes == pytest.approx(pack.bytes, rel=0.3)


@pytest.mark.parametrize("suffix", [".png", ".jpg"])
def test_crops_are_counted_for_each_size(tmp_path: Path, suffix: str) -> None:
    for clip, size in (("small", (48, 48)), ("large", (96, 144))):
        for side in ("b", "s"):
            frames.write(tmp_path / side / clip / f"1{suffix}", np.zeros((*size, 3), np.uint8))

    pairs = tree_pairs.find_pairs(tmp_path / "b", tmp_path / "s").pairs

    assert estimate.count_crops(pairs, (48, 48), whole_frames=False) == 1 + 2 * 3
    with pytest.raises(
        PackError, match=r"small/1: a crop of 64 x 64 pixels does not fit .* 48 x 48; use --crop 48 or less"
    ):
        estimate.count_crops(pairs, (64, 64), whole_frames=False)


def test_a_pack_that_cannot_fit_is_refused_beforehand(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(estimate, "free_bytes", lambda path: 70_000_000)
    estimate.check_space(tmp_path / "p.h5", (1000, 1000), 10)
    with pytest.raises(
        PackError, match=r"p\.h5 needs at least 77 MB, but only 70 MB is free there; free some space, or choose"
    ):
        estimate.check_space(tmp_path / "p.h5", (1000, 1000), 11)

    (tmp_path / "p.h5.part").write_bytes(bytes(7_000_000))  # what is written needs no more space
    estimate.check_space(tmp_path / "p.h5", (1000, 1000), 11)
