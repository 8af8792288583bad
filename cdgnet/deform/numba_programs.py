"""The programs that each thread runs for the deformable convolution on CPUs.

A unit of work is a band of rows of one frame. Units and the order of all sums depend on the shapes only, so the result
is the same for any number of threads. A program fetches the next unit until none is left. Its argument is the address
of an int64 array: the next unit, the next thread's number, and the arguments that the program unpacks first.

With ``guide``, the address of a convolution's weight, the program also predicts the offsets and the logits of the
modulation. They are stored only if gradients are needed; their own gradients are never stored. With ``join``, the
weight of a 1x1 convolution, the result is that of a whole layer: features + join(ReLU(convolution)).

Legend: K = SIZE * SIZE taps, C input channels, D output channels, L = CK samples per pixel, M channels of offsets and
logits, rounded up; W vector lanes for a group's channels (IS_ONE: one vector holds them all), V for output channels.
"""

import functools
import zlib
from pathlib import Path

from llvmlite import binding
from numba import cfunc, types

from cdgnet.deform import numba_rows, numba_samples, vectors
from cdgnet.deform.numba_rows import (
    BLOCK,
    add,
    add_gradients,
    add_products,
    add_rows,
    clear,
    copy,
    multiply,
    rectify,
    rectify_gradient,
)
from cdgnet.deform.numba_samples import FIELDS, RIM, find_block, find_gradients, sample_block, spread_block
from cdgnet.deform.vectors import fill, load_float, load_longs, store, take_number

_compiled = cfunc(types.void(types.int64), cache=True, error_model="numpy")
# numba recompiles if this file changes. Because of a checksum in each program, it also does if the other files change.
_SOURCES = zlib.crc32(b"".join(Path(module.__file__).read_bytes() for module in (numba_rows, numba_samples, vectors)))
WIDEST = 32 if binding.get_host_cpu_features().get("avx512f") else 8
"""Lanes of the widest vector of which ten fit into the registers."""
SPAN = 4 * BLOCK
"""Number of pixels of a row over which the weight's gradient is summed at a time."""


def lanes(channels: int, most: int = WIDEST) -> int:
    """Return the vector lanes for ``channels``: the largest power of two that divides them, up to ``most``."""
    return min(most, channels & -channels)


def rounded(count: int) -> int:
    """Round up to a multiple of ``WIDEST``."""
    return -(-count // WIDEST) * WIDEST


def scratch_floats(length: int, outputs: int, groups: int, taps: int) -> int:
    """Return the size of a thread's scratch memory, in floats."""
    moves = rounded(3 * groups * taps)
    row = rounded(length) + outputs + moves + groups * taps * (FIELDS + 4)
    return rounded(BLOCK * row + SPAN * (length + moves + outputs) + 2 * taps)


@functools.cache
def frame(W: int) -> int:
    """Return the address of the program that copies features with a rim of zeros; a unit is a row of the copy."""
    sources = _SOURCES

    @_compiled
    def program(a):
        sources  # noqa: B018
        units, features, table, height, width, channels = load_longs(a + 16, 6)
        line, rim = (width + 2 * RIM) * channels, RIM * channels
        while True:
            unit = take_number(a)
            if unit >= units:
                break
            item, row = unit // (height + 2 * RIM), unit % (height + 2 * RIM) - RIM
            to = table + 4 * unit * line
            if 0 <= row < height:
                clear(to, rim, W)
                copy(to + 4 * rim, features + 4 * (item * height + row) * width * channels, width * channels, W)
                clear(to + 4 * (rim + width * channels), rim, W)
            else:
                clear(to, line, W)

    return program.address


@functools.cache
def convolve(W: int, IS_ONE: bool, V: int, SIZE: int) -> int:
    """Return the address of the program that convolves."""
    K, sources = SIZE * SIZE, _SOURCES

    @_compiled
    def program(a):
        sources  # noqa: B018
        (
            units, bands, band_rows, scratch, scratch_size, table, height, frame_width, channels, groups, result_height,
            result_width, outputs, steps, offset, offset_stride, modulation, modulation_stride, moves_width, guide,
            guide_bias, kept, extents, weight, bias, result, join, join_bias, kept_joined,
        ) = load_longs(a + 16, 29)  # fmt: skip
        line, length = (frame_width + 2 * RIM) * channels, K * channels
        width = W if IS_ONE else channels // groups
        samples = scratch + 4 * take_number(a + 8) * scratch_size
        places = samples + 4 * BLOCK * length
        moves = places + 4 * BLOCK * groups * FIELDS * K
        joined = moves + 4 * BLOCK * moves_width
        extent = joined + 4 * BLOCK * outputs
        while True:
            unit = take_number(a)
            if unit >= units:
                break
            item, top = unit // bands, unit % bands * band_rows
            frame = table + 4 * item * (height + 2 * RIM) * line
            store(extent, fill(float(height), K))
            store(extent + 4 * K, fill(-float(RIM), K))
            for row in range(top, min(result_height, top + band_rows)):
                for column in range(0, result_width, BLOCK):
                    count = min(BLOCK, result_width - column)
                    pixel = (item * result_height + row) * result_width + column
                    at, factors = offset + 4 * pixel * offset_stride, modulation + 4 * pixel * modulation_stride
                    if guide:
                        at = kept + 4 * pixel * moves_width if kept else moves
                        factors = at + 8 * groups * K
                        around = frame + 4 * ((row + RIM - SIZE // 2) * line + (column + RIM - SIZE // 2) * channels)
                        multiply(
                            at, moves_width, around, channels, SIZE, SIZE * channels, line, guide, guide_bias,
                            moves_width, count, WIDEST,
                        )  # fmt: skip
                    find_block(
                        places, extent, count, groups, at, offset_stride, factors, modulation_stride, guide != 0, steps,
                        row, column, height, frame_width, channels, K,
                    )  # fmt: skip
                    sample_block(samples, places, count, groups, frame, channels, line, width, W, K)
                    to = result + 4 * pixel * outputs
                    if not join:
                        multiply(to, outputs, samples, length, 1, length, 0, weight, bias, outputs, count, V)
                        continue
                    known = kept_joined + 4 * pixel * outputs if kept_joined else joined
                    multiply(known, outputs, samples, length, 1, length, 0, weight, bias, outputs, count, V)
                    rectify(known, count * outputs, V)
                    multiply(to, outputs, known, outputs, 1, outputs, 0, join, join_bias, outputs, count, V)
                    add(to, frame + 4 * ((row + RIM) * line + (column + RIM) * channels), count * outputs, V)
            least, most = load_float(extent), load_float(extent + 4 * K)
            for t in range(1, K):
                least, most = min(least, load_float(extent + 4 * t)), max(most, load_float(extent + 4 * (K + t)))
            if guide:
                least = min(least, float(top - SIZE // 2))
                most = max(most, float(min(result_height, top + band_rows) - 2 + SIZE // 2))
            store(extents + 16 * unit, int(least))
            store(extents + 16 * unit + 8, int(most))

    return program.address


@functools.cache
def differentiate(W: int, IS_ONE: bool, V: int, SIZE: int) -> int:
    """Return the address of the program that computes all gradients; ``collect`` adds up those of the features.

    Each unit sums its share of the features' gradient in its own window. ``windows`` holds the address that the rim's
    first row would have in each.
    """
    K, sources = SIZE * SIZE, _SOURCES

    @_compiled
    def program(a):
        sources  # noqa: B018
        (
            units, bands, band_rows, scratch, scratch_size, table, height, frame_width, channels, groups, result_height,
            result_width, outputs, steps, offset, offset_stride, modulation, modulation_stride, moves_width, guide,
            _, kept, extents, windows, gradient, weight, zeros, wanted_width, of_offset, of_modulation,
            products, guide_products, join_turned, kept_joined, join_products,
        ) = load_longs(a + 16, 35)  # fmt: skip
        line, length = (frame_width + 2 * RIM) * channels, K * channels
        width = W if IS_ONE else channels // groups
        samples = scratch + 4 * take_number(a + 8) * scratch_size
        places = samples + 4 * SPAN * length
        of_moves = places + 4 * BLOCK * groups * FIELDS * K
        wanted = of_moves + 4 * SPAN * moves_width
        given = wanted + 4 * BLOCK * wanted_width
        of_joined = given + 4 * BLOCK * outputs
        dots = of_joined + 4 * SPAN * outputs
        extent = dots + 16 * BLOCK * groups * K
        clear(of_moves, SPAN * moves_width, WIDEST)
        while True:
            unit = take_number(a)
            if unit >= units:
                break
            item, top = unit // bands, unit % bands * band_rows
            frame = table + 4 * item * (height + 2 * RIM) * line
            (window,) = load_longs(windows + 8 * unit, 1)
            least, most = load_longs(extents + 16 * unit, 2)
            clear(window + 4 * (least + RIM) * line, (most - least + 2) * line, W)
            total = products + 4 * unit * (length + 1) * outputs
            guide_total = guide_products + 4 * unit * (length + 1) * moves_width
            join_total = join_products + 4 * unit * (outputs + 1) * outputs
            for row in range(top, min(result_height, top + band_rows)):
                for begin in range(0, result_width, SPAN):
                    end = min(result_width, begin + SPAN)
                    first = (item * result_height + row) * result_width + begin
                    rows = gradient + 4 * first * outputs
                    around = 4 * ((row + RIM - SIZE // 2) * line + (begin + RIM - SIZE // 2) * channels)
                    for column in range(begin, end, BLOCK):
                        count, done = min(BLOCK, end - column), column - begin
                        pixel = first + done
                        at, factors = offset + 4 * pixel * offset_stride, modulation + 4 * pixel * modulation_stride
                        to, of_factors = (
                            of_offset + 4 * pixel * offset_stride,
                            of_modulation + 4 * pixel * modulation_stride,
                        )
                        if guide:
                            at, to = kept + 4 * pixel * moves_width, of_moves + 4 * done * moves_width
                            factors, of_factors = at + 8 * groups * K, to + 8 * groups * K
                        find_block(
                            places, extent, count, groups, at, offset_stride, factors, modulation_stride, guide != 0,
                            steps, row, column, height, frame_width, channels, K,
                        )  # fmt: skip
                        known = rows + 4 * done * outputs
                        if count < BLOCK:
                            copy(given, known, count * outputs, V)
                            known = given
                        if join_turned:
                            to_joined = of_joined + 4 * done * outputs
                            multiply(
                                to_joined, outputs, known, outputs, 1, outputs, 0, join_turned, zeros, outputs, BLOCK, V
                            )
                            rectify_gradient(to_joined, kept_joined + 4 * pixel * outputs, BLOCK * outputs, V)
                            known = to_joined
                        multiply(
                            wanted, wanted_width, known, outputs, 1, outputs, 0, weight, zeros,
                            wanted_width, BLOCK, WIDEST,
                        )  # fmt: skip
                        spread_block(
                            samples + 4 * done * length, wanted, wanted_width, dots, places, count, groups, frame,
                            window, channels, line, width, W, K,
                        )  # fmt: skip
                        find_gradients(
                            to, offset_stride, of_factors, modulation_stride, dots, places, count, groups, guide != 0, K
                        )
                        if guide:
                            multiply(
                                wanted, wanted_width, to, moves_width, 1, moves_width, 0, guide, zeros,
                                wanted_width, BLOCK, WIDEST,
                            )  # fmt: skip
                            add_rows(
                                window + around + 4 * done * channels, wanted, wanted_width, count, SIZE,
                                SIZE * channels, line, channels, W,
                            )  # fmt: skip
                    if join_turned:
                        kept_rows = kept_joined + 4 * first * outputs
                        add_products(join_total, kept_rows, outputs, 1, outputs, 0, rows, outputs, end - begin, V)
                        add_gradients(join_total + 4 * outputs * outputs, rows, outputs, end - begin, V)
                        rows = of_joined
                    add_products(total, samples, length, 1, length, 0, rows, outputs, end - begin, V)
                    add_gradients(total + 4 * length * outputs, rows, outputs, end - begin, V)
                    if guide:
                        add_products(
                            guide_total, frame + around, channels, SIZE, SIZE * channels, line, of_moves, moves_width,
                            end - begin, WIDEST,
                        )  # fmt: skip
                        add_gradients(
                            guide_total + 4 * length * moves_width, of_moves, moves_width, end - begin, WIDEST
                        )

    return program.address


@functools.cache
def collect(W: int) -> int:
    """Return the address of the program that adds the windows to ``base`` or to zeros.

    A unit is a row of the features' gradient.
    """
    sources = _SOURCES

    @_compiled
    def program(a):
        sources  # noqa: B018
        units, bands, windows, extents, result, base, height, width, channels = load_longs(a + 16, 9)
        line = (width + 2 * RIM) * channels
        while True:
            unit = take_number(a)
            if unit >= units:
                break
            item, row = unit // height, unit % height
            to = result + 4 * unit * width * channels
            if base:
                copy(to, base + 4 * unit * width * channels, width * channels, W)
            else:
                clear(to, width * channels, W)
            for band in range(item * bands, (item + 1) * bands):
                least, most = load_longs(extents + 16 * band, 2)
                if least <= row <= most + 1:
                    (window,) = load_longs(windows + 8 * band, 1)
                    at = window + 4 * ((row + RIM) * line + RIM * channels)
                    add(to, at, width * channels, W)

    return program.address
