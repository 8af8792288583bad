"""PSNR by the extent of the blur."""

import math

import pytest
import torch

from cdgnet.metrics import PSNR_CEILING
from pipelines.evaluate import by_extent


def test_errors_are_summed_where_the_extent_says_and_an_edge_belongs_to_the_range_above() -> None:
    extent = torch.tensor([[[0.0, 1.9, 2.0, 31.9, 32.0, 500.0, math.nan]]])
    sharp = torch.zeros(3, 1, 7, dtype=torch.uint8)
    blurry = torch.tensor([1, 2, 3, 4, 5, 6, 7], dtype=torch.uint8).expand(3, 1, 7)
    restored = torch.full((3, 1, 7), 255, dtype=torch.uint8)
    once = 3 * 255**2
    assert by_extent.squared_errors(extent, sharp, [blurry, restored]) == [
        [2, 3 * (1 + 4), 2 * once],
        [1, 3 * 9, once],
        [0, 0, 0],
        [0, 0, 0],
        [1, 3 * 16, once],
        [2, 3 * (25 + 36), 2 * once],
    ]
    assert by_extent.squared_errors(extent, sharp, [None, restored])[0] == [2, 2 * once]


def test_frames_are_pooled_and_not_averaged() -> None:
    empty = [[0, 0, 0]] * 4
    rows = [
        {"extents": [[1, 3 * 100, 3 * 25], [0, 0, 0], *empty]},
        {"extents": [[3, 3 * 3 * 4, 0], [5, 0, 15], *empty]},
        {"psnr": 3.0},
    ]
    first, second = by_extent.psnr_by_extent(rows)
    assert (first["from"], first["to"], first["pixels"]) == (0, 2, 4)
    assert first["psnr_blurry"] == pytest.approx(10 * math.log10(255**2 / (112 / 4)))
    assert first["psnr"] == pytest.approx(10 * math.log10(255**2 / (25 / 4)))
    assert second["psnr_blurry"] == PSNR_CEILING
    assert by_extent.psnr_by_extent([{"psnr": 3.0}]) == []


def test_measured_extents_below_four_pixels_are_one_range() -> None:
    rest = [[0, 0, 0]] * 4
    rows = [{"extents": [[1, 3 * 100, 3 * 25], [3, 0, 3 * 3 * 4], *rest]}]
    (only,) = by_extent.psnr_by_extent(rows, are_measured=True)
    assert (only["from"], only["to"], only["pixels"]) == (0, 4, 4)
    assert only["psnr_blurry"] == pytest.approx(10 * math.log10(255**2 / (100 / 4)))
    assert only["psnr"] == pytest.approx(10 * math.log10(255**2 / (37 / 4)))
