"""``cdg-prep synth``: pairs of one's own recordings or photographs. Loads no torch."""

import math
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

import click

from pipelines.cli.camera import camera_options, chosen_camera
from pipelines.cli.dataset import jobs_option, path_type
from pipelines.cli.entry import example
from pipelines.cli.parameters import FiniteRange, FrameSize, Range
from pipelines.cli.progress import announce_if_slow, track
from prep.units import counted

if TYPE_CHECKING:
    from prep.synthesis.from_recordings import Clip
    from prep.synthesis.recipes import PhotoRecipe, RecordingRecipe

_EXAMPLE = "cdg-prep synth GOPRO_Large_all clip.mp4 --window 11 --camera phone --out made"
_FARTHEST = 200  # pixels: a map of extents ends at 256
_SLOW = 100  # frames a second: 7 of them last a fourteenth of a second
_FINEST = 0.25  # pixels between interpolated frames: a finer step adds nothing that can be seen
_OF_RECORDINGS = ("window", "stride", "interpolate")
_OF_PHOTOS = ("count", "size", "shake", "tilt", "tremor", "roll", "zoom", "region", "regions")


def _check_step(_: click.Context, __: click.Parameter, step: float) -> float:
    """``--interpolate``, which may be 0."""
    if 0 < step < _FINEST:
        raise click.UsageError(f"--interpolate {step:g}: wanted 0 for never, or pixels from {_FINEST:g} on")
    return step


@click.command("synth", epilog=example(_EXAMPLE))
@click.argument("inputs", nargs=-1, required=True, type=path_type, metavar="VIDEO|DIR...")
@click.option("--out", type=path_type, required=True, metavar="DIR", help="Data set to make, in GoPro's layout.")
@click.option("--window", type=Range("frames", 3, is_whole=True), default="7-13", show_default=True, metavar="N|A-B",
              help="Recordings: frames averaged for a pair; an odd number is drawn for each.")  # fmt: skip
@click.option("--stride", type=click.IntRange(1), metavar="FRAMES",
              help="Recordings: frames from window to window.  [default: end to end]")  # fmt: skip
@click.option("--interpolate", type=FiniteRange(min=0), callback=_check_step, default=3.0, show_default=True,
              metavar="PX", help="Recordings: add frames between where something moves further than this, since gaps "
              "show in the blur. 0: never, as GoPro was made.")  # fmt: skip
@click.option("--photos", is_flag=True, help="Inputs are photographs.")
@click.option("--count", type=click.IntRange(1, 1_000_000), default=10, show_default=True, metavar="N",
              help="Photographs: pairs of each.")  # fmt: skip
@click.option("--size", type=FrameSize(), metavar="WIDTHxHEIGHT",
              help="Photographs: size of the frames.  [default: 1280x720, or all there is]")  # fmt: skip
@click.option("--shake", type=Range("pixels", 0, _FARTHEST), default="0-15", show_default=True, metavar="A-B",
              help="Photographs: extent of the blur by the camera's shift, in pixels.")  # fmt: skip
@click.option("--tilt", type=FiniteRange(0, 90), default=90.0, show_default=True, metavar="DEGREES",
              help="Photographs: largest angle between the camera's motion and the horizontal.")  # fmt: skip
@click.option("--tremor", type=FiniteRange(0, 1), default=1.0, show_default=True, metavar="PART",
              help="Photographs: how unsteady motion may be. 0: straight strokes; 1: a hand's paths too.")  # fmt: skip
@click.option("--roll", type=FiniteRange(0, _FARTHEST), default=8.0, show_default=True, metavar="PX",
              help="Photographs: largest extent of the blur by turning, in the corners.")  # fmt: skip
@click.option("--zoom", type=FiniteRange(0, _FARTHEST), default=4.0, show_default=True, metavar="PX",
              help="Photographs: the same by moving nearer or away.")  # fmt: skip
@click.option("--region", type=Range("pixels", 0, _FARTHEST), default="5-40", show_default=True, metavar="A-B",
              help="Photographs: extent of the blur of things that move before them, in pixels.")  # fmt: skip
@click.option("--regions", type=Range("things", 0, 20, is_whole=True), default="1-3", show_default=True, metavar="A-B",
              help="Photographs: number of things before them.")  # fmt: skip
@camera_options
@click.option("--test-share", type=FiniteRange(0, 1), default=0.0, show_default=True, metavar="SHARE",
              help="Share of the sources for the test split, where no folder is called train or test.")  # fmt: skip
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Decides all that is drawn.")
@click.option("--dry-run", is_flag=True, help="Say what would be made, and stop.")
@jobs_option
@click.pass_context
def synth(
    context: click.Context,
    inputs: tuple[Path, ...],
    out: Path,
    window: tuple[float, float],
    stride: int | None,
    interpolate: float,
    photos: bool,
    count: int,
    size: tuple[int, int] | None,
    shake: tuple[float, float],
    tilt: float,
    tremor: float,
    roll: float,
    zoom: float,
    region: tuple[float, float],
    regions: tuple[float, float],
    test_share: float,
    seed: int,
    dry_run: bool,
    jobs: int | None,
) -> None:
    """Make blurry and sharp pairs whose blur is known at every pixel.

    Recordings are videos or folders of frames at a high rate: each window of frames is averaged, its middle frame is
    the sharp one, and optical flow gives the extent of the blur. Photographs (--photos) are shaken, and things cut out
    of them move before them: the extent is exact. --camera adds what a camera does. The same command resumes.
    """
    from prep.synthesis import output
    from prep.synthesis.recipes import PhotoRecipe, RecordingRecipe
    from prep.synthesis.trajectories import Stroke

    _refuse_inside(inputs, out)
    context.with_resource(nullcontext() if dry_run else output.held(out))
    camera = chosen_camera(context)
    if photos:
        _refuse_unused(_OF_RECORDINGS, "photographs; leave it out")
        photo_recipe = PhotoRecipe(
            count=count,
            size=size,
            hand=Stroke(
                shortest=shake[0], longest=shake[1], tilt=math.radians(tilt), tremor=tremor, roll=roll, zoom=zoom
            ),
            thing=Stroke(shortest=region[0], longest=region[1], tremor=tremor, roll=roll, zoom=zoom),
            things=(int(regions[0]), int(regions[1])),
            camera=camera,
            seed=seed,
        )
        _make_of_photos(inputs, out, photo_recipe, test_share, dry_run=dry_run, jobs=jobs)
        return
    _refuse_unused(_OF_PHOTOS, "recordings; pass --photos, or leave it out")
    recipe = RecordingRecipe(
        shortest=int(window[0]),
        longest=int(window[1]),
        stride=stride,
        camera=camera,
        limit=interpolate or None,
        seed=seed,
    )
    _make_of_recordings(inputs, out, recipe, test_share, dry_run=dry_run, jobs=jobs)


def _make_of_recordings(
    inputs: Sequence[Path], out: Path, recipe: "RecordingRecipe", test_share: float, *, dry_run: bool, jobs: int | None
) -> None:
    from prep.synthesis import from_recordings

    clips = _plan_clips(inputs, out, recipe, test_share, dry_run=dry_run, jobs=jobs)
    for clip in clips:
        click.echo(_describe(clip))
    _warn_of_slow(clips, recipe)
    total = sum(len(clip.windows) for clip in clips)
    if not total:
        raise click.ClickException(
            f"no {recipe.shortest} frames in motion lie behind each other; pass a smaller --window"
        )
    if dry_run:
        click.echo(f"{total} pairs for {out}; nothing done: --dry-run")
        return
    parts = [made.parts for made in track(from_recordings.make(clips, recipe, jobs or -1), total, f"make {out}")]
    _print_result(out, total)
    made, interpolated = (sum(part > least for part in parts) for least in (0, 1))
    if interpolated:
        click.echo(
            f"frames were interpolated for {interpolated} of {made} pairs, up to {max(parts) - 1} between two: things "
            f"moved further than {recipe.limit:g} pixels (--interpolate)"
        )


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
        _warn_of_no_test(splits, test_share)
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
        pairs, sources = counted(total, "pair"), counted(len(photos), "photograph")
        click.echo(f"{pairs} of {sources} for {out}; nothing done: --dry-run")
        return
    unassigned = [name for name, path in photos.items() if not recordings.split_of(path.parent)]
    splits = output.begin(out, recipe, unassigned, test_share)
    _warn_of_no_test(splits, test_share)
    for _ in track(from_photos.make(photos, recipe, out, splits, jobs or -1), total, f"make {out}"):
        pass
    _print_result(out, total)


def _describe(clip: "Clip") -> str:
    """One line: the clip's frames, what of them is left out, and its pairs."""

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


def _warn_of_no_test(splits: Mapping[str, str], test_share: float) -> None:
    """Sources are split whole: a share may come to none."""
    from prep.datasets.layouts import source

    if test_share and not splits:
        click.echo(
            "--test-share decides nothing: every source lies in a folder called train or test, which is its split",
            err=True,
        )
    elif test_share and "test" not in splits.values():
        sources = counted(len({source("gopro", f"{name}/") for name in splits}), "source")
        click.echo(
            f"there is no test split: --test-share {test_share:g} of {sources} rounds to none; pass more sources, or "
            "a larger share",
            err=True,
        )


def _warn_of_slow(clips: "Sequence[Clip]", recipe: "RecordingRecipe") -> None:
    for clip in clips:
        rate = clip.survey.rate
        if 0 < rate < _SLOW:
            click.echo(
                f"{clip.recording.path.name} has {rate:.4g} frames/s, too few for true blur: {recipe.shortest} frames "
                f"last {recipe.shortest / rate:.2g} s, and motion between them is guessed; record at {_SLOW} or more",
                err=True,
            )


def _print_result(out: Path, total: int) -> None:

    click.echo(
        f"{counted(total, 'pair')} in {out}; next: cdg-prep masks --root {out} --method extent --mu 0.85 (M is 1 where "
        "blur is up to 6 pixels)"
    )


def _refuse_inside(inputs: Sequence[Path], out: Path) -> None:
    for place in inputs:
        if place.is_dir() and out.resolve().is_relative_to(place.resolve()):
            raise click.ClickException(f"{out} lies inside {place}, which is read; pass an --out elsewhere")


def _refuse_unused(names: Sequence[str], what: str) -> None:
    context = click.get_current_context()
    for name in names:
        if context.get_parameter_source(name) is click.core.ParameterSource.COMMANDLINE:
            raise click.UsageError(f"--{name.replace('_', '-')} is not for {what}")
