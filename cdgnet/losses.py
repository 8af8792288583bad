"""Equations 13, 15, 16 and 17: what CDGNet is trained to do, and the other losses of Figure 10.

Legend: B batch, H and W a frame's height and width.
"""

from collections.abc import Callable, Mapping
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d

from cdgnet.metrics import PEAK, similarity
from cdgnet.network import Components

BLACK = -0.5
INVISIBLE = 1e-4  # MSE of 40 dB, 2.6 grey levels


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
    _check_mask(sharp, mask)
    is_small = mask != 0
    return torch.where(is_small, sharp, masked_out), torch.where(is_small, masked_out, sharp)


def _check_mask(sharp: Tensor, mask: Tensor) -> None:
    if sharp.ndim != 4 or mask.shape != (sharp.shape[0], 1, *sharp.shape[2:]):
        found = f"sharp {tuple(sharp.shape)} and mask {tuple(mask.shape)}"
        raise ValueError(f"{found} do not belong together; pass (B, 3, H, W) and (B, 1, H, W)")


def squared_error(image: Tensor, target: Tensor, weights: Tensor | None = None) -> Tensor:
    """Squared L2 norm over a pixel's three channels, mean over the pixels and the batch; a scalar.

    Three times ``torch.nn.functional.mse_loss``, which also takes the mean over channels.

    Args:
        image: ``(B, 3, H, W)``.
        target: The same.
        weights: How much each pixel counts in the mean, ``(B, 1, H, W)``, at least 0; None for all alike.

    Raises:
        ValueError: If the shapes differ.

    Source: Wang et al. 2021, equation 13.
    """
    _check_alike(image, target)
    return _mean((image - target).square().sum(dim=1), weights)


def absolute_error(image: Tensor, target: Tensor, weights: Tensor | None = None) -> Tensor:
    """L1: absolute differences summed over a pixel's three channels, mean over the pixels and the batch; a scalar.

    Arguments and errors are those of ``squared_error``.

    Source: Wang et al. 2021, Figure 10 and section 4.4, which state no normalisation: that of ``squared_error``.
    """
    _check_alike(image, target)
    return _mean((image - target).abs().sum(dim=1), weights)


def dissimilarity(image: Tensor, target: Tensor, weights: Tensor | None = None) -> Tensor:
    """1 - SSIM in the convention of ``metrics.ssim``, without its rounding; a scalar in [0, 2].

    Arguments are those of ``squared_error``.

    Raises:
        ValueError: If the shapes differ, or the images are smaller than 11 x 11.

    Source: Wang et al. 2004; as a loss in Wang et al. 2021, Figure 10.
    """
    _check_alike(image, target)
    similar = similarity((image - BLACK) * PEAK, (target - BLACK) * PEAK).mean(dim=1)  # (B, H - 10, W - 10)
    return _mean(1 - similar, None if weights is None else weights[:, :, 5:-5, 5:-5])


def psnr_loss(image: Tensor, target: Tensor, weights: Tensor | None = None) -> Tensor:
    """How many decibels an image's PSNR is below that of no error, mean over the batch; a scalar, at least 0.

    Of each image ``10 log10(1 + MSE / INVISIBLE)``, where MSE is over pixels and channels. In a squared error the badly
    blurred images of a batch outweigh all others; here only an image's relative error counts, so a sharp one that is
    changed costs as much as a blurred one that is not.

    Arguments and errors are those of ``squared_error``; an image without any weight counts as one without error.

    Source: Chen et al. 2021 (HINet), whose loss is the negative PSNR; ``INVISIBLE`` is ours.
    """
    _check_alike(image, target)
    errors = (image - target).square().mean(dim=1)  # (B, H, W)
    if weights is None:
        means = errors.mean(dim=(1, 2))  # (B,)
    else:
        shares = weights[:, 0].sum(dim=(1, 2)).clamp(min=torch.finfo(errors.dtype).tiny)
        means = (errors * weights[:, 0]).sum(dim=(1, 2)) / shares
    return 10 * torch.log10(1 + means / INVISIBLE).mean()


def _mean(errors: Tensor, weights: Tensor | None) -> Tensor:
    """The mean of ``(B, h, w)``, weighted; 0 where all weights are."""
    if weights is None:
        return errors.mean()
    # Where no pixel counts the sum is 0, and so is the quotient.
    return (errors * weights[:, 0]).sum() / weights.sum().clamp(min=torch.finfo(errors.dtype).tiny)


def _check_alike(image: Tensor, target: Tensor) -> None:
    if image.shape != target.shape:
        found = f"image {tuple(image.shape)} and target {tuple(target.shape)}"
        raise ValueError(f"{found} differ; pass images of one shape")


LOSSES: Mapping[str, Callable[..., Tensor]] = {
    "l2": squared_error,
    "l1": absolute_error,
    "ssim": dissimilarity,
    "psnr": psnr_loss,
}
"""What two images are compared by; ``l2`` is the paper's."""


COMPONENT_LOSSES = ("target", "region", "attention", "whole")
"""What a branch's image is compared with, and where; ``target`` is the paper's. See ``deblurring_losses``."""

ATTENTION_WEIGHT = 0.01
"""Of the attention maps' cross-entropy beside an image's squared error: they start at 0.7 and some 0.005."""

GATE_WEIGHT = 0.001
"""Of the gate's. No other weight of the network learns from it and Adam's steps do not depend on it, so it is small
beside the images' losses."""


def deblurring_losses(
    components: Components,
    sharp: Tensor,
    mask: Tensor,
    *,
    lambda_small: float = 0.1,
    lambda_large: float = 0.1,
    component_loss: str = "target",
    masked_out: float = BLACK,
    compare: Callable[..., Tensor] = squared_error,
) -> Losses:
    """Compare all three images with their targets: loss = Lrec + lambda1 * Ls + lambda2 * Ll.

    Of a network of one branch, which has no components, the loss is Lrec alone and the other two are 0. The branches'
    losses, Ls and Ll, have these forms:

    * ``target``, equation 16: over the whole frame, with Sgt and Lgt, where pixels of the other component are black or
      grey. A branch must therefore paint what is not its own.
    * ``region``: with the sharp frame, and only where the branch's component lies: the mean over those pixels of the
      batch, so that a weight means the same whatever share of the frame they are. A mask between 0 and 1 weighs.
    * ``attention``: ``region``, and besides each branch's attention map learns where its component lies, by
      ``attention_loss`` times ``ATTENTION_WEIGHT``.
    * ``whole``: over the whole frame with the sharp frame. It divides nothing: the control for the others.

    With ``region`` and ``attention`` the gate of a divided fusion learns the mask too, by ``gate_loss`` times
    ``GATE_WEIGHT``, half of it in Ls and half in Ll.

    Args:
        components: What the network gave for the blurry frames.
        sharp: ``(B, 3, H, W)`` float in [-0.5, 0.5].
        mask: M, ``(B, 1, H, W)``, 1 where blur is small; values between 0 and 1 for ``region`` and ``attention`` alone.
        lambda_small: Weight of the small branch's loss; the paper's lambda1.
        lambda_large: Weight of the large branch's loss; the paper's lambda2.
        component_loss: One of ``COMPONENT_LOSSES``.
        masked_out: Of ``target``: see ``component_targets``.
        compare: An image with its target, one of ``LOSSES``.

    Raises:
        ValueError: If the shapes do not belong together, the form is unknown, or ``attention`` is asked of a network
            without spatial attention.

    Source: Wang et al. 2021, equations 13, 16 and 17; ``region`` and ``attention`` are ours.
    """
    restored = compare(components.restored, sharp)
    if components.small is None or components.large is None:
        return Losses(restored, restored, torch.zeros_like(restored), torch.zeros_like(restored))
    _check_mask(sharp, mask)
    if component_loss == "target":
        sgt, lgt = component_targets(sharp, mask, masked_out=masked_out)
        small, large = compare(components.small, sgt), compare(components.large, lgt)
    elif component_loss == "whole":
        small, large = compare(components.small, sharp), compare(components.large, sharp)
    elif component_loss in COMPONENT_LOSSES:
        share = mask.to(sharp.dtype)
        small, large = compare(components.small, sharp, share), compare(components.large, sharp, 1 - share)
        if component_loss == "attention":
            small = small + ATTENTION_WEIGHT * attention_loss(components.small_attention, share)
            large = large + ATTENTION_WEIGHT * attention_loss(components.large_attention, 1 - share)
        if components.share is not None:
            gate = GATE_WEIGHT * gate_loss(components.share, share)
            small, large = small + gate / 2, large + gate / 2
    else:
        raise ValueError(f"component loss {component_loss!r} does not exist; pass one of {', '.join(COMPONENT_LOSSES)}")
    return Losses(restored + lambda_small * small + lambda_large * large, restored, small, large)


def attention_loss(attention: Tensor | None, share: Tensor) -> Tensor:
    """Cross-entropy between a branch's attention map and where its component lies; a scalar.

    Both classes weigh one half, whatever share of the batch they are.

    Args:
        attention: ``(B, 1, ceil(H / 4), ceil(W / 4))`` in (0, 1).
        share: How much a pixel belongs to the component, ``(B, 1, H, W)`` in [0, 1].

    Raises:
        ValueError: If there is no map.
    """
    if attention is None:
        raise ValueError("the network has no spatial attention to teach; pass another component loss")
    wanted, within, outside = _cross_entropies(attention, share)
    return (_mean(within, wanted) + _mean(outside, 1 - wanted)) / 2


def gate_loss(given: Tensor, share: Tensor) -> Tensor:
    """Cross-entropy between the gate's share of the small branch and where blur is small; a scalar.

    Every pixel weighs alike, so that the share becomes a probability, which is the best weight of a mean of two images.
    Arguments are those of ``attention_loss``.
    """
    wanted, within, outside = _cross_entropies(given, share)
    return (wanted[:, 0] * within + (1 - wanted[:, 0]) * outside).mean()


def _cross_entropies(given: Tensor, share: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Means of ``share`` over 4 x 4 pixels, and the costs of what is ``given`` where the component is and is not."""
    wanted = avg_pool2d(share.float(), 4, ceil_mode=True)  # (B, 1, ceil(H / 4), ceil(W / 4))
    given = given.float().clamp(1e-6, 1 - 1e-6)  # half precision rounds to 0 and 1
    return wanted, -given.log()[:, 0], -(1 - given).log()[:, 0]
