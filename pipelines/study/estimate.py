"""Estimate of how long the remaining trainings of a study will take."""

import time
from collections.abc import Sequence

from lightning_fabric import Fabric

from cdgnet import CDGNet
from pipelines.evaluate.frame_sources import EvaluationFrame, PackFrames
from pipelines.evaluate.scores import restore_and_measure
from pipelines.restore.restorer import Restorer
from pipelines.study.design import Training
from pipelines.train import forecast, runs


class TimeEstimate:
    """Time estimate from one step and one scored frame of each row, corrected by the actual time of trainings.

    Args:
        trainings: Trainings of the study, done or not.
        fabric: Decides device and precision.

    Attributes:
        seconds: Estimated seconds of a training and its scoring, by row title, for rows that are not done.
        scoring: The part of these seconds that the scoring takes, by row title.
    """

    def __init__(self, trainings: Sequence[Training], fabric: Fabric) -> None:
        self.trainings = trainings
        self.seconds: dict[str, float] = {}
        self.scoring: dict[str, float] = {}
        self._spent = self._expected = 0.0  # seconds of the trainings since then
        by_title = {training.row.title: training for training in self.missing()}
        if not by_title:
            return
        scenes = PackFrames(trainings[0].test)
        for _ in range(2):  # the first pass compiles code
            started = time.perf_counter()
            first = scenes[0]  # includes computing S for its masks, which may take longest
            reading = time.perf_counter() - started
        for title, training in by_title.items():
            run = training.plan(keep=False)
            step = forecast.seconds_per_step(training.config, fabric)
            validations = forecast.validations_left(run, run.start, run.steps)
            validating = validations * forecast.steps_per_validation(run) * step
            self.scoring[title] = len(scenes) * (reading + _seconds_to_score(first, training, fabric))
            self.seconds[title] = step * run.steps + validating + self.scoring[title]

    def missing(self) -> list[Training]:
        """Return the trainings that are not done yet."""
        return [training for training in self.trainings if not training.is_done]

    def correct(self, training: Training, share: float, seconds: float) -> None:
        """Correct the estimate by the seconds that this share of a training's steps, and its scoring, took."""
        total, scoring = self.seconds[training.row.title], self.scoring[training.row.title]
        self._spent += seconds
        self._expected += share * (total - scoring) + scoring

    def seconds_left(self) -> float:
        """Estimate the seconds that the remaining trainings will take, one after the other."""
        pace = self._spent / self._expected if self._expected else 1.0
        return pace * sum(self.seconds[training.row.title] for training in self.missing())


def _seconds_to_score(frame: EvaluationFrame, training: Training, fabric: Fabric) -> float:
    """Measure how long it takes to restore a frame and compute all its scores."""
    restorer = Restorer(CDGNet(runs.network_of(training.config)), fabric)
    started = time.perf_counter()
    restore_and_measure(frame, restorer)
    return time.perf_counter() - started
