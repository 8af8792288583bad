"""Scoring of a training on a test pack: writes its scores as ``cdg-eval`` does, and some pictures; reads the scores."""

import csv
import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from lightning_fabric import Fabric

from cdgnet import load_weights
from pipelines.evaluate import division
from pipelines.evaluate import folder as scores_folder
from pipelines.evaluate.frame_sources import PackFrames
from pipelines.evaluate.measures import MEASURES
from pipelines.evaluate.scores import restore_and_measure
from pipelines.evaluate.statistics import author_frames
from pipelines.packs import to_array
from pipelines.restore.restorer import Restorer
from pipelines.sampling import evenly_spaced
from pipelines.study.design import Training
from pipelines.train import run_folder
from prep.io import frames
from prep.packs.reader import read_info

PICTURES = 2  # number of frames whose pictures are kept


@dataclass(frozen=True, kw_only=True)
class Result:
    """The scores of one training."""

    training: Training
    means: Mapping[str, float]  # means over the frames of the test pack, by measure of ``cdg-eval``
    author: Mapping[str, float]  # means over the frames that VideoDeblurring's author scores; empty for other data sets
    seconds: float  # duration of the training


def score(training: Training, fabric: Fabric) -> Iterator[None]:
    """Score the last weights of a training; yield None after each frame."""
    restorer = Restorer(load_weights(training.folder / run_folder.WEIGHTS), fabric)
    scenes = PackFrames(training.test)
    shown = list(evenly_spaced(range(len(scenes)), PICTURES))
    rows = []
    for number in range(len(scenes)):
        row, restored, _ = restore_and_measure(scenes[number], restorer)
        rows.append(row)
        if number in shown:
            frames.write(training.scores / f"{shown.index(number)}.png", to_array(restored))
        yield
    scores_folder.write_csv(training.scores / "results.csv", rows)


def read_results(trainings: Sequence[Training]) -> list[Result]:
    """Read the results of the trainings that are trained and scored by now, in the same order."""
    return [_read_result(training) for training in trainings if training.is_done]


def _read_result(training: Training) -> Result:
    with (training.scores / "results.csv").open(encoding="utf-8", newline="") as file:
        *frame_rows, mean_row = csv.DictReader(file)
    has_author = read_info(training.test).header.layout == "videodeblurring"
    author_keys = set(author_frames([row["key"] for row in frame_rows])) if has_author else set()
    author_rows = [_measures(row) for row in frame_rows if row["key"] in author_keys]
    author_means = {
        name: statistics.fmean(row[name] for row in author_rows) for name in ("psnr", "ssim") if author_rows
    }
    return Result(
        training=training,
        means=_measures(mean_row),
        author=author_means,
        seconds=run_folder.training_seconds(training.folder),
    )


def _measures(row: Mapping[str, str]) -> dict[str, float]:
    return {
        name: float(value or "nan") for name, value in row.items() if name.startswith((*MEASURES, *division.MEASURES))
    }
