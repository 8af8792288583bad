"""The tables of a study as CSV: ``NAME.csv``, one line per row, and ``NAME-runs.csv``, one line per training."""

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pipelines.errors import TrainingError
from pipelines.evaluate.folder import to_csv
from pipelines.evaluate.measures import FrameScores
from pipelines.pages import page_file
from pipelines.study.comparisons import DIVISION, MEASURES, TableRow
from pipelines.study.design import Training
from prep.io import files
from prep.units import counted

_SIGN = "row,masks,seed"  # first characters of both tables


def refuse_other_tables(name: str, trainings: Sequence[Training], folder: Path) -> None:
    """Refuse to overwrite a table of other trainings, or a file that this project did not write.

    Raises:
        ForeignFile: If a file with the study's name in its folder is not a table or page of a study.
        TrainingError: If the study's folder contains a table with trainings that are not among these.
    """
    path = _runs_path(name, folder)
    page_file.refuse_foreign(folder / f"{name}.html")
    for table in (folder / f"{name}.csv", path):
        files.refuse_foreign(table, _SIGN)
    if not path.exists():
        return
    with path.open(encoding="utf-8", newline="") as file:
        written = {row.get("run", "") for row in csv.DictReader(file)}
    others = written - {training.folder.name for training in trainings}
    if others:
        raise TrainingError(
            f"{path} lists {counted(len(others), 'training')} that this command does not include, such as "
            f"{min(others)}; include them, or use another --out"
        )


def write_tables(name: str, table: Sequence[TableRow], folder: Path) -> list[Path]:
    """Write both tables into the study's folder, and return their paths.

    One has the means and standard deviations of each row, the other the scores of each training.
    """
    summary, each = [_summary(line) for line in table], [row for line in table for row in _trainings(line)]
    paths = [folder / f"{name}.csv", _runs_path(name, folder)]
    for path, rows in zip(paths, (summary, each), strict=True):
        files.write_text(path, to_csv(rows))
    return paths


def _runs_path(name: str, folder: Path) -> Path:
    return folder / f"{name}-runs.csv"


def _summary(line: TableRow) -> FrameScores:
    row: dict[str, Any] = {"row": line.row.name, "masks": line.row.masks, "seeds": len(line.results)}
    for measure in MEASURES:
        row[f"{measure}_mean"], row[f"{measure}_spread"] = line.mean(measure), line.spread(measure)
    for measure in DIVISION:
        row[f"{measure}_mean"] = line.mean(measure)
    row["psnr_paper"] = line.row.paper.psnr if line.row.paper else ""
    row["ssim_paper"] = line.row.paper.ssim if line.row.paper else ""
    row["minutes"] = line.seconds / 60  # mean duration of a training
    return row


def _trainings(line: TableRow) -> list[FrameScores]:
    return [
        {
            "row": line.row.name,
            "masks": line.row.masks,
            "seed": result.training.seed,
            **result.means,
            "run": result.training.folder.name,
        }
        for result in line.results
    ]
