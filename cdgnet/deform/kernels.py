"""The Triton kernels of the fused deformable convolution; ``fused`` launches them.

All tensors are channels last. A program processes a block of P pixels. For each tap it reads the four pixels around
each position, interpolates between them, and multiplies the samples by the tap's slice of the kernel right away, so
that samples are never stored in device memory.

Legend: P pixels of a block, E channels of an offset group, D output channels; a step is one tap of one offset group.
"""

import triton
import triton.language as tl


@triton.jit
def _read_place(
    offset, offset_stride, modulation, modulation_stride, pixel, is_in, row, column, tap, channel, PADDING, SIZE
):
    """Return the row and column at which a tap reads, in pixels, and its sample's factor; ``(P,)`` float32 each."""
    down = tl.load(offset + pixel * offset_stride + 2 * channel, is_in, other=0.0)
    right = tl.load(offset + pixel * offset_stride + 2 * channel + 1, is_in, other=0.0)
    factor = tl.load(modulation + pixel * modulation_stride + channel, is_in, other=0.0)
    return row - PADDING + tap // SIZE + down, column - PADDING + tap % SIZE + right, factor


@triton.jit
def _split(position, side):
    """Return the integer and the fractional part of a position; the fractional part of NaN is NaN."""
    # Positions more than a pixel outside read zeros; clamped, they fit into an int32.
    bounded = tl.minimum(tl.maximum(position, -2.0), side + 1.0)
    before = tl.floor(bounded)
    return before.to(tl.int32), tl.where(position == position, bounded - before, position)


@triton.jit
def _read(features, is_in, y, x, first, channel, is_channel, height, width, CHANNELS):
    """Read one neighbour of each position, ``(P, E)`` float32, zero outside; also its address, and whether inside."""
    is_inside = is_in & (y >= 0) & (y < height) & (x >= 0) & (x < width)
    at = (first + y * width + x)[:, None] * CHANNELS + channel[None, :]
    is_read = is_inside[:, None] & is_channel[None, :]
    return tl.load(features + at, is_read, other=0.0).to(tl.float32), at, is_read


@triton.jit
def _multiply(one, other, total, KIND, PRECISION):
    """Compute ``total`` + ``one`` @ ``other``, with ``one`` rounded to the type of ``other``.

    The product is computed in KIND, because Triton's interpreter has no bfloat16.
    """
    return tl.dot(one.to(other.dtype).to(KIND), other.to(KIND), total, input_precision=PRECISION)


@triton.jit
def convolve(
    features,  # (B, H, W, C)
    offset,  # (B, h, w, 2GK) float32, in rows of offset_stride
    modulation,  # (B, h, w, GK) float32, in rows of modulation_stride
    weight,  # (K, C, D), of the features' type
    bias,  # (D,) float32
    result,  # (B, h, w, D), of the features' type
    offset_stride,
    modulation_stride,
    pixels,  # B * h * w
    height,  # H
    width,
    result_height,  # h
    result_width,
    PADDING: tl.constexpr,
    SIZE: tl.constexpr,
    GROUPS: tl.constexpr,
    CHANNELS: tl.constexpr,
    OUTPUTS: tl.constexpr,
    BLOCK_P: tl.constexpr,
    BLOCK_E: tl.constexpr,
    BLOCK_D: tl.constexpr,
    KIND: tl.constexpr,
    PRECISION: tl.constexpr,
):
    pixel = tl.program_id(0).to(tl.int64) * BLOCK_P + tl.arange(0, BLOCK_P)
    is_in = pixel < pixels
    row = (pixel // result_width % result_height).to(tl.int32)
    column = (pixel % result_width).to(tl.int32)
    first = pixel // result_width // result_height * height * width
    part: tl.constexpr = CHANNELS // GROUPS
    output = tl.arange(0, BLOCK_D)
    total = tl.zeros((BLOCK_P, BLOCK_D), tl.float32)
    for step in range(SIZE * SIZE * GROUPS):
        tap, group = step // GROUPS, step % GROUPS
        row_at, column_at, factor = _read_place(
            offset, offset_stride, modulation, modulation_stride, pixel, is_in, row, column, tap,
            group * SIZE * SIZE + tap, PADDING, SIZE,
        )  # fmt: skip
        y, below = _split(row_at, height)
        x, beyond = _split(column_at, width)
        within = tl.arange(0, BLOCK_E)
        channel = group * part + within
        is_channel = within < part
        here, _, _ = _read(features, is_in, y, x, first, channel, is_channel, height, width, CHANNELS)
        right, _, _ = _read(features, is_in, y, x + 1, first, channel, is_channel, height, width, CHANNELS)
        under, _, _ = _read(features, is_in, y + 1, x, first, channel, is_channel, height, width, CHANNELS)
        across, _, _ = _read(features, is_in, y + 1, x + 1, first, channel, is_channel, height, width, CHANNELS)
        upper = here + beyond[:, None] * (right - here)
        lower = under + beyond[:, None] * (across - under)
        sample = (upper + below[:, None] * (lower - upper)) * factor[:, None]  # (P, E)
        kernel = tl.load(
            weight + (tap * CHANNELS + channel)[:, None] * OUTPUTS + output[None, :],
            is_channel[:, None] & (output < OUTPUTS)[None, :],
            other=0.0,
        )  # (E, D)
        total = _multiply(sample, kernel, total, KIND, PRECISION)
    total += tl.load(bias + output, output < OUTPUTS, other=0.0)[None, :]
    tl.store(
        result + pixel[:, None] * OUTPUTS + output[None, :],
        total.to(result.dtype.element_ty),
        is_in[:, None] & (output < OUTPUTS)[None, :],
    )


@triton.jit
def _add(sums, at, is_read, value, scale, IS_EXACT):
    """Add to a gradient that many programs share; as integers if IS_EXACT, so that their order has no effect."""
    if IS_EXACT:
        tl.atomic_add(sums + at, tl.floor(value * scale + 0.5).to(tl.int64), is_read, sem="relaxed")
    else:
        tl.atomic_add(sums + at, value, is_read, sem="relaxed")


@triton.jit
def differentiate(
    gradient,  # (B, h, w, D), of the result; of the features' type
    features,
    offset,
    modulation,
    weight,
    features_sums,  # (B, H, W, C), zero; float32, or int64 if IS_EXACT
    offset_gradient,  # (B, h, w, 2GK) float32
    modulation_gradient,  # (B, h, w, GK) float32
    weight_sums,  # (parts, K, C, D) float32
    scale,  # (), factor of the integers in features_sums
    offset_stride,
    modulation_stride,
    pixels,
    height,
    width,
    result_height,
    result_width,
    PADDING: tl.constexpr,
    SIZE: tl.constexpr,
    GROUPS: tl.constexpr,
    CHANNELS: tl.constexpr,
    OUTPUTS: tl.constexpr,
    BLOCK_P: tl.constexpr,
    BLOCK_E: tl.constexpr,
    BLOCK_D: tl.constexpr,
    KIND: tl.constexpr,
    PRECISION: tl.constexpr,
    IS_EXACT: tl.constexpr,
    NEEDS_FEATURES: tl.constexpr,
):
    """Compute all gradients except the bias's.

    A program processes one step for every n-th block of pixels. It can therefore sum its part of the weight's gradient
    in registers, always in the same order.
    """
    step = tl.program_id(0)
    tap, group = step // GROUPS, step % GROUPS
    place = group * SIZE * SIZE + tap
    part: tl.constexpr = CHANNELS // GROUPS
    within = tl.arange(0, BLOCK_E)
    channel = group * part + within
    is_channel = within < part
    output = tl.arange(0, BLOCK_D)
    is_output = output < OUTPUTS
    of_kernel = (tap * CHANNELS + channel)[:, None] * OUTPUTS + output[None, :]
    is_kernel = is_channel[:, None] & is_output[None, :]
    kernel = tl.load(weight + of_kernel, is_kernel, other=0.0)  # (E, D)
    factor_of_sums = tl.load(scale)
    total = tl.zeros((BLOCK_E, BLOCK_D), tl.float32)
    for block in range(tl.program_id(1), tl.cdiv(pixels, BLOCK_P), tl.num_programs(1)):
        pixel = tl.cast(block, tl.int64) * BLOCK_P + tl.arange(0, BLOCK_P)
        is_in = pixel < pixels
        row = (pixel // result_width % result_height).to(tl.int32)
        column = (pixel % result_width).to(tl.int32)
        first = pixel // result_width // result_height * height * width
        given = tl.load(
            gradient + pixel[:, None] * OUTPUTS + output[None, :], is_in[:, None] & is_output[None, :], other=0.0
        )  # (P, D)
        # Gradient of the samples, (P, E).
        wanted = _multiply(given, tl.trans(kernel), tl.zeros((BLOCK_P, BLOCK_E), tl.float32), KIND, PRECISION)
        row_at, column_at, factor = _read_place(
            offset, offset_stride, modulation, modulation_stride, pixel, is_in, row, column, tap, place, PADDING, SIZE
        )
        y, below = _split(row_at, height)
        x, beyond = _split(column_at, width)
        below, beyond, factor = below[:, None], beyond[:, None], factor[:, None]
        here, at_here, is_here = _read(features, is_in, y, x, first, channel, is_channel, height, width, CHANNELS)
        right, at_right, is_right = _read(
            features, is_in, y, x + 1, first, channel, is_channel, height, width, CHANNELS
        )
        under, at_under, is_under = _read(
            features, is_in, y + 1, x, first, channel, is_channel, height, width, CHANNELS
        )
        across, at_across, is_across = _read(
            features, is_in, y + 1, x + 1, first, channel, is_channel, height, width, CHANNELS
        )
        upper = here + beyond * (right - here)
        lower = under + beyond * (across - under)
        sample = upper + below * (lower - upper)  # (P, E), before modulation
        tl.store(modulation_gradient + pixel * (SIZE * SIZE * GROUPS) + place, tl.sum(wanted * sample, axis=1), is_in)
        wanted *= factor
        down = tl.sum(wanted * (lower - upper), axis=1)
        aside = tl.sum(wanted * ((right - here) + below * ((across - under) - (right - here))), axis=1)
        of_offset = offset_gradient + pixel * (2 * SIZE * SIZE * GROUPS) + 2 * place
        tl.store(of_offset, down, is_in)
        tl.store(of_offset + 1, aside, is_in)
        if NEEDS_FEATURES:
            _add(features_sums, at_here, is_here, wanted * (1 - below) * (1 - beyond), factor_of_sums, IS_EXACT)
            _add(features_sums, at_right, is_right, wanted * (1 - below) * beyond, factor_of_sums, IS_EXACT)
            _add(features_sums, at_under, is_under, wanted * below * (1 - beyond), factor_of_sums, IS_EXACT)
            _add(features_sums, at_across, is_across, wanted * below * beyond, factor_of_sums, IS_EXACT)
        total = _multiply(tl.trans(sample * factor), given, total, KIND, PRECISION)
    weight_sums += tl.program_id(1).to(tl.int64) * (SIZE * SIZE * CHANNELS * OUTPUTS)
    tl.store(weight_sums + of_kernel, total, is_kernel)
