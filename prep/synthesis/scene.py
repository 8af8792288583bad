"""Expose a photograph and pieces cut out of it, in motion: the light of one exposure, and the blur length.

Pieces lie in front of each other like sheets of paper. At every moment of the exposure, each covers what is behind it,
so what is behind its edges appears or disappears.

Legend: H, W the frame's height and width; h, w a layer's.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np
import numpy.typing as npt

from prep.arrays import Bytes, Floats, Size
from prep.synthesis import motion
from prep.synthesis.camera import Setting
from prep.synthesis.cover import add_behind, add_layer
from prep.synthesis.motion import Motion
from prep.synthesis.outlines import Segments
from prep.synthesis.trajectories import Stroke

_HIDDEN = 0.05  # share of the exposure; a pixel that is covered for longer has no blur length
_TRACED = 13  # number of moments at which the points of all layers are tracked
_FINE = 6.0  # pixels: interpolation is cubic below this blur length; above it, no difference is visible
_AREA = (1 / 30, 1 / 5)  # range of the share of the frame that a piece covers

# A camera held in two hands, and pieces in front that move farther.
HAND = Stroke(shortest=0, longest=15, roll=8, zoom=4)
THING = Stroke(shortest=5, longest=40, roll=8, zoom=4)


@dataclass(frozen=True, kw_only=True)
class Exposed:
    """One exposure."""

    blurry: Floats  # (H, W, 3) light, mean over the exposure
    sharp: Floats  # (H, W, 3) light, in the middle of the exposure
    extent: Floats  # (H, W) blur length, pixels; NaN where a pixel of the sharp frame is covered part of the time


@dataclass(frozen=True, kw_only=True)
class Box:
    """A part of the frame."""

    left: int
    top: int
    right: int  # exclusive, like bottom
    bottom: int

    @property
    def size(self) -> Size:
        """Height and width; 0 if the box is empty."""
        return max(0, self.bottom - self.top), max(0, self.right - self.left)

    def slices(self, corner: tuple[int, int] = (0, 0)) -> tuple[slice, slice]:
        """Return rows and columns of the box in an array whose first pixel is at ``corner`` (x, y)."""
        left, top = corner
        return slice(self.top - top, self.bottom - top), slice(self.left - left, self.right - left)

    def widened(self, margin: int, frame: Size) -> "Box":
        """Return the box with a margin on all sides, clipped to the frame."""
        return Box(
            left=max(0, self.left - margin),
            top=max(0, self.top - margin),
            right=min(frame[1], self.right + margin),
            bottom=min(frame[0], self.bottom + margin),
        )

    def around(self, other: "Box") -> "Box":
        """Return the smallest box that contains both."""
        return Box(
            left=min(self.left, other.left),
            top=min(self.top, other.top),
            right=max(self.right, other.right),
            bottom=max(self.bottom, other.bottom),
        )

    def overlaps(self, other: "Box") -> bool:
        """Return whether the boxes share a pixel."""
        return max(self.left, other.left) < min(self.right, other.right) and max(self.top, other.top) < min(
            self.bottom, other.bottom
        )


@dataclass(frozen=True, kw_only=True, eq=False)
class Layer:
    """A picture, its position in the sharp frame, and its motion."""

    picture: Floats  # (h, w, 3) light, or (h, w, 4): light times opacity, and opacity
    corner: tuple[int, int]  # x, y of the picture's first pixel in the sharp frame
    motion: Motion

    def view(self, place: int, box: Box) -> Floats:
        """Render the layer in a sub-frame, inside a box of the frame."""
        flags = (cv2.INTER_CUBIC if self._is_fine else cv2.INTER_LINEAR) | cv2.WARP_INVERSE_MAP
        border = cv2.BORDER_CONSTANT if self.picture.shape[2] == 4 else cv2.BORDER_REFLECT_101
        height, width = box.size
        back = cv2.invertAffineTransform(self.motion.at(place))
        back[:, 2] += back[:, :2] @ (box.left, box.top) - np.array(self.corner)
        return np.asarray(cv2.warpAffine(self.picture, back, (width, height), flags=flags, borderMode=border))

    @cached_property
    def _is_fine(self) -> bool:
        height, width = self.picture.shape[:2]
        left, top = self.corner
        # The corners, where blur lengths are largest.
        ends = [(x, y) for x in (left, left + width - 1) for y in (top, top + height - 1)]
        return max(float(self.motion.extent((1, 1), end)[0, 0]) for end in ends) < _FINE

    def swept(self, frame: Size) -> Box:
        """Return the box of the frame that the layer reaches during the exposure."""
        height, width = self.picture.shape[:2]
        left, top = self.corner
        box = Box(left=left, top=top, right=left + width, bottom=top + height)
        return box.widened(self.motion.reach((height, width), self.corner) + 2, frame)


def compose(
    photo: Bytes,
    segments: Segments,
    size: Size,
    setting: Setting,
    rng: np.random.Generator,
    *,
    hand: Stroke = HAND,
    thing: Stroke = THING,
    things: int = 1,
) -> list[Layer]:
    """Draw a view of a photograph with pieces cut out of it in front; return the layers, the nearest last.

    Args:
        photo: ``(h, w, 3)`` uint8 RGB, no smaller than ``size``.
        segments: The photograph's segments.
        size: ``(H, W)`` of the frame.
        setting: The camera's setting; the photograph has the camera's response.
        rng: Random numbers for the view, the pieces, their positions and all motion.
        hand: Motion of the camera.
        thing: Motion of each piece.
        things: Number of pieces.

    Raises:
        ValueError: If the photograph is smaller than ``size``.
    """
    _check_size(photo, size)
    centre = ((size[1] - 1) / 2, (size[0] - 1) / 2)
    moving = motion.draw(hand, centre, float(np.hypot(*centre)), rng)
    x, y = (int(rng.integers(photo.shape[axis] - size[axis] + 1)) for axis in (1, 0))
    reach = moving.reach(size) + 3
    left, top = max(0, x - reach), max(0, y - reach)
    seen = photo[top : y + size[0] + reach, left : x + size[1] + reach]
    layers = [Layer(picture=setting.to_light(seen), corner=(left - x, top - y), motion=moving)]
    for _ in range(things):
        layers.append(_cut(photo, segments, size, setting, thing, rng))
    return layers


def _cut(
    photo: Bytes, segments: Segments, size: Size, setting: Setting, stroke: Stroke, rng: np.random.Generator
) -> Layer:
    """Cut out a piece and place it anywhere in the frame, mirrored with a probability of 1/2."""
    cutout = segments.draw(rng.uniform(*_AREA) * size[0] * size[1], rng)
    x, y = cutout.corner
    height, width = cutout.alpha.shape
    light = setting.to_light(photo[y : y + height, x : x + width])
    picture = np.concatenate([light * cutout.alpha[:, :, None], cutout.alpha[:, :, None]], axis=2)
    if rng.random() < 0.5:
        picture = np.ascontiguousarray(picture[:, ::-1])
    middle = [rng.uniform(0.1, 0.9) * side for side in (size[1], size[0])]
    corner = (round(middle[0] - width / 2), round(middle[1] - height / 2))
    moving = motion.draw(stroke, (middle[0], middle[1]), float(np.hypot(width, height) / 2), rng)
    return Layer(picture=picture, corner=corner, motion=moving)


def _check_size(photo: Bytes, size: Size) -> None:
    if photo.shape[0] < size[0] or photo.shape[1] < size[1]:
        found, wanted = (f"{width} x {height}" for height, width in (photo.shape[:2], size))
        raise ValueError(f"{found} pixels, smaller than the {wanted} (width x height) of the frames")


def expose(layers: Sequence[Layer], size: Size) -> Exposed:
    """Expose a scene.

    The exposure has one moment for each sub-frame of the fastest layer. A slower layer has fewer sub-frames, and shows
    each for several moments. The blur length weights sub-frames by the time for which they are visible.

    Args:
        layers: The background, which fills the frame, then the pieces in front, the nearest last.
        size: ``(H, W)`` of the frame.
    """
    behind, *things = layers
    whole = Box(left=0, top=0, right=size[1], bottom=size[0])
    reached = [(thing, box) for thing in things if min((box := thing.swept(size)).size)]
    count = max(layer.motion.count for layer in layers)
    parts = [_Part(behind, chosen, box, count) for box, chosen in _parted(reached, behind.motion.reach(size), size)]
    total = np.zeros((*size, 3), np.float32)
    places = [_own(behind, moment, count) for moment in range(count)]
    for place in range(behind.motion.count):
        view = behind.view(place, whole)
        cv2.scaleAdd(view, places.count(place) / count, total, total)
        if place == behind.motion.count // 2:
            sharp = view
        for moment in range(places.index(place), places.index(place) + places.count(place)):
            for part in parts:
                part.add(view[part.box.slices()], moment)
    extent = behind.motion.extent(size, shares=_shares(behind, count))
    for part in parts:
        inside = part.box.slices()
        total[inside], sharp[inside] = part.total / np.float32(count), part.sharp
        extent[inside] = part.extent(extent[inside])
    return Exposed(blurry=total, sharp=sharp, extent=extent)


class _Part:
    """A part of the frame in which pieces cover what is behind them; it is exposed moment by moment.

    Args:
        behind: The background.
        things: The pieces, each with the box that it reaches, the nearest last.
        box: The part of the frame.
        count: Number of moments.
    """

    def __init__(self, behind: Layer, things: Sequence[tuple[Layer, Box]], box: Box, count: int) -> None:
        self.box, self.count = box, count
        self.total, self.sharp = np.zeros((2, *box.size, 3), np.float32)  # total is the sum of all moments
        self._layers = [behind, *(thing for thing, _ in things)]
        self._boxes = [box, *(reached for _, reached in things)]
        self._places = [reached.slices((box.left, box.top)) for reached in self._boxes]
        self._shown = [-1] * len(self._layers)
        self._views: list[Floats] = [self.total] * len(self._layers)
        self._front = np.zeros(box.size, np.int64)  # number of the layer that each pixel of the sharp frame shows
        # Visible share of each layer's points: summed over the traced moments, and in the sharp frame.
        self._seen, self._at_rest = np.zeros((2, len(self._layers), *box.size), np.float32)
        self._traced = set(np.linspace(0, count - 1, min(count, _TRACED)).round().astype(int).tolist())

    def add(self, behind: Floats, moment: int) -> None:
        """Expose one more moment; ``behind`` is the background's view in this box."""
        self._views[0] = behind
        for number, layer in enumerate(self._layers[1:], 1):
            now = _own(layer, moment, self.count)
            if now != self._shown[number]:
                self._shown[number], self._views[number] = now, layer.view(now, self._boxes[number])
        self._compose(self.total, moment if moment in self._traced else None)
        if moment == self.count // 2:
            self._compose(self.sharp, None)
            for number, place in enumerate(self._places[1:], 1):
                self._front[place][self._views[number][:, :, 3] > 0.5] = number

    def _compose(self, total: Floats, traced: int | None) -> None:
        """Add the views, nearest first; if ``traced`` is a moment, also add each layer's visible share to ``_seen``."""
        clear = np.ones(self.box.size, np.float32)
        for number in reversed(range(len(self._layers))):
            if traced is not None and number + 1 < len(self._layers):  # nothing covers the nearest layer
                motion = self._layers[number].motion
                self._seen[number] += _follow(
                    clear, motion.at(_own(self._layers[number], traced, self.count)), self.box
                )
                if traced == self.count // 2:
                    self._at_rest[number] = clear
            if number:
                place = self._places[number]
                add_layer(total[place], clear[place], self._views[number])
        add_behind(total, clear, self._views[0])

    def extent(self, behind: Floats) -> Floats:
        """Return the blur length of what the sharp frame shows; ``behind`` is the background's blur length."""
        extent = behind.copy()
        for number, (layer, box, place) in enumerate(zip(self._layers, self._boxes, self._places, strict=True)):
            if number:
                is_front = self._front[place] == number
                shares = _shares(layer, self.count)
                extent[place][is_front] = layer.motion.extent(box.size, (box.left, box.top), shares)[is_front]
        less = self._at_rest - self._seen / np.float32(len(self._traced))
        extent[np.take_along_axis(less, self._front[None], axis=0)[0] > _HIDDEN] = np.nan
        return extent


def _own(layer: Layer, moment: int, count: int) -> int:
    """Return the sub-frame of a layer at one of ``count`` moments; at the middle moment, the middle sub-frame."""
    return int((moment + 0.5) / count * layer.motion.count)


def _shares(layer: Layer, count: int) -> npt.NDArray[np.float64]:
    """Return the share of the exposure in which each sub-frame of a layer is visible."""
    return np.bincount([_own(layer, moment, count) for moment in range(count)], minlength=layer.motion.count) / count


def _follow(values: Floats, motion: npt.NDArray[np.float64], box: Box) -> Floats:
    """Sample values at the positions to which the points of a box of the sharp frame have moved; 1 outside the box."""
    corner = (box.left, box.top)
    moved = motion.copy()
    moved[:, 2] += moved[:, :2] @ corner - corner
    flags = cv2.INTER_NEAREST | cv2.WARP_INVERSE_MAP
    found = cv2.warpAffine(
        values, moved, values.shape[::-1], flags=flags, borderMode=cv2.BORDER_CONSTANT, borderValue=1
    )
    return np.asarray(found, np.float32)


def _parted(things: Sequence[tuple[Layer, Box]], reach: int, size: Size) -> list[tuple[Box, list[tuple[Layer, Box]]]]:
    """Return disjoint boxes in which things may cover each other or the background, which moves up to ``reach``."""
    parts: list[tuple[Box, list[tuple[Layer, Box]]]] = []
    for thing, reached in things:
        box, chosen = reached.widened(reach, size), [(thing, reached)]
        while touching := [part for part in parts if part[0].overlaps(box)]:
            for other in touching:
                parts.remove(other)
                box, chosen = box.around(other[0]), other[1] + chosen
        parts.append((box, chosen))
    return [(box, sorted(chosen, key=things.index)) for box, chosen in parts]
