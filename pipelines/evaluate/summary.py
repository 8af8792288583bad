"""The summary of an evaluation: means, intervals, and the facts needed to interpret them."""

import math
from collections.abc import Sequence
from dataclasses import asdict
from importlib import metadata
from pathlib import Path
from typing import Any

import torch

from cdgnet.metrics import PSNR_CEILING
from pipelines.evaluate import by_extent, division
from pipelines.evaluate.candidates import Candidate
from pipelines.evaluate.cost import measure_cost
from pipelines.evaluate.frame_sources import MEASURED, FrameSource
from pipelines.evaluate.measures import LEGEND, FrameScores, columns, measures_of
from pipelines.evaluate.statistics import author_frames, bootstrap_interval, mean_scores, sequence_means
from pipelines.restore.networks import name_of
from pipelines.restore.peers import PeerNetwork
from pipelines.restore.restorer import Restorer
from pipelines.restore.weights_files import weights_checksum
from pipelines.timing import device_name

_TABLE_1_FRAMES = 1111  # frames of GoPro's test split, for which the paper's Table 1 holds


def summarise(rows: Sequence[FrameScores], frames: FrameSource, candidate: Candidate) -> dict[str, Any]:
    """Compute what ``results.json`` contains in addition to the rows.

    Args:
        rows: The rows of all frames, at least one.
        frames: The scored frames.
        candidate: The candidate that restored them.
    """
    conditions, restorer = candidate.conditions, candidate.restorer
    protocol, weights = conditions.protocol(frames), conditions.weights
    keys = [str(row["key"]) for row in rows]
    chosen = set(author_frames(keys)) if protocol.startswith("videodeblurring") and not frames.is_aligned else set()
    author_rows = [row for row in rows if row["key"] in chosen]
    ranges = (
        by_extent.psnr_by_extent(rows, are_measured=frames.extent_source == MEASURED) if frames.extent_source else []
    )
    peak = max(_of_rows(rows, "peak_megabytes"), default=None)
    is_whole_table = len(rows) == _TABLE_1_FRAMES and not frames.is_aligned
    return {
        "name": candidate.name,
        "protocol": protocol,
        "scored": frames.scored,
        "legend": {
            measure: LEGEND[measure] + _note_of_missing(rows, measure) + _note_of_equals(rows, measure, frames.scored)
            for measure in measures_of(rows[0])
        },
        "frames": len(rows),
        "quotes_table_1": protocol.startswith("gopro blur test: ") and is_whole_table,
        "mean": mean_scores(rows),
        "interval": {
            name: asdict(bootstrap_interval(keys, [float(row[name]) for row in rows])) for name in columns(rows[0])
        },
        "sequences": sequence_means(rows),
        "author_frames": {"frames": len(author_rows), **mean_scores(author_rows)} if author_rows else {},
        "division": {name: mean for name, mean in mean_scores(rows).items() if name in division.MEASURES},
        "by_extent": {"known_from": frames.extent_source, "ranges": ranges} if frames.extent_source else {},
        "weights": _describe(weights, restorer) if weights and restorer else {},
        "cost": measure_cost(restorer, _of_rows(rows, "seconds"), peak, frames.size()) if restorer else {},
        "device": device_name(restorer.device if restorer else torch.device("cpu")),
        "precision": restorer.fabric.strategy.precision.precision if restorer else "as the pictures are",
        "versions": {name: metadata.version(name) for name in _libraries(restorer)},
    }


def _libraries(restorer: Restorer | None) -> tuple[str, ...]:
    """Return the names of the libraries that the scores may depend on."""
    is_peer = restorer is not None and isinstance(restorer.network, PeerNetwork)
    return ("cdgnet", "torch", "numpy", *(("spandrel", "spandrel_extra_arches") if is_peer else ()))


def _describe(weights: Path, restorer: Restorer) -> dict[str, str]:
    return {"file": weights.name, "sha256": weights_checksum(weights), "network": name_of(restorer.network)}


def _note_of_missing(rows: Sequence[FrameScores], measure: str) -> str:
    """Return a note of how many frames have a measure; empty if all have it, or none."""
    count = sum(not math.isnan(value) for value in _of_rows(rows, measure))
    return "" if count in (0, len(rows)) else f"; {count} of {len(rows)} frames have it"


def _note_of_equals(rows: Sequence[FrameScores], measure: str, scored: str) -> str:
    """Return a note of how many frames have the PSNR of equal pictures; empty if none, or for other measures."""
    notes = []
    for name, kind in ((f"{measure}_blurry", "blurry"), (measure, scored)):
        if measure.startswith("psnr") and (count := sum(value >= PSNR_CEILING for value in _of_rows(rows, name))):
            notes.append(f"{count} of {len(rows)} {kind} frames")
    if not notes:
        return ""
    return f"; {' and '.join(notes)} equal the sharp frame, or almost, and count as {PSNR_CEILING:.0f} dB"


def _of_rows(rows: Sequence[FrameScores], name: str) -> list[float]:
    return [float(row[name]) for row in rows if name in row]
