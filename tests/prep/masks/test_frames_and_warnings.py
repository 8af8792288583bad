"""Masks of every kind of frame, and what is said of suspicious ones."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from prep.datasets import tree_pairs
from prep.io import frames
from prep.masks import making
from prep.masks.folder import MaskRecord, MasksFolder
from prep.masks.making import Failure
from prep.sharpness import METHODS


@pytest.mark.parametrize(
    "method",
    [
        pytest.param(name, marks=pytest.mark.slow if name == "lbp-matting" else ())
        for name in METHODS
        if name != "extent"
    ],
)
def test_any_kind_of_frame_has_a_map_of_its_size_or_a_line_that_names_it(
    photo: np.ndarray, tmp_path: Path, method: str
) -> None:
    grey = photo[:, :, 0]
    kinds = {
        "rgb.png": photo,
        "grey.png": grey,
        "rgb16.png": photo.astype(np.uint16) * 257,
        "grey16.tif": grey.astype(np.uint16) * 257,
        "rgba.png": np.dstack([photo, grey]),
        "rgba16.png": np.dstack([photo, grey]).astype(np.uint16) * 257,
        "photo.jpg": photo,
        "grey-photo.JPEG": grey,
        "flat.bmp": np.full((30, 40, 3), 7, np.uint8),
        "white.webp": np.full((30, 40, 3), 255, np.uint8),
        "smallest.png": photo[:16, :16],
    }
    for side in ("blurry", "sharp"):
        for name, pixels in kinds.items():
            frames.write(tmp_path / side / name, pixels)
        frames.write(tmp_path / side / "too-small.png", photo[:15])
        cv2.imwrite(str(tmp_path / side / "nan.tiff"), np.full((40, 40), np.nan, np.float32))
        (tmp_path / side / "text.png").write_text("no picture")
    dataset = tree_pairs.find_pairs(tmp_path / "blurry", tmp_path / "sharp")
    plan = making.plan(dataset.pairs, MasksFolder(tmp_path / "m"), making.recipe_of(dataset, method), 0.96)

    outcomes = {outcome.key: outcome for outcome in making.make(plan, jobs=1)}

    codes = {
        key: MasksFolder(tmp_path / "m").read_sharpness(key)
        for key, outcome in outcomes.items()
        if isinstance(outcome, MaskRecord)
    }
    assert {key: stored.shape for key, stored in codes.items()} == {
        name.rsplit(".")[0]: pixels.shape[:2] for name, pixels in kinds.items()
    }
    assert all(np.array_equal(codes["rgb"], codes[same]) for same in ("rgb16", "rgba", "rgba16"))
    assert np.array_equal(codes["grey"], codes["grey16"])
    reasons = {key: outcome.reason for key, outcome in outcomes.items() if isinstance(outcome, Failure)}
    assert "nan.tiff has float32 pixels; convert it to 8 or 16 bits" in reasons.pop("nan")
    assert "text.png is not a readable picture (10 bytes)" in reasons.pop("text")
    assert "too-small.png: the frame is 190 x 15; the smallest is 16 x 16" in reasons.pop("too-small")
    assert not reasons


def codes_of(*values: float) -> np.ndarray:
    return np.rint(np.array([values]) * 65535).astype(np.uint16)


@pytest.mark.parametrize(
    ("method", "codes", "share", "mu", "expected"),
    [
        ("lbp", codes_of(0.1, 0.97), 0.5, 0.96, ""),
        ("lbp", codes_of(0.97, 0.97), 0.61, 0.96, "mask covers more than 60% of the frame"),
        ("lbp", codes_of(0.1, 0.5), 0.0, 0.97, "mu = 0.97 must be below 0.96163, the largest S of lbp"),
        ("lbp", codes_of(0.1, 0.1), 0.0, 0.96, "S is the same everywhere"),
        ("lbp", codes_of(0.1, 0.9, 0.9), 0.0, 0.96, "lbp is relative to the frame, lbp-absolute is not"),
        ("paired", codes_of(0.1, 0.9, 0.9), 0.0, 0.96, "S is nowhere above mu"),
        ("lbp", codes_of(0.1, 0.2, 0.9), 0.0, 0.96, "S is nowhere above mu"),
    ],
)
def test_a_suspicious_mask_says_why(method: str, codes: np.ndarray, share: float, mu: float, expected: str) -> None:
    warning = making.warning(codes, share, mu, METHODS[method])

    assert expected in warning
    assert bool(warning) == bool(expected)
