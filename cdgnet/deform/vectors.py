"""Fixed-width vectors of float32 or int32 for loops compiled with numba.

A vector lives in registers, and operations act on each lane. Memory is read and written by address, an int64 in bytes.
Widths are constants of the compiled program; a vector wider than the machine's registers occupies several of them.
"""

import operator

from llvmlite import ir
from numba import njit, types
from numba.core import cgutils
from numba.extending import intrinsic, models, overload, register_model

_LANES = {"float32": ir.FloatType(), "int32": ir.IntType(32)}
_INT = ir.IntType(32)
_LONG = ir.IntType(64)


class Vector(types.Type):
    """The numba type of a vector: ``kind`` is float32 or int32, ``width`` the number of lanes."""

    def __init__(self, kind, width):
        self.kind, self.width = kind, width
        super().__init__(name=f"Vector({kind}, {width})")


@register_model(Vector)
class _VectorModel(models.PrimitiveModel):
    def __init__(self, manager, vector):
        super().__init__(manager, vector, _llvm(vector))


def _llvm(vector):
    return ir.VectorType(_LANES[vector.kind], vector.width)


def _mask(lanes):
    return ir.Constant(ir.VectorType(_INT, len(lanes)), list(lanes))


@intrinsic(prefer_literal=True)
def load(typing, address, width):
    """Load ``width`` consecutive floats."""
    vector = Vector("float32", width.literal_value)
    return vector(types.int64, width), lambda context, builder, signature, arguments: _loaded(
        builder, arguments[0], _llvm(vector)
    )


@intrinsic(prefer_literal=True)
def load_every(typing, address, width, step, first):
    """Load ``width`` floats, ``step`` apart, starting at index ``first`` after the address."""
    vector = Vector("float32", width.literal_value)

    def generate(context, builder, signature, arguments):
        all_of_them = ir.VectorType(_LANES["float32"], vector.width * step.literal_value)
        found = _loaded(builder, arguments[0], all_of_them)
        return builder.shuffle_vector(
            found, found, _mask(range(first.literal_value, found.type.count, step.literal_value))
        )

    return vector(types.int64, width, step, first), generate


def _loaded(builder, address, llvm):
    found = builder.load(builder.inttoptr(address, llvm.as_pointer()))
    found.align = 4
    return found


def _scalar_reader(kind, llvm):
    @intrinsic
    def read(typing, address):
        def generate(context, builder, signature, arguments):
            return _loaded(builder, arguments[0], llvm)

        return kind(types.int64), generate

    return read


load_float = _scalar_reader(types.float32, ir.FloatType())
load_int = _scalar_reader(types.int32, _INT)


@intrinsic(prefer_literal=True)
def load_longs(typing, address, count):
    """Load ``count`` consecutive int64 as a tuple."""
    numbers = types.UniTuple(types.int64, count.literal_value)

    def generate(context, builder, signature, arguments):
        kind = ir.ArrayType(_LONG, count.literal_value)
        return builder.load(builder.inttoptr(arguments[0], kind.as_pointer()))

    return numbers(types.int64, count), generate


@intrinsic
def store(typing, address, value):
    """Store a vector, a float32 or an int64."""
    llvm = _llvm(value) if isinstance(value, Vector) else {types.float32: ir.FloatType(), types.int64: _LONG}[value]

    def generate(context, builder, signature, arguments):
        builder.store(arguments[1], builder.inttoptr(arguments[0], llvm.as_pointer())).align = 4
        return context.get_dummy_value()

    return types.none(types.int64, value), generate


@intrinsic(prefer_literal=True)
def fill(typing, value, width):
    """Build a vector with the same float32 or int32 in each lane."""
    scalar = types.float32 if isinstance(types.unliteral(value), types.Float) else types.int32
    vector = Vector(scalar.name, width.literal_value)

    def generate(context, builder, signature, arguments):
        empty = ir.Constant(_llvm(vector), ir.Undefined)
        one = builder.insert_element(empty, arguments[0], ir.Constant(_INT, 0))
        return builder.shuffle_vector(one, empty, _mask([0] * vector.width))

    return vector(scalar, width), generate


def _operator(symbol, of_floats, of_ints):
    @intrinsic
    def apply(typing, one, other):
        def generate(context, builder, signature, arguments):
            return getattr(builder, of_floats if one.kind == "float32" else of_ints)(*arguments)

        return one(one, other), generate

    @overload(symbol)
    def _(one, other):
        if isinstance(one, Vector) and one == other:
            return lambda one, other: apply(one, other)
        return None


_operator(operator.add, "fadd", "add")
_operator(operator.sub, "fsub", "sub")
_operator(operator.mul, "fmul", "mul")
_operator(operator.truediv, "fdiv", "sdiv")


def _function(name, count):
    """Build an LLVM intrinsic that takes ``count`` float vectors."""

    def generate(context, builder, signature, arguments):
        vector = signature.args[0]
        kind = ir.FunctionType(_llvm(vector), [_llvm(vector)] * count)
        callee = cgutils.get_or_insert_function(builder.module, kind, f"llvm.{name}.v{vector.width}f32")
        return builder.call(callee, arguments)

    if count == 1:
        return intrinsic(lambda typing, one: (one(one), generate))
    if count == 2:
        return intrinsic(lambda typing, one, other: (one(one, other), generate))
    return intrinsic(lambda typing, one, other, third: (one(one, other, third), generate))


floor = _function("floor", 1)
minimum = _function("minnum", 2)
"""The smaller of two values; if one is NaN, the other."""
maximum = _function("maxnum", 2)
fma = _function("fma", 3)
"""Fused multiply-add: one * other + third, rounded once."""


@intrinsic
def unless_nan(typing, tested, value):
    """Return ``value``, but NaN in the lanes where ``tested`` is NaN."""

    def generate(context, builder, signature, arguments):
        tested, value = arguments
        return builder.select(builder.fcmp_unordered("uno", tested, tested), tested, value)

    return value(tested, value), generate


@intrinsic
def where_positive(typing, tested, value):
    """Return ``value`` in the lanes where ``tested`` is positive, 0 in the others."""

    def generate(context, builder, signature, arguments):
        tested, value = arguments
        zeros = ir.Constant(_llvm(signature.args[0]), [0.0] * signature.args[0].width)
        return builder.select(builder.fcmp_ordered(">", tested, zeros), value, zeros)

    return value(tested, value), generate


@intrinsic
def to_ints(typing, floats):
    """Convert integral floats to int32."""
    ints = Vector("int32", floats.width)
    return ints(floats), lambda context, builder, signature, arguments: builder.fptosi(arguments[0], _llvm(ints))


@intrinsic
def power_of_two(typing, exponents):
    """Compute 2 to the power of integral floats from -126 to 127, assembled from bits."""
    ints = Vector("int32", exponents.width)

    def generate(context, builder, signature, arguments):
        def all_lanes(value):
            return ir.Constant(_llvm(ints), [value] * ints.width)

        biased = builder.add(builder.fptosi(arguments[0], _llvm(ints)), all_lanes(127))
        return builder.bitcast(builder.shl(biased, all_lanes(23)), _llvm(exponents))

    return exponents(exponents), generate


@intrinsic
def interleave(typing, one, other):
    """Alternate the lanes of two vectors."""
    both = Vector(one.kind, 2 * one.width)

    def generate(context, builder, signature, arguments):
        lanes = [lane for pair in zip(range(one.width), range(one.width, 2 * one.width), strict=True) for lane in pair]
        return builder.shuffle_vector(*arguments, _mask(lanes))

    return both(one, other), generate


@intrinsic
def sums(typing, first, second, third, fourth):
    """Sum the lanes of each of four vectors, whose width is a power of two; return the sums as a vector of four."""
    four = Vector("float32", 4)

    def generate(context, builder, signature, arguments):
        vectors = list(arguments)
        while vectors[0].type.count > 4:
            half = vectors[0].type.count // 2
            vectors = [_added(builder, each, range(half), range(half, 2 * half)) for each in vectors]
        pairs = [_joined(builder, *vectors[:2]), _joined(builder, *vectors[2:])]
        joined = _joined(builder, *pairs)
        while joined.type.count > 4:
            count = joined.type.count
            joined = _added(builder, joined, range(0, count, 2), range(1, count, 2))
        return joined

    return four(first, second, third, fourth), generate


def _joined(builder, one, other):
    """Concatenate two vectors of the same width."""
    return builder.shuffle_vector(one, other, _mask(range(2 * one.type.count)))


def _added(builder, vector, lanes, others):
    """Add some lanes of a vector to as many others."""
    return builder.fadd(
        builder.shuffle_vector(vector, vector, _mask(lanes)), builder.shuffle_vector(vector, vector, _mask(others))
    )


@intrinsic
def take_number(typing, address):
    """Atomically increment the int64 at an address and return its old value."""

    def generate(context, builder, signature, arguments):
        pointer = builder.inttoptr(arguments[0], _LONG.as_pointer())
        return builder.atomic_rmw("add", pointer, ir.Constant(_LONG, 1), "monotonic")

    return types.int64(types.int64), generate


@njit
def sigmoid(logits, width):
    """Compute 1 / (1 + exp(-logits)), accurate except for the last digit.

    exp(-x) is computed as 2**n * 2**f with integer n and abs(f) <= 1/2, the second factor by a Taylor series.
    """
    exponent = minimum(maximum(logits * fill(-1.442695041, width), fill(-126.0, width)), fill(126.0, width))
    whole = floor(exponent + fill(0.5, width))
    rest = (exponent - whole) * fill(0.6931471806, width)
    power = fill(1 / 720, width)
    for divisor in (120.0, 24.0, 6.0, 2.0, 1.0, 1.0):
        power = fma(power, rest, fill(1 / divisor, width))
    one = fill(1.0, width)
    return unless_nan(logits, one / fma(power, power_of_two(whole), one))
