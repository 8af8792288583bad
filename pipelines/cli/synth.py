"""``cdg-prep synth``: make blurry/sharp pairs from recordings or photographs. Does not load torch."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

import click

from pipelines.cli.camera import camera_options, chosen_camera
from pipelines.cli.dataset import hint, jobs_option, next_step
from pipelines.cli.entry import example
from pipelines.cli.parameters import FiniteRange, FrameSize, Range, output_type, path_type
from pipelines.cli.progress import announce_if_slow, track
from prep.units import counted

if TYPE_CHECKING:
    from prep.synthesis.from_recordings import Clip
    from prep.synthesis.recipes import PhotoRecipe, RecordingRecipe

_EXAMPLE = "cdg-prep synth GOPRO_Large_all clip.mp4 --window 11 --camera phone --out made"
_FARTHEST = 200  # pixels: maps of the blur length end at 256
_SLOW = 100  # frames per second: at fewer, 7 frames last more than 0.07 s
_FINEST = 0.25  # pixels between interpolated frames: smaller steps change nothing visible
_CROP = 256  # pixels, as cdg-train's; smaller frames are packed whole
_OF_RECORDINGS = ("window", "stride", "interpolate")
_OF_PHOTOS = ("count", "size", "shake", "tilt", "tremor", "roll", "zoom", "region", "regions")


def _check_step(_: click.Context, __: click.Parameter, step: float) -> float:
    """``--interpolate``, which may be 0."""
    if 0 < step < _FINEST:
        raise click.UsageError(f"--interpolate {step:g} is too small; use 0 (never), or at least {_FINEST:g} pixels")
    return step


@click.command("synth", epilog=example(_EXAMPLE))
@click.argument("inputs", nargs=-1, required=True, type=path_type, metavar="VIDEO|DIR...")
@click.option(
    "--out", type=output_type, required=True, metavar="DIR", help="Folder for the new data set, in GoPro's layout."
)
@click.option("--window", type=Range("frames", 3, is_whole=True), default="7-13", show_default=True, metavar="FRAMES",
              help="Recordings: frames averaged for a pair, an odd number from 3, or a range of them.")  # fmt: skip
@click.option("--stride", type=click.IntRange(1), metavar="FRAMES",
              help="Recordings: frames from one window's start to the next.  [default: its length]")  # fmt: skip
@click.option("--interpolate", type=FiniteRange(min=0), callback=_check_step, default=3, show_default=True,
              metavar="PIXELS", help="Recordings: interpolate frames if something moves more than this from one frame "
              "to the next, because gaps would show in the blur. 0: never, as for GoPro.")  # fmt: skip
@click.option("--photos", is_flag=True, help="The inputs are photographs, or folders of photographs.")
@click.option("--count", type=click.IntRange(1, 1_000_000), default=10, show_default=True, metavar="N",
              help="Photographs: pairs per photograph.")  # fmt: skip
@click.option("--size", type=FrameSize(), metavar="WIDTHxHEIGHT",
              help="Photographs: size of the frames, in pixels.  [default: at most 1280x720]")  # fmt: skip
@click.option("--shake", type=Range("pixels", 0, _FARTHEST), default="0-15", show_default=True, metavar="PIXELS",
              help=f"Photographs: blur length from the shift of the camera; 0 to {_FARTHEST}, or a range.")  # fmt: skip
@click.option("--tilt", type=FiniteRange(0, 90), default=90, show_default=True, metavar="DEGREES",
              help="Photographs: largest angle between the shift of the camera and the horizontal.")  # fmt: skip
@click.option("--tremor", type=FiniteRange(0, 1), default=1, show_default=True, metavar="FRACTION",
              help="Photographs: how unsteady the motion may be, from 0 (straight) to 1 (a hand).")  # fmt: skip
@click.option("--roll", type=FiniteRange(0, _FARTHEST), default=8, show_default=True, metavar="PIXELS",
              help="Photographs: largest blur length in the corners from rotation.")  # fmt: skip
@click.option("--zoom", type=FiniteRange(0, _FARTHEST), default=4, show_default=True, metavar="PIXELS",
              help="Photographs: largest blur length in the corners from moving closer or away.")  # fmt: skip
@click.option("--region", type=Range("pixels", 0, _FARTHEST), default="5-40", show_default=True, metavar="PIXELS",
              help=f"Photographs: blur length of the moving pieces; 0 to {_FARTHEST}, or a range.")  # fmt: skip
@click.option("--regions", type=Range("pieces", 0, 20, is_whole=True), default="1-3", show_default=True, metavar="N",
              help="Photographs: number of moving pieces; 0 to 20, or a range.")  # fmt: skip
@camera_options
@click.option("--test-share", type=FiniteRange(0, 1), default=0, show_default=True, metavar="FRACTION",
              help="Fraction of the inputs for the test split; a folder called train or test decides.")  # fmt: skip
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, metavar="N", help="Random seed.")
@click.option("--dry-run", is_flag=True, help="Show what would be made, and exit.")
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
    """Make blurry/sharp pairs, with the true blur length of every pixel.

    Recordings (videos or folders of frames, at 100 frames per second or more): the frames of a window are averaged, the
    middle one is the sharp frame, and optical flow measures the blur length.

    Photographs (--photos): the camera shakes, and pieces cut out of the photograph move in front. The blur length is
    exact.

    Where a range is allowed, such as 7-13, a value is drawn for each pair. Run the same command again to continue.
    """
    from prep.synthesis import output
    from prep.synthesis.recipes import PhotoRecipe, RecordingRecipe
    from prep.synthesis.trajectories import Stroke

    _refuse_inside(inputs, out)
    context.with_resource(nullcontext() if dry_run else output.held(out))
    camera = chosen_camera(context)
    if photos:
        _refuse_unused(_OF_RECORDINGS, "only for recordings; leave it out")
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
    _refuse_unused(_OF_PHOTOS, "only for photographs; add --photos, or leave it out")
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
            f"no recording has {recipe.shortest} moving frames in a row; use a smaller --window, or other recordings"
        )
    if dry_run:
        click.echo(f"{counted(total, 'pair')} would be made in {out} (--dry-run: nothing was written)")
        return
    parts = [made.parts for made in track(from_recordings.make(clips, recipe, jobs or -1), total, f"make {out}")]
    made, interpolated = (sum(part > least for part in parts) for least in (0, 1))
    if interpolated:
        click.echo(
            f"interpolated frames in {interpolated:,} of {counted(made, 'pair')}, up to {max(parts) - 1} between two: "
            f"something moved more than {recipe.limit:g} pixels per frame (--interpolate)"
        )
    _print_result(out)


def _plan_clips(
    inputs: Sequence[Path], out: Path, recipe: "RecordingRecipe", test_share: float, *, dry_run: bool, jobs: int | None
) -> "list[Clip]":
    """Survey the recordings and plan their windows; a dry run leaves nothing in ``out``."""
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
        surveys = list(track(surveyed, len(recorded), "reading recordings"))
        return from_recordings.plan(recorded, surveys, recipe, out, splits)


def _make_of_photos(
    inputs: Sequence[Path], out: Path, recipe: "PhotoRecipe", test_share: float, *, dry_run: bool, jobs: int | None
) -> None:
    from prep.synthesis import from_photos, output, recordings

    photos = from_photos.find(inputs)
    from_photos.check_sizes(photos, recipe)
    total = recipe.count * len(photos)
    if dry_run:
        pairs, sources = counted(total, "pair"), counted(len(photos), "photograph")
        click.echo(f"{pairs} from {sources} would be made in {out} (--dry-run: nothing was written)")
        return
    unassigned = [name for name, path in photos.items() if not recordings.split_of(path.parent)]
    splits = output.begin(out, recipe, unassigned, test_share)
    _warn_of_no_test(splits, test_share)
    for _ in track(from_photos.make(photos, recipe, out, splits, jobs or -1), total, f"make {out}"):
        pass
    _print_result(out)


def _describe(clip: "Clip") -> str:
    """One line: the frames of a clip, what is left out, and its pairs."""
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
    return f"{clip.folder.parent.name}/{clip.recording.name}: {survey.count:,} frames{without}: {pairs}"


def _warn_of_no_test(splits: Mapping[str, str], test_share: float) -> None:
    """Warn if --test-share has no effect."""
    if test_share and not splits:
        click.echo(
            "--test-share has no effect: all inputs are in folders called train or test, which decide the split",
            err=True,
        )


def _warn_of_slow(clips: "Sequence[Clip]", recipe: "RecordingRecipe") -> None:
    for clip in clips:
        rate = clip.survey.rate
        if 0 < rate < _SLOW:
            click.echo(
                f"{clip.recording.path.name} has {rate:.4g} frames per second, too few for realistic blur: "
                f"{recipe.shortest} frames last {recipe.shortest / rate:.2g} s, with motion unknown between them; "
                f"record at {_SLOW} or more",
                err=True,
            )


def _print_result(out: Path) -> None:
    """What the data set contains, and the next command, with a crop that fits all frames."""
    from prep.datasets import layouts
    from prep.io import frames

    pairs = layouts.find(out, "gopro").pairs
    splits = Counter(pair.split for pair in pairs)
    sizes = {frames.size_of(pair.sharp) for pair in {layouts.sequence(pair.key): pair for pair in pairs}.values()}
    height, width = min(sizes, key=min)
    side = min(_CROP, height, width)
    listed = ", ".join(f"{number:,} {split}" for split, number in sorted(splits.items(), reverse=True))
    shown = f"{width} x {height} pixels" if len(sizes) == 1 else f"{len(sizes)} sizes, the smallest {width} x {height}"
    click.echo(f"{counted(len(pairs), 'pair')} in {out}: {listed}; frames of {shown}")
    split = [] if "train" in splits else ["--split", "test"]
    next_step("cdg-prep", "pack", "gopro", "--root", out, "--method", "extent", "--mu", 0.85, "--crop", side, *split)
    hint("  --mu 0.85: the mask M is 1 where the blur length is at most 6.2 pixels")


def _refuse_inside(inputs: Sequence[Path], out: Path) -> None:
    for place in inputs:
        if place.is_dir() and out.resolve().is_relative_to(place.resolve()):
            raise click.ClickException(f"{out} is inside the input folder {place}; choose an --out outside it")


def _refuse_unused(names: Sequence[str], what: str) -> None:
    context = click.get_current_context()
    for name in names:
        if context.get_parameter_source(name) is click.core.ParameterSource.COMMANDLINE:
            raise click.UsageError(f"--{name.replace('_', '-')} is {what}")
