"""Make unlimited training pictures from a few photographs: collages of their pieces by a dead-leaves model.

A network memorises thirty photographs: at the paper's width, frames that it was trained on gained 0.6 dB, and frames
of other photographs 0.15 dB (docs/weights-experiments.md). Collages keep the colours and textures, with new edges and
corners each time.

Source: Lee, Mumford & Huang 2001, *Occlusion models for natural images*, for leaves whose radius has the density r^-3,
which gives a picture the statistics of natural images; Achddou, Gousseau & Ladjal 2021, *Synthetic images as a
regularity prior for image restoration neural networks*, for training on such pictures.
"""

from collections.abc import Sequence

import cv2
import numpy as np

from prep.arrays import Bytes

SIDES = (560, 720)  # pixels; height, width of a collage
FINER = 2  # scale at which leaves are painted, so that their edges are smooth
LEAVES = 1000  # leaves per collage
RADII = (16.0, 400.0)  # pixels; range of the leaves' radii before the picture is scaled down
SCALES = (0.8, 4.0)  # range of the scale of a photograph inside a leaf, before the picture is scaled down
GAINS = (0.6, 1.4)  # range of the factor on the brightness of a piece
EXCHANGED = 0.3  # share of the pieces whose red, green and blue are permuted
SOFTNESS = (0.4, 1.2)  # pixels; range of the Gaussian sigma for half of the collages, to be as soft as video frames


def make(photographs: Sequence[Bytes], rng: np.random.Generator) -> Bytes:
    """Make a picture of leaves that cover each other: pieces of photographs, lettering, plain colours and gradients.

    Args:
        photographs: ``(h, w, 3)`` uint8 RGB, of any sizes.
        rng: Random number generator.

    Returns:
        ``(*SIDES, 3)`` uint8 RGB.
    """
    size = (SIDES[0] * FINER, SIDES[1] * FINER)
    canvas = _piece(photographs, size, rng)
    for radius in _radii(LEAVES, rng):
        outline = _outline(radius, size, rng)
        left, top, width, height = _seen(outline, size)
        if not width or not height:
            continue
        mask = np.zeros((height, width), np.uint8)
        cv2.fillPoly(mask, [outline - (left, top)], 1)
        fill = _fill(photographs, (height, width), rng)
        cv2.copyTo(fill, mask, canvas[top : top + height, left : left + width])
    picture = cv2.resize(canvas, SIDES[::-1], interpolation=cv2.INTER_AREA)
    if rng.random() < 0.5:
        picture = cv2.GaussianBlur(picture, (0, 0), rng.uniform(*SOFTNESS))
    return np.asarray(picture, np.uint8)


def _radii(count: int, rng: np.random.Generator) -> np.ndarray:
    """Draw radii of leaves with the density r^-3 between ``RADII``, by inverting the cumulative distribution."""
    least, most = RADII
    share = rng.random(count)
    return np.asarray((least**-2 + share * (most**-2 - least**-2)) ** -0.5)


def _outline(radius: float, size: tuple[int, int], rng: np.random.Generator) -> np.ndarray:
    """Return the outline of a leaf, an ellipse or a polygon of 3 to 7 corners: ``(n, 2)`` int32, x before y."""
    is_round = rng.random() < 0.5
    angles = np.sort(rng.uniform(0, 2 * np.pi, rng.integers(3, 8))) if not is_round else np.linspace(0, 2 * np.pi, 48)
    shape = np.stack([np.cos(angles), rng.uniform(0.3, 1) * np.sin(angles)])
    turn = rng.uniform(0, 2 * np.pi)
    turned = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]]) @ shape
    middle = rng.uniform(0, size[::-1])
    return np.asarray(np.rint(middle + radius * turned.T), np.int32)


def _seen(outline: np.ndarray, size: tuple[int, int]) -> tuple[int, int, int, int]:
    """Return the bounding box of the visible part of a leaf: left, top, width and height."""
    left, top = np.clip(outline.min(axis=0), 0, size[::-1])
    right, bottom = np.clip(outline.max(axis=0) + 1, 0, size[::-1])
    return int(left), int(top), int(right - left), int(bottom - top)


def _fill(photographs: Sequence[Bytes], size: tuple[int, int], rng: np.random.Generator) -> Bytes:
    """Return the content of a leaf."""
    kind = rng.random()
    if kind < 0.6:
        return _piece(photographs, size, rng)
    if kind < 0.7:
        return _lettering(photographs, size, rng)
    first, second = _colour(photographs, rng), _colour(photographs, rng)
    if kind < 0.85:
        return np.full((*size, 3), first, np.uint8)
    slope = rng.normal(size=2)
    height, width = size
    along = slope[0] * np.linspace(0, 1, height)[:, None] + slope[1] * np.linspace(0, 1, width)
    share = (along - along.min()) / max(np.ptp(along), 1e-6)
    return np.asarray(first + share[..., None] * (second - first), np.uint8)


def _lettering(photographs: Sequence[Bytes], size: tuple[int, int], rng: np.random.Generator) -> Bytes:
    """Draw lines of letters, digits and punctuation in one colour on another."""
    page = np.full((*size, 3), _colour(photographs, rng), np.uint8)
    ink, scale = _colour(photographs, rng).tolist(), rng.uniform(0.6, 3)
    font = int(rng.choice([cv2.FONT_HERSHEY_SIMPLEX, cv2.FONT_HERSHEY_DUPLEX, cv2.FONT_HERSHEY_COMPLEX]))
    for bottom in range(int(30 * scale), size[0] + int(30 * scale), int(40 * scale)):
        letters = "".join(chr(rng.integers(33, 127)) for _ in range(int(size[1] / (14 * scale)) + 1))
        cv2.putText(page, letters, (0, bottom), font, scale, ink, max(1, round(2 * scale)))
    return page


def _colour(photographs: Sequence[Bytes], rng: np.random.Generator) -> np.ndarray:
    """Return the colour of a random pixel of a photograph, ``(3,)`` float in [0, 255]."""
    photograph = photographs[int(rng.integers(len(photographs)))]
    height, width = photograph.shape[:2]
    return np.asarray(photograph[rng.integers(height), rng.integers(width)], float)


def _piece(photographs: Sequence[Bytes], size: tuple[int, int], rng: np.random.Generator) -> Bytes:
    """Return a random piece of a photograph, turned, mirrored, scaled, recoloured, brightened or darkened."""
    photograph = photographs[int(rng.integers(len(photographs)))]
    height, width = photograph.shape[:2]
    turn, scale = rng.uniform(0, 2 * np.pi), np.exp(rng.uniform(*np.log(SCALES)))
    forward = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]]) / scale
    if rng.random() < 0.5:
        forward = forward[:, ::-1]
    centre = rng.uniform(0.1, 0.9, 2) * (width, height)
    shift = centre - forward @ (np.array(size[::-1]) / 2)
    piece = cv2.warpAffine(
        np.ascontiguousarray(photograph),
        np.column_stack([forward, shift]),
        size[::-1],
        flags=cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_REFLECT,
    )
    if rng.random() < EXCHANGED:
        piece = piece[..., rng.permutation(3)]
    return np.asarray(cv2.convertScaleAbs(piece, alpha=rng.uniform(*GAINS)), np.uint8)
