"""The example frames of the page of scores: the worst and the best, before and after restoring, and the sharp frame.

Legend: H, W a frame's height and width.
"""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from torch import Tensor

from cdgnet import Components, to_bytes
from cdgnet.padding import SIZE_MULTIPLE
from pipelines.evaluate import folder as scores_folder
from pipelines.evaluate import kept_pictures
from pipelines.evaluate.frame_sources import EvaluationFrame, FrameSource
from pipelines.evaluate.measures import FrameScores, first_measure, gain, has_blurry, merit, worst_and_best
from pipelines.packs import to_array, to_range
from pipelines.pages.panels import MAP_TITLES, Panel, map_panel, photo_panel
from pipelines.pages.pictures import greatest_square, shrink, small_map
from pipelines.restore import comparison
from pipelines.restore.restorer import Restorer
from prep.arrays import Bytes

NAME = "pictures.json"
ERROR_TOP = 64  # grey levels: errors of this size and more get the last colour of an error map
_FRAMES_A_REASON = 3
PART_SIDE = 160  # pixels, side of the part that is shown enlarged
_WIPE_WIDTH, _PANEL_WIDTH, ZOOM = 960, 480, 3  # pixels; enlargement factor
_MIDDLE_SIDE = 768  # pixels, largest side of the frame's centre whose attention is shown
LEAD_TOP, _LEAD_SIDE = 8, 9  # grey levels at which the map of leads saturates; pixels, side of its mean


@dataclass(frozen=True, kw_only=True)
class Wipe:
    """Two overlaid pictures with a slider between them."""

    key: str
    before: Panel
    after: Panel


@dataclass(frozen=True, kw_only=True)
class Example:
    """One frame in pictures."""

    key: str
    reasons: str  # why it was chosen
    measure: str  # the measure that it was chosen by
    score_blurry: float | None
    score: float
    wipes: Sequence[Wipe]
    panels: Sequence[Panel]


def choose(rows: Sequence[FrameScores]) -> dict[str, list[str]]:
    """Choose the frames to show, by key, each with its reasons: lowest and highest score, smallest and largest gain."""
    reasons: dict[str, list[str]] = {}
    worst, best = worst_and_best(first_measure(rows[0]))
    orders = {worst: merit, best: lambda row: -merit(row)}
    if has_blurry(rows[0]):
        orders["smallest gain"], orders["largest gain"] = gain, lambda row: -gain(row)
    known = [row for row in rows if not math.isnan(merit(row))] or rows
    for reason, order in orders.items():
        note_places(reasons, reason, [row["key"] for row in sorted(known, key=order)[:_FRAMES_A_REASON]])
    return reasons


def note_places(reasons: dict[str, list[str]], reason: str, keys: Sequence[str]) -> None:
    """Add to ``reasons`` that up to three frames, by key, are the first, second and third by ``reason``."""
    for ordinal, key in zip(("", "2nd ", "3rd "), keys, strict=False):
        reasons.setdefault(key, []).append(ordinal + reason)


@dataclass(frozen=True, kw_only=True)
class Scene:
    """The data that a frame's pictures are drawn from, on the CPU."""

    frame: EvaluationFrame
    restored: Tensor  # (3, H, W) uint8
    middle: Components | None  # the network's outputs at the frame's centre; None without a network


def scene_of(frame: EvaluationFrame, restored: Tensor, components: Components | None) -> Scene:
    """Return the parts of a scored frame that its pictures are drawn from."""
    if components is None:
        middle = None
    else:
        middle = Components(*(None if part is None else _middle(part) for part in components))  # type: ignore[arg-type]
    return Scene(frame=replace(frame, extent=None), restored=restored.cpu(), middle=middle)


class Shortlist:
    """The scenes that may be shown, updated with each scored frame so that no frame is restored twice.

    Args:
        rows: Rows of the frames scored in earlier runs; these frames have no scenes.
    """

    def __init__(self, rows: Iterable[FrameScores] = ()) -> None:
        self._rows = list(rows)
        self.scenes: dict[str, Scene] = {}  # by key, at most three per reason

    def offer(self, row: FrameScores, scene: Callable[[], Scene]) -> None:
        """Keep the scene of a frame if it would be shown now; drop those that no longer would be."""
        self._rows.append(row)
        chosen = choose(self._rows)
        if row["key"] in chosen:
            self.scenes[row["key"]] = scene()
        self._rows = [each for each in self._rows if each["key"] in chosen]
        self.scenes = {key: each for key, each in self.scenes.items() if key in chosen}


def read(folder: Path, rows: Sequence[FrameScores]) -> dict[str, Example]:
    """Read the examples that an earlier run saved, by key, if their rows are the same as now."""
    return kept_pictures.read(folder / NAME, Example, _signatures(rows))


def write(folder: Path, rows: Sequence[FrameScores], examples: Sequence[Example]) -> None:
    """Save examples together with the rows that they show."""
    kept_pictures.write(folder / NAME, examples, _signatures(rows))


def _signatures(rows: Sequence[FrameScores]) -> dict[str, Any]:
    return {row["key"]: scores_folder.to_json(row) for row in rows}


def draw_examples(
    frames: FrameSource,
    rows: Sequence[FrameScores],
    restorer: Restorer | None,
    shortlist: Shortlist,
    kept: Mapping[str, Example],
) -> tuple[Iterator[Example], int]:
    """Draw the chosen frames that were not saved; frames scored in an earlier run are restored again.

    Returns:
        An iterator over all chosen examples, drawn one by one, and their number.
    """
    chosen, row_of = choose(rows), {str(row["key"]): row for row in rows}
    numbers = {key: number for number, key in enumerate(frames.keys)}

    def scene(key: str) -> Scene:
        if key in shortlist.scenes:
            return shortlist.scenes[key]
        frame = frames[numbers[key]]
        if restorer is None:
            assert frame.restored is not None
            return scene_of(frame, frame.restored, None)
        assert frame.blurry is not None
        components = restorer.components(to_range(frame.blurry[None]))
        return scene_of(frame, to_bytes(components.restored)[0], components)

    def example(key: str, reasons: Sequence[str]) -> Example:
        if key in kept:
            return replace(kept[key], reasons="; ".join(reasons))
        return draw(scene(key), row_of[key], reasons, frames.scored)

    return (example(key, reasons) for key, reasons in chosen.items()), len(chosen)


def draw(scene: Scene, row: FrameScores, reasons: Sequence[str], scored: str) -> Example:
    """Draw the pictures of one frame; ``scored`` names the picture that is scored."""
    frame = scene.frame
    key, after = frame.key, to_array(scene.restored)
    sharp = None if frame.sharp is None else to_array(frame.sharp)
    wipes: list[Wipe] = []
    panels: list[Panel] = []
    if frame.blurry is not None:
        wipes, panels = _against_blurry(key, to_array(frame.blurry), after, sharp)
    elif sharp is not None:
        wipes = [Wipe(key=key, before=photo(key, "sharp", sharp), after=photo(key, scored, after))]
    else:
        panels = [photo(key, scored, after)]
    if sharp is not None:
        panels.append(_error_map("error, restored" if frame.blurry is not None else "error", key, after, sharp))
    if frame.mask is not None:
        panels.append(_mask_panel(key, frame.mask))
    if scene.middle is not None:
        panels.extend(_branch_panels(key, scene.middle, None if frame.sharp is None else _middle(frame.sharp)))
    measure = first_measure(row)
    return Example(
        key=key,
        reasons="; ".join(reasons),
        measure=measure,
        score_blurry=row.get(f"{measure}_blurry"),
        score=row[measure],
        wipes=wipes,
        panels=panels,
    )


def _against_blurry(key: str, before: Bytes, after: Bytes, sharp: Bytes | None) -> tuple[list[Wipe], list[Panel]]:
    """Return wipes of the blurry and restored frame, whole and enlarged, and panels of the sharp part and the error."""
    if sharp is None:
        part = comparison.most_changed_part(before, after, PART_SIDE)
    else:
        part = most_changed_part(before, after, sharp)
    whole = Wipe(key=key, before=photo(key, "blurry", before), after=photo(key, "restored", after))
    enlarged = Wipe(
        key=f"{key}, enlarged",
        before=part_panel("blurry", f"{key}, part, blurry", before[part]),
        after=part_panel("restored", f"{key}, part, restored", after[part]),
    )
    if sharp is None:
        return [whole, enlarged], []
    sharp_part = part_panel("same part, sharp", f"{key}, part, sharp", sharp[part])
    return [whole, enlarged], [sharp_part, _error_map("error, blurry", key, before, sharp)]


def most_changed_part(before: Bytes, after: Bytes, sharp: Bytes) -> tuple[slice, slice]:
    """Find the square in which restoring changed the squared error most, for better or worse, as rows and columns."""
    errors = [np.square(image.astype(np.float64) - sharp).sum(axis=2) for image in (before, after)]
    change = errors[0] - errors[1]
    return greatest_square(change, PART_SIDE)


def photo(key: str, name: str, image: Bytes) -> Panel:
    """Return a whole frame as a panel."""
    return photo_panel(name, f"{key}, {name}", image, _WIPE_WIDTH)


def _mask_panel(key: str, mask: Tensor) -> Panel:
    image = shrink(np.ascontiguousarray(mask[0].numpy() * np.uint8(255)), _PANEL_WIDTH)
    return map_panel("mask M: white is small blur", f"{key}, mask M", image)


def _error_map(name: str, key: str, image: Bytes, sharp: Bytes) -> Panel:
    """Draw the mean of the channels' absolute errors; errors of ``ERROR_TOP`` levels and more get the last colour."""
    error = np.abs(image.astype(np.int16) - sharp).mean(axis=2)
    codes = np.rint(error.clip(0, ERROR_TOP) * (65535 / ERROR_TOP)).astype(np.uint16)
    return map_panel(name, f"{key}, {name}", small_map(codes, _PANEL_WIDTH))


def part_panel(name: str, alt: str, image: Bytes) -> Panel:
    """Enlarge a part of a frame ``ZOOM`` times into a panel, without interpolation, which would flatter the result."""
    enlarged = np.ascontiguousarray(image.repeat(ZOOM, axis=0).repeat(ZOOM, axis=1))
    return photo_panel(name, alt, enlarged, PART_SIDE * ZOOM)


def _middle(picture: Tensor) -> Tensor:
    """Copy the centre of a picture ``(..., H, W)``, or of a map of a quarter of its size, to the CPU."""
    side = _MIDDLE_SIDE if picture.shape[-3] == 3 else _MIDDLE_SIDE // SIZE_MULTIPLE
    top, left = (max(0, (length - side) // 2) for length in picture.shape[-2:])
    return picture[..., top : top + side, left : left + side].cpu().clone()


def _branch_panels(key: str, components: Components, sharp: Tensor | None) -> Iterator[Panel]:
    """Draw the frame's centre: both branches' images, their attention (Figure 13), and the branch closer to sharp.

    The last panel is left out if there is no sharp frame.
    """
    for name in ("small", "large"):
        if (image := getattr(components, name)) is not None:
            picture = to_array(to_bytes(image)[0])
            yield photo_panel(f"{name} branch, centre", f"{key}, {name} branch", picture, _PANEL_WIDTH)
    for field, name in MAP_TITLES.items():
        if (given := getattr(components, field)) is not None:
            codes = (given[0, 0].numpy() * 65535).round().astype(np.uint16)
            yield map_panel(f"{name}, centre", f"{key}, {name}", small_map(codes, _PANEL_WIDTH))
    if sharp is not None and components.small is not None and components.large is not None:
        small, large = (to_array(to_bytes(image)[0]) for image in (components.small, components.large))
        yield _nearer_map(key, small, large, to_array(sharp))


def _nearer_map(key: str, small: Bytes, large: Bytes, sharp: Bytes) -> Panel:
    """Draw which branch is closer to the sharp frame: yellow for the small branch, dark for the large one."""
    errors = [np.abs(image.astype(np.float32) - sharp).mean(axis=2) for image in (small, large)]
    lead = cv2.blur(errors[1] - errors[0], (_LEAD_SIDE, _LEAD_SIDE))
    codes = np.rint((lead / LEAD_TOP).clip(-1, 1) * 32767.5 + 32767.5).astype(np.uint16)
    name = "branch closer to sharp, centre: yellow small, dark large, green equal"
    return map_panel(name, f"{key}, branch closer to the sharp frame", small_map(codes, _PANEL_WIDTH))
