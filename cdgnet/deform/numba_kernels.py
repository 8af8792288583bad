"""The loops of the deformable convolution for CPUs, compiled by numba; ``numba_programs`` puts them together.

All tensors lie channels last. A thread takes a block of 8 pixels of a row: it finds where their taps read, then mixes
the four pixels around each such place, then multiplies the 8 rows of samples by the weight, which so is read once for
all 8. The samples stay in the cache nearest to the core. Each step is done for all 8 pixels before the next: so no
place is waited for.

Arguments are addresses, in bytes, and counts; capital letters are constants of the compiled program.

Legend: K taps, C channels in, D channels out, E channels of an offset group, W lanes of a vector of those, V lanes of
a vector of products.
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
    where_positive,
)

BLOCK = 8
RIM = 2
"""Pixels of zeros around the features: what is further outside is read there."""
SPAN = 4 * BLOCK
"""Pixels of a row of which the weight's gradient is summed at once."""
FIELDS = 8
"""Of a place: where it reads, int32; shares of the four pixels; how far below and beyond the first; modulation."""


@njit
def _split(offset, rest, side, K):
    """The pixel at or before a position, as whole floats, and how far beyond it that lies: as exact as the offset, far
    from the frame's corner too.
    """
    low, high = fill(-float(RIM), K) - rest, fill(float(side), K) - rest
    bounded = minimum(maximum(offset, low), high)  # what is beyond reads zeros as well; NaN becomes a number
    whole = floor(bounded)
    return rest + whole, unless_nan(offset, bounded - whole)


@njit
def _find(place, extent, offset, modulation, is_logit, steps, row, column, height, width, channels, K):
    """Write the ``(FIELDS, K)`` of one group's taps at one pixel, and widen the ``(2, K)`` least and largest rows."""
    y, below = _split(load_every(offset, K, 2, 0), load(steps, K) + fill(float(row), K), height, K)
    x, beyond = _split(load_every(offset, K, 2, 1), load(steps + 4 * K, K) + fill(float(column), K), width, K)
    store(extent, minimum(load(extent, K), y))
    store(extent + 4 * K, maximum(load(extent + 4 * K, K), y))
    factor = load(modulation, K)
    if is_logit:
        factor = sigmoid(factor, K)
    rim = fill(RIM, K)
    store(place, ((to_ints(y) + rim) * fill(width + 2 * RIM, K) + to_ints(x) + rim) * fill(channels, K))
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
    steps, row, column, height, width, channels, K,
):  # fmt: skip
    """Places of ``count`` pixels of a row, all groups: ``(count, G, FIELDS, K)``."""
    for p in range(count):
        for g in range(groups):
            _find(
                places + 4 * (p * groups + g) * FIELDS * K, extent,
                offset + 4 * (p * offset_stride + 2 * g * K), modulation + 4 * (p * modulation_stride + g * K),
                is_logit, steps, row, column + p, height, width, channels, K,
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
    """Mix the four pixels around each place of ``count`` pixels, all groups: ``(count, G, K, E)``, E = ``width``."""
    for p in range(count):
        for g in range(groups):
            n = p * groups + g
            _sample(
                samples + 4 * n * K * width,
                places + 4 * n * FIELDS * K,
                table + 4 * g * width,
                channels,
                line,
                width,
                W,
                K,
            )


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
def multiply(result, result_stride, rows, stride, parts, length, jump, weight, bias, outputs, count, V):
    """8 rows times a weight ``(outputs / V, parts * length, V)``, plus a bias: ``count`` rows of the result.

    Rows begin ``stride`` floats apart, and consist of ``parts`` of ``length`` floats that begin ``jump`` floats apart:
    those around a pixel in a frame, which need not be copied so.
    """
    for d in range(0, outputs, V):
        r0 = load(bias + 4 * d, V)
        r1, r2, r3, r4, r5, r6, r7 = r0, r0, r0, r0, r0, r0, r0
        kernel = weight + 4 * d * parts * length
        for part in range(parts):
            for k in range(length):
                w = load(kernel, V)
                kernel += 4 * V
                at = rows + 4 * (part * jump + k)
                r0 = fma(fill(load_float(at), V), w, r0)
                r1 = fma(fill(load_float(at + 4 * stride), V), w, r1)
                r2 = fma(fill(load_float(at + 8 * stride), V), w, r2)
                r3 = fma(fill(load_float(at + 12 * stride), V), w, r3)
                r4 = fma(fill(load_float(at + 16 * stride), V), w, r4)
                r5 = fma(fill(load_float(at + 20 * stride), V), w, r5)
                r6 = fma(fill(load_float(at + 24 * stride), V), w, r6)
                r7 = fma(fill(load_float(at + 28 * stride), V), w, r7)
        to = result + 4 * d
        store(to, r0)
        if count > 1:
            store(to + 4 * result_stride, r1)
        if count > 2:
            store(to + 8 * result_stride, r2)
        if count > 3:
            store(to + 12 * result_stride, r3)
        if count > 4:
            store(to + 16 * result_stride, r4)
        if count > 5:
            store(to + 20 * result_stride, r5)
        if count > 6:
            store(to + 24 * result_stride, r6)
        if count > 7:
            store(to + 28 * result_stride, r7)


@njit
def add_products(total, rows, stride, parts, length, jump, given, outputs, count, V):
    """Add the products of ``count`` rows, as in ``multiply``, and ``(count, outputs)`` gradients to ``(parts * length,
    outputs)``; 8 rows of it are in registers while all of the pixels pass.
    """
    for part in range(parts):
        for k in range(0, length, BLOCK):
            many = min(BLOCK, length - k)
            row = rows + 4 * (part * jump + k)
            to = total + 4 * (part * length + k) * outputs
            for d in range(0, outputs, V):
                if many == BLOCK:
                    _add_8(to + 4 * d, row, stride, given + 4 * d, outputs, count, V)
                else:
                    for one in range(many):
                        _add_1(to + 4 * (one * outputs + d), row + 4 * one, stride, given + 4 * d, outputs, count, V)


@njit
def _add_8(to, row, stride, given, outputs, count, V):
    step = 4 * outputs
    t0, t1, t2, t3 = load(to, V), load(to + step, V), load(to + 2 * step, V), load(to + 3 * step, V)
    t4, t5, t6, t7 = load(to + 4 * step, V), load(to + 5 * step, V), load(to + 6 * step, V), load(to + 7 * step, V)
    for p in range(count):
        gradient = load(given + p * step, V)
        at = row + 4 * p * stride
        t0, t1 = fma(fill(load_float(at), V), gradient, t0), fma(fill(load_float(at + 4), V), gradient, t1)
        t2, t3 = fma(fill(load_float(at + 8), V), gradient, t2), fma(fill(load_float(at + 12), V), gradient, t3)
        t4, t5 = fma(fill(load_float(at + 16), V), gradient, t4), fma(fill(load_float(at + 20), V), gradient, t5)
        t6, t7 = fma(fill(load_float(at + 24), V), gradient, t6), fma(fill(load_float(at + 28), V), gradient, t7)
    store(to, t0)
    store(to + step, t1)
    store(to + 2 * step, t2)
    store(to + 3 * step, t3)
    store(to + 4 * step, t4)
    store(to + 5 * step, t5)
    store(to + 6 * step, t6)
    store(to + 7 * step, t7)


@njit
def _add_1(to, row, stride, given, outputs, count, V):
    value = load(to, V)
    for p in range(count):
        value = fma(fill(load_float(row + 4 * p * stride), V), load(given + 4 * p * outputs, V), value)
    store(to, value)


@njit
def add_gradients(total, given, outputs, count, V):
    """Add ``(count, outputs)`` gradients to ``(outputs,)``, the bias's."""
    for d in range(0, outputs, V):
        value = load(total + 4 * d, V)
        for p in range(count):
            value = value + load(given + 4 * (p * outputs + d), V)
        store(total + 4 * d, value)


@njit
def add_rows(sums, rows, stride, count, parts, length, jump, channels, W):
    """Add ``count`` rows of ``parts`` times ``length`` floats, ``stride`` apart, to a frame: each to the pixels around
    one, which lie ``channels`` apart and in lines ``jump`` apart.
    """
    for p in range(count):
        for part in range(parts):
            to = sums + 4 * (p * channels + part * jump)
            values = rows + 4 * (p * stride + part * length)
            add(to, values, length, W)


@njit
def rectify(values, count, V):
    """ReLU of ``count`` floats, a multiple of V, where they lie."""
    for k in range(0, count, V):
        value = load(values + 4 * k, V)
        store(values + 4 * k, unless_nan(value, maximum(value, fill(0.0, V))))


@njit
def rectify_gradient(gradient, values, count, V):
    """The gradient of what ``rectify`` made ``values`` of, where it lies."""
    for k in range(0, count, V):
        store(gradient + 4 * k, where_positive(load(values + 4 * k, V), load(gradient + 4 * k, V)))


@njit
def add(to, values, count, V):
    """Add ``count`` floats, a multiple of V, to others."""
    for k in range(0, count, V):
        store(to + 4 * k, load(to + 4 * k, V) + load(values + 4 * k, V))


@njit
def clear(to, count, V):
    """Write ``count`` zeros, a multiple of V."""
    for k in range(0, count, V):
        store(to + 4 * k, fill(0.0, V))


@njit
def copy(to, values, count, V):
    """Copy ``count`` floats, a multiple of V."""
    for k in range(0, count, V):
        store(to + 4 * k, load(values + 4 * k, V))


@njit
def spread_block(
    samples, wanted, wanted_width, dots, places, count, groups, table, totals, channels, line, width, W, K
):  # fmt: skip
    """``sample_block`` backwards: mix the samples again, add ``wanted``, their gradients ``(count, wanted_width)``, to
    the features' gradient in ``totals``, and write the products of ``wanted`` and each of the four pixels,
    ``(count, G, K, 4)``.
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
    """``find_block`` backwards: gradients of offsets and modulation, from what ``spread_block`` wrote."""
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
