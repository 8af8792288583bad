"""``cdg-prep synth``: pairs of one's own recordings or photographs. Loads no torch."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from pipelines.cli.dataset import jobs_option, path_type
from pipelines.cli.entry import example
from pipelines.cli.parameters import FiniteRange, FrameSize, Range
from pipelines.cli.progress import announce_if_slow, track

if TYPE_CHECKING:
    from prep.synthesis.exposure import Exposure, Response
    from prep.synthesis.from_recordings import Clip
    from prep.synthesis.recipes import PhotoRecipe, RecordingRecipe

_EXAMPLE = "cdg-prep synth GOPRO_Large_all clip.mp4 --window 11 --out made"


@click.command("synth", epilog=example(_EXAMPLE))
@click.argument("inputs", nargs=-1, required=True, type=path_type, metavar="VIDEO|DIR...")
@click.option("--out", type=path_type, required=True, metavar="DIR", help="Data set to make, in GoPro's layout.")
@click.option("--window", type=Range("frames", 3), default="7-13", show_default=True, metavar="N|A-B",
              help="Frames averaged for a pair: an odd number, drawn between the two for each.")  # fmt: skip
@click.option(
    "--stride", type=click.IntRange(1), metavar="FRAMES", help="From window to window.  [default: end to end]"
)
@click.option("--response", default="linear", show_default=True, metavar="linear|gamma|FILE",
              help="Codes are averaged as they are, as light under 2.2, or under a measured curve: numbers, the light "
              "of each code from black to white.")  # fmt: skip
@click.option("--interpolate", type=FiniteRange(min=0.25), metavar="PX",
              help="Add frames between where something moves further.  [default: never]")  # fmt: skip
@click.option("--highlights", type=FiniteRange(min=1), default=1.0, show_default=True, metavar="TIMES",
              help="How much brighter than white clipped pixels were: lights leave white streaks.")  # fmt: skip
@click.option("--shot-noise", type=FiniteRange(min=0), default=0.0, show_default=True, metavar="VARIANCE",
              help="Of the noise at white, in units of white squared.")  # fmt: skip
@click.option("--read-noise", type=FiniteRange(min=0), default=0.0, show_default=True, metavar="DEVIATION",
              help="Of the noise at black, in units of white.")  # fmt: skip
@click.option("--test-share", type=click.FloatRange(0, 1), default=0.0, show_default=True, metavar="SHARE",
              help="Of the sources that become the test split, where no folder is called train or test.")  # fmt: skip
@click.option("--photos", is_flag=True, help="Inputs are photographs: shake them before a camera, a region by itself.")
@click.option("--count", type=click.IntRange(1), default=10, show_default=True, metavar="N", help="Pairs a photograph.")
@click.option("--size", type=FrameSize(), default="1280x720", show_default=True, metavar="WIDTHxHEIGHT",
              help="Of the frames cut from photographs.")  # fmt: skip
@click.option("--camera", type=Range("pixels", 0), default="0-15", show_default=True, metavar="A-B",
              help="Pixels that the camera moves before a photograph.")  # fmt: skip
@click.option("--tilt", type=FiniteRange(0, 90), default=90.0, show_default=True, metavar="DEGREES",
              help="How far the camera's motion may be from the horizontal; 90 is any direction.")  # fmt: skip
@click.option("--region", type=Range("pixels", 0), default="5-40", show_default=True, metavar="A-B",
              help="Pixels that the region moves.")  # fmt: skip
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Decides all that is drawn.")
@click.option("--dry-run", is_flag=True, help="Say what would be made, and stop.")
@jobs_option
def synth(
    inputs: tuple[Path, ...],
    out: Path,
    window: tuple[float, float],
    stride: int | None,
    response: str,
    interpolate: float | None,
    highlights: float,
    shot_noise: float,
    read_noise: float,
    test_share: float,
    photos: bool,
    count: int,
    size: tuple[int, int],
    camera: tuple[float, float],
    tilt: float,
    region: tuple[float, float],
    seed: int,
    dry_run: bool,
    jobs: int | None,
) -> None:
    """Make blurry and sharp pairs as GoPro was made, and know the extent of the blur at every pixel.

    Of videos or folders of frames at a high rate: each window is averaged, its middle frame is the sharp one, and flow
    over the window gives the extent. Frames that repeat, scene cuts and gaps are left out. Of photographs, with
    --photos: the motion is drawn, so the extent is exact. The same command goes on where it stopped.
    """
    from prep.synthesis.exposure import Exposure
    from prep.synthesis.motion import Stroke
    from prep.synthesis.recipes import PhotoRecipe, RecordingRecipe

    _refuse_inside(inputs, out)
    exposure = Exposure(response=_response(response), highlights=highlights, shot=shot_noise, read=read_noise)
    if photos:
        _refuse_unused(("window", "stride", "interpolate"), "photographs; leave it out")
        of_camera = Stroke(shortest=camera[0], longest=camera[1], tilt=math.radians(tilt))
        of_region = Stroke(shortest=region[0], longest=region[1], tilt=math.pi / 2)
        photo_recipe = PhotoRecipe(
            count=count, size=size, camera=of_camera, region=of_region, exposure=exposure, seed=seed
        )
        _make_of_photos(inputs, out, photo_recipe, test_share, dry_run=dry_run, jobs=jobs)
        return
    _refuse_unused(("count", "size", "camera", "tilt", "region"), "recordings; pass --photos, or leave it out")
    shortest, longest = (int(end) for end in window)
    recipe = RecordingRecipe(
        shortest=shortest, longest=longest, stride=stride, exposure=exposure, limit=interpolate, seed=seed
    )
    _make_of_recordings(inputs, out, recipe, test_share, dry_run=dry_run, jobs=jobs)


def _make_of_recordings(
    inputs: Sequence[Path], out: Path, recipe: "RecordingRecipe", test_share: float, *, dry_run: bool, jobs: int | None
) -> None:
    from prep.synthesis import from_recordings

    clips = _plan_clips(inputs, out, recipe, test_share, dry_run=dry_run, jobs=jobs)
    for clip in clips:
        click.echo(_describe(clip))
    total = sum(len(clip.windows) for clip in clips)
    if not total:
        raise click.ClickException(
            f"no {recipe.shortest} frames in motion lie behind each other; pass a smaller --window"
        )
    if dry_run:
        click.echo(f"{total} pairs for {out}; nothing done: --dry-run")
        return
    for _ in track(from_recordings.make(clips, recipe, jobs or -1), total, f"make {out}"):
        pass
    _print_result(out, total, recipe.exposure)


def _plan_clips(
    inputs: Sequence[Path], out: Path, recipe: "RecordingRecipe", test_share: float, *, dry_run: bool, jobs: int | None
) -> "list[Clip]":
    """Look through the recordings and plan their windows; a dry run leaves nothing in ``out``."""
    import tempfile

    from prep.synthesis import from_recordings, output, recordings

    with announce_if_slow("looking for recordings"):
        recorded = recordings.find(inputs)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) if dry_run else out
        unassigned = [recording.name for recording in recorded if not recording.split]
        splits = output.begin(folder, recipe, unassigned, test_share)
        surveyed = recordings.survey(recorded, (out if out.exists() else folder) / "survey", jobs or -1)
        surveys = list(track(surveyed, len(recorded), "look through"))
        return from_recordings.plan(recorded, surveys, recipe, out, splits)


def _make_of_photos(
    inputs: Sequence[Path], out: Path, recipe: "PhotoRecipe", test_share: float, *, dry_run: bool, jobs: int | None
) -> None:
    from prep.synthesis import from_photos, output, recordings

    photos = from_photos.find(inputs)
    total = recipe.count * len(photos)
    if dry_run:
        click.echo(f"{total} pairs of {len(photos)} photographs for {out}; nothing done: --dry-run")
        return
    unassigned = [name for name, path in photos.items() if not recordings.split_of(path.parent)]
    splits = output.begin(out, recipe, unassigned, test_share)
    for _ in track(from_photos.make(photos, recipe, out, splits, jobs or -1), total, f"make {out}"):
        pass
    _print_result(out, total, recipe.exposure)


def _describe(clip: "Clip") -> str:
    """One line: the clip's frames, what of them is left out, and its pairs."""
    from prep.datasets.layouts import counted

    survey = clip.survey
    left_out = [
        counted(number, name)
        for number, name in (
            (len(survey.cuts), "cut"),
            (len(survey.gaps), "gap"),
            (len(survey.repeated), "repeated frame"),
        )
        if number
    ]
    without = f", {' and '.join(left_out)} left out" if left_out else ""
    pairs = counted(len(clip.windows), "pair")
    return f"{clip.folder.parent.name}/{clip.recording.name}: {survey.count} frames{without}: {pairs}"


def _print_result(out: Path, total: int, exposure: "Exposure") -> None:
    from prep.synthesis import output

    variant = output.variant(exposure)
    option = "" if variant == "blur" else f" --variant {variant}"
    click.echo(
        f"{total} pairs in {out}; cdg-prep masks --root {out}{option} --method extent makes masks of their extents"
    )


def _response(text: str) -> "Response":
    from prep.errors import SynthesisError
    from prep.synthesis.exposure import GAMMA, LINEAR, read_response

    if text in ("linear", "gamma"):
        return LINEAR if text == "linear" else GAMMA
    path = Path(text)
    if not path.is_file():
        raise click.UsageError(f"--response {text} is no file; pass linear, gamma, or a file with a measured curve")
    try:
        return read_response(path)
    except SynthesisError as error:
        raise click.ClickException(str(error)) from error


def _refuse_inside(inputs: Sequence[Path], out: Path) -> None:
    for place in inputs:
        if place.is_dir() and out.resolve().is_relative_to(place.resolve()):
            raise click.ClickException(f"{out} lies inside {place}, which is read; pass an --out elsewhere")


def _refuse_unused(names: Sequence[str], what: str) -> None:
    context = click.get_current_context()
    for name in names:
        if context.get_parameter_source(name) is click.core.ParameterSource.COMMANDLINE:
            raise click.UsageError(f"--{name.replace('_', '-')} is not for {what}")
