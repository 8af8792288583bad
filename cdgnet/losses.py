"""Training losses of CDGNet: equations 13, 15, 16 and 17 of Wang et al. 2021, and the alternatives of Figure 10.

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
INVISIBLE = 1e-4  # mean squared error at 40 dB; 2.6 grey levels


class Losses(NamedTuple):
    """The training loss and its terms, as scalars in the unit of the chosen loss function.

    Attributes:
        total: restored + lambda_small * small + lambda_large * large (equation 17).
        restored: Loss of the restored frames, Lrec (equation 13).
        small: Loss of the small branch, Ls (equation 16), without its weight; 0 for networks with one branch.
        large: Loss of the large branch, Ll (equation 16), without its weight; 0 for networks with one branch.
    """

    total: Tensor
    restored: Tensor
    small: Tensor
    large: Tensor


def component_targets(sharp: Tensor, mask: Tensor, *, masked_out: float = BLACK) -> tuple[Tensor, Tensor]:
    """Split a sharp frame into the targets of the two branches: Sgt = M * Igt, Lgt = (1 - M) * Igt.

    Equation 15 multiplies images in [0, 1], so that masked-out pixels are black; in the range used here black is -0.5.
    The paper can also be read as multiplying after 0.5 is subtracted, which makes these pixels mid-grey: choose
    ``masked_out=0.0`` for that.

    Args:
        sharp: Sharp frames Igt, ``(B, 3, H, W)`` float in [-0.5, 0.5].
        mask: M, ``(B, 1, H, W)`` of any type; 0 where blur is large, any other value where it is small.
        masked_out: Value of the pixels that belong to the other component, in the units of ``sharp``.

    Returns:
        Small-blur target Sgt and large-blur target Lgt, each with the shape and type of ``sharp``.

    Raises:
        ValueError: If the shapes do not match.

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
    """Compute the L2 loss: squared differences summed over the three channels, averaged over pixels and batch.

    Equals three times ``torch.nn.functional.mse_loss``, which also averages over channels.

    Args:
        image: ``(B, 3, H, W)`` float.
        target: ``(B, 3, H, W)`` float.
        weights: Weight of each pixel in the mean, ``(B, 1, H, W)``, non-negative; None for equal weights.

    Returns:
        A scalar, non-negative; 0 if all weights are 0.

    Raises:
        ValueError: If the shapes differ.

    Source: Wang et al. 2021, equation 13.
    """
    _check_alike(image, target)
    return _mean((image - target).square().sum(dim=1), weights)


def absolute_error(image: Tensor, target: Tensor, weights: Tensor | None = None) -> Tensor:
    """Compute the L1 loss: absolute differences summed over the three channels, averaged over pixels and batch.

    Arguments, result and errors are those of ``squared_error``.

    Source: Wang et al. 2021, Figure 10 and section 4.4. The paper states no normalisation; that of ``squared_error``
    is used.
    """
    _check_alike(image, target)
    return _mean((image - target).abs().sum(dim=1), weights)


def dissimilarity(image: Tensor, target: Tensor, weights: Tensor | None = None) -> Tensor:
    """Compute the SSIM loss: 1 - SSIM, computed as in ``metrics.ssim`` but without rounding to 8 bits.

    Arguments are those of ``squared_error``.

    Returns:
        A scalar in [0, 2].

    Raises:
        ValueError: If the shapes differ, or the images are smaller than 11 x 11 pixels.

    Source: Wang et al. 2004; as a loss in Wang et al. 2021, Figure 10.
    """
    _check_alike(image, target)
    similar = similarity((image - BLACK) * PEAK, (target - BLACK) * PEAK).mean(dim=1)  # (B, H - 10, W - 10)
    return _mean(1 - similar, None if weights is None else weights[:, :, 5:-5, 5:-5])


def psnr_loss(image: Tensor, target: Tensor, weights: Tensor | None = None) -> Tensor:
    """Compute the PSNR loss: ``10 log10(1 + MSE / INVISIBLE)`` of each image, averaged over the batch.

    MSE is the mean over pixels and channels. In the L2 loss, strongly blurred images dominate a batch. Here only the
    relative error of an image counts: making a sharp image worse costs as much as failing to improve a blurry one.

    Arguments and errors are those of ``squared_error``; an image whose weights are all 0 counts as free of error.

    Returns:
        A scalar in dB, non-negative.

    Source: Chen et al. 2021 (HINet), whose loss is the negative PSNR; the constant ``INVISIBLE``, which bounds the
    loss from below, is an addition of this project.
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
    """Compute the weighted mean of ``(B, h, w)``; 0 if all weights are 0."""
    if weights is None:
        return errors.mean()
    # The clamp avoids 0 / 0 if all weights are 0.
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
"""Loss functions for a pair of images, by name; ``l2`` is the paper's."""


COMPONENT_LOSSES = ("target", "region", "attention", "whole")
"""Losses of the two branches, by name; ``target`` is the paper's. ``deblurring_losses`` explains them."""

ATTENTION_WEIGHT = 0.01
"""Weight of the attention maps' cross-entropy, which starts near 0.7; an image's L2 loss starts near 0.005."""

GATE_WEIGHT = 0.001
"""Weight of the gate's cross-entropy. It trains the gate only, and Adam's steps do not depend on its scale, so it is
kept small relative to the image losses."""


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
    """Compute the training loss of a batch: Lrec + lambda_small * Ls + lambda_large * Ll.

    Lrec compares the restored frame with the sharp one. ``component_loss`` selects how the branches' images are
    compared (Ls and Ll):

    * ``target``: with Sgt and Lgt over the whole frame (equation 16). Pixels of the other component are black or grey
      in these targets, so a branch must also learn to paint them.
    * ``region``: with the sharp frame, on the pixels of the branch's own component only. The mean is taken over these
      pixels of the batch, whatever their number. Mask values between 0 and 1 act as weights.
    * ``attention``: as ``region``, plus ``ATTENTION_WEIGHT`` times ``attention_loss``, which trains each branch's
      attention map to mark its component.
    * ``whole``: with the sharp frame over the whole frame. The mask has no effect; a baseline for the other losses.

    With ``region`` and ``attention``, the gate of ``fusion="divided"`` is trained on the mask: ``GATE_WEIGHT`` times
    ``gate_loss``, half of it in Ls and half in Ll. For a network with one branch the loss is Lrec.

    Args:
        components: The network's output for the blurry frames.
        sharp: Sharp frames, ``(B, 3, H, W)`` float in [-0.5, 0.5].
        mask: M, ``(B, 1, H, W)``; 1 where blur is small, 0 where it is large. Values in between are allowed with
            ``region`` and ``attention``.
        lambda_small: Weight of the small branch's loss, the paper's lambda1.
        lambda_large: Weight of the large branch's loss, the paper's lambda2.
        component_loss: One of ``COMPONENT_LOSSES``.
        masked_out: Value of masked-out pixels with ``target``; see ``component_targets``.
        compare: Loss function for an image and its target, one of the values of ``LOSSES``.

    Returns:
        The total loss and its terms, all scalars.

    Raises:
        ValueError: If the shapes do not match, ``component_loss`` is unknown, or it is ``attention`` and the network
            has no spatial attention.

    Source: Wang et al. 2021, equations 13, 16 and 17; ``region``, ``attention`` and ``whole`` are additions of this
    project.
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
    """Compute the class-balanced cross-entropy between a branch's attention map and its component.

    Pixels inside and outside the component each contribute half, whatever their numbers.

    Args:
        attention: ``(B, 1, ceil(H / 4), ceil(W / 4))`` in (0, 1).
        share: Degree to which each pixel belongs to the component, ``(B, 1, H, W)`` in [0, 1].

    Returns:
        A scalar in nats, non-negative.

    Raises:
        ValueError: If ``attention`` is None.
    """
    if attention is None:
        raise ValueError("the network has no spatial attention to teach; pass another component loss")
    wanted, within, outside = _cross_entropies(attention, share)
    return (_mean(within, wanted) + _mean(outside, 1 - wanted)) / 2


def gate_loss(given: Tensor, share: Tensor) -> Tensor:
    """Compute the cross-entropy between the gate's output and the small-blur component.

    All pixels have the same weight, which makes the gate's output an estimate of the probability that blur is small:
    the best weight for averaging two images.

    Args:
        given: The gate's output, ``(B, 1, ceil(H / 4), ceil(W / 4))`` in (0, 1).
        share: Degree to which each pixel belongs to the small-blur component, ``(B, 1, H, W)`` in [0, 1].

    Returns:
        A scalar in nats, non-negative.
    """
    wanted, within, outside = _cross_entropies(given, share)
    return (wanted[:, 0] * within + (1 - wanted[:, 0]) * outside).mean()


def _cross_entropies(given: Tensor, share: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Average ``share`` over 4 x 4 pixels, and compute cross-entropies of ``given`` in and outside the component."""
    wanted = avg_pool2d(share.float(), 4, ceil_mode=True)  # (B, 1, ceil(H / 4), ceil(W / 4))
    given = given.float().clamp(1e-6, 1 - 1e-6)  # half precision may round to 0 or 1
    return wanted, -given.log()[:, 0], -(1 - given).log()[:, 0]
