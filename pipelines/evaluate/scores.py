"""Scenes -> a row an image -> summary, under the conventions of record.

Whole frames, RGB, rounded to 8 bits, a score an image, then the mean over images; blurry and restored side by side. A
scores folder holds ``asked.json``, what decides the scores; ``scores.jsonl``, a row an image as they come, so that a
killed run goes on; and at the end ``results.csv`` and ``results.json``.
"""

import csv
import hashlib
import io
import json
import math
import time
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader

from cdgnet import psnr, ssim, ssim_matlab3d, to_bytes
from pipelines.errors import EvaluationError
from pipelines.evaluate import by_extent
from pipelines.evaluate.cost import device_name
from pipelines.evaluate.frame_sources import Scene, Scenes
from pipelines.evaluate.lpips import Perceptual
from pipelines.packs import to_range
from pipelines.restore.restorer import Restorer
from pipelines.timing import wait_for
from pipelines.workers import batches_of
from prep.datasets import layouts
from prep.io import files

MEASURES = ("psnr", "ssim", "ssim_matlab3d", "psnr_m1", "psnr_m0", "lpips")
LEGEND = {
    "psnr": "dB, RGB, 8 bit",
    "ssim": "scikit-image, Gaussian 11 x 11, sigma 1.5, mean of the channels",
    "ssim_matlab3d": "MATLAB's ssim on an RGB array: 11 x 11 x 11",
    "psnr_m1": "psnr where M = 1 (small blur); empty where there is no such pixel",
    "psnr_m0": "psnr where M = 0 (large blur)",
    "lpips": "AlexNet, version 0.1, by torchmetrics; lower is better",
}
Row = Mapping[str, Any]  # key, measures; of a network seconds; where blur's extent is known the errors by it

_NO_COLUMNS = ("seconds", "extents")  # of a table

_FORMAT, _VERSION = "cdgnet-scores", 1
_RESAMPLES = 10_000
_VALUES = {None: math.nan, "inf": math.inf, "-inf": -math.inf}  # as JSON has them
_FEWEST = 5  # sequences that an interval can be drawn from


def begin(folder: Path, asked: Mapping[str, Any]) -> dict[str, Row]:
    """Open a scores folder; gives the rows that it holds already, by key.

    Args:
        folder: Made where it is not there.
        asked: What decides the scores, as JSON.

    Raises:
        EvaluationError: If it holds scores of something else, or is no scores folder.
    """
    path = folder / "asked.json"
    wanted = json.loads(json.dumps({"format": _FORMAT, "version": _VERSION, **asked}))
    if not path.exists():
        if folder.exists() and any(folder.iterdir()):
            raise EvaluationError(f"{folder} holds other files; pass another --out")
        files.write_text(path, json.dumps(wanted, indent=1) + "\n")
        return {}
    try:
        held = json.loads(path.read_text(encoding="utf-8"))
        rows = files.read_rows(folder / "scores.jsonl") if (folder / "scores.jsonl").exists() else []
    except ValueError as error:
        raise EvaluationError(f"{folder} is damaged ({error}); remove it, or pass another --out") from error
    if held != wanted:
        names = sorted(name for name in {*held, *wanted} if held.get(name) != wanted.get(name))
        raise EvaluationError(f"{folder} holds scores of another {', '.join(names)}; pass another --out")
    return {row["key"]: {name: _VALUES.get(value, value) for name, value in row.items()} for row in rows}


def evaluate(
    scenes: Scenes,
    folder: Path,
    done: Mapping[str, Row],
    restorer: Restorer | None,
    workers: int = 0,
    perceptual: Perceptual | None = None,
) -> Iterator[Row]:
    """Score the scenes that are not done, one row a frame, each on disk before it is given.

    Args:
        scenes: What to score.
        folder: From ``begin``.
        done: Rows that are there.
        restorer: Of a trained network; None where the scenes bring results.
        workers: Processes that read frames and make masks.
        perceptual: Adds LPIPS.

    Raises:
        DataError: If a process that reads was killed.
        ReadError: If a frame cannot be read.
        EvaluationError: If two pictures of a frame differ in size.
    """
    left = [number for number, key in enumerate(scenes.keys) if key not in done]
    loader = DataLoader(scenes, batch_size=None, sampler=left, num_workers=workers, collate_fn=_as_it_is)
    device = restorer.device if restorer else torch.device("cpu")
    for scene in batches_of(loader):
        if restorer is None:
            row = score(scene, scene.restored, device, perceptual)
        else:
            begun = time.perf_counter()
            restored = to_bytes(restorer(to_range(scene.blurry[None])))[0]
            wait_for(device)
            row = {**score(scene, restored, device, perceptual), "seconds": time.perf_counter() - begun}
        files.append_rows(folder / "scores.jsonl", [finite(row)])
        yield row


def _as_it_is(scene: Any) -> Any:
    return scene


def score(scene: Scene, restored: Tensor, device: torch.device, perceptual: Perceptual | None = None) -> Row:
    """All measures of one frame; ``restored`` is ``(3, H, W)`` uint8."""
    row: dict[str, Any] = {"key": scene.key}
    sharp = scene.sharp[None].to(device)
    mask = None if scene.mask is None else scene.mask[None].to(device)
    if scene.mask is not None:
        row["mask_share"] = float(scene.mask.float().mean())
    for suffix, picture in (("_blurry", scene.blurry), ("", restored)):
        if picture is None:
            continue
        found = picture[None].to(device)
        row["psnr" + suffix] = float(psnr(found, sharp))
        row["ssim" + suffix] = float(ssim(found, sharp))
        row["ssim_matlab3d" + suffix] = float(ssim_matlab3d(found, sharp))
        if mask is not None:
            row["psnr_m1" + suffix] = float(psnr(found, sharp, mask))
            row["psnr_m0" + suffix] = float(psnr(found, sharp, 1 - mask))
        if perceptual is not None:
            row["lpips" + suffix] = perceptual(picture, scene.sharp)
    if scene.extent is not None:
        row["extents"] = by_extent.squares(scene.extent, scene.sharp, [scene.blurry, restored.cpu()])
    return row


def columns(row: Row) -> list[str]:
    """The measures that a row has, blurry before restored."""
    return [name for measure in MEASURES for name in (measure + "_blurry", measure) if name in row]


def mean(rows: Sequence[Row]) -> dict[str, float]:
    """Means over images of every measure; an image without a pixel of a component does not count in its mean."""
    means = {}
    for name in columns(rows[0]):
        values = [float(row[name]) for row in rows if not math.isnan(float(row[name]))]
        means[name] = sum(values) / len(values) if values else math.nan
    return means


def by_sequence(rows: Sequence[Row]) -> dict[str, dict[str, float]]:
    """The means of each clip; empty where frames belong to none."""
    clips: dict[str, list[Row]] = {}
    for row in rows:
        clips.setdefault(layouts.sequence(str(row["key"])), []).append(row)
    return {} if set(clips) == {""} else {clip: mean(held) for clip, held in sorted(clips.items())}


def author_frames(keys: Sequence[str]) -> list[str]:
    """The 30 frames a clip that the author of VideoDeblurring scored: floor(linspace(2, 97, 30)), counted from 1.

    Source: Su et al. 2017, as their code has it; that it counts from 1 is likely, not certain.
    """
    clips: dict[str, list[str]] = {}
    for key in sorted(keys):
        clips.setdefault(layouts.sequence(key), []).append(key)
    places = np.floor(np.linspace(2, 97, 30)).astype(int) - 1
    return [held[place] for held in clips.values() for place in places if place < len(held)]


@dataclass(frozen=True, kw_only=True)
class Interval:
    """Of a mean over images, 95 %."""

    low: float
    high: float
    of: str  # what was drawn: sequences, or frames


def interval(rows: Sequence[Row], values: Sequence[float]) -> Interval:
    """Where the mean would lie for other frames of the kind, by bootstrap.

    Whole sequences are drawn, since frames of one are alike; frames where there are fewer than five sequences, and the
    interval is then too narrow. The same draw each time.

    Args:
        rows: Name the sequences.
        values: One a row; NaN counts nowhere.

    Source: Efron & Tibshirani 1993, An introduction to the bootstrap, section 13.3 (percentiles).
    """
    names = [layouts.sequence(str(row["key"])) for row in rows]
    is_clustered = len(set(names)) >= _FEWEST
    _, places = np.unique(names if is_clustered else [str(row["key"]) for row in rows], return_inverse=True)
    of = "sequences" if is_clustered else "frames"
    scores = np.asarray(values, np.float64)
    known = ~np.isnan(scores)
    if not known.any() or np.isinf(scores).any():  # equal pictures: their score is infinite
        return Interval(low=math.nan, high=math.nan, of=of)
    sums = np.bincount(places[known], scores[known], minlength=places.max() + 1)
    counts = np.bincount(places[known], minlength=places.max() + 1)
    drawn = np.random.default_rng(0).multinomial(len(sums), np.full(len(sums), 1 / len(sums)), _RESAMPLES)
    totals = drawn @ counts
    means = (drawn @ sums)[totals > 0] / totals[totals > 0]
    low, high = np.percentile(means, (2.5, 97.5))
    return Interval(low=float(low), high=float(high), of=of)


@dataclass(frozen=True, kw_only=True)
class Difference:
    """Between two sets of scores of the same frames, measure by measure: this one less the other."""

    means: Mapping[str, float]
    intervals: Mapping[str, Interval]
    higher: Mapping[str, int]  # in so many frames
    frames: int


def against(rows: Sequence[Row], other: Mapping[str, Row]) -> Difference:
    """Compare restored frames with those of another set, frame by frame.

    Raises:
        EvaluationError: If the other set lacks a frame.
    """
    missing = [str(row["key"]) for row in rows if row["key"] not in other]
    if missing:
        raise EvaluationError(f"the other scores hold no {missing[0]} ({len(missing)} missing); score the same frames")
    shared = [name for name in MEASURES if name in rows[0] and name in other[str(rows[0]["key"])]]
    gains = {name: [float(row[name]) - float(other[str(row["key"])][name]) for row in rows] for name in shared}
    return Difference(
        means={name: float(np.nanmean(values)) for name, values in gains.items()},
        intervals={name: interval(rows, values) for name, values in gains.items()},
        higher={name: sum(value > 0 for value in values) for name, values in gains.items()},
        frames=len(rows),
    )


def read(folder: Path) -> dict[str, Row]:
    """The rows of a scores folder by key, or of a ``results.csv`` of ours.

    Raises:
        EvaluationError: If it is neither.
    """
    path = folder / "results.csv" if folder.is_dir() else folder
    try:
        with path.open(encoding="utf-8", newline="") as file:
            found = list(csv.DictReader(file))
        numbers = [{name: float(value or "nan") for name, value in row.items() if name != "key"} for row in found]
        rows: list[Row] = [{"key": row["key"], **values} for row, values in zip(found, numbers, strict=True)]
    except (OSError, KeyError, ValueError, TypeError) as error:
        raise EvaluationError(
            f"{path} holds no scores of cdg-eval ({error}); pass its folder or results.csv"
        ) from error
    return {str(row["key"]): row for row in rows if row["key"] != "mean"}


def checksum(weights: Path) -> str:
    """SHA-256 of a file."""
    with weights.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def mark(asked: Mapping[str, Any]) -> str:
    """A name for what decides scores, so that those of other weights go elsewhere."""
    return f"{zlib.crc32(json.dumps(asked, sort_keys=True).encode()):08x}"


def summary(
    rows: Sequence[Row],
    scenes: Scenes,
    restorer: Restorer | None,
    weights: Path | None,
    difference: Difference | None = None,
    cost: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """What ``results.json`` says besides the rows: means, intervals, and all that a reader must know of them."""
    is_author = scenes.protocol.startswith("videodeblurring")
    chosen = set(author_frames([str(row["key"]) for row in rows])) if is_author else set()
    alone = [row for row in rows if row["key"] in chosen]
    return {
        "protocol": scenes.protocol,
        "legend": {measure: LEGEND[measure] for measure in MEASURES if measure in rows[0]},
        "frames": len(rows),
        "mean": mean(rows),
        "interval": {name: asdict(interval(rows, [float(row[name]) for row in rows])) for name in columns(rows[0])},
        "sequences": by_sequence(rows),
        "author_frames": {"frames": len(alone), **mean(alone)} if alone else {},
        "against": asdict(difference) if difference else {},
        "by_extent": {"known_from": scenes.extents, "ranges": by_extent.pooled(rows)} if scenes.extents else {},
        "weights": {"file": weights.name, "sha256": checksum(weights)} if weights else {},
        "cost": cost or {},
        "device": device_name(restorer),
        "precision": restorer.fabric.strategy.precision.precision if restorer else "as the pictures are",
        "versions": {name: metadata.version(name) for name in ("cdgnet", "torch", "numpy")},
    }


def write(folder: Path, rows: Sequence[Row], about: Mapping[str, Any]) -> None:
    """Write ``results.csv`` and ``results.json``."""
    write_csv(folder / "results.csv", rows)
    files.write_text(folder / "results.json", json.dumps(finite({**about, "rows": rows}), indent=1) + "\n")


def finite(value: Any) -> Any:
    """JSON knows no NaN and no infinity: a score that does not exist is null, an infinite one a word."""
    if isinstance(value, Mapping):
        return {name: finite(part) for name, part in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [finite(part) for part in value]
    if isinstance(value, float) and math.isnan(value):
        return None
    return ("inf" if value > 0 else "-inf") if isinstance(value, float) and math.isinf(value) else value


def write_csv(path: Path, rows: Sequence[Row]) -> None:
    """Write the rows and their mean; a score that does not exist is an empty field."""
    files.write_text(path, to_csv([*rows, {"key": "mean", **mean(rows)}]))


def to_csv(rows: Sequence[Row]) -> str:
    """Rows under the names of the first one's fields; NaN is an empty field."""
    text = io.StringIO()
    names = [name for name in rows[0] if name not in _NO_COLUMNS]
    writer = csv.DictWriter(text, fieldnames=names, lineterminator="\n", extrasaction="ignore")
    writer.writeheader()
    for row in rows:
        writer.writerow({name: "" if value != value else value for name, value in row.items()})
    return text.getvalue()
