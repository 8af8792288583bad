"""The frames that the page of scores shows: kept while they are scored, so that none is restored twice."""

import math
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from candidates import begun
from hypothesis import given, settings
from hypothesis import strategies as st
from lightning_fabric import Fabric

from cdgnet import CDGNet, ModelConfig
from pipelines.evaluate import examples
from pipelines.evaluate.examples import Example, Scene, Shortlist
from pipelines.evaluate.frame_sources import EvaluationFrame, PictureFrames
from pipelines.evaluate.mask_source import MaskSource
from pipelines.evaluate.measures import FrameScores
from pipelines.evaluate.scores import score_frames
from pipelines.restore.restorer import Restorer
from prep.datasets import tree_pairs
from prep.io import frames

FRAMES = 14


@pytest.fixture(scope="module")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> PictureFrames:
    place, rng = tmp_path_factory.mktemp("set"), np.random.default_rng(0)
    for number in range(FRAMES):
        sharp = cv2.GaussianBlur(rng.integers(0, 256, (40, 48, 3)).astype(np.uint8), (0, 0), 0.5 + 0.1 * number)
        frames.write(place / "sharp" / f"{number}.png", sharp)
        frames.write(place / "blur" / f"{number}.png", cv2.GaussianBlur(sharp, (0, 0), rng.uniform(0.3, 4)))
    return PictureFrames("pairs", tree_pairs.find_pairs(place / "blur", place / "sharp").pairs, MaskSource())


@pytest.fixture
def restorer() -> Restorer:
    torch.manual_seed(0)
    network = CDGNet(ModelConfig.preset("tiny"))
    for parameter in network.parameters():  # at first the network gives its input back
        parameter.data.add_(0.01 * torch.randn_like(parameter))
    return Restorer(network, Fabric(accelerator="cpu", devices=1))


def draw(pairs: PictureFrames, scores: Path, restorer: Restorer, kills: int = 0) -> list[Example]:
    """The page's pictures after all frames are scored, in a run that goes on after ``kills`` frames."""
    if kills:
        killed = score_frames(pairs, [begun(pairs, scores, restorer)])
        for _ in range(kills):
            next(killed)
    candidate = begun(pairs, scores, restorer)
    list(score_frames(pairs, [candidate]))
    ordered = candidate.rows(pairs)
    kept = examples.read(scores, ordered)
    drawn, count = examples.draw_examples(pairs, ordered, restorer, candidate.shortlist, kept)
    given = list(drawn)
    assert len(given) == count
    examples.write(scores, ordered, given)
    return given


def test_no_frame_is_restored_twice(pairs: PictureFrames, restorer: Restorer, tmp_path: Path) -> None:
    passes: list[int] = []
    restorer.network.register_forward_hook(lambda *_: passes.append(1))
    drawn = draw(pairs, tmp_path / "scores", restorer)
    assert len(drawn) > 3 and len(passes) == FRAMES
    assert draw(pairs, tmp_path / "scores", restorer) == drawn  # the same command again
    assert len(passes) == FRAMES


def test_pictures_of_another_row_or_damaged_ones_are_drawn_anew(
    pairs: PictureFrames, restorer: Restorer, tmp_path: Path
) -> None:
    drawn = draw(pairs, tmp_path / "scores", restorer)
    rows = begun(pairs, tmp_path / "scores").rows(pairs)
    assert examples.read(tmp_path / "scores", rows).keys() == {each.key for each in drawn}
    assert examples.read(tmp_path / "scores", [{**row, "psnr": 1.0} for row in rows]) == {}
    (tmp_path / "scores" / examples.NAME).write_text('{"rows": [], "shown": 5}')
    assert examples.read(tmp_path / "scores", rows) == {}


@pytest.mark.slow
def test_a_run_that_goes_on_draws_what_an_undisturbed_one_draws(
    pairs: PictureFrames, restorer: Restorer, tmp_path: Path
) -> None:
    whole = draw(pairs, tmp_path / "whole", restorer)
    assert draw(pairs, tmp_path / "part", restorer, kills=FRAMES // 2) == whole
    assert any("attention" in panel.name for panel in whole[0].panels)


def a_row(key: str, psnr: float, gain: float | None) -> FrameScores:
    return {"key": key, "psnr": psnr} | ({} if gain is None else {"psnr_blurry": psnr - gain})


def rows_of_few_values() -> Iterator[st.SearchStrategy[list[FrameScores]]]:
    few = st.sampled_from([10.0, 20.0, 20.5, 30.0, math.inf])
    for gains in (st.none(), st.sampled_from([-1.0, 0.0, 0.5, 2.0])):
        pairs = st.lists(st.tuples(few, gains), min_size=1, max_size=40)
        yield pairs.map(lambda drawn: [a_row(str(number), *each) for number, each in enumerate(drawn)])


@given(rows=st.one_of(*rows_of_few_values()), earlier=st.integers(0, 10))
@settings(max_examples=60, deadline=None)
def test_the_shortlist_holds_every_frame_that_is_shown_and_at_most_twelve(
    rows: list[FrameScores], earlier: int
) -> None:
    earlier = min(earlier, len(rows) - 1)
    shortlist, pixel = Shortlist(rows[:earlier]), torch.zeros(3, 1, 1, dtype=torch.uint8)
    for row in rows[earlier:]:
        frame = EvaluationFrame(key=row["key"], sharp=pixel, blurry=None, mask=None)
        shortlist.offer(row, partial(Scene, frame=frame, restored=pixel, middle=None))
        assert len(shortlist.scenes) <= 12
    shown = {key for key in examples.choose(rows) if int(key) >= earlier}
    assert shown == set(shortlist.scenes)
