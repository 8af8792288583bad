"""The guided filter against its equations."""

import numpy as np
import pytest
import scipy.ndimage

from prep.sharpness.guided_filter import guided_filter


def plain_filter(guide: np.ndarray, source: np.ndarray) -> np.ndarray:
    """He et al. 2010, equations 5, 6 and 8, in float64 by scipy."""

    def mean(image: np.ndarray) -> np.ndarray:
        return scipy.ndimage.uniform_filter(image, 33, mode="reflect")

    guide, source = guide.astype(np.float64), source.astype(np.float64)
    slope = (mean(guide * source) - mean(guide) * mean(source)) / (mean(guide**2) - mean(guide) ** 2 + 1e-3)
    offset = mean(source) - slope * mean(guide)
    return np.clip(mean(slope) * guide + mean(offset), 0, 1)


@pytest.mark.parametrize("size", [(16, 16), (16, 90), (71, 17), (80, 120)])
def test_every_source_is_filtered_by_the_equations(size: tuple[int, int]) -> None:
    rng = np.random.default_rng(7)
    guide = rng.integers(0, 256, size).astype(np.float32) / np.float32(255)
    sources = rng.uniform(0, 1, (3, *size)).astype(np.float32)
    sources[1] = guide > 0.5  # an edge that the guide has too

    filtered = guided_filter(guide, sources)

    expected = np.stack([plain_filter(guide, source) for source in sources])
    assert filtered.dtype == np.float32
    assert np.abs(filtered - expected).max() < 1e-6


def test_nothing_is_left_of_bright_rows_a_thousand_rows_on() -> None:
    guide = np.zeros((1200, 40), np.float32)
    guide[:100] = 1
    sources = np.where(np.arange(1200)[:, None] < 100, 1, 1e-6).astype(np.float32) * np.ones((1, 1, 40), np.float32)

    filtered = guided_filter(guide, sources)

    assert np.allclose(filtered[0, 200:], 1e-6, rtol=1e-5)
