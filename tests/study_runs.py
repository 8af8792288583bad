"""Settings of the tests' studies, and how their tables are read."""

import csv
from pathlib import Path

from pipelines.train.settings import TrainingConfig

CONFIG = TrainingConfig(preset="tiny", steps=2, batch=2, crop=32, workers=0, val=())
WORDS = ("--preset", "tiny", "--steps", "2", "--batch", "2", "--crop", "32", "--workers", "0", "--val", "none")


def table(path: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(path.read_text(encoding="utf-8").splitlines()))
