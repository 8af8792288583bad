"""The frames in which several networks differ most."""

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.evaluate import gallery
from pipelines.evaluate.frame_sources import EvaluationFrame
from pipelines.evaluate.gallery import Gallery, RowsByName

PIXEL = torch.zeros(3, 1, 1, dtype=torch.uint8)


def rows_of(key: str, *psnrs: float) -> RowsByName:
    return {name: {"key": key, "psnr": psnr} for name, psnr in zip("abc", psnrs, strict=False)}


def test_the_largest_differences_and_the_frames_that_nobody_restores_are_shown_and_say_why() -> None:
    frames = {str(number): rows_of(str(number), 30, 30 + number / 10) for number in range(9)}
    frames["bad"] = rows_of("bad", 18, 18.15)
    chosen = gallery.choose(frames)
    assert chosen["8"] == ["largest difference"]
    assert chosen["7"] == ["2nd largest difference"]
    assert chosen["bad"] == ["lowest PSNR even for the best"]
    assert chosen["0"] == ["2nd lowest PSNR even for the best", "smallest difference"]


@given(st.lists(st.tuples(*[st.sampled_from([10.0, 20.0, 20.5, 30.0])] * 2), min_size=1, max_size=30))
@settings(max_examples=60)
def test_what_is_kept_while_frames_come_is_what_is_chosen_of_all(psnrs: list[tuple[float, float]]) -> None:
    whole = {str(number): rows_of(str(number), *each) for number, each in enumerate(psnrs)}
    kept = Gallery()
    for key, rows in whole.items():
        frame = EvaluationFrame(key=key, sharp=PIXEL, blurry=None, mask=None)
        kept.offer(frame, rows, dict.fromkeys(rows, PIXEL))
        assert len(kept.lineups) <= 6
    assert kept.lineups.keys() == gallery.choose(whole).keys()


def test_the_part_shown_is_where_the_results_differ_and_not_where_all_fail() -> None:
    sharp = np.full((400, 600, 3), 100, np.uint8)
    one, other = sharp.copy(), sharp.copy()
    one[:, :200] = other[:, :200] = 0  # where both fail
    other[250:300, 450:500] = 130
    rows, columns = gallery.most_different_part([one, other], sharp)
    assert rows.start <= 250 and rows.stop >= 300 and columns.start <= 450 and columns.stop >= 500
