"""Recipes: all settings that decide how pairs are made of recordings or photographs."""

import math
from dataclasses import dataclass
from typing import ClassVar

from prep.arrays import Size
from prep.errors import SynthesisError
from prep.synthesis.camera import Camera
from prep.synthesis.cameras import CAMERAS, NONE
from prep.synthesis.scene import HAND, THING
from prep.synthesis.trajectories import Stroke

LIMIT = 3.0  # pixels: frames averaged in steps as long are 46.6 dB from those averaged without a gap (4: 43, 8: 38)


@dataclass(frozen=True, kw_only=True)
class RecordingRecipe:
    """How pairs are made of recordings.

    Attributes:
        shortest, longest: Frames of a window; odd numbers between them are drawn for each.
        stride: Frames from the first of a window to the first of the next; None: windows lie end to end.
        camera: That takes the pairs; its response is the recording's.
        limit: Frames are interpolated where something moves more pixels than this between two; None: never.
        seed: Decides what is drawn.
    """

    kind: ClassVar[str] = "Recipe"  # its name in synthesis.json

    shortest: int = 7
    longest: int = 13
    stride: int | None = None
    camera: Camera = NONE
    limit: float | None = LIMIT
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

    def options(self) -> dict[str, str]:
        """The options of ``cdg-prep synth`` that say the same."""
        return {
            "window": interval((self.shortest, self.longest)),
            "stride": "end to end" if self.stride is None else str(self.stride),
            "interpolate": f"{self.limit or 0:g}",
            **_camera_options(self.camera),
            "seed": str(self.seed),
        }


@dataclass(frozen=True, kw_only=True)
class PhotoRecipe:
    """How pairs are made of photographs.

    Attributes:
        count: Pairs a photograph.
        size: Of the frames; None: 1280 x 720, or as much of it as a photograph has.
        hand: How the camera moves.
        thing: How each thing before it moves.
        things: How many there are: drawn between the two.
        camera: That takes the pairs; its response is the photographs'.
        seed: Decides what is drawn.
    """

    kind: ClassVar[str] = "PhotoRecipe"

    count: int
    size: Size | None = None
    hand: Stroke = HAND
    thing: Stroke = THING
    things: tuple[int, int] = (1, 3)
    camera: Camera = NONE
    seed: int = 0

    def options(self) -> dict[str, str]:
        """The options of ``cdg-prep synth --photos`` that say the same."""
        return {
            "count": str(self.count),
            "size": "1280x720, or all there is" if self.size is None else f"{self.size[1]}x{self.size[0]}",
            "shake": interval((self.hand.shortest, self.hand.longest)),
            "tilt": f"{math.degrees(self.hand.tilt):g}",
            "tremor": f"{self.hand.tremor:g}",
            "roll": f"{self.hand.roll:g}",
            "zoom": f"{self.hand.zoom:g}",
            "region": interval((self.thing.shortest, self.thing.longest)),
            "regions": interval(self.things),
            **_camera_options(self.camera),
            "seed": str(self.seed),
        }


def _camera_options(camera: Camera) -> dict[str, str]:
    return {
        "camera": camera.name,
        "response": camera.response.name,
        "highlights": interval(camera.highlights),
        "colour": next((name for name, other in CAMERAS.items() if _colour(other) == _colour(camera)), "own"),
        "mosaic": "yes" if camera.mosaic else "no",
        "shot-noise": interval(camera.shot),
        "read-noise": interval(camera.read),
        "bits": "no" if camera.bits is None else str(camera.bits),
        "jpeg": "no" if camera.jpeg is None else interval(camera.jpeg),
        "noisy-sharp": "yes" if camera.noisy_sharp else "no",
    }


def _colour(camera: Camera) -> object:
    return camera.matrices, camera.red, camera.blue


def interval(ends: tuple[float, float]) -> str:
    """``7``, ``7-13``: as it is typed."""
    low, high = (f"{end:.6g}" for end in ends)
    return low if low == high else f"{low}-{high}"
