"""The loops of the deformable convolution for CPUs, compiled by numba at their first use; ``numba_programs`` calls them.

All tensors lie channels last. A thread takes 8 pixels: it finds where their taps read, then mixes the four pixels
around each such place, then multiplies the 8 rows of samples by the weight, whose rows are read once for all 8. The
samples stay in the cache nearest to the core. Each of these steps is done for all 8 pixels before the next, so that
the processor need not wait for one place to be computed before it reads another.

Arguments are addresses, in bytes, and counts. Capital letters are constants of the compiled program:

Legend: K taps, G offset groups, C channels in, D channels out, E = C / G channels of a group, L = GKE samples of a
pixel, W and V lanes of a vector of channels in and out, H and W' sides of the features.
"""

from numba import njit, types

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

BLOCK = 8
RIM = 2
"""Pixels of zeros around the features: what is further outside is read there."""
FIELDS = 8
"""Of a place: where it reads, int32; shares of the four pixels; how far below and beyond the first; modulation."""


@njit
def _split(offset, rest, side, K):
    """The pixel at or before a position, int32, and how far beyond it that lies: as exact as the offset, for what is
    far from the frame's corner too.
    """
    bounded = _bounded(offset, rest, side, K)
    whole = floor(bounded)
    return to_ints(rest + whole), unless_nan(offset, bounded - whole)


@njit
def row_before(offset, rest, height, K):
    """The row at or before a position, as a float."""
    return rest + floor(_bounded(offset, rest, height, K))


@njit
def _bounded(offset, rest, side, K):
    """An offset, no further than the rim: what is beyond it is zero as well. NaN becomes a number."""
    return minimum(maximum(offset, fill(-float(RIM), K) - rest), fill(float(side), K) - rest)


@njit
def _find(place, offset, modulation, is_logit, steps, row, column, height, width, channels, K):
    """Write the ``(FIELDS, K)`` of one group's taps at one pixel."""
    y, below = _split(load_every(offset, K, 2, 0), load(steps, K) + fill(float(row), K), height, K)
    x, beyond = _split(load_every(offset, K, 2, 1), load(steps + 4 * K, K) + fill(float(column), K), width, K)
    factor = load(modulation, K)
    if is_logit:
        factor = sigmoid(factor, K)
    rim = fill(RIM, K)
    store(place, ((y + rim) * fill(width + 2 * RIM, K) + x + rim) * fill(channels, K))
    before = fill(1.0, K) - beyond
    under = below * factor
    above = factor - under
    store(place + 4 * K, above * before)
    store(place + 8 * K, above * beyond)
    store(place + 12 * K, under * before)
    store(place + 16 * K, under * beyond)
    store(place + 20 * K, below)
    store(place + 24 * K, beyond)
    store(place + 28 * K, factor)


@njit
def find_block(
    places, first, count, offset, offset_stride, modulation, modulation_stride, is_logit, steps,
    height, width, result_height, result_width, channels, groups, K,
):  # fmt: skip
    """Places of ``count`` pixels, all groups: ``(count, G, FIELDS, K)``."""
    for p in range(count):
        pixel = first + p
        row, column = pixel // result_width % result_height, pixel % result_width
        for g in range(groups):
            _find(
                places + 4 * (p * groups + g) * FIELDS * K,
                offset + 4 * (pixel * offset_stride + 2 * g * K),
                modulation + 4 * (pixel * modulation_stride + g * K),
                is_logit, steps, row, column, height, width, channels, K,
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
def sample(sample, place, table, channels, line, W, E, K):
    """Mix the four pixels around each place of one group: ``(K, E)``."""
    for t in range(K):
        at = table + 4 * load_int(place + 4 * t)
        here, right, under, across = _shares(place, t, W, K)
        for c in range(0, E, W):
            first = at + 4 * c
            second = first + 4 * line
            mixed = load(first, W) * here
            mixed = fma(load(first + 4 * channels, W), right, mixed)
            mixed = fma(load(second, W), under, mixed)
            mixed = fma(load(second + 4 * channels, W), across, mixed)
            store(sample + 4 * (t * E + c), mixed)


@njit
def multiply(result, stride, rows, length, weight, bias, outputs, count, V):
    """``(8, length)`` rows times ``(outputs / V, length, V)`` weight, plus a bias: ``count`` rows of the result."""
    for d in range(0, outputs, V):
        r0 = load(bias + 4 * d, V)
        r1, r2, r3, r4, r5, r6, r7 = r0, r0, r0, r0, r0, r0, r0
        kernel = weight + 4 * d * length
        for k in range(length):
            w = load(kernel + 4 * k * V, V)
            at = rows + 4 * k
            r0 = fma(fill(load_float(at), V), w, r0)
            r1 = fma(fill(load_float(at + 4 * length), V), w, r1)
            r2 = fma(fill(load_float(at + 8 * length), V), w, r2)
            r3 = fma(fill(load_float(at + 12 * length), V), w, r3)
            r4 = fma(fill(load_float(at + 16 * length), V), w, r4)
            r5 = fma(fill(load_float(at + 20 * length), V), w, r5)
            r6 = fma(fill(load_float(at + 24 * length), V), w, r6)
            r7 = fma(fill(load_float(at + 28 * length), V), w, r7)
        to = result + 4 * d
        store(to, r0)
        if count > 1:
            store(to + 4 * stride, r1)
        if count > 2:
            store(to + 8 * stride, r2)
        if count > 3:
            store(to + 12 * stride, r3)
        if count > 4:
            store(to + 16 * stride, r4)
        if count > 5:
            store(to + 20 * stride, r5)
        if count > 6:
            store(to + 24 * stride, r6)
        if count > 7:
            store(to + 28 * stride, r7)


@njit
def copy(to, values, count, size):
    """Copy ``count`` floats and fill with zeros up to ``size``."""
    for k in range(count):
        store(to + 4 * k, load_float(values + 4 * k))
    for k in range(count, size):
        store(to + 4 * k, types.float32(0))


@njit
def add_products(total, rows, length, given, outputs, V):
    """Add the products of ``(8, length)`` rows and ``(8, outputs)`` gradients to ``(length + 1, outputs)``; the last
    row gets the gradients' own sum.
    """
    for d in range(0, outputs, V):
        at = given + 4 * d
        g0, g1 = load(at, V), load(at + 4 * outputs, V)
        g2, g3 = load(at + 8 * outputs, V), load(at + 12 * outputs, V)
        g4, g5 = load(at + 16 * outputs, V), load(at + 20 * outputs, V)
        g6, g7 = load(at + 24 * outputs, V), load(at + 28 * outputs, V)
        to = total + 4 * d
        for k in range(length):
            row = rows + 4 * k
            value = fma(fill(load_float(row), V), g0, load(to, V))
            value = fma(fill(load_float(row + 4 * length), V), g1, value)
            value = fma(fill(load_float(row + 8 * length), V), g2, value)
            value = fma(fill(load_float(row + 12 * length), V), g3, value)
            value = fma(fill(load_float(row + 16 * length), V), g4, value)
            value = fma(fill(load_float(row + 20 * length), V), g5, value)
            value = fma(fill(load_float(row + 24 * length), V), g6, value)
            value = fma(fill(load_float(row + 28 * length), V), g7, value)
            store(to, value)
            to += 4 * outputs
        store(to, load(to, V) + g0 + g1 + g2 + g3 + g4 + g5 + g6 + g7)


@njit
def spread(sample, wanted, dots, place, table, totals, channels, line, W, E, K):
    """One group of one pixel, backwards: mix the samples again, add ``wanted``, their gradient ``(K, E)``, to the
    features' gradient in ``totals``, and write the products of ``wanted`` and each of the four pixels, ``(K, 4)``.
    """
    for t in range(K):
        index = 4 * load_int(place + 4 * t)
        at, to = table + index, totals + index
        here, right, under, across = _shares(place, t, W, K)
        p0 = fill(0.0, W)
        p1, p2, p3 = p0, p0, p0
        for c in range(0, E, W):
            gradient = load(wanted + 4 * (t * E + c), W)
            v0, v1 = load(at + 4 * c, W), load(at + 4 * (c + channels), W)
            v2, v3 = load(at + 4 * (c + line), W), load(at + 4 * (c + line + channels), W)
            p0, p1 = fma(v0, gradient, p0), fma(v1, gradient, p1)
            p2, p3 = fma(v2, gradient, p2), fma(v3, gradient, p3)
            store(sample + 4 * (t * E + c), fma(v3, across, fma(v2, under, fma(v1, right, v0 * here))))
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
def differentiate_place(of_offset, of_modulation, dots, place, is_logit, K):
    """Gradients of one group's offsets and modulation at one pixel, from what ``spread`` wrote."""
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
