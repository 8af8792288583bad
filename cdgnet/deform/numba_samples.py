"""Positions and samples of the taps of a deformable convolution, and their gradients, compiled with numba for CPUs.

All tensors are channels last. Each loop performs one step for a block of pixels of a row; ``numba_rows`` has the
products in between, and ``numba_programs`` combines the steps. The samples of a block stay in the first-level cache.

Arguments are addresses, in bytes, and counts. Capital letters are constants of the compiled program.

Legend: K taps, C channels, G offset groups of ``width`` channels each, W vector lanes for those.
"""

from numba import njit

from cdgnet.deform.vectors import (
    fill,
    floor,
    fma,
    interleave,
    load,
    load_every,
    load_float,
    load_int,
    maximum,
    minimum,
    sigmoid,
    store,
    sums,
    to_ints,
    unless_nan,
)

RIM = 2
"""Width of the rim of zeros around the features, in pixels; positions further outside are clamped to it."""
FIELDS = 8
"""Number of fields of a place: index of its first pixel (int32), weights of its four pixels, vertical and horizontal
distance from the first, modulation."""


@njit
def _split(offset, rest, side, K):
    """Return the integer part of a position, as a float, and its fractional part.

    The fractional part is as exact as the offset, even far from the frame's corner.
    """
    low, high = fill(-float(RIM), K) - rest, fill(float(side), K) - rest
    bounded = minimum(maximum(offset, low), high)  # positions further outside read zeros too; NaN becomes a number
    whole = floor(bounded)
    return rest + whole, unless_nan(offset, bounded - whole)


@njit
def _find(place, extent, offset, modulation, is_logit, steps, row, column, height, frame_width, channels, K):
    """Write the places ``(FIELDS, K)`` of one group at a pixel; update the minimum and maximum rows, ``(2, K)``."""
    y, below = _split(load_every(offset, K, 2, 0), load(steps, K) + fill(float(row), K), height, K)
    x, beyond = _split(load_every(offset, K, 2, 1), load(steps + 4 * K, K) + fill(float(column), K), frame_width, K)
    store(extent, minimum(load(extent, K), y))
    store(extent + 4 * K, maximum(load(extent + 4 * K, K), y))
    factor = load(modulation, K)
    if is_logit:
        factor = sigmoid(factor, K)
    rim = fill(RIM, K)
    store(place, ((to_ints(y) + rim) * fill(frame_width + 2 * RIM, K) + to_ints(x) + rim) * fill(channels, K))
    one = fill(1.0, K)
    before = one - beyond
    under = below * factor
    above = (one - below) * factor
    store(place + 4 * K, above * before)
    store(place + 8 * K, above * beyond)
    store(place + 12 * K, under * before)
    store(place + 16 * K, under * beyond)
    store(place + 20 * K, below)
    store(place + 24 * K, beyond)
    store(place + 28 * K, factor)


@njit
def find_block(
    places, extent, count, groups, offset, offset_stride, modulation, modulation_stride, is_logit,
    steps, row, column, height, frame_width, channels, K,
):  # fmt: skip
    """Compute the places of ``count`` pixels of a row, for all groups: ``(count, G, FIELDS, K)``."""
    for p in range(count):
        for g in range(groups):
            _find(
                places + 4 * (p * groups + g) * FIELDS * K, extent,
                offset + 4 * (p * offset_stride + 2 * g * K), modulation + 4 * (p * modulation_stride + g * K),
                is_logit, steps, row, column + p, height, frame_width, channels, K,
            )  # fmt: skip


@njit
def _shares(place, t, W, K):
    return (
        fill(load_float(place + 4 * (K + t)), W),
        fill(load_float(place + 4 * (2 * K + t)), W),
        fill(load_float(place + 4 * (3 * K + t)), W),
        fill(load_float(place + 4 * (4 * K + t)), W),
    )


@njit
def sample_block(samples, places, count, groups, table, channels, line, width, W, K):
    """Interpolate between the four pixels of each place, for ``count`` pixels: ``(count, G, K, width)``."""
    for p in range(count):
        for g in range(groups):
            n = p * groups + g
            _sample(
                samples + 4 * n * K * width, places + 4 * n * FIELDS * K, table + 4 * g * width,
                channels, line, width, W, K,
            )  # fmt: skip


@njit
def _sample(samples, place, table, channels, line, width, W, K):
    for t in range(K):
        at = table + 4 * load_int(place + 4 * t)
        here, right, under, across = _shares(place, t, W, K)
        for c in range(0, width, W):
            first = at + 4 * c
            second = first + 4 * line
            mixed = load(first, W) * here
            mixed = fma(load(first + 4 * channels, W), right, mixed)
            mixed = fma(load(second, W), under, mixed)
            mixed = fma(load(second + 4 * channels, W), across, mixed)
            store(samples + 4 * (t * width + c), mixed)


@njit
def spread_block(
    samples, wanted, wanted_width, dots, places, count, groups, table, totals, channels, line, width, W, K
):  # fmt: skip
    """Run the backward pass of ``sample_block``, and compute the samples again.

    ``wanted`` holds the samples' gradients, ``(count, wanted_width)``. They are added to the features' gradient in
    ``totals``, and their dot products with each of the four pixels are written to ``dots``, ``(count, G, K, 4)``.
    """
    for p in range(count):
        for g in range(groups):
            n = p * groups + g
            _spread(
                samples + 4 * n * K * width, wanted + 4 * (p * wanted_width + g * K * width), dots + 16 * n * K,
                places + 4 * n * FIELDS * K, table + 4 * g * width, totals + 4 * g * width, channels, line, width, W, K,
            )  # fmt: skip


@njit
def _spread(samples, wanted, dots, place, table, totals, channels, line, width, W, K):
    for t in range(K):
        index = 4 * load_int(place + 4 * t)
        at, to = table + index, totals + index
        here, right, under, across = _shares(place, t, W, K)
        p0 = fill(0.0, W)
        p1, p2, p3 = p0, p0, p0
        for c in range(0, width, W):
            gradient = load(wanted + 4 * (t * width + c), W)
            v0, v1 = load(at + 4 * c, W), load(at + 4 * (c + channels), W)
            v2, v3 = load(at + 4 * (c + line), W), load(at + 4 * (c + line + channels), W)
            p0, p1 = fma(v0, gradient, p0), fma(v1, gradient, p1)
            p2, p3 = fma(v2, gradient, p2), fma(v3, gradient, p3)
            store(samples + 4 * (t * width + c), fma(v3, across, fma(v2, under, fma(v1, right, v0 * here))))
            first = to + 4 * c
            store(first, fma(gradient, here, load(first, W)))
            second = first + 4 * channels
            store(second, fma(gradient, right, load(second, W)))
            third = first + 4 * line
            store(third, fma(gradient, under, load(third, W)))
            fourth = third + 4 * channels
            store(fourth, fma(gradient, across, load(fourth, W)))
        store(dots + 16 * t, sums(p0, p1, p2, p3))


@njit
def find_gradients(
    of_offset, offset_stride, of_modulation, modulation_stride, dots, places, count, groups, is_logit, K
):  # fmt: skip
    """Compute the gradients of ``find_block``: of offsets and modulation, from the dots of ``spread_block``."""
    for p in range(count):
        for g in range(groups):
            n = p * groups + g
            _find_gradients(
                of_offset + 4 * (p * offset_stride + 2 * g * K), of_modulation + 4 * (p * modulation_stride + g * K),
                dots + 16 * n * K, places + 4 * n * FIELDS * K, is_logit, K,
            )  # fmt: skip


@njit
def _find_gradients(of_offset, of_modulation, dots, place, is_logit, K):
    here, right = load_every(dots, K, 4, 0), load_every(dots, K, 4, 1)
    under, across = load_every(dots, K, 4, 2), load_every(dots, K, 4, 3)
    below, beyond, factor = load(place + 20 * K, K), load(place + 24 * K, K), load(place + 28 * K, K)
    upper = fma(beyond, right - here, here)
    lower = fma(beyond, across - under, under)
    aside = fma(below, (across - under) - (right - here), right - here)
    store(of_offset, interleave(factor * (lower - upper), factor * aside))
    gradient = fma(below, lower - upper, upper)
    if is_logit:
        gradient = gradient * (factor - factor * factor)
    store(of_modulation, gradient)
