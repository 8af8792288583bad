"""SSIM in three dimensions, written plainly, for comparison."""

import numpy as np
from scipy import ndimage


def ssim3d_by_scipy(one: np.ndarray, other: np.ndarray) -> float:
    """MATLAB's ssim of (H, W, 3) as a volume: three correlations by scipy, edges repeated."""
    steps = np.arange(-5, 6)
    window = np.exp(-(steps**2) / (2 * 1.5**2))
    window /= window.sum()

    def smooth(volume: np.ndarray) -> np.ndarray:
        for axis in range(3):
            volume = ndimage.correlate1d(volume, window, axis=axis, mode="nearest")
        return volume

    x, y = one.astype(np.float64), other.astype(np.float64)
    mean_x, mean_y = smooth(x), smooth(y)
    spread_x, spread_y = smooth(x * x) - mean_x**2, smooth(y * y) - mean_y**2
    both = smooth(x * y) - mean_x * mean_y
    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    similarity = ((2 * mean_x * mean_y + c1) * (2 * both + c2)) / (
        (mean_x**2 + mean_y**2 + c1) * (spread_x + spread_y + c2)
    )
    return float(similarity.mean())
