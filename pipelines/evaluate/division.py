"""Measures of whether a network has learnt the division: its attention, and which branch restores which part better.

Legend: H, W a frame's height and width.
"""

import math

import torch
from torch import Tensor
from torch.nn.functional import pad

from cdgnet import Components, psnr, to_bytes

MEASURES = (
    *("auc_small", "auc_large", "auc_gate", "auc_middle"),
    *("psnr_small_branch", "psnr_large_branch", "lead_small", "lead_large"),
)
"""AUC and PSNR of the division.

AUC tells how well a map separates pixels of small blur from the others; 0.5 is chance. The maps are each branch's
attention (the branch's own pixels are the positive ones), a divided fusion's gate, and nearness to the frame's
centre, where subjects are. PSNR is that of a branch's own image on its own component; the lead is the dB by
which it beats the other branch there.
"""

LEAST_SHARE = 0.01
"""Smallest share of a frame's pixels at which a component is scored; otherwise a few pixels would count as a frame."""


def measure(components: Components, sharp: Tensor, mask: Tensor, extent: Tensor) -> dict[str, float]:
    """Compute the measures that apply to a network: AUC needs attention or a gate, PSNR and lead need two branches.

    Args:
        components: The network's output for one frame, B = 1.
        sharp: ``(3, H, W)`` uint8.
        mask: M, ``(1, H, W)``, 1 where blur is small.
        extent: ``(1, H, W)`` float, in pixels; pixels with NaN (unknown) are not counted.

    Returns:
        Scores by the names of ``MEASURES``; NaN if a component is under ``LEAST_SHARE`` of the frame.
    """
    is_known = ~extent.isnan()
    parts = {"small": (mask != 0) & is_known, "large": (mask == 0) & is_known}
    parts = {name: part & is_large_enough(part) for name, part in parts.items()}
    scores = {}
    for name, other in (("small", "large"), ("large", "small")):
        attention = getattr(components, f"{name}_attention")
        if attention is not None:
            scores[f"auc_{name}"] = attention_auc(attention[0].cpu(), parts[name], parts[other])
    if components.share is not None:
        scores["auc_gate"] = attention_auc(components.share[0].cpu(), parts["small"], parts["large"])
    if scores:
        scores["auc_middle"] = attention_auc(_nearness(mask), parts["small"], parts["large"])
    if components.small is not None and components.large is not None:
        images = {"small": to_bytes(components.small), "large": to_bytes(components.large)}
        for name, other in (("small", "large"), ("large", "small")):
            own = parts[name][None].to(components.restored.device)
            one, two = (float(psnr(images[branch], sharp[None].to(own.device), own)) for branch in (name, other))
            scores[f"psnr_{name}_branch"] = one
            scores[f"lead_{name}"] = 0.0 if one == two else one - two
    return {name: scores[name] for name in MEASURES if name in scores}


def is_large_enough(component: Tensor) -> bool:
    """Return whether a component (bool or 0 and 1, of any shape) is large enough for a score of its own."""
    return float(component.double().mean()) >= LEAST_SHARE


def attention_auc(attention: Tensor, positive: Tensor, negative: Tensor) -> float:
    """Compute how often a positive pixel has more attention than a negative one; ties count one half.

    Args:
        attention: ``(1, h, w)``, one value per cell of 4 x 4 pixels.
        positive: ``(1, H, W)`` bool; h = ceil(H / 4), w = ceil(W / 4).
        negative: The same shape and type.

    Returns:
        The area under the receiver operating characteristic curve; NaN if there is no positive or no negative pixel.

    Source: Hanley & McNeil 1982.
    """
    _, rank = torch.unique(attention, return_inverse=True)
    rank = rank.flatten()
    ups, downs = (
        torch.bincount(rank, weights=_cell_sums(kind).flatten(), minlength=int(rank.max()) + 1)
        for kind in (positive, negative)
    )  # pixels of each kind, by the rank of their attention
    if not ups.sum() or not downs.sum():
        return math.nan
    below = downs.cumsum(0) - downs
    return float((ups * (below + downs / 2)).sum() / (ups.sum() * downs.sum()))


def _nearness(mask: Tensor) -> Tensor:
    """Return how near each cell of 4 x 4 pixels is to the frame's centre, ``(1, h, w)``: a baseline without content."""
    down, right = (torch.linspace(-1, 1, -(-side // 4)) * side for side in mask.shape[-2:])
    return -(down[:, None].square() + right.square())[None]


def _cell_sums(kind: Tensor) -> Tensor:
    """Count the marked pixels of each 4 x 4 cell, ``(h, w)`` float64."""
    height, width = kind.shape[-2:]
    whole = pad(kind[0].double(), (0, -width % 4, 0, -height % 4))
    return whole.unfold(0, 4, 4).unfold(1, 4, 4).sum(dim=(-2, -1))
