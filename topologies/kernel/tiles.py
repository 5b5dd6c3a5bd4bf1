"""Tiles: the values of one neuron for several rows of a batch side by side, which kernels hold in vector registers.

The type of a buffer says how many rows its tiles have, so one kernel serves every width: :func:`tiles` makes an array
of records of so many float32, and ``load``, ``store`` and ``splat`` read the width from its type.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic
from numpy.typing import NDArray

from topologies.kernel.simd import LANES, Vector, _address, _shuffle

_LINE = 64
_Lanes = Vector(LANES)


def tiles(count: int, rows: int) -> NDArray[np.void]:
    """An array of ``count`` tiles of ``rows`` float32 each, not zeroed, that starts a cache line."""
    size = 4 * count * rows
    raw = np.empty(size + _LINE, dtype=np.uint8)
    start = -raw.__array_interface__["data"][0] % _LINE
    return raw[start : start + size].view(_tile(rows))


@cache
def _tile(rows: int) -> np.dtype[np.void]:
    return np.dtype([("rows", np.float32, (rows,))])


def _rows(array: Any) -> int:
    return int(array.dtype.size) // 4


@intrinsic
def load(_: Any, array: Any, index: Any) -> Any:
    """``load(array, index)``: the tile ``array[index]``."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        width = _rows(signature.args[0])
        return builder.load(
            _address(context, builder, signature.args[0], args[0], args[1], width), align=min(4 * width, _LINE)
        )

    return Vector(_rows(array))(array, types.intp), generate


@intrinsic
def store(_: Any, array: Any, index: Any, tile: Any) -> Any:
    """``store(array, index, tile)``: ``array[index] = tile``."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        width = _rows(signature.args[0])
        address = _address(context, builder, signature.args[0], args[0], args[1], width)
        builder.store(args[2], address, align=min(4 * width, _LINE))
        return context.get_dummy_value()

    return types.void(array, types.intp, tile), generate


@intrinsic
def put(_: Any, array: Any, index: Any, value: Any) -> Any:
    """``put(array, index, value)``: ``array[index] = value``, without asking whether the index is negative."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        data = context.make_array(signature.args[0])(context, builder, args[0]).data
        cast = context.cast(builder, args[2], signature.args[2], signature.args[0].dtype)
        builder.store(cast, builder.gep(data, [args[1]]))
        return context.get_dummy_value()

    return types.void(array, types.intp, value), generate


@intrinsic
def splat(_: Any, array: Any, number: Any) -> Any:
    """``splat(array, number)``: a tile of that array's width that holds ``number`` everywhere."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        width = _rows(signature.args[0])
        empty = ir.Constant(ir.VectorType(ir.FloatType(), width), ir.Undefined)
        first = builder.insert_element(empty, args[1], ir.Constant(ir.IntType(32), 0))
        return _shuffle(builder, first, [0] * width)

    return Vector(_rows(array))(array, types.float32), generate


@intrinsic
def load_lanes(_: Any, array: Any, index: Any) -> Any:
    """``load_lanes(array, index)``: the lanes that start at ``array[index]`` of a float32 array, wherever it starts."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.load(_address(context, builder, signature.args[0], args[0], args[1], LANES), align=4)

    return _Lanes(array, types.intp), generate


@intrinsic
def store_lanes(_: Any, array: Any, index: Any, lanes: Any) -> Any:
    """``store_lanes(array, index, lanes)``: write lanes from ``array[index]`` on, wherever the array starts."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        builder.store(args[2], _address(context, builder, signature.args[0], args[0], args[1], LANES), align=4)
        return context.get_dummy_value()

    return types.void(array, types.intp, lanes), generate


@intrinsic
def turn(_: Any, a: Any, b: Any, c: Any, d: Any, e: Any, f: Any, g: Any, h: Any) -> Any:
    """The transpose of eight lanes: a vector of 64 whose first eight are the first of each, and so on."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        whole = _joined(builder, list(args))
        return _shuffle(builder, whole, [row * LANES + column for column in range(LANES) for row in range(LANES)])

    return Vector(LANES * LANES)(*[_Lanes] * 8), generate


@intrinsic(prefer_literal=True)
def lanes_of(_: Any, vector: Any, number: Any) -> Any:
    """``lanes_of(vector, number)``: the lanes of that literal number within a longer vector."""
    place = number.literal_value * LANES

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return _shuffle(builder, args[0], list(range(place, place + LANES)))

    return _Lanes(vector, number), generate


@intrinsic
def sums(_: Any, array: Any, index: Any) -> Any:
    """``sums(array, index)``: the sums of each of the eight lanes that start at ``array[index]``, as lanes."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        value = builder.load(_address(context, builder, signature.args[0], args[0], args[1], LANES * LANES), align=4)
        while value.type.count > LANES:
            count = value.type.count
            even, odd = list(range(0, count, 2)), list(range(1, count, 2))
            value = builder.fadd(_shuffle(builder, value, even), _shuffle(builder, value, odd))
        return value

    return _Lanes(array, types.intp), generate


def _joined(builder: Any, parts: list[Any]) -> Any:
    while len(parts) > 1:
        both = list(range(2 * parts[0].type.count))
        mask = ir.Constant(ir.VectorType(ir.IntType(32), len(both)), both)
        parts = [builder.shuffle_vector(a, b, mask) for a, b in zip(parts[::2], parts[1::2], strict=True)]
    return parts[0]
