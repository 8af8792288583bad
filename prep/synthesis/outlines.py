"""Cut pieces out of a photograph along its edges.

Legend: h, w the height and width of the photograph or of its small copy.
"""

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from prep.arrays import Bytes, Floats

_SIDE = 320  # pixels: the longer side of the small copy, which is divided into segments
_SEEDS = 18  # seeds along the longer side
_COMPACT = 40.0  # Lab levels that count as much as a distance of the square root of the wanted area
_SMOOTH = 1.5  # pixels of the small copy: standard deviation of the blur that rounds an outline
_EDGE = 1.6  # pixels of the photograph: width over which an outline fades

Labels = npt.NDArray[np.int32]


@dataclass(frozen=True, kw_only=True)
class Cutout:
    """A piece cut out of a photograph."""

    corner: tuple[int, int]  # x, y of the box's first pixel
    alpha: Floats  # (box's height, width) in [0, 1]


class Segments:
    """A photograph divided along its edges, by watershed (Meyer 1992) from an even grid of seeds.

    Args:
        photo: ``(h, w, 3)`` uint8 RGB, at least 16 x 16 pixels.
    """

    def __init__(self, photo: Bytes) -> None:
        self.size = photo.shape[:2]
        self._scale = max(1.0, max(self.size) / _SIDE)
        small = (round(self.size[1] / self._scale), round(self.size[0] / self._scale))
        picture = cv2.medianBlur(cv2.resize(photo, small, interpolation=cv2.INTER_AREA), 3)
        self._labels = _divide(np.asarray(picture, np.uint8))  # (h, w) of the small copy
        count = int(self._labels.max()) + 1
        colours = cv2.cvtColor(picture, cv2.COLOR_RGB2LAB).reshape(-1, 3).astype(np.float64)
        self._areas = np.bincount(self._labels.ravel(), minlength=count)
        y, x = np.indices(self._labels.shape)
        features = np.column_stack([colours, x.ravel(), y.ravel()])  # (h w, 5)
        sums = [np.bincount(self._labels.ravel(), weights=column, minlength=count) for column in features.T]
        self._features = np.stack(sums, axis=1) / np.maximum(self._areas, 1)[:, None]  # (segments, 5) means
        rim = np.unique(np.concatenate([self._labels[[0, -1]].ravel(), self._labels[:, [0, -1]].ravel()]))
        self._whole = np.setdiff1d(np.arange(count), rim)  # segments at the border have no outline of their own
        if not len(self._whole):
            self._whole = np.arange(count)
        self._allowed = set(self._whole.tolist())
        self._neighbours = _neighbours(self._labels, count)

    def draw(self, area: float, rng: np.random.Generator) -> Cutout:
        """Cut out a piece: a segment, grown by the neighbour nearest in colour and position until it is large enough.

        Args:
            area: Least number of pixels of the photograph to cover, if possible.
            rng: Draws the first segment.
        """
        start = int(rng.choice(self._whole, p=self._areas[self._whole] / self._areas[self._whole].sum()))
        wanted = area / self._scale**2
        weights = np.array([1, 1, 1, *(2 * [_COMPACT**2 / max(wanted, 1)])])
        chosen, border = {start}, self._neighbours[start] & self._allowed
        covered, mean = self._areas[start], self._features[start]
        while covered < wanted and border:
            nearest = min(border, key=lambda label: float(weights @ (self._features[label] - mean) ** 2))
            chosen.add(nearest)
            border |= self._neighbours[nearest] & self._allowed
            border -= chosen
            share = self._areas[nearest] / (covered + self._areas[nearest])
            mean = mean + share * (self._features[nearest] - mean)
            covered += self._areas[nearest]
        return self._cut(np.isin(self._labels, list(chosen)))

    def _cut(self, marks: npt.NDArray[np.bool_]) -> Cutout:
        """Smooth an outline, scale it to the photograph's size, and crop it to its box."""
        padded = np.pad(marks.astype(np.uint8), 4)
        outer = cv2.findContours(padded, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)[0]
        filled = cv2.drawContours(np.zeros(padded.shape, np.float32), outer, -1, 1.0, cv2.FILLED)
        left, top, width, height = cv2.boundingRect(padded)
        soft = cv2.GaussianBlur(filled, (0, 0), _SMOOTH)[top - 4 : top + height + 4, left - 4 : left + width + 4]
        box = (round(soft.shape[1] * self._scale), round(soft.shape[0] * self._scale))
        large = cv2.resize(soft, box, interpolation=cv2.INTER_LINEAR)
        slope = _SMOOTH * np.sqrt(2 * np.pi) * self._scale / _EDGE  # factor that makes the edge fade over _EDGE pixels
        alpha = ((large - 0.5) * np.float32(slope) + 0.5).clip(0, 1)
        x, y = round((left - 8) * self._scale), round((top - 8) * self._scale)  # 4 pixels of padding and 4 of margin
        first_x, first_y = max(0, x), max(0, y)
        alpha = alpha[first_y - y : self.size[0] - y, first_x - x : self.size[1] - x]
        return Cutout(corner=(first_x, first_y), alpha=np.ascontiguousarray(alpha, np.float32))


def _divide(picture: Bytes) -> Labels:
    """Divide a picture into segments; return their labels from 0, ``(h, w)``, without gaps between segments."""
    height, width = picture.shape[:2]
    step = max(2.0, max(height, width) / _SEEDS)
    seeds = np.zeros((height, width), np.int32)
    rows, columns = (np.arange(step / 2, side, step).astype(int) for side in (height, width))
    seeds[np.ix_(rows, columns)] = np.arange(1, len(rows) * len(columns) + 1).reshape(len(rows), len(columns))
    labels = np.asarray(cv2.watershed(picture, seeds.copy()), np.int32)
    while (labels <= 0).any() and (labels > 0).any():  # fill the lines between segments and the picture's border
        grown = cv2.dilate(labels.astype(np.float32), np.ones((3, 3), np.uint8)).astype(np.int32)
        labels = np.where(labels <= 0, grown, labels)
    return np.asarray(labels - 1, np.int32)


def _neighbours(labels: Labels, count: int) -> list[set[int]]:
    found: list[set[int]] = [set() for _ in range(count)]
    for one, other in ((labels[:, :-1], labels[:, 1:]), (labels[:-1], labels[1:])):
        differs = one != other
        for first, second in np.unique(np.stack([one[differs], other[differs]], axis=1), axis=0):
            found[first].add(int(second))
            found[second].add(int(first))
    return found
