"""Matrix products of a few rows, sums and copies, as loops compiled with numba for CPUs.

A block of 8 rows, one per pixel, is multiplied by a matrix at once, which is thus read only once for all 8. Arguments
are addresses, in bytes, and counts. Capital letters are constants of the compiled program: V and W are vector lanes.
"""

from numba import njit

from cdgnet.deform.vectors import (
    fill,
    fma,
    load,
    load_float,
    maximum,
    store,
    unless_nan,
    where_positive,
)

BLOCK = 8
"""Number of rows multiplied at once: the pixels that a thread processes together."""


@njit
def multiply(result, result_stride, rows, stride, parts, length, jump, weight, bias, outputs, count, V):
    """Multiply 8 rows by a weight ``(outputs / V, parts * length, V)`` and add a bias; write ``count`` rows.

    Rows start ``stride`` floats apart. Each consists of ``parts`` pieces of ``length`` floats, ``jump`` floats apart:
    the neighbourhood of a pixel can thus be read from the frame without copying it.
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
    """Add the products of ``count`` rows and ``(count, outputs)`` gradients to ``(parts * length, outputs)``.

    Rows are laid out as in ``multiply``. 8 rows of the sum stay in registers while the loop runs over all pixels.
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
    """Sum ``(count, outputs)`` gradients into the bias's ``(outputs,)``."""
    for d in range(0, outputs, V):
        value = load(total + 4 * d, V)
        for p in range(count):
            value = value + load(given + 4 * (p * outputs + d), V)
        store(total + 4 * d, value)


@njit
def add_rows(sums, rows, stride, count, parts, length, jump, channels, W):
    """Add ``count`` rows of ``parts`` times ``length`` floats to a frame, each to the neighbourhood of its pixel.

    Rows are ``stride`` floats apart; in the frame, pixels are ``channels`` and lines ``jump`` floats apart.
    """
    for p in range(count):
        for part in range(parts):
            to = sums + 4 * (p * channels + part * jump)
            values = rows + 4 * (p * stride + part * length)
            add(to, values, length, W)


@njit
def rectify(values, count, V):
    """Apply ReLU in place to ``count`` floats, a multiple of V."""
    for k in range(0, count, V):
        value = load(values + 4 * k, V)
        store(values + 4 * k, unless_nan(value, maximum(value, fill(0.0, V))))


@njit
def rectify_gradient(gradient, values, count, V):
    """Run the backward pass of ``rectify`` in place: zero the gradient if the results ``values`` are not positive."""
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
