"""Vectors of float32 for compiled kernels: what a CPU calls SIMD registers, as two numba types.

``Lanes`` holds ``LANES`` independent problems side by side; ``Tile`` holds ``BLOCK`` rows of lanes. Every operation
is one LLVM instruction with one rounding and no reassociation, so a result is the same bits on every CPU; LLVM
splits the vectors into whatever registers there are. Arrays are flat float32, aligned by :func:`aligned`.
"""

from __future__ import annotations

import operator
from typing import Any

import numpy as np
from llvmlite import ir
from numba.core import cgutils, types
from numba.core.datamodel import models, register_default
from numba.extending import intrinsic, overload
from numpy.typing import NDArray

LANES = 8
BLOCK = 8
TILE = LANES * BLOCK
_ALIGNMENT = 64


def aligned(size: int) -> NDArray[np.float32]:
    """A zeroed flat float32 array whose first element starts a cache line, as loads and stores below require."""
    slack = _ALIGNMENT // 4
    raw = np.zeros(size + slack, dtype=np.float32)
    start = -(raw.ctypes.data // 4) % slack
    return raw[start : start + size]


class Vector(types.Type):
    """The numba type of a vector with a fixed number of float32."""

    def __init__(self, width: int) -> None:
        self.width = width
        super().__init__(name=f"float32x{width}")


@register_default(Vector)
class _VectorModel(models.PrimitiveModel):  # type: ignore[misc]
    def __init__(self, manager: Any, fe_type: Vector) -> None:
        super().__init__(manager, fe_type, ir.VectorType(ir.FloatType(), fe_type.width))


_Lanes, _Tile = Vector(LANES), Vector(TILE)


def _address(context: Any, builder: Any, array_type: Any, array: Any, index: Any, width: int) -> Any:
    data = context.make_array(array_type)(context, builder, array).data
    return builder.bitcast(builder.gep(data, [index]), ir.VectorType(ir.FloatType(), width).as_pointer())


def _loader(vector: Vector) -> Any:
    @intrinsic
    def load(_: Any, array: Any, index: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            address = _address(context, builder, signature.args[0], args[0], args[1], vector.width)
            return builder.load(address, align=min(4 * vector.width, _ALIGNMENT))

        return vector(array, types.intp), generate

    return load


@intrinsic
def at(_: Any, array: Any, index: Any) -> Any:
    """``at(array, index)``: ``array[index]``, except that numba does not ask first whether the index is negative.

    That question costs a tenth of the kernel's time.
    """

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        data = context.make_array(signature.args[0])(context, builder, args[0]).data
        return builder.load(builder.gep(data, [args[1]]))

    return array.dtype(array, types.intp), generate


load_lanes = _loader(_Lanes)
"""``load_lanes(array, index)``: the lanes that start at ``array[index]``."""
load_tile = _loader(_Tile)
"""``load_tile(array, index)``: the tile that starts at ``array[index]``."""


@intrinsic
def store(_: Any, array: Any, index: Any, value: Any) -> Any:
    """``store(array, index, value)``: write lanes or a tile from ``array[index]`` on."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        width = signature.args[2].width
        address = _address(context, builder, signature.args[0], args[0], args[1], width)
        builder.store(args[2], address, align=min(4 * width, _ALIGNMENT))
        return context.get_dummy_value()

    return types.void(array, types.intp, value), generate


def _call(builder: Any, name: str, args: Any) -> Any:
    """Call LLVM's own function of that name for this vector type."""
    vector = args[0].type
    function = ir.FunctionType(vector, [vector] * len(args))
    return builder.call(cgutils.get_or_insert_function(builder.module, function, f"{name}.v{vector.count}f32"), args)


@intrinsic
def fma(_: Any, a: Any, b: Any, c: Any) -> Any:
    """``a * b + c`` with one rounding."""
    return a(a, b, c), lambda context, builder, signature, args: _call(builder, "llvm.fma", args)


@intrinsic
def sqrt(_: Any, a: Any) -> Any:
    """Square root of every element."""
    return a(a), lambda context, builder, signature, args: _call(builder, "llvm.sqrt", args)


def _shuffle(builder: Any, vector: Any, picks: list[int]) -> Any:
    mask = ir.Constant(ir.VectorType(ir.IntType(32), len(picks)), picks)
    return builder.shuffle_vector(vector, vector, mask)


@intrinsic
def spread(_: Any, lanes: Any) -> Any:
    """The tile whose rows are all ``lanes``."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return _shuffle(builder, args[0], [place % LANES for place in range(TILE)])

    return _Tile(lanes), generate


@intrinsic
def fold(_: Any, tile: Any) -> Any:
    """The sum of a tile's rows, halves added to halves in a fixed order."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        value = args[0]
        while value.type.count > LANES:
            half = value.type.count // 2
            low, high = list(range(half)), list(range(half, 2 * half))
            value = builder.fadd(_shuffle(builder, value, low), _shuffle(builder, value, high))
        return value

    return _Lanes(tile), generate


def _splat(vector: Vector) -> Any:
    @intrinsic
    def splat(_: Any, number: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            empty = ir.Constant(ir.VectorType(ir.FloatType(), vector.width), ir.Undefined)
            first = builder.insert_element(empty, args[0], ir.Constant(ir.IntType(32), 0))
            return _shuffle(builder, first, [0] * vector.width)

        return vector(types.float32), generate

    return splat


splat_lanes = _splat(_Lanes)
"""``splat_lanes(number)``: lanes that all hold ``number``."""
splat_tile = _splat(_Tile)
"""``splat_tile(number)``: a tile that holds ``number`` everywhere."""


@intrinsic
def where_less(_: Any, a: Any, b: Any, then: Any, otherwise: Any) -> Any:
    """``then`` where ``a < b``, else ``otherwise``; a NaN is never less."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.select(builder.fcmp_ordered("<", args[0], args[1]), args[2], args[3])

    return a(a, b, then, otherwise), generate


def _arithmetic(symbol: Any, instruction: str) -> None:
    """Give vectors the operator ``symbol`` (``+ - * /``)."""

    @intrinsic
    def apply(_: Any, a: Any, b: Any) -> Any:
        return a(a, b), lambda context, builder, signature, args: getattr(builder, instruction)(*args)

    @overload(symbol)
    def operation(a, b):  # type: ignore[no-untyped-def]  # numba compares the names and hints with the lambda's
        if isinstance(a, Vector) and isinstance(b, Vector):
            return lambda a, b: apply(a, b)
        return None


for _symbol, _instruction in (
    (operator.add, "fadd"),
    (operator.sub, "fsub"),
    (operator.mul, "fmul"),
    (operator.truediv, "fdiv"),
):
    _arithmetic(_symbol, _instruction)
