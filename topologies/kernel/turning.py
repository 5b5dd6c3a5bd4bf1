"""Rows of a batch turned into tiles and back: eight rows of eight features at a time, in registers."""

from __future__ import annotations

from typing import NamedTuple

from topologies.kernel.compiled import compiled
from topologies.kernel.simd import LANES
from topologies.kernel.tiles import lanes_of, load_lanes, store_lanes, turn


class Rows(NamedTuple):
    """How rows lie in memory: ``images`` times ``columns`` of them, and the distance from one element to the next.

    ``tile`` is how many rows a tile takes, ``blocks`` how many tiles they fill; an image begins a new one.
    """

    images: int
    columns: int
    image: int
    column: int
    feature: int
    tile: int
    blocks: int

    @staticmethod
    def of(shape: tuple[int, ...]) -> Rows:
        """Contiguous ``(rows, features)``, or ``(images, features, columns)`` as convolutions have them."""
        images, columns = (1, shape[0]) if len(shape) == 2 else (shape[0], shape[2])
        features = shape[1]
        tile = 16 if columns <= 16 else 32 if columns <= 32 else 64
        distances = (0, features, 1) if len(shape) == 2 else (features * columns, 1, columns)
        return Rows(images, columns, *distances, tile, images * -(-columns // tile))


@compiled
def _span(rows, block, width):  # type: ignore[no-untyped-def]
    """Where a block begins in memory, and how many rows it has."""
    per_image = (rows.columns + width - 1) // width
    column = block % per_image * width
    return block // per_image * rows.image + column * rows.column, min(width, rows.columns - column)


@compiled
def take(x, rows, block, n, tiles, flat, place):  # type: ignore[no-untyped-def]
    """Turn a block of rows into tiles from ``place`` on; rows that are missing count as zeros."""
    width = tiles.itemsize // 4
    start, count = _span(rows, block, width)
    whole, even = 0, 0
    if rows.feature == 1:
        whole, even = count - count % LANES, n - n % LANES
    step = rows.column
    for r in range(0, whole, LANES):
        for i in range(0, even, LANES):
            f, p = start + r * step + i, (place + i) * width + r
            t = turn(
                load_lanes(x, f), load_lanes(x, f + step), load_lanes(x, f + 2 * step), load_lanes(x, f + 3 * step),
                load_lanes(x, f + 4 * step), load_lanes(x, f + 5 * step), load_lanes(x, f + 6 * step),
                load_lanes(x, f + 7 * step),
            )  # fmt: skip
            store_lanes(flat, p, lanes_of(t, 0))
            store_lanes(flat, p + width, lanes_of(t, 1))
            store_lanes(flat, p + 2 * width, lanes_of(t, 2))
            store_lanes(flat, p + 3 * width, lanes_of(t, 3))
            store_lanes(flat, p + 4 * width, lanes_of(t, 4))
            store_lanes(flat, p + 5 * width, lanes_of(t, 5))
            store_lanes(flat, p + 6 * width, lanes_of(t, 6))
            store_lanes(flat, p + 7 * width, lanes_of(t, 7))
    for i in range(n):
        for r in range(whole if i < even else 0, count):
            flat[(place + i) * width + r] = x[start + r * step + i * rows.feature]
        for r in range(count, width):
            flat[(place + i) * width + r] = 0


@compiled
def give(tiles, flat, place, n, y, rows, block):  # type: ignore[no-untyped-def]
    """Turn the tiles from ``place`` on back into a block of rows."""
    width = tiles.itemsize // 4
    start, count = _span(rows, block, width)
    whole, even = 0, 0
    if rows.feature == 1:
        whole, even = count - count % LANES, n - n % LANES
    step = rows.column
    for r in range(0, whole, LANES):
        for i in range(0, even, LANES):
            f, p = start + r * step + i, (place + i) * width + r
            t = turn(
                load_lanes(flat, p), load_lanes(flat, p + width), load_lanes(flat, p + 2 * width),
                load_lanes(flat, p + 3 * width), load_lanes(flat, p + 4 * width), load_lanes(flat, p + 5 * width),
                load_lanes(flat, p + 6 * width), load_lanes(flat, p + 7 * width),
            )  # fmt: skip
            store_lanes(y, f, lanes_of(t, 0))
            store_lanes(y, f + step, lanes_of(t, 1))
            store_lanes(y, f + 2 * step, lanes_of(t, 2))
            store_lanes(y, f + 3 * step, lanes_of(t, 3))
            store_lanes(y, f + 4 * step, lanes_of(t, 4))
            store_lanes(y, f + 5 * step, lanes_of(t, 5))
            store_lanes(y, f + 6 * step, lanes_of(t, 6))
            store_lanes(y, f + 7 * step, lanes_of(t, 7))
    for i in range(n):
        for r in range(whole if i < even else 0, count):
            y[start + r * step + i * rows.feature] = flat[(place + i) * width + r]
