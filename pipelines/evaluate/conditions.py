"""The conditions of scoring: everything that affects the scores, as JSON for programs and in words for people."""

import json
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cdgnet import PRETRAINED
from pipelines.errors import EvaluationError
from pipelines.evaluate import division
from pipelines.evaluate.frame_sources import FrameSource
from pipelines.evaluate.lpips import LPIPS
from pipelines.evaluate.no_reference import NoReference
from pipelines.restore import peers, weights_files
from pipelines.restore.weights_files import weights_checksum

_GENERIC = "weights"  # the name that cdg-train gives to the weights of every run
_LONGEST_STEM = 60  # most characters of a weights file's name in a folder name


@dataclass(frozen=True, kw_only=True)
class Conditions:
    """Everything that affects the scores, apart from the frames."""

    weights: Path | None = None  # None if the frames are already restored
    precision: str = "32-true"
    is_ensemble: bool = False
    strength: float = 1.0
    tile: int | None = None  # pixels; None: whole frames, or tiles with the same result
    lpips: LPIPS | None = None
    blind: Sequence[NoReference] = ()  # measures that need no sharp frame

    @property
    def options(self) -> str:
        """The options that change what the network returns, as part of a name; empty if there are none."""
        given = [f"strength {self.strength:g}"] * (self.strength != 1) + ["ensemble"] * self.is_ensemble
        return f" ({', '.join(given)})" if given else ""

    def identity(self, frames: FrameSource) -> dict[str, Any]:
        """Return everything that affects the scores, as stored in ``asked.json``."""
        checksum = weights_checksum(self.weights) if self.weights else None
        identity = {
            **frames.identity,
            "precision": self.precision,
            "weights": checksum,
            "least_share": division.LEAST_SHARE,
        }
        if self.is_ensemble:
            identity["ensemble"] = 8
        if self.strength != 1:
            identity["strength"] = self.strength
        if self._has_seams():
            identity["tile"] = self.tile
        if self.lpips is not None:
            identity["lpips"] = self.lpips.weights
        if self.blind:
            identity["measure"] = {measure.name: measure.origin for measure in self.blind}
        return identity

    def _has_seams(self) -> bool:
        """Return whether frames are cut into tiles that change the result."""
        return self.tile is not None and self.weights is not None and not weights_files.is_ours(self.weights)

    def protocol(self, frames: FrameSource) -> str:
        """Describe how the scores are computed, in one line."""
        rules = [frames.protocol]
        if self.is_ensemble:
            rules.append("mean over the eight orientations of each frame (self-ensemble)")
        if self.strength != 1:
            rules.append(f"the network's change multiplied by {self.strength:g} (--strength)")
        if self._has_seams():
            assert self.tile is not None
            side = self.tile + 2 * peers.HALO
            rules.append(
                f"frames larger than {side} x {side} restored in tiles of {self.tile} pixels with {peers.HALO} around, "
                "which is not the whole"
            )
        if self.lpips is not None:
            rules.append(f"lpips by AlexNet, weights {self.lpips.weights}")
        rules += [f"{measure.name} by {measure.origin}" for measure in self.blind]
        return "; ".join(rules)

    def scores_folder(self, out: Path | None, frames: FrameSource) -> Path:
        """Return the scores folder: ``out``, or a folder of its own for these frames, weights and conditions.

        Its name consists of the frames, the weights file (unless that is called ``weights``: such a file lies in the
        folder of its run) and a checksum of the conditions. If a folder of an earlier release exists, whose name lacks
        the weights file, that folder is used again.

        Raises:
            EvaluationError: If it is inside a folder of frames.
        """
        beside = self.weights.parent if self.weights and self.weights != PRETRAINED else Path()
        end = checksum(self.identity(frames))
        stem = self.weights.stem[:_LONGEST_STEM] if self.weights else ""
        network = f"{stem}-" if stem not in ("", _GENERIC) else ""
        earlier = beside / "eval" / f"{frames.name}-{end}"
        folder = out or (earlier if earlier.exists() else earlier.with_name(f"{frames.name}-{network}{end}"))
        for place in frames.folders:
            if folder.resolve().is_relative_to(place.resolve()):
                raise EvaluationError(
                    f"{folder} is inside {place}, which contains frames; use --out with a folder outside it"
                )
        return folder


def checksum(identity: Mapping[str, Any] | Sequence[str]) -> str:
    """Compute a checksum that distinguishes the folders of different scores or comparisons."""
    return f"{zlib.crc32(json.dumps(identity, sort_keys=True).encode()):08x}"
