"""A photograph and pieces cut out of it, moving in front of a camera: the light of one exposure, and the blur length.

Pieces lie in front of each other like sheets of paper. Each covers what is behind it at every moment of the exposure,
so what is behind its edges appears or disappears.

Legend: H, W the frame's height and width; h, w a layer's; T sub-frames.
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

_HIDDEN = 0.05  # of the exposure: a pixel covered for longer than this has no blur length
_TRACED = 13  # moments at which the points of all layers are followed
_FINE = 6.0  # pixels: up to this blur length interpolation is cubic; above it no difference is visible
_AREA = (1 / 30, 1 / 5)  # of the frame, covered by a piece

# A camera held in two hands, and pieces in front that move further.
HAND = Stroke(shortest=0, longest=15, roll=8, zoom=4)
THING = Stroke(shortest=5, longest=40, roll=8, zoom=4)


@dataclass(frozen=True, kw_only=True)
class Exposed:
    """One exposure."""

    blurry: Floats  # (H, W, 3) light, its mean over the exposure
    sharp: Floats  # (H, W, 3) light, in the middle of it
    extent: Floats  # (H, W) blur length, pixels; NaN where a pixel of the sharp frame is covered part of the time


@dataclass(frozen=True, kw_only=True)
class Box:
    """A part of the frame."""

    left: int
    top: int
    right: int  # exclusive, as bottom
    bottom: int

    @property
    def size(self) -> Size:
        """Height and width; 0 if it is empty."""
        return max(0, self.bottom - self.top), max(0, self.right - self.left)

    def slices(self, corner: tuple[int, int] = (0, 0)) -> tuple[slice, slice]:
        """Rows and columns of the box in an array whose first pixel is ``corner`` (x, y)."""
        left, top = corner
        return slice(self.top - top, self.bottom - top), slice(self.left - left, self.right - left)

    def widened(self, margin: int, frame: Size) -> "Box":
        """With a margin on all sides, inside the frame."""
        return Box(
            left=max(0, self.left - margin),
            top=max(0, self.top - margin),
            right=min(frame[1], self.right + margin),
            bottom=min(frame[0], self.bottom + margin),
        )

    def around(self, other: "Box") -> "Box":
        """The smallest box that contains both."""
        return Box(
            left=min(self.left, other.left),
            top=min(self.top, other.top),
            right=max(self.right, other.right),
            bottom=max(self.bottom, other.bottom),
        )

    def overlaps(self, other: "Box") -> bool:
        """Whether they share a pixel."""
        return max(self.left, other.left) < min(self.right, other.right) and max(self.top, other.top) < min(
            self.bottom, other.bottom
        )


@dataclass(frozen=True, kw_only=True, eq=False)
class Layer:
    """A picture, its place in the sharp frame, and its motion."""

    picture: Floats  # (h, w, 3) light, or (h, w, 4): light times cover, and cover
    corner: tuple[int, int]  # x, y of its first pixel in the sharp frame
    motion: Motion

    def view(self, place: int, box: Box) -> Floats:
        """The layer in a sub-frame, in a part of the frame."""
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
        ends = [(x, y) for x in (left, left + width - 1) for y in (top, top + height - 1)]  # where extents are largest
        return max(float(self.motion.extent((1, 1), end)[0, 0]) for end in ends) < _FINE

    def swept(self, frame: Size) -> Box:
        """The part of the frame that it reaches during the exposure."""
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
    """Draw a view of a photograph, with pieces cut out of it in front, the nearest last.

    Args:
        photo: ``(h, w, 3)`` uint8 RGB, no smaller than ``size``.
        segments: Of the photograph.
        size: ``(H, W)`` of the frame.
        setting: Of the camera; the photograph has its response.
        rng: Draws the view, the pieces, their places and all motion.
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
    """A piece anywhere in the frame, mirrored half the time."""
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

    Each layer is drawn in as many sub-frames as its own motion needs, and each is held for the moments of the fastest
    layer; the blur length counts sub-frames by the time that they are visible.

    Args:
        layers: The background, which fills the frame, and the pieces in front, the nearest last.
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
    """A part of the frame in which pieces cover what is behind them, exposed moment by moment.

    Args:
        behind: The background.
        things: The pieces, with the box that each reaches, the nearest last.
        box: Around all.
        count: Number of moments.
    """

    def __init__(self, behind: Layer, things: Sequence[tuple[Layer, Box]], box: Box, count: int) -> None:
        self.box, self.count = box, count
        self.total, self.sharp = np.zeros((2, *box.size, 3), np.float32)  # the total of all moments
        self._layers = [behind, *(thing for thing, _ in things)]
        self._boxes = [box, *(reached for _, reached in things)]
        self._places = [reached.slices((box.left, box.top)) for reached in self._boxes]
        self._shown = [-1] * len(self._layers)
        self._views: list[Floats] = [self.total] * len(self._layers)
        self._front = np.zeros(box.size, np.int64)  # the layer that each pixel of the sharp frame shows
        self._seen, self._at_rest = np.zeros((2, len(self._layers), *box.size), np.float32)  # how much of each layer is
        self._traced = set(np.linspace(0, count - 1, min(count, _TRACED)).round().astype(int).tolist())

    def add(self, behind: Floats, moment: int) -> None:
        """Expose one more moment; ``behind`` is the view of the background."""
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
        """Add the views, from the nearest back; follow the points of each layer at the moment ``traced``."""
        clear = np.ones(self.box.size, np.float32)
        for number in reversed(range(len(self._layers))):
            if traced is not None and number + 1 < len(self._layers):  # nothing covers the nearest
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
        """Blur length of what the sharp frame shows; ``behind`` is that of the background."""
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
    """The sub-frame of a layer that is visible at one of ``count`` moments; the middle one at the middle."""
    return int((moment + 0.5) / count * layer.motion.count)


def _shares(layer: Layer, count: int) -> npt.NDArray[np.float64]:
    """The share of the exposure in which each sub-frame of a layer is visible."""
    return np.bincount([_own(layer, moment, count) for moment in range(count)], minlength=layer.motion.count) / count


def _follow(values: Floats, motion: npt.NDArray[np.float64], box: Box) -> Floats:
    """Values at the places that the points of a box of the sharp frame have moved to; 1 outside."""
    corner = (box.left, box.top)
    moved = motion.copy()
    moved[:, 2] += moved[:, :2] @ corner - corner
    flags = cv2.INTER_NEAREST | cv2.WARP_INVERSE_MAP
    found = cv2.warpAffine(
        values, moved, values.shape[::-1], flags=flags, borderMode=cv2.BORDER_CONSTANT, borderValue=1
    )
    return np.asarray(found, np.float32)


def _parted(things: Sequence[tuple[Layer, Box]], reach: int, size: Size) -> list[tuple[Box, list[tuple[Layer, Box]]]]:
    """Boxes in which things may cover each other, or what is behind them, which moves by ``reach``; none touch."""
    parts: list[tuple[Box, list[tuple[Layer, Box]]]] = []
    for thing, reached in things:
        box, chosen = reached.widened(reach, size), [(thing, reached)]
        while touching := [part for part in parts if part[0].overlaps(box)]:
            for other in touching:
                parts.remove(other)
                box, chosen = box.around(other[0]), other[1] + chosen
        parts.append((box, chosen))
    return [(box, sorted(chosen, key=things.index)) for box, chosen in parts]
