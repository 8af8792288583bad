"""Whether a network has learnt the division: where its attention looks, and what each branch restores better.

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
"""AUC, pixels of small blur against the others, 0.5 is chance: of each branch's attention map (its own pixels first), a
divided fusion's gate, and being near the frame's middle, where subjects are. PSNR of a branch's own image on its
own component, and the dB by which it beats the other branch there.
"""

LEAST_SHARE = 0.01
"""Of a frame's pixels: a smaller component gets no score, for a handful of pixels would count as much as a frame."""


def measure(components: Components, sharp: Tensor, mask: Tensor, extent: Tensor) -> dict[str, float]:
    """The measures that a network has: one without attention or gate has no AUC, one of one branch no dB.

    Args:
        components: Of one frame, B = 1.
        sharp: ``(3, H, W)`` uint8.
        mask: M, ``(1, H, W)``, 1 where blur is small.
        extent: ``(1, H, W)`` float, pixels; NaN where it is not known, which counts nowhere.

    Returns:
        By the names of ``MEASURES``; NaN where a component is under ``LEAST_SHARE`` of the frame.
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
    """Whether a component, any shape of bool or 0 and 1, gets a score of its own."""
    return float(component.double().mean()) >= LEAST_SHARE


def attention_auc(attention: Tensor, positive: Tensor, negative: Tensor) -> float:
    """How often a pixel of the one kind has more attention than one of the other kind; ties count one half.

    Args:
        attention: ``(1, h, w)``, a value for each 4 x 4 pixels.
        positive: ``(1, H, W)`` bool; h = ceil(H / 4), w = ceil(W / 4).
        negative: The same.

    Returns:
        The area under the receiver operating characteristic, NaN where a kind has no pixel.

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
    """How near cells of 4 x 4 pixels are to the frame's middle, ``(1, h, w)``: a map that looks at no frame."""
    down, right = (torch.linspace(-1, 1, -(-side // 4)) * side for side in mask.shape[-2:])
    return -(down[:, None].square() + right.square())[None]


def _cell_sums(kind: Tensor) -> Tensor:
    """Pixels in each 4 x 4 cell, ``(h, w)`` float64."""
    height, width = kind.shape[-2:]
    whole = pad(kind[0].double(), (0, -width % 4, 0, -height % 4))
    return whole.unfold(0, 4, 4).unfold(1, 4, 4).sum(dim=(-2, -1))
