"""Compare the weights included in cdgnet with classical deblurring filters.

Frames: test pairs of GoPro, pairs of REDS, and photographs outside the training data, blurred by ``cdg-prep synth``.
Methods:

* nothing: the blurry frame.
* unsharp: skimage.filters.unsharp_mask, with the radius and amount that score best on these frames.
* Wiener and Richardson-Lucy: scikit-image's filters with a straight line as kernel. Its length is the frame's true
  median blur length, its direction the best of twelve when compared with the sharp frame. Neither is known in
  practice, so these scores are optimistic. Wiener uses the best of three balances on these frames.
* the included weights, and others given by ``--weights NAME=FILE``.

Usage: ``python benchmarks/out_of_the_box.py --data DIR --work FOLDER [--save]``. DIR contains GOPRO_Large and REDS,
FOLDER the output of ``make weights``. ``--save`` writes benchmarks/results/out_of_the_box-DATE.json.
"""

import argparse
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TypedDict

import numpy as np
import torch
from skimage.filters import unsharp_mask
from skimage.restoration import richardson_lucy, wiener
from surroundings import add_save, save, surroundings

from cdgnet import load_weights, psnr, restore, ssim
from pipelines.evaluate.by_extent import psnr_by_extent, squared_errors
from pipelines.evaluate.frame_sources import MEASURED, EvaluationFrame, FrameSource, PackFrames, dataset_frames
from pipelines.evaluate.mask_source import MaskSource
from pipelines.evaluate.statistics import bootstrap_interval

NOTHING = "nothing"
DIRECTIONS = 12
RADII, AMOUNTS = (1.0, 2.0, 4.0), (0.5, 1.0, 2.0)
_MIDDLE = 256  # pixels, side of the part used to choose the direction
BALANCES, ITERATIONS = (0.1, 1.0, 10.0), 15  # Wiener's regularisation; iterations of Richardson-Lucy
Method = Callable[
    [np.ndarray, np.ndarray, float], np.ndarray
]  # blurry, sharp, blur length in pixels -> restored; 8 bits


class Scores(TypedDict):
    """Scores of one restored frame."""

    median_extent: float  # pixels
    psnr_blurry: float
    psnr: float
    ssim_blurry: float
    ssim: float
    largest_change: int  # grey levels
    mean_change: float
    extents: list[list[int]] | None  # output of ``squared_errors``


class Line(TypedDict):
    """One row of the table: one method on all frames of a source."""

    method: str
    psnr: float
    ssim: float
    gain: float
    interval: list[float]
    least_gain: float
    by_extent: list[dict[str, float]]
    frames: dict[str, dict[str, object]]


class Changes(TypedDict):
    """Changes that one method makes to sharp frames, in grey levels and dB."""

    method: str
    mean_change: float
    change_of_1_in_1000: float
    largest_change: int
    least_psnr: float


def stroke(length: float, angle: float) -> np.ndarray:
    """Return a straight line as a blur kernel.

    Args:
        length: Length of the line in pixels.
        angle: Direction of the line in radians.

    Returns:
        A square kernel of odd side and sum 1.
    """
    half = int(np.ceil(length / 2)) + 1
    kernel = np.zeros((2 * half + 1, 2 * half + 1))
    for along in np.linspace(-length / 2, length / 2, max(2, int(8 * length))):
        x, y = half + along * np.cos(angle), half + along * np.sin(angle)
        column, row = int(x), int(y)
        for i, j, weight in (
            (row, column, (1 - x % 1) * (1 - y % 1)),
            (row, column + 1, x % 1 * (1 - y % 1)),
            (row + 1, column, (1 - x % 1) * (y % 1)),
            (row + 1, column + 1, x % 1 * (y % 1)),
        ):
            kernel[i, j] += weight
    return np.asarray(kernel / kernel.sum())


def by_kernel(deconvolve: Callable[[np.ndarray, np.ndarray], np.ndarray]) -> Method:
    """Return deconvolution with a line of the true length, in the direction that scores best mid-frame."""

    def restored(blurry: np.ndarray, sharp: np.ndarray, extent: float) -> np.ndarray:
        middle = tuple(slice((side - _MIDDLE) // 2, (side + _MIDDLE) // 2) for side in blurry.shape[:2])
        kernels = [stroke(max(extent, 0.5), angle) for angle in np.arange(DIRECTIONS) * np.pi / DIRECTIONS]
        errors = []
        for kernel in kernels:
            result = _deconvolved(blurry[middle], kernel, deconvolve)
            errors.append(np.square(result.astype(np.float32) - sharp[middle]).mean())
        return _deconvolved(blurry, kernels[int(np.argmin(errors))], deconvolve)

    return restored


def _deconvolved(
    blurry: np.ndarray, kernel: np.ndarray, deconvolve: Callable[[np.ndarray, np.ndarray], np.ndarray]
) -> np.ndarray:
    margin = kernel.shape[0]
    wide = np.pad(blurry / 255, ((margin, margin), (margin, margin), (0, 0)), mode="reflect")
    planes = [deconvolve(wide[:, :, channel], kernel) for channel in range(3)]
    inside = np.stack(planes, axis=2)[margin:-margin, margin:-margin]
    return np.asarray(np.rint(inside.clip(0, 1) * 255), np.uint8)


def _lucy(plane: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    return richardson_lucy(plane, kernel, num_iter=ITERATIONS)  # type: ignore[no-any-return]


def by_wiener(balance: float) -> Method:
    """Return the Wiener filter."""
    return by_kernel(lambda plane, kernel: wiener(plane, kernel, balance))


def unsharp(radius: float, amount: float) -> Method:
    """Return unsharp masking."""

    def restored(blurry: np.ndarray, sharp: np.ndarray, extent: float) -> np.ndarray:
        masked = unsharp_mask(blurry, radius=radius, amount=amount, channel_axis=2)
        return np.asarray(np.rint(masked.clip(0, 1) * 255), np.uint8)

    return restored


def by_weights(path: Path | None) -> Method:
    """Return restoration by a network; None for the included weights."""
    network = load_weights(path)
    return lambda blurry, sharp, extent: restore(blurry, network)


def measured(source: FrameSource, count: int, methods: Mapping[str, Method]) -> Iterator[tuple[str, str, Scores]]:
    """Yield method, frame and scores for up to ``count`` evenly spaced frames."""
    for number in np.unique(np.linspace(0, len(source) - 1, min(count, len(source))).astype(int)):
        frame = source[int(number)]
        blurry, sharp = (_image(each) for each in (frame.blurry, frame.sharp))
        extent = float(np.nanmedian(frame.extent.numpy())) if frame.extent is not None else 0.0
        for name, method in methods.items():
            result = method(blurry, sharp, extent)
            yield name, frame.key, _scores(frame, _tensor(result), extent)


def _scores(frame: EvaluationFrame, restored: torch.Tensor, extent: float) -> Scores:
    assert frame.blurry is not None
    blurry, sharp, result = frame.blurry[None], frame.truth[None], restored[None]
    pictures = [frame.blurry, restored]
    return {
        "median_extent": extent,
        "psnr_blurry": float(psnr(blurry, sharp)),
        "psnr": float(psnr(result, sharp)),
        "ssim_blurry": float(ssim(blurry, sharp)),
        "ssim": float(ssim(result, sharp)),
        "largest_change": int((restored.int() - frame.blurry.int()).abs().max()),
        "mean_change": float((restored.int() - frame.blurry.int()).abs().float().mean()),
        "extents": squared_errors(frame.extent, frame.truth, pictures) if frame.extent is not None else None,
    }


def _image(picture: torch.Tensor | None) -> np.ndarray:
    assert picture is not None
    return np.ascontiguousarray(picture.permute(1, 2, 0).numpy())


def _tensor(pixels: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(pixels)).permute(2, 0, 1)


def best(settings: Mapping[str, Method], source: FrameSource, count: int) -> dict[str, Method]:
    """Select the setting with the highest mean PSNR on these frames."""
    scores: dict[str, list[float]] = {name: [] for name in settings}
    for name, _, row in measured(source, count, settings):
        scores[name].append(row["psnr"])
    name = max(scores, key=lambda name: np.mean(scores[name]))
    return {name: settings[name]}


def line_of(name: str, rows: Mapping[str, Scores], are_measured: bool) -> Line:
    """Summarise one method's scores as a row of the table."""
    gains = [row["psnr"] - row["psnr_blurry"] for row in rows.values()]
    interval = bootstrap_interval(list(rows), gains)
    return {
        "method": name,
        "psnr": float(np.mean([row["psnr"] for row in rows.values()])),
        "ssim": float(np.mean([row["ssim"] for row in rows.values()])),
        "gain": float(np.mean(gains)),
        "interval": [interval.low, interval.high],
        "least_gain": min(gains),
        "by_extent": psnr_by_extent(list(rows.values()), are_measured=are_measured),
        "frames": {key: {name: value for name, value in row.items() if name != "extents"} for key, row in rows.items()},
    }


def changes_to_sharp(source: FrameSource, count: int, methods: Mapping[str, Method]) -> list[Changes]:
    """Apply the methods to sharp frames, which should stay as they are."""
    lines: list[Changes] = []
    for name, method in methods.items():
        changes = []
        for number in np.unique(np.linspace(0, len(source) - 1, min(count, len(source))).astype(int)):
            sharp = _image(source[int(number)].sharp)
            changes.append(np.abs(method(sharp, sharp, 0.0).astype(int) - sharp))
        whole = np.stack(changes)
        lines.append(
            {
                "method": name,
                "mean_change": float(whole.mean()),
                "change_of_1_in_1000": float(np.quantile(whole, 0.999)),
                "largest_change": int(whole.max()),
                "least_psnr": min(float(10 * np.log10(255**2 / np.square(each).mean())) for each in changes),
            }
        )
    return lines


def show(title: str, lines: Sequence[Line]) -> None:
    """Print a table as Markdown."""
    lengths = [f"to {each['to']:g} px" if math.isfinite(each["to"]) else "above" for each in lines[0]["by_extent"]]
    header = ("method", "PSNR, dB", "SSIM", "gain (95 %)", "worst frame", *lengths)
    print(f"\n{title}; last columns: gain in PSNR by blur length\n\n| {' | '.join(header)} |\n|{'---|' * len(header)}")
    for line in lines:
        low, high = line["interval"]
        cells = [line["method"], f"{line['psnr']:.2f}", f"{line['ssim']:.3f}"]
        if line["method"] == NOTHING:
            cells += [""] * (2 + len(lengths))
        else:
            cells += [f"{line['gain']:+.2f} ({low:+.2f} to {high:+.2f})", f"{line['least_gain']:+.2f}"]
            cells += [f"{each['psnr'] - each['psnr_blurry']:+.2f}" for each in line["by_extent"]]
        print(f"| {' | '.join(cells)} |", flush=True)


def sources(data: Path, work: Path) -> Iterator[tuple[str, FrameSource, int]]:
    """Yield each test set as title, frames, and number of frames to score."""
    masks = MaskSource(method="", mu=None, folder=None)
    yield "GoPro, test", dataset_frames(data / "GOPRO_Large", None, None, "test", masks), 7
    yield "REDS, clips 000 and 001", dataset_frames(data / "REDS", None, None, "all", masks), 8
    for camera in ("codes", "phone"):
        pack = work / f"test-{camera}.h5"
        yield f"photographs never trained on, {camera}", PackFrames(pack, masks), 24


def say_changes(lines: Sequence[Changes]) -> None:
    """Print the changes to sharp frames."""
    for line in lines:
        print(
            f"sharp frames by {line['method']}: mean change {line['mean_change']:.2f} grey levels, "
            f"1 value in 1000 by {line['change_of_1_in_1000']:.0f} or more; lowest PSNR {line['least_psnr']:.1f} dB",
            flush=True,
        )


def baselines(source: FrameSource, count: int) -> dict[str, Method]:
    """Return the methods that need no network."""
    masked = {f"unsharp, radius {r:g}, amount {a:g}": unsharp(r, a) for r in RADII for a in AMOUNTS}
    filtered = {f"Wiener, true length, balance {each:g}": by_wiener(each) for each in BALANCES}
    return {
        NOTHING: lambda blurry, sharp, extent: blurry,
        **best(masked, source, count),
        **best(filtered, source, count),
        "Richardson-Lucy, true length": by_kernel(_lucy),
    }


def main() -> None:
    """Score all methods and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder with GOPRO_Large and REDS")
    parser.add_argument("--work", type=Path, required=True, help="folder with the output of make weights")
    parser.add_argument("--frames", type=int, help="largest number of frames per test set [7, 8, 24, 24]")
    parser.add_argument(
        "--weights", action="append", default=[], metavar="NAME=FILE", help="further weights; may be repeated"
    )
    add_save(parser)
    asked = parser.parse_args()
    own = {"these weights": by_weights(None)}
    own |= {name: by_weights(Path(path)) for name, _, path in (each.partition("=") for each in asked.weights)}
    report: dict[str, list[Line] | list[Changes]] = {}
    for title, source, usual in sources(asked.data, asked.work):
        count = min(usual, asked.frames or usual)
        rows: dict[str, dict[str, Scores]] = {}
        for method, key, row in measured(source, count, {**baselines(source, count), **own}):
            rows.setdefault(method, {})[key] = row
        lines = [line_of(each, scores, source.extent_source == MEASURED) for each, scores in rows.items()]
        report[title] = lines
        show(title, lines)
        if isinstance(source, PackFrames):
            changes = changes_to_sharp(source, count, own)
            report[f"{title}: sharp frames"] = changes
            say_changes(changes)
    if asked.save:
        save(asked.save, "out_of_the_box", surroundings(), {"report": report})


if __name__ == "__main__":
    main()
