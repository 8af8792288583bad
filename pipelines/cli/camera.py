"""Options for the simulated camera of synthetic pairs: a named camera, and changes to it."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from pipelines.cli.parameters import Range

if TYPE_CHECKING:
    from prep.synthesis.camera import Camera
    from prep.synthesis.response import Response

Command = TypeVar("Command", bound=Callable[..., Any])

_NAMES = ("none", "gopro", "phone", "dslr")
_RESPONSES = ("linear", "gamma", "srgb")
_KEY = "cdgnet.camera"
_OWN = "  [default: that of --camera]"


def _keep(context: click.Context, parameter: click.Parameter, value: object) -> None:
    context.meta.setdefault(_KEY, {})[parameter.name] = value


_option = partial(click.option, callback=_keep, expose_value=False)
_OPTIONS = (
    _option("--camera", type=click.Choice(_NAMES), default="none", show_default=True,
            help="Simulated camera: sensor, noise and response curve. none: a plain average of the frames."),
    _option("--response", metavar="linear|gamma|srgb|FILE",
            help="Curve from light to pixel values: linear (pixel values are light), gamma (2.2), srgb, or a text file "
            f"with the light of each pixel value from black to white, usually 256 numbers in any unit.{_OWN}"),
    _option("--highlights", type=Range("times", 1, 1000, example="1.25-2.75"), metavar="FACTOR",
            help="Brightness of clipped pixels before blurring, as a multiple of white, so that lights leave white "
            f"streaks; 1 to 1000, or a range.{_OWN}"),
    _option("--colour", type=click.Choice(_NAMES), help=f"Colour matrix and white balance of this camera.{_OWN}"),
    _option("--mosaic/--no-mosaic", default=None,
            help=f"Simulate a Bayer sensor, with one colour per pixel, and demosaicing.{_OWN}"),
    _option("--shot-noise", type=Range("variance", 0, 1, example="1e-4-1e-2"), metavar="VARIANCE",
            help=f"Variance of the shot noise at white, where white is 1; 0 to 1, or a range.{_OWN}"),
    _option("--read-noise", type=Range("deviation", 0, 1, example="1e-4-1e-2"), metavar="DEVIATION",
            help=f"Standard deviation of the noise at black, where white is 1; 0 to 1, or a range.{_OWN}"),
    _option("--bits", type=click.IntRange(8, 16), metavar="N", help=f"Bits per value of the sensor.{_OWN}"),
    _option("--jpeg", type=Range("quality", 1, 100, example="70-95", is_whole=True), metavar="QUALITY",
            help="Compress the blurry frames as JPEG, 1 (worst) to 100, or a range.  [default: no JPEG]"),
    _option("--noisy-sharp", is_flag=True, help="Add noise and JPEG compression to the sharp frames too."),
)  # fmt: skip


def camera_options(command: Command) -> Command:
    """Add the options, whose values ``chosen_camera`` reads."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def chosen_camera(context: click.Context) -> "Camera":
    """The camera that the options describe.

    Raises:
        click.ClickException: If a value does not fit.
    """
    from dataclasses import replace

    from prep.synthesis import cameras

    given: dict[str, Any] = context.meta[_KEY]
    camera = replace(cameras.named(given["camera"]), noisy_sharp=given["noisy_sharp"])
    if given["colour"]:
        other = cameras.named(given["colour"])
        camera = replace(camera, matrices=other.matrices, red=other.red, blue=other.blue)
    if given["jpeg"]:
        low, high = (int(end) for end in given["jpeg"])
        camera = replace(camera, jpeg=(low, high))
    if given["response"]:
        camera = replace(camera, response=_response(given["response"]))
    parts = {
        "highlights": given["highlights"],
        "mosaic": given["mosaic"],
        "shot": given["shot_noise"],
        "read": given["read_noise"],
        "bits": given["bits"],
    }
    return replace(camera, **{name: value for name, value in parts.items() if value is not None})


def _response(text: str) -> "Response":
    from prep.errors import SynthesisError
    from prep.synthesis.response import RESPONSES, read_response

    if text in _RESPONSES:
        return RESPONSES[text]
    path = Path(text)
    if not path.is_file():
        known = ", ".join(_RESPONSES)
        raise click.UsageError(f"--response {text} is not a file; use {known}, or a file with a measured curve")
    try:
        return read_response(path)
    except SynthesisError as error:
        raise click.ClickException(str(error)) from error
