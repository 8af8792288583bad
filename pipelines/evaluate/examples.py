"""The frames that the page of scores shows in pictures: the worst and the best, before, after and beside the sharp one.

Legend: H, W a frame's height and width.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import torch
from torch import Tensor

from cdgnet import to_bytes
from pipelines.evaluate.frame_sources import EvaluationFrame, FrameSource
from pipelines.evaluate.measures import FrameScores
from pipelines.evaluate.statistics import psnr_gain
from pipelines.packs import to_range
from pipelines.pages.panels import MAP_TITLES, Panel, map_panel, photo_panel
from pipelines.pages.pictures import greatest_square, shrink, small_map
from pipelines.restore.restorer import Restorer
from prep.arrays import Bytes

ERROR_TOP = 64  # levels of 255 that the last colour of an error map stands for
_FRAMES_A_REASON = 3
_WIPE_WIDTH, _PANEL_WIDTH, _PART_SIDE, _ZOOM = 960, 480, 160, 3  # pixels; times
_MIDDLE_SIDE = 768  # pixels of a frame's middle whose attention is shown, at most
LEAD_TOP, _LEAD_SIDE = 8, 9  # levels of 255 between the branches' errors, the mean over a square of pixels
_SMALLEST_INPUT = 16  # pixels that the network needs


@dataclass(frozen=True, kw_only=True)
class Wipe:
    """Two pictures over each other, a slider between them."""

    key: str
    before: Panel
    after: Panel


@dataclass(frozen=True, kw_only=True)
class Example:
    """One frame in pictures."""

    key: str
    reasons: str  # why it was chosen
    psnr_blurry: float | None  # dB
    psnr: float  # dB
    wipes: Sequence[Wipe]
    panels: Sequence[Panel]


def choose(rows: Sequence[FrameScores]) -> dict[str, list[str]]:
    """The frames worth a look, by key, each with why: lowest and highest score, smallest and largest gain."""
    reasons: dict[str, list[str]] = {}
    orders = {"lowest PSNR": lambda row: row["psnr"], "highest PSNR": lambda row: -row["psnr"]}
    if "psnr_blurry" in rows[0]:
        orders["smallest gain"], orders["largest gain"] = psnr_gain, lambda row: -psnr_gain(row)
    for reason, order in orders.items():
        for place, row in enumerate(sorted(rows, key=order)[:_FRAMES_A_REASON]):
            reasons.setdefault(row["key"], []).append(("", "second ", "third ")[place] + reason)
    return reasons


def draw_examples(
    frames: FrameSource, rows: Sequence[FrameScores], restorer: Restorer | None
) -> tuple[Iterator[Example], int]:
    """Restore the chosen frames again and draw them; gives them as they come, and their number."""
    chosen, row_of = choose(rows), {str(row["key"]): row for row in rows}
    numbers = {key: number for number, key in enumerate(frames.keys)}
    examples = (
        draw(frames[numbers[key]], row_of[key], reasons, restorer, frames.scored) for key, reasons in chosen.items()
    )
    return examples, len(chosen)


def draw(
    frame: EvaluationFrame, row: FrameScores, reasons: Sequence[str], restorer: Restorer | None, scored: str
) -> Example:
    """One frame in pictures; ``restorer`` restores it, or it is restored already; ``scored`` says what is scored."""
    restored = frame.restored
    if restorer is not None and frame.blurry is not None:
        restored = to_bytes(restorer(to_range(frame.blurry[None])))[0].cpu()
    assert restored is not None
    key, sharp, after = frame.key, _image(frame.sharp), _image(restored)
    if frame.blurry is None:
        wipes = [Wipe(key=key, before=_photo(key, "sharp", sharp), after=_photo(key, scored, after))]
        panels: list[Panel] = []
    else:
        wipes, panels = _against_blurry(key, _image(frame.blurry), after, sharp)
    panels.append(_error_map("error after" if frame.blurry is not None else "error", key, after, sharp))
    if frame.mask is not None:
        panels.append(_mask_panel(key, frame.mask))
    if restorer is not None and frame.blurry is not None:
        panels.extend(_branch_panels(key, frame.blurry, frame.sharp, restorer))
    return Example(
        key=key,
        reasons="; ".join(reasons),
        psnr_blurry=row.get("psnr_blurry"),
        psnr=row["psnr"],
        wipes=wipes,
        panels=panels,
    )


def _against_blurry(key: str, before: Bytes, after: Bytes, sharp: Bytes) -> tuple[list[Wipe], list[Panel]]:
    """Wipes between the blurry and the restored frame, whole and a part enlarged; that part sharp; the error before."""
    part = most_changed_part(before, after, sharp)
    width = _PART_SIDE * _ZOOM
    whole = Wipe(key=key, before=_photo(key, "blurry", before), after=_photo(key, "restored", after))
    enlarged = Wipe(
        key=f"{key}, enlarged",
        before=photo_panel("blurry", f"{key}, part, blurry", _enlarge(before[part]), width),
        after=photo_panel("restored", f"{key}, part, restored", _enlarge(after[part]), width),
    )
    sharp_part = photo_panel("the same part, sharp", f"{key}, part, sharp", _enlarge(sharp[part]), width)
    return [whole, enlarged], [sharp_part, _error_map("error before", key, before, sharp)]


def most_changed_part(before: Bytes, after: Bytes, sharp: Bytes) -> tuple[slice, slice]:
    """Rows and columns of the square in which restoring changed the squared error most, for better or worse."""
    errors = [np.square(image.astype(np.float64) - sharp).sum(axis=2) for image in (before, after)]
    change = errors[0] - errors[1]
    return greatest_square(change, _PART_SIDE)


def _image(picture: Tensor) -> Bytes:
    return np.ascontiguousarray(picture.permute(1, 2, 0).numpy())  # (H, W, 3)


def _photo(key: str, name: str, image: Bytes) -> Panel:
    return photo_panel(name, f"{key}, {name}", image, _WIPE_WIDTH)


def _mask_panel(key: str, mask: Tensor) -> Panel:
    image = shrink(np.ascontiguousarray(mask[0].numpy() * np.uint8(255)), _PANEL_WIDTH)
    return map_panel("M: white is blurred little", f"{key}, M", image)


def _error_map(name: str, key: str, image: Bytes, sharp: Bytes) -> Panel:
    """The mean of the channels' absolute errors, in colours of which the last is ``ERROR_TOP`` levels and more."""
    error = np.abs(image.astype(np.int16) - sharp).mean(axis=2)
    codes = np.rint(error.clip(0, ERROR_TOP) * (65535 / ERROR_TOP)).astype(np.uint16)
    return map_panel(name, f"{key}, {name}", small_map(codes, _PANEL_WIDTH))


def _enlarge(image: Bytes) -> Bytes:
    """Each pixel as a square of ``_ZOOM``: interpolation would flatter the result."""
    return np.ascontiguousarray(image.repeat(_ZOOM, axis=0).repeat(_ZOOM, axis=1))


@torch.no_grad()
def _branch_panels(key: str, blurry: Tensor, sharp: Tensor, restorer: Restorer) -> Iterator[Panel]:
    """What both branches make of the middle of a frame, their attention (Figure 13), and which of them is nearer to the
    sharp frame.
    """
    top, left = (max(0, (side - _MIDDLE_SIDE) // 2) for side in blurry.shape[-2:])
    part = (slice(None), slice(top, top + _MIDDLE_SIDE), slice(left, left + _MIDDLE_SIDE))
    middle = to_range(blurry[part][None])
    if min(middle.shape[-2:]) < _SMALLEST_INPUT:
        return
    with restorer.fabric.autocast():
        components = restorer.network(restorer.fabric.to_device(middle))
    for name in ("small", "large"):
        if (image := getattr(components, name)) is not None:
            picture = _image(to_bytes(image)[0].cpu())
            yield photo_panel(f"{name} branch, middle", f"{key}, {name} branch", picture, _PANEL_WIDTH)
    for field, name in MAP_TITLES.items():
        if (given := getattr(components, field)) is not None:
            codes = (given[0, 0].float().cpu().numpy() * 65535).round().astype(np.uint16)
            yield map_panel(f"{name}, middle", f"{key}, {name}", small_map(codes, _PANEL_WIDTH))
    if components.small is not None and components.large is not None:
        small, large = (_image(to_bytes(image)[0].cpu()) for image in (components.small, components.large))
        yield _nearer_map(key, small, large, _image(sharp[part]))


def _nearer_map(key: str, small: Bytes, large: Bytes, sharp: Bytes) -> Panel:
    """Yellow where the small branch is nearer to the sharp frame, dark where the large one is."""
    errors = [np.abs(image.astype(np.float32) - sharp).mean(axis=2) for image in (small, large)]
    lead = cv2.blur(errors[1] - errors[0], (_LEAD_SIDE, _LEAD_SIDE))
    codes = np.rint((lead / LEAD_TOP).clip(-1, 1) * 32767.5 + 32767.5).astype(np.uint16)
    name = "nearer branch, middle: yellow small, dark large, green neither"
    return map_panel(name, f"{key}, nearer branch", small_map(codes, _PANEL_WIDTH))
