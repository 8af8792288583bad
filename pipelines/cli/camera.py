"""Options that say what camera takes synthetic pairs: one of the named ones, with parts of one's own."""

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
_OWN = "  [default: the camera's]"


def _keep(context: click.Context, parameter: click.Parameter, value: object) -> None:
    context.meta.setdefault(_KEY, {})[parameter.name] = value


_option = partial(click.option, callback=_keep, expose_value=False)
_OPTIONS = (
    _option("--camera", type=click.Choice(_NAMES), default="none", show_default=True,
            help="Camera that takes the pairs, with its sensor, noise and response; none averages."),
    _option("--response", metavar="linear|gamma|srgb|FILE",
            help="Light of a code: the code itself, its power of 2.2, sRGB's, or a measured curve: a text file of the "
            f"light of each code from black to white, usually 256 numbers in any unit.{_OWN}"),
    _option("--highlights", type=Range("times", 1, 1000, example="1.25-2.75"), metavar="A-B",
            help=f"Factor by which clipped pixels were brighter than white, so that lights leave white streaks.{_OWN}"),
    _option("--colour", type=click.Choice(_NAMES), help=f"Colour matrix and white balance of a camera.{_OWN}"),
    _option("--mosaic/--no-mosaic", default=None,
            help=f"Whether a pixel of the sensor sees one colour (Bayer), or three.{_OWN}"),
    _option("--shot-noise", type=Range("variance", 0, 1, example="1e-4-1e-2"), metavar="A-B",
            help=f"Variance of the noise at the sensor's white, in units of that white.{_OWN}"),
    _option("--read-noise", type=Range("deviation", 0, 1, example="1e-4-1e-2"), metavar="A-B",
            help=f"Standard deviation of the noise in the dark, in the same units.{_OWN}"),
    _option("--bits", type=click.IntRange(8, 16), metavar="N", help=f"Bits of the sensor's codes.{_OWN}"),
    _option("--jpeg", type=Range("quality", 1, 100, example="70-95", is_whole=True), metavar="A-B",
            help="JPEG quality of the blurry frame.  [default: no JPEG]"),
    _option("--noisy-sharp", is_flag=True, help="Noise, and JPEG, on the sharp frame too."),
)  # fmt: skip


def camera_options(command: Command) -> Command:
    """Add the options; their values are for ``chosen_camera``."""
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
        raise click.UsageError(f"--response {text} is no file; pass {known}, or a file with a measured curve")
    try:
        return read_response(path)
    except SynthesisError as error:
        raise click.ClickException(str(error)) from error
