"""Before and after as one picture."""

from pathlib import Path

import numpy as np

from pipelines.pages.pictures import on_white
from pipelines.pages.sheet import FOOT, GAP, HEAD, MARGIN
from pipelines.restore import comparison
from prep.io import frames
from prep.io.frames import to_rgb8


def test_before_is_left_and_after_is_right() -> None:
    before, after = np.full((450, 600, 3), 60, np.uint8), np.full((450, 600, 3), 200, np.uint8)

    drawn = comparison.draw(before, after)

    top, height, column = GAP + HEAD, 450, 600  # as large as they are
    assert (drawn[top : top + height, MARGIN : MARGIN + column] == 60).all()
    right = MARGIN + column + GAP
    assert (drawn[top : top + height, right : right + column] == 200).all()
    assert drawn.shape[1] == 2 * MARGIN + 2 * column + GAP and drawn.shape[0] > top + height + FOOT


def test_the_part_shown_is_the_one_that_changed_most() -> None:
    before = np.zeros((200, 300, 3), np.uint8)
    after = before.copy()
    after[110:130, 210:230] = 90
    after[10:12, 10:12] = 255

    rows, columns = comparison.most_changed_part(before, after, 40)

    assert rows.start <= 110 and rows.stop >= 130 and columns.start <= 210 and columns.stop >= 230
    assert (rows.stop - rows.start, columns.stop - columns.start) == (40, 40)


def test_pictures_smaller_than_the_part_are_shown_whole() -> None:
    picture = np.zeros((20, 30, 3), np.uint8)

    assert comparison.most_changed_part(picture, picture, 40) == (slice(0, 20), slice(0, 30))


def test_grey_pictures_with_alpha_and_sixteen_bits_are_compared(tmp_path: Path) -> None:
    grey = np.full((40, 50, 2), 30000, np.uint16)
    frames.write(tmp_path / "a.png", np.full((40, 50), 30000, np.uint16))
    frames.write(tmp_path / "b.png", np.full((40, 50), 200, np.uint8))

    path = comparison.write(tmp_path / "a.png", tmp_path / "b.png")

    assert path.name == "b.png.compare.jpg" and frames.read(path).ndim == 3
    assert to_rgb8(on_white(grey)).shape == (40, 50, 3)


def test_what_is_transparent_is_compared_on_white(tmp_path: Path) -> None:
    hidden = np.zeros((500, 700, 4), np.uint8)
    hidden[:, :300] = (10, 20, 30, 255)
    frames.write(tmp_path / "a.png", hidden)

    before = on_white(hidden)
    shown = frames.read(comparison.write(tmp_path / "a.png", tmp_path / "a.png"))

    assert (before[:, :300] == (10, 20, 30)).all() and (before[:, 300:] == 255).all()
    middle = shown[HEAD + GAP + 250, MARGIN : MARGIN + 700]
    assert middle[290].max() < 50 and middle[310].min() > 230
