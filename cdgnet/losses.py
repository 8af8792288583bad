"""Equations 13, 15, 16 and 17: what CDGNet is trained to do, and the other losses of Figure 10.

Legend: B batch, H and W a frame's height and width.
"""

from collections.abc import Callable, Mapping
from typing import NamedTuple

import torch
from torch import Tensor

from cdgnet.metrics import PEAK, similarity
from cdgnet.network import Components

BLACK = -0.5


class Losses(NamedTuple):
    """The loss and its parts; scalars, squared units of the network's range, unweighted but for ``total``."""

    total: Tensor  # equation 17
    restored: Tensor  # equation 13
    small: Tensor  # equation 16, Ls
    large: Tensor  # equation 16, Ll


def component_targets(sharp: Tensor, mask: Tensor, *, masked_out: float = BLACK) -> tuple[Tensor, Tensor]:
    """Divide a sharp frame by blur: Sgt = M * Igt, Lgt = (1 - M) * Igt.

    Equation 15 multiplies images in [0, 1], where a masked-out pixel is black. Here black is -0.5.
    Multiplying after 0.5 is taken off, which the paper's text allows too, makes such pixels mid-grey:
    ``masked_out=0.0``.

    Args:
        sharp: ``(B, 3, H, W)`` float in [-0.5, 0.5].
        mask: M, ``(B, 1, H, W)`` of any type, 1 where blur is small and 0 where it is large.
        masked_out: What a pixel of the other component is set to, in the units of ``sharp``.

    Returns:
        ``(sgt, lgt)``, each of ``sharp``'s shape and type.

    Raises:
        ValueError: If the shapes do not belong together.

    Source: Wang et al. 2021, equation 15.
    """
    if sharp.ndim != 4 or mask.shape != (sharp.shape[0], 1, *sharp.shape[2:]):
        found = f"sharp {tuple(sharp.shape)} and mask {tuple(mask.shape)}"
        raise ValueError(f"{found} do not belong together; pass (B, 3, H, W) and (B, 1, H, W)")
    is_small = mask != 0
    return torch.where(is_small, sharp, masked_out), torch.where(is_small, masked_out, sharp)


def squared_error(image: Tensor, target: Tensor) -> Tensor:
    """Squared L2 norm over a pixel's three channels, mean over the pixels and the batch; a scalar.

    Three times ``torch.nn.functional.mse_loss``, which also takes the mean over channels.

    Raises:
        ValueError: If the shapes differ.

    Source: Wang et al. 2021, equation 13.
    """
    _check_alike(image, target)
    return (image - target).square().sum(dim=1).mean()


def absolute_error(image: Tensor, target: Tensor) -> Tensor:
    """L1: absolute differences summed over a pixel's three channels, mean over the pixels and the batch; a scalar.

    Raises:
        ValueError: If the shapes differ.

    Source: Wang et al. 2021, Figure 10 and section 4.4, which state no normalisation: that of ``squared_error``.
    """
    _check_alike(image, target)
    return (image - target).abs().sum(dim=1).mean()


def dissimilarity(image: Tensor, target: Tensor) -> Tensor:
    """1 - SSIM in the convention of ``metrics.ssim``, without its rounding; a scalar in [0, 2].

    Raises:
        ValueError: If the shapes differ, or the images are smaller than 11 x 11.

    Source: Wang et al. 2004; as a loss in Wang et al. 2021, Figure 10.
    """
    _check_alike(image, target)
    return 1 - similarity((image - BLACK) * PEAK, (target - BLACK) * PEAK).mean()


def _check_alike(image: Tensor, target: Tensor) -> None:
    if image.shape != target.shape:
        found = f"image {tuple(image.shape)} and target {tuple(target.shape)}"
        raise ValueError(f"{found} differ; pass images of one shape")


LOSSES: Mapping[str, Callable[[Tensor, Tensor], Tensor]] = {
    "l2": squared_error,
    "l1": absolute_error,
    "ssim": dissimilarity,
}
"""What two images are compared by; ``l2`` is the paper's."""


def deblurring_losses(
    components: Components,
    sharp: Tensor,
    mask: Tensor,
    *,
    lambda_small: float = 0.1,
    lambda_large: float = 0.1,
    masked_out: float = BLACK,
    compare: Callable[[Tensor, Tensor], Tensor] = squared_error,
) -> Losses:
    """Compare all three images with their targets: loss = Lrec + lambda1 * Ls + lambda2 * Ll.

    Of a network of one branch, which has no components, the loss is Lrec alone and the other two are 0.

    Args:
        components: What the network gave for the blurry frames.
        sharp: ``(B, 3, H, W)`` float in [-0.5, 0.5].
        mask: M, ``(B, 1, H, W)``, 1 where blur is small.
        lambda_small: Weight of the small branch's loss; the paper's lambda1.
        lambda_large: Weight of the large branch's loss; the paper's lambda2.
        masked_out: See ``component_targets``.
        compare: An image with its target, one of ``LOSSES``.

    Raises:
        ValueError: If the shapes do not belong together.

    Source: Wang et al. 2021, equations 13, 16 and 17.
    """
    restored = compare(components.restored, sharp)
    if components.small is None or components.large is None:
        return Losses(restored, restored, torch.zeros_like(restored), torch.zeros_like(restored))
    sgt, lgt = component_targets(sharp, mask, masked_out=masked_out)
    small = compare(components.small, sgt)
    large = compare(components.large, lgt)
    return Losses(restored + lambda_small * small + lambda_large * large, restored, small, large)
