"""The sharpness map of Golestaneh and Karam 2017."""

import itertools

import cv2
import numpy as np
import pytest
import scipy.fft
import scipy.ndimage

from prep.sharpness import hifst, hifst_layers, sorting_network


def textured(height: int, width: int, seed: int = 5) -> np.ndarray:
    """Coloured noise whose blur grows from left to right, with a dark corner that is flat."""
    rng = np.random.default_rng(seed)
    noise = rng.integers(0, 256, (height, width, 3)).astype(np.float64)
    blurred = scipy.ndimage.gaussian_filter(noise, (2, 2, 0), mode="nearest")
    share = np.linspace(0, 1, width)[:, None]
    frame = (1 - share) * noise + share * blurred
    frame[: height // 3, : width // 4] = 20
    return np.rint(frame).astype(np.uint8)


def plain_gradient(frame: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Smoothed grey and gradient magnitude, by scipy, in float64; whole grey levels before the smoothing."""
    grey = cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY).astype(np.float64)
    grey = scipy.ndimage.gaussian_filter(grey, 0.5, mode="mirror", radius=2)
    across, down = (scipy.ndimage.sobel(grey, axis=axis, mode="nearest") for axis in (1, 0))
    return grey, np.hypot(across, down)


def plain_layers(gradient: np.ndarray, rows: slice = slice(None), columns: slice = slice(None)) -> np.ndarray:
    """Every window on its own: float64 DCT, all 2660 magnitudes sorted, ``(117, H, W)``."""
    magnitudes = []
    for side in (7, 15, 31, 63):
        padded = np.pad(gradient.astype(np.float64), side // 2)
        windows = np.lib.stride_tricks.sliding_window_view(padded, (side, side))[rows, columns]
        order = np.arange(side)
        high = order[:, None] + order >= side - 1
        lines = [np.abs(scipy.fft.dctn(line, axes=(1, 2), norm="ortho"))[:, high] for line in windows]
        magnitudes.append(np.stack(lines))  # (H, W, coefficients)
    everything = np.concatenate(magnitudes, axis=2)
    assert everything.shape[2] == 28 + 120 + 496 + 2016
    return np.moveaxis(np.sort(everything, axis=2)[:, :, :117], 2, 0)


def plain_entropy(grey: np.ndarray) -> np.ndarray:
    padded = np.pad(grey, 3, mode="symmetric")
    entropy = np.empty(grey.shape)
    for y, x in np.ndindex(grey.shape):
        counts = np.unique(padded[y : y + 7, x : x + 7], return_counts=True)[1] / 49
        entropy[y, x] = -(counts * np.log2(counts)).sum()
    return entropy


def plain_filter(image: np.ndarray, guide: np.ndarray) -> np.ndarray:
    """Gastal and Oliveira 2011 by the pixel: distances 1 + sigma_s / sigma_r |I'|, three rounds, two directions."""
    result = image.astype(np.float64)
    for sigma in 15 * np.sqrt(3) * np.array([4, 2, 1]) / np.sqrt(4**3 - 1):
        for across in (True, False):
            lines, guides = (result, guide) if across else (result.T, guide.T)
            for line, levels in zip(lines, guides, strict=True):
                weights = np.exp(-np.sqrt(2) / sigma * (1 + 15 / 0.25 * np.abs(np.diff(levels))))
                for i in range(1, len(line)):
                    line[i] = (1 - weights[i - 1]) * line[i] + weights[i - 1] * line[i - 1]
                for i in range(len(line) - 2, -1, -1):
                    line[i] = (1 - weights[i]) * line[i] + weights[i] * line[i + 1]
    return result


def plain_sharpness(frame: np.ndarray) -> np.ndarray:
    """The whole method by the definition, float64."""
    grey, gradient = plain_gradient(frame)
    layers = plain_layers(gradient)
    low, high = (edge(layers, axis=(1, 2), keepdims=True) for edge in (np.min, np.max))
    fused = ((layers - low) / (high - low)).max(axis=0)
    levels = np.rint(255 * (fused - fused.min()) / (fused.max() - fused.min())).astype(np.uint8)
    filtered = plain_filter(fused * plain_entropy(levels), grey / 255)
    scaled = (filtered - filtered.min()) / (filtered.max() - filtered.min())
    with np.errstate(divide="ignore"):  # ln 0 where F is least
        return 1 / (1 + np.exp(-(np.log(24) + 2 * np.log(scaled / 0.09))))


@pytest.mark.slow
@pytest.mark.parametrize("size", [(40, 56), (66, 80)])  # smaller and larger than the largest window
def test_the_map_agrees_with_the_definition(size: tuple[int, int]) -> None:
    frame = textured(*size)

    sharpness, expected = hifst.sharpness(frame), plain_sharpness(frame)

    assert np.corrcoef(sharpness.ravel(), expected.ravel())[0, 1] > 0.9999
    assert np.abs(sharpness - expected).mean() < 1e-3  # rounding decides a level of the entropy here and there


@pytest.mark.parametrize("size", [(16, 21), (66, 70)])
def test_the_layers_are_the_smallest_magnitudes_in_order(size: tuple[int, int]) -> None:
    gradient = plain_gradient(textured(*size))[1].astype(np.float32)

    layers = hifst_layers.to_magnitudes(hifst_layers.sorted_layers(gradient))

    assert np.allclose(layers, plain_layers(gradient), rtol=1.01 / 4096, atol=2e-6)  # below 2^-20: 0


def test_the_layers_are_right_where_many_magnitudes_are_equal() -> None:
    gradient = np.zeros((40, 44), np.float32)
    gradient[20, 20] = 100  # a point: magnitudes in pairs, hundreds of them 0, and nothing at all far away
    gradient[5:12, 30:37] = np.indices((7, 7)).sum(axis=0) % 2

    layers = hifst_layers.to_magnitudes(hifst_layers.sorted_layers(gradient))

    assert np.allclose(layers, plain_layers(gradient), rtol=1.01 / 4096, atol=2e-6)


def test_equal_magnitudes_that_no_bound_parts_fill_the_layers() -> None:
    magnitudes = np.full(4 * hifst_layers._SLOTS, np.nan, np.float32)
    for pixel in range(4):
        magnitudes[pixel * hifst_layers._SLOTS :][:2660] = np.repeat([0.5, 3, 7], [100, 500, 2060])
    candidates = np.empty((4, hifst_layers._ROOM), np.uint16)

    hifst_layers._select(magnitudes.view(np.int32), 0, candidates)

    assert np.array_equal(
        hifst_layers.to_magnitudes(np.sort(candidates)[:, :117]),
        np.repeat([[0.5, 3]], 4, axis=0).repeat([100, 17], axis=1),
    )


@pytest.mark.parametrize("is_turned", [False, True])
def test_nothing_is_left_of_strong_texture_a_thousand_pixels_on(is_turned: bool) -> None:
    gradient = np.random.default_rng(8).uniform(0, 1400, (16, 1200)).astype(np.float32)
    gradient[:, 150:] *= 1e-4
    far = slice(1190, 1200)

    layers = hifst_layers.to_magnitudes(
        hifst_layers.sorted_layers(np.ascontiguousarray(gradient.T) if is_turned else gradient)
    )
    layers = layers.transpose(0, 2, 1) if is_turned else layers

    assert np.allclose(layers[:, :, far], plain_layers(gradient, columns=far), rtol=1.01 / 4096, atol=2e-6)


def test_codes_stand_for_magnitudes_within_a_4096th() -> None:
    codes = np.arange(1, 65535, dtype=np.uint16)

    magnitudes = hifst_layers.to_magnitudes(codes)

    steps = np.diff(magnitudes.astype(np.float64))
    assert (steps > 0).all()
    assert (steps / 2 <= magnitudes[:-1] / 4096 * (1 + 1e-6)).all()
    assert magnitudes[0] < 2e-6
    assert magnitudes[-1] > np.sqrt(63**2 / (2016 - 116)) * 1443  # the largest 117th one that 8 bits can give


@pytest.mark.parametrize(("inputs", "outputs"), [(2, 2), (7, 7), (16, 5), (160, 117)])
def test_the_network_sorts_zeros_and_ones_and_therefore_everything(inputs: int, outputs: int) -> None:
    rng = np.random.default_rng(2)
    everything = np.array(list(itertools.product((0, 1), repeat=inputs))) if inputs < 17 else None
    rows = rng.permuted(np.tri(inputs, dtype=int), axis=1) if everything is None else everything  # Knuth 5.3.4, Z
    expected = np.sort(rows)[:, :outputs]

    for low, high in sorting_network.smallest(inputs, outputs):
        rows[:, low], rows[:, high] = np.minimum(rows[:, low], rows[:, high]), np.maximum(rows[:, low], rows[:, high])

    assert np.array_equal(rows[:, :outputs], expected)


def test_local_entropy_agrees_with_counting() -> None:
    grey = np.random.default_rng(4).integers(0, 9, (20, 31)).astype(np.uint8) * 31
    grey[:9, :12] = 200

    assert np.abs(hifst.local_entropy(grey) - plain_entropy(grey)).max() < 1e-6  # float32


def test_the_filter_agrees_with_the_plain_recursion() -> None:
    rng = np.random.default_rng(6)
    image, guide = rng.uniform(0, 5, (23, 30)).astype(np.float32), rng.uniform(0, 0.1, (23, 30)).astype(np.float32)

    assert np.abs(hifst.edge_aware(image, guide) - plain_filter(image, guide.astype(np.float64))).max() < 1e-9


def test_layers_are_scaled_over_the_frame_before_the_maximum() -> None:
    codes = np.zeros((3, 2, 2), np.uint16)
    codes[0] = [[20000, 40000], [20000, 20000]]
    codes[1] = [[50000, 50000], [50000, 60000]]
    codes[2] = 30000  # the same everywhere: tells nothing

    assert np.array_equal(hifst.fuse(codes), [[0, 1], [0, 1]])


def test_the_methods_own_threshold_lies_at_the_papers_mu() -> None:
    values = hifst.to_sharpness(np.array([0, 0.0899, 0.09, 0.0901, 1], np.float32))

    assert values[2] == pytest.approx(0.96, abs=1e-6)
    assert values[1] < 0.96 < values[3]
    assert (values[0], values[4]) == (0, hifst.CEILING)


@pytest.mark.parametrize("size", [(16, 16), (17, 200), (200, 17), (63, 64)])
def test_every_size_from_16_pixels_up_has_a_map_that_spans_the_range(size: tuple[int, int]) -> None:
    sharpness = hifst.sharpness(textured(*size))

    assert (sharpness.shape, sharpness.dtype) == (size, np.float32)
    assert sharpness.min() == 0
    assert sharpness.max() == hifst.CEILING


@pytest.mark.parametrize("level", [0, 127, 255])
def test_a_constant_frame_holds_no_evidence_and_gets_the_floor(level: int) -> None:
    sharpness = hifst.sharpness(np.full((40, 50, 3), level, np.uint8))

    assert (sharpness == 0).all()


def test_frames_below_16_pixels_are_refused() -> None:
    with pytest.raises(ValueError, match="the frame is 40 x 15; the smallest is 16 x 16"):
        hifst.sharpness(np.zeros((15, 40, 3), np.uint8))


def test_a_blurred_half_scores_below_the_sharp_half() -> None:
    noise = np.random.default_rng(1).integers(0, 256, (80, 160)).astype(np.float64)
    texture = scipy.ndimage.gaussian_filter(noise, 0.7)
    texture[:, 80:] = scipy.ndimage.gaussian_filter(texture, 2.5)[:, 80:]
    frame = np.repeat(np.rint(texture).astype(np.uint8)[:, :, None], 3, axis=2)

    sharpness = hifst.sharpness(frame)

    assert np.median(sharpness[:, :70]) > 0.96 > np.median(sharpness[:, 90:])
    assert sharpness[:, :70].mean() > sharpness[:, 90:].mean() + 0.2


def test_the_same_frame_gives_the_same_bytes_whatever_the_threads_and_the_sharp_frame() -> None:
    frame, threads = textured(60, 300), cv2.getNumThreads()

    first = hifst.sharpness(frame)
    cv2.setNumThreads(1 if threads > 1 else 4)
    second = hifst.sharpness(frame, sharp=255 - frame)
    cv2.setNumThreads(threads)

    assert first.tobytes() == second.tobytes()
