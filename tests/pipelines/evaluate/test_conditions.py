"""What affects scores: it is part of their folder's name, and the protocol describes it."""

from pathlib import Path

import pytest

from cdgnet import PRETRAINED
from pipelines.evaluate.conditions import Conditions
from pipelines.evaluate.frame_sources import PackFrames


@pytest.mark.parametrize(
    ("other", "described"),
    [
        (Conditions(weights=PRETRAINED, strength=2), "the network's change multiplied by 2 (--strength)"),
        (Conditions(weights=PRETRAINED, is_ensemble=True), "mean over the eight orientations of each frame"),
    ],
)
def test_how_a_network_runs_has_scores_of_its_own(test_pack: Path, other: Conditions, described: str) -> None:
    frames, usual = PackFrames(test_pack), Conditions(weights=PRETRAINED)

    assert other.scores_folder(None, frames) != usual.scores_folder(None, frames)
    assert described in other.protocol(frames) and described not in usual.protocol(frames)


def test_options_that_change_the_result_are_part_of_the_name() -> None:
    assert Conditions(weights=PRETRAINED).options == ""
    assert Conditions(weights=PRETRAINED, strength=1.6).options == " (strength 1.6)"
    assert Conditions(weights=PRETRAINED, strength=2, is_ensemble=True).options == " (strength 2, ensemble)"


def test_a_strength_of_one_is_the_network_itself(test_pack: Path) -> None:
    assert "strength" not in Conditions(weights=PRETRAINED, strength=1).identity(PackFrames(test_pack))
