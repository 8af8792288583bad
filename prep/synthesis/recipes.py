"""Recipes: all settings that decide how pairs are made of recordings or photographs."""

from dataclasses import dataclass
from typing import ClassVar

from prep.arrays import Size
from prep.errors import SynthesisError
from prep.synthesis.exposure import PLAIN, Exposure
from prep.synthesis.motion import Stroke


@dataclass(frozen=True, kw_only=True)
class RecordingRecipe:
    """How pairs are made of recordings.

    Attributes:
        shortest, longest: Frames of a window; odd numbers between them are drawn for each.
        stride: Frames from the first of a window to the first of the next; None: windows lie end to end.
        exposure: How they are averaged.
        limit: Frames are interpolated where something moves more pixels than this between two; None: never.
        seed: Decides what is drawn.
    """

    kind: ClassVar[str] = "Recipe"  # its name in synthesis.json

    shortest: int = 7
    longest: int = 13
    stride: int | None = None
    exposure: Exposure = PLAIN
    limit: float | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        if self.shortest < 3 or self.shortest > self.longest or not self.lengths:
            raise SynthesisError(
                f"a window of {self.shortest} to {self.longest} frames has no middle one; pass odd numbers, as 7-13"
            )

    @property
    def lengths(self) -> range:
        """Of windows: the odd numbers, which have a middle frame."""
        return range(self.shortest + (self.shortest + 1) % 2, self.longest + 1, 2)


@dataclass(frozen=True, kw_only=True)
class PhotoRecipe:
    """How pairs are made of photographs."""

    kind: ClassVar[str] = "PhotoRecipe"

    count: int  # pairs a photograph
    size: Size
    camera: Stroke
    region: Stroke
    exposure: Exposure = PLAIN
    seed: int = 0
