"""Recipes: all settings for making pairs from recordings or photographs."""

import math
from dataclasses import dataclass
from typing import ClassVar

from prep.arrays import Size
from prep.errors import SynthesisError
from prep.synthesis.camera import Camera
from prep.synthesis.cameras import CAMERAS, NONE
from prep.synthesis.scene import HAND, THING
from prep.synthesis.trajectories import Stroke

LIMIT = 3.0  # pixels; averages with these steps agree with averages without gaps to 46.6 dB (4: 43, 8: 38)


@dataclass(frozen=True, kw_only=True)
class RecordingRecipe:
    """How pairs are made from recordings.

    Attributes:
        shortest, longest: Range of the number of frames in a window; an odd number is drawn for each.
        stride: Frames from the start of one window to the start of the next; None: windows are adjacent.
        camera: The simulated camera, with the recording's response.
        limit: Interpolate frames if anything moves more pixels than this from one frame to the next; None: never.
        seed: Random seed.
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
                f"--window {interval((self.shortest, self.longest))} has no middle frame; use odd numbers "
                "from 3, such as 7-13"
            )

    @property
    def lengths(self) -> range:
        """Possible numbers of frames in a window: the odd ones, which have a middle frame."""
        return range(self.shortest + (self.shortest + 1) % 2, self.longest + 1, 2)

    def options(self) -> dict[str, str]:
        """Return the settings as options of ``cdg-prep synth``."""
        return {
            "window": interval((self.shortest, self.longest)),
            "stride": "end to end" if self.stride is None else str(self.stride),
            "interpolate": f"{self.limit or 0:g}",
            **_camera_options(self.camera),
            "seed": str(self.seed),
        }


@dataclass(frozen=True, kw_only=True)
class PhotoRecipe:
    """How pairs are made from photographs.

    Attributes:
        count: Pairs per photograph.
        size: Height and width of the frames; None: 720 and 1280, or the photograph's side if it is smaller.
        hand: Motion of the camera.
        thing: Motion of each piece in front.
        things: Smallest and largest number of pieces.
        camera: The simulated camera, with the photographs' response.
        seed: Random seed.
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
        """Return the settings as options of ``cdg-prep synth --photos``."""
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
    """Write a range as the user types it: ``7``, ``7-13``."""
    low, high = (f"{end:.6g}" for end in ends)
    return low if low == high else f"{low}-{high}"
