"""Compare statistics of the blurry frames made by ``cdg-prep synth`` with those of real frames.

Synthetic frames of each camera model are compared with blurry frames of GoPro and REDS, which are averages of 7 or more
video frames and thus almost free of noise, and with GoPro's raw frames at 240 frames/s, which are single exposures.

* Spectrum: radial mean of the luminance's power, scaled to 1 at 0.02 cycles/pixel.
* Gradients: histogram of the differences between adjacent pixels, in grey levels.
* Noise: standard deviation of the residual of a 3 x 3 filter (Immerkaer 1996), in grey levels, by brightness. Taken at
  the 5th percentile of the blocks, the flattest ones. Rounding alone gives 0.29.
* Clipped: share of values of 250 or more.

The noise of GoPro's raw frames is also measured in linear light, at the finest scale and between consecutive frames, at
the 10th percentile of the blocks. The noise of the ``gopro`` camera in ``prep.synthesis.cameras`` is based on it.

Usage: ``python benchmarks/realism.py --data DIR [--save]``. DIR contains photographs, GOPRO_Large, GOPRO_Large_all and
REDS. ``--save`` writes benchmarks/results/realism-DATE.json and a plot next to it.
"""

import argparse
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
from surroundings import add_save, save, surroundings

from prep.datasets import layouts
from prep.io import frames
from prep.synthesis import from_photos
from prep.synthesis.cameras import CAMERAS
from prep.synthesis.outlines import Segments
from prep.synthesis.recipes import PhotoRecipe
from prep.synthesis.response import GAMMA

SIZE = (480, 640)
BLOCK = 16  # pixels
BRIGHTNESS = np.linspace(0, 1, 11)
LEVELS = np.arange(0, 64.5)  # bins of the gradients, in grey levels
_LAPLACE = (
    np.array([[1, -2, 1], [-2, 4, -2], [1, -2, 1]], np.float32) / 6
)  # Immerkaer 1996; keeps the standard deviation of white noise

Numbers = npt.NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Statistics:
    """Statistics of a set of frames."""

    frames: int
    frequency: list[float]  # cycles/pixel
    spectrum: list[float]
    gradients: list[float]  # share in each bin of LEVELS
    brightness: list[float]  # centres of the bins, 0 to 1
    noise: list[float]  # grey levels; NaN in bins with too few blocks
    clipped: float


def statistics(pictures: Iterable[npt.NDArray[np.uint8]]) -> Statistics:
    """Measure frames, each cropped to its central ``SIZE``."""
    spectra, gradients, clipped, means, deviations = [], np.zeros(len(LEVELS) - 1), [], [], []
    for picture in pictures:
        cut = _centre(picture)
        grey = np.asarray(cv2.cvtColor(cut, cv2.COLOR_RGB2GRAY), np.float32)
        spectra.append(_radial(grey))
        for axis in (0, 1):
            gradients += np.histogram(np.abs(np.diff(grey, axis=axis)), LEVELS)[0]
        clipped.append((cut >= 250).mean())
        green = cut[:, :, 1].astype(np.float32)
        left = np.asarray(cv2.filter2D(green, cv2.CV_32F, _LAPLACE), np.float32)
        means.append(_blocks(green).mean(axis=1) / 255)
        deviations.append(np.sqrt((_blocks(left) ** 2).mean(axis=1)))
    frequency, power = spectra[0][0], np.mean([spectrum for _, spectrum in spectra], axis=0)
    mean, deviation = np.concatenate(means), np.concatenate(deviations)
    noise = []
    for low, high in pairwise(BRIGHTNESS):
        inside = deviation[(mean >= low) & (mean < high)]
        noise.append(float(np.percentile(inside, 5)) if len(inside) > 60 else float("nan"))
    return Statistics(
        frames=len(clipped),
        frequency=frequency.tolist(),
        spectrum=(power / np.interp(0.02, frequency, power)).tolist(),
        gradients=(gradients / gradients.sum()).tolist(),
        brightness=((BRIGHTNESS[:-1] + BRIGHTNESS[1:]) / 2).tolist(),
        noise=noise,
        clipped=float(np.mean(clipped)),
    )


def _centre(picture: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    top, left = (max(0, side - wanted) // 2 for side, wanted in zip(picture.shape, SIZE, strict=False))
    return np.ascontiguousarray(picture[top : top + SIZE[0], left : left + SIZE[1]])


def _radial(grey: npt.NDArray[np.float32]) -> tuple[Numbers, Numbers]:
    """Return frequencies in cycles/pixel, and the mean power at each."""
    window = np.outer(np.hanning(grey.shape[0]), np.hanning(grey.shape[1]))
    power = np.abs(np.fft.rfft2((grey - grey.mean()) * window)) ** 2
    radius = np.hypot(np.fft.fftfreq(grey.shape[0])[:, None], np.fft.rfftfreq(grey.shape[1])[None])
    edges = np.geomspace(0.01, 0.5, 31)
    sums, counts = (np.histogram(radius, edges, weights=weights)[0] for weights in (power, np.ones_like(power)))
    return np.sqrt(edges[:-1] * edges[1:]), sums / np.maximum(counts, 1)


def _blocks(plane: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    height, width = (side // BLOCK * BLOCK for side in plane.shape)
    cut = plane[:height, :width].reshape(height // BLOCK, BLOCK, width // BLOCK, BLOCK)
    return cut.transpose(0, 2, 1, 3).reshape(-1, BLOCK * BLOCK)


def synthetic(data: Path, camera: str, count: int) -> Iterator[npt.NDArray[np.uint8]]:
    """Yield synthetic blurry frames, with the same motion for every camera."""
    recipe = PhotoRecipe(count=1, size=SIZE, camera=CAMERAS[camera])
    photos = sorted((data / "photographs").glob("*.*g"))
    large = [photo for photo in map(frames.read, photos) if photo.shape[0] >= SIZE[0] and photo.shape[1] >= SIZE[1]]
    for number in range(count):
        photo = large[number % len(large)]
        yield from_photos.shake(photo, Segments(photo), recipe, [number]).blurry


def raw_noise(data: Path) -> list[dict[str, float]]:
    """Measure the noise of GoPro's raw frames by brightness: variance without rounding noise, divided by mean light.

    ``finest`` comes from the residual of the 3 x 3 filter. ``between`` is half the variance of the difference between
    consecutive frames; it includes noise that the camera has smoothed, and some motion.
    """
    paths = sorted((data / "GOPRO_Large_all").glob("*/*/*.png"))
    means, finest, between = [], [], []
    for one, other in zip(paths[::4], paths[1::4], strict=False):
        first, second = (GAMMA.to_light(frames.read(path)) for path in (one, other))
        for channel in range(3):
            light = np.ascontiguousarray(first[:, :, channel])
            rounding = (2.2 * _blocks(light).mean(axis=1) ** (1 - 1 / 2.2) / 255) ** 2 / 12
            means.append(_blocks(light).mean(axis=1))
            left = np.asarray(cv2.filter2D(light, cv2.CV_32F, _LAPLACE), np.float32)
            finest.append((_blocks(left) ** 2).mean(axis=1) - rounding)
            between.append(_blocks(light - second[:, :, channel]).var(axis=1) / 2 - rounding)
    mean, *variances = (np.concatenate(each) for each in (means, finest, between))
    lines = []
    for low, high in pairwise(np.geomspace(0.02, 0.6, 8)):
        inside = (mean >= low) & (mean < high)
        if inside.sum() > 200:
            values = [float(np.percentile(each[inside], 10) / mean[inside].mean()) for each in variances]
            lines.append({"light": float(mean[inside].mean()), "finest": values[0], "between": values[1]})
    return lines


def distance(one: Statistics, other: Statistics) -> dict[str, float]:
    """Compute the RMS difference of the log10 spectra, and the Jensen-Shannon divergence of the gradients in nats."""
    apart = np.log10(np.array(one.spectrum) / np.array(other.spectrum))
    p, q = np.array(one.gradients) + 1e-9, np.array(other.gradients) + 1e-9
    mean = (p + q) / 2
    divergence = float(np.sum(p * np.log(p / mean)) + np.sum(q * np.log(q / mean))) / 2
    return {"spectrum": float(np.sqrt(np.mean(apart**2))), "gradients": divergence}


def draw(found: dict[str, Statistics], path: Path) -> None:
    """Plot each camera in a row, together with the real frames."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    real = [name for name in found if name not in CAMERAS]
    figure, axes = pyplot.subplots(len(CAMERAS), 3, figsize=(13, 3.1 * len(CAMERAS)), layout="constrained")
    for row, camera in zip(axes, CAMERAS, strict=True):
        for name, colour, width in ((camera, "black", 2.0), *((name, None, 1.2) for name in real)):
            line = found[name]
            label = f"synth, {camera}" if name == camera else name
            row[0].loglog(line.frequency, line.spectrum, label=label, color=colour, lw=width)
            row[1].semilogy(LEVELS[:-1], line.gradients, color=colour, lw=width)
            share = f"{label}: {100 * line.clipped:.1f} %"
            row[2].plot(line.brightness, line.noise, ".-", label=share, color=colour, lw=width)
        row[0].set(xlabel="cycles/pixel", ylabel="power", title=f"camera {camera}: spectrum")
        row[1].set(xlabel="difference of adjacent pixels, grey levels", ylabel="share", title="gradients")
        row[2].set(
            xlabel="brightness", ylabel="grey levels", title="noise in flat areas, and clipped share", ylim=(0, 6)
        )
        row[0].legend(fontsize=7)
        row[2].legend(fontsize=7)
    figure.savefig(path, dpi=80)


def main() -> None:
    """Measure and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder of the test data")
    parser.add_argument("--count", type=int, default=48, help="synthetic frames per camera [%(default)s]")
    add_save(parser)
    options = parser.parse_args()
    gopro, reds = (layouts.find(options.data / name).pairs for name in ("GOPRO_Large", "REDS"))
    raw = sorted((options.data / "GOPRO_Large_all").glob("*/*/*.png"))[::6]
    found = {camera: statistics(synthetic(options.data, camera, options.count)) for camera in CAMERAS}
    found["GoPro, blurry"] = statistics(frames.read(pair.blurry) for pair in gopro)
    found["REDS, blurry"] = statistics(frames.read(pair.blurry) for pair in reds)
    found["GoPro, one raw frame"] = statistics(map(frames.read, raw))
    print("| frames | noise at 0.25, 0.45, 0.65 | clipped | distance to GoPro: spectrum, gradients | to REDS |")
    print("|---|---|---|---|---|")
    distances = {}
    for name, line in found.items():
        apart = [distance(line, found[other]) for other in ("GoPro, blurry", "REDS, blurry")]
        distances[name] = dict(zip(("GoPro", "REDS"), apart, strict=True))
        levels = ", ".join(f"{line.noise[place]:.2f}" for place in (2, 4, 6))
        columns = [f"{each['spectrum']:.2f}, {each['gradients']:.4f}" for each in apart]
        print(f"| {name} ({line.frames}) | {levels} | {100 * line.clipped:.2f} % | {' | '.join(columns)} |")
    noise = raw_noise(options.data)
    print("\nnoise of GoPro's raw frames, variance / light\n| light | finest scale | between frames |\n|---|---|---|")
    for each in noise:
        print(f"| {each['light']:.2f} | {each['finest']:.1e} | {each['between']:.1e} |")
    if options.save:
        lines = {name: asdict(line) for name, line in found.items()}
        path = save(
            options.save, "realism", surroundings(), {"raw_noise": noise, "distances": distances, "statistics": lines}
        )
        draw(found, path.with_suffix(".png"))


if __name__ == "__main__":
    main()
