"""PSNR and SSIM of 8-bit RGB frames; SSIM in the two conventions found in the literature.

Legend: B batch, H and W a frame's height and width.
"""

from collections.abc import Callable

import torch
import torch.nn.functional as functional
from torch import Tensor

from cdgnet.float64 import to_float64

PEAK = 255
PSNR_CEILING = 100.0
"""PSNR of identical images, in dB; infinity would make means and confidence intervals meaningless."""
RADIUS = 5
SIGMA = 1.5
WINDOW = 2 * RADIUS + 1


def to_bytes(image: Tensor) -> Tensor:
    """Convert a float image in [-0.5, 0.5] to 8 bits, as it is stored in a file.

    Values are clamped and rounded to the nearest integer. All scores are computed from these 8-bit values.

    Args:
        image: Float tensor of any shape; -0.5 is black, 0.5 is white.

    Returns:
        uint8 tensor of the same shape, 0 to 255.
    """
    return ((image.float() + 0.5).clamp(0, 1) * PEAK).round().to(torch.uint8)


def psnr(restored: Tensor, sharp: Tensor, mask: Tensor | None = None) -> Tensor:
    """Compute the peak signal-to-noise ratio of RGB images: ``10 log10(255^2 / MSE)``, one score per image.

    The mean squared error is taken over the pixels and channels of each image, not over the batch.

    Args:
        restored: ``(B, 3, H, W)`` uint8.
        sharp: Reference, ``(B, 3, H, W)`` uint8.
        mask: ``(B, 1, H, W)``; only pixels with a non-zero mask count. None to count all pixels.

    Returns:
        ``(B,)`` float64 in dB. Identical images score ``PSNR_CEILING`` (100 dB), the maximum; images without a marked
        pixel score NaN.

    Raises:
        ValueError: If a shape or type differs from the above.

    Examples:
        >>> import torch
        >>> sharp = torch.full((1, 3, 16, 16), 100, dtype=torch.uint8)
        >>> round(psnr(sharp + 5, sharp).item(), 2)
        34.15
    """
    _check(restored, sharp)
    squares = (restored.to(torch.int32) - sharp.to(torch.int32)).square()
    marked = torch.ones_like(squares[:, :1]) if mask is None else _counting(mask, squares)
    total, count = (squares * marked).sum(dim=(1, 2, 3)), 3 * marked.sum(dim=(1, 2, 3))
    error = to_float64(total) / to_float64(count)  # (B,)
    return (10 * torch.log10(PEAK**2 / error)).clamp(max=PSNR_CEILING)


def ssim(restored: Tensor, sharp: Tensor) -> Tensor:
    """Compute the structural similarity in the convention of scikit-image and of the SSIM paper, one score per image.

    SSIM is computed per channel with an 11 x 11 Gaussian window (sigma 1.5 pixels) and population covariances, and
    averaged over the channels and over all positions where the window lies inside the frame. It equals
    ``skimage.metrics.structural_similarity`` with ``gaussian_weights=True, sigma=1.5, use_sample_covariance=False,
    data_range=255, channel_axis=-1``.

    Args:
        restored: ``(B, 3, H, W)`` uint8; H and W are at least 11.
        sharp: Reference, ``(B, 3, H, W)`` uint8.

    Returns:
        ``(B,)`` float64, at most 1; identical images score 1.

    Raises:
        ValueError: If a shape or type differs from the above, or the frames are smaller than 11 x 11 pixels.

    Source: Wang et al. 2004.
    """
    return _mean_similarity(restored, sharp, _smooth)


def similarity(one: Tensor, other: Tensor) -> Tensor:
    """Compute the SSIM map, whose mean is ``ssim``; differentiable, in any float type.

    Args:
        one: ``(B, 3, H, W)`` float in [0, 255]; H and W are at least 11.
        other: ``(B, 3, H, W)`` float in [0, 255].

    Returns:
        ``(B, 3, H - 10, W - 10)``, at most 1.

    Source: Wang et al. 2004, equation 13.
    """
    return _similarity(one, other, _smooth)


def ssim_matlab3d(restored: Tensor, sharp: Tensor) -> Tensor:
    """Compute the structural similarity as MATLAB's ``ssim`` computes it for an RGB array, one score per image.

    MATLAB treats the array as a volume: an 11 x 11 x 11 Gaussian window (sigma 1.5) covers rows, columns and channels,
    edges are repeated, and the mean is taken over all positions. Scores are higher than those of ``ssim``. The
    published tables of MPRNet, NAFNet, Restormer and SRN use this convention.

    Args:
        restored: ``(B, 3, H, W)`` uint8; H and W are at least 11.
        sharp: Reference, ``(B, 3, H, W)`` uint8.

    Returns:
        ``(B,)`` float64, at most 1; identical images score 1.

    Raises:
        ValueError: If a shape or type differs from the above, or the frames are smaller than 11 x 11 pixels.
    """

    def smooth_volume(maps: Tensor) -> Tensor:
        mixed = torch.einsum("dc,bchw->bdhw", _channel_matrix(maps.device), maps)
        return _smooth(functional.pad(mixed, (RADIUS,) * 4, mode="replicate"))

    return _mean_similarity(restored, sharp, smooth_volume)


def _mean_similarity(restored: Tensor, sharp: Tensor, smooth: Callable[[Tensor], Tensor]) -> Tensor:
    _check(restored, sharp)
    height, width = sharp.shape[-2:]
    if min(height, width) < WINDOW:
        wanted = f"at least {WINDOW} x {WINDOW}"
        raise ValueError(f"frames are {width} x {height} pixels, wanted {wanted}; score larger frames")
    # One image at a time: a batch of whole frames in float64 would take gigabytes.
    scores = [
        _similarity(to_float64(one[None]), to_float64(other[None]), smooth).mean()
        for one, other in zip(restored, sharp, strict=True)
    ]
    return torch.stack(scores) if scores else torch.empty(0, dtype=torch.float64)


def _similarity(one: Tensor, other: Tensor, smooth: Callable[[Tensor], Tensor]) -> Tensor:
    """Compute the SSIM map (Wang et al. 2004, equation 13) of ``(B, 3, H, W)`` in [0, 255]."""
    floor_mean, floor_spread = (0.01 * PEAK) ** 2, (0.03 * PEAK) ** 2
    mean_one, mean_other = smooth(one), smooth(other)
    mean_product, mean_squares = mean_one * mean_other, mean_one**2 + mean_other**2
    covariance = smooth(one * other) - mean_product
    # Only the sum of the two variances is needed: four smoothings instead of five.
    variances = smooth(one**2 + other**2) - mean_squares
    likeness = (2 * mean_product + floor_mean) * (2 * covariance + floor_spread)
    return likeness / ((mean_squares + floor_mean) * (variances + floor_spread))


def _gaussian() -> Tensor:
    """Return the Gaussian window, on the CPU, because some devices lack float64."""
    steps = torch.arange(-RADIUS, RADIUS + 1, dtype=torch.float64)
    window = torch.exp(-(steps**2) / (2 * SIGMA**2))
    return window / window.sum()  # (WINDOW,)


def _smooth(maps: Tensor) -> Tensor:
    """Smooth rows and columns, without padding: ``(B, 3, H, W)`` -> ``(B, 3, H - 10, W - 10)``."""
    window = _gaussian().tolist()
    for axis in (2, 3):
        size = maps.shape[axis] - 2 * RADIUS
        # A loop, because torch's single-channel float64 convolution is six times slower on a CPU.
        total = maps.narrow(axis, 0, size) * window[0]
        for step, share in enumerate(window[1:], start=1):
            total.add_(maps.narrow(axis, step, size), alpha=share)
        maps = total
    return maps


def _channel_matrix(device: torch.device) -> Tensor:
    """Return the window along the three channels, with repeated edges, as a ``(3, 3)`` matrix."""
    window = _gaussian()
    matrix = torch.zeros(3, 3, dtype=torch.float64)
    for channel in range(3):
        for step in range(-RADIUS, RADIUS + 1):
            matrix[channel, min(max(channel + step, 0), 2)] += window[step + RADIUS]
    return matrix.to(device)


def _counting(mask: Tensor, squares: Tensor) -> Tensor:
    if mask.shape != squares[:, :1].shape:
        wanted = tuple(squares[:, :1].shape)
        raise ValueError(f"mask is {tuple(mask.shape)}, wanted {wanted}; pass one mask an image")
    return (mask != 0).to(squares.dtype)


def _check(restored: Tensor, sharp: Tensor) -> None:
    for name, images in (("restored", restored), ("sharp", sharp)):
        if images.dtype != torch.uint8:
            kind = str(images.dtype).removeprefix("torch.")
            raise ValueError(f"{name} is {kind}, wanted uint8; pass it through to_bytes")
        if images.ndim != 4 or images.shape[1] != 3:
            raise ValueError(f"{name} is {tuple(images.shape)}, wanted (B, 3, H, W); pass a batch of RGB frames")
    if restored.shape != sharp.shape:
        found = f"restored {tuple(restored.shape)} and sharp {tuple(sharp.shape)}"
        raise ValueError(f"{found} differ; pass frames of one size")
