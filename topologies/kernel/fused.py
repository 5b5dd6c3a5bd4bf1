"""A whole cascade in one compiled function, a block of rows at a time.

The rows of a block are turned feature-major, so that each neuron is one tile (:mod:`topologies.kernel.tiles`), and go
through all layers in cache. The way back computes the hidden values of a block again rather than keep them; then a
layer's edges are read in order of their sources, so that every gradient is written once. Gradients of weights are sums
over rows: eight edges are added up together. The plain form is :mod:`topologies.kernel.plain`.

Bits do not depend on the number of threads: gradients of weights are summed over fixed chunks of blocks, then over
chunks in order.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from topologies.kernel.compiled import compiled
from topologies.kernel.simd import LANES, aligned, at, fma, fold
from topologies.kernel.simd import store as store_aligned
from topologies.kernel.threads import in_parallel
from topologies.kernel.tiles import lanes_of, load, load_lanes, put, splat, store, store_lanes, sums, tiles, turn
from topologies.kernel.wiring import CONSTANT, END, NEURON, TRAINABLE, WIDTH, Edges, Wiring

_Floats = NDArray[np.float32]

_TILES = (16, 32, 64)
"""Rows of a tile: a batch takes the least that holds it. On AVX-512 64 are four registers, on AVX2 eight of sixteen."""
_CHUNK = 2
"""Blocks of a chunk at least: 128 rows, so that a batch of 512 keeps four threads busy."""
_CHUNKS = 32
"""Chunks at most."""
_PARTIAL = 1 << 24
"""Partial sums of the gradients of weights at most, over all chunks: 64 MiB."""


class Rows(NamedTuple):
    """How rows lie in memory: ``images`` times ``columns`` of them, and the distance from one element to the next."""

    images: int
    columns: int
    image: int
    column: int
    feature: int

    @staticmethod
    def of(shape: tuple[int, ...]) -> Rows:
        """Contiguous ``(rows, features)``, or ``(images, features, columns)`` as convolutions have them."""
        if len(shape) == 2:
            return Rows(1, shape[0], 0, shape[1], 1)
        images, features, columns = shape
        return Rows(images, columns, features * columns, 1, columns)

    @property
    def tile(self) -> int:
        """Rows of a tile."""
        return next((tile for tile in _TILES if tile >= self.columns), _TILES[-1])

    @property
    def blocks(self) -> int:
        """Tiles that all rows fill; an image begins a new one."""
        return self.images * -(-self.columns // self.tile)


def forward(wiring: Wiring, x: _Floats, weight: _Floats, bias: _Floats) -> _Floats:
    """The outputs for contiguous ``x``, ``(rows, n_in)`` or ``(images, n_in, columns)``, in the same form.

    ``weight``, ``(n_trainable,)``, is in order of the layers and of their (target, source); ``bias`` is ``(n_out,)``.
    """
    n_in, n_out = x.shape[1], bias.size
    y = np.empty((x.shape[0], n_out, *x.shape[2:]), np.float32)
    edges, widest, weight = wiring.edges, wiring.widest, _arranged(wiring.edges, weight)
    rows, out = Rows.of(x.shape), Rows.of(y.shape)

    def run(first: int, last: int) -> None:
        buffer = tiles(n_in + n_out + 2 * widest, rows.tile)
        _forward(edges, weight, bias, x.ravel(), rows, y.ravel(), out, first, last, widest, buffer, _flat(buffer))

    in_parallel(run, rows.blocks, _CHUNK)
    return y


def backward(wiring: Wiring, x: _Floats, weight: _Floats, arriving: _Floats) -> tuple[_Floats, _Floats]:
    """Gradients of the inputs and of the weights, from the inputs and the gradient of the outputs that arrives."""
    n_in, n_out = x.shape[1], arriving.shape[1]
    leaving, gradient = np.empty_like(x), np.empty_like(weight)
    edges, widest, hidden = wiring.edges, wiring.widest, wiring.hidden
    trainable, constant = _ways_back(wiring, weight)
    weight = _arranged(edges, weight)
    rows, out = Rows.of(x.shape), Rows.of(arriving.shape)
    size = max(_CHUNK, -(-rows.blocks // min(_CHUNKS, max(1, _PARTIAL // max(1, weight.size)))))
    partial = np.zeros((max(1, -(-rows.blocks // size)), weight.size + LANES), np.float32)

    def run(first: int, last: int) -> None:
        buffer, ring = tiles(2 * n_in + n_out + hidden + 2 * widest, rows.tile), aligned(LANES * LANES)
        _backward(
            edges, weight, trainable, constant, x.ravel(), rows, arriving.ravel(), out, leaving.ravel(), first, last,
            widest, hidden, buffer, _flat(buffer), ring, partial[first // size],
        )  # fmt: skip

    in_parallel(run, rows.blocks, size)
    _restore(partial, trainable.order, gradient)
    return leaving, gradient


def _flat(buffer: NDArray[np.void]) -> _Floats:
    return buffer.view(np.float32)


class _Way(NamedTuple):
    """The edges of one kind in the order of the way back: part by part, last layer first, source by source.

    ``starts`` has for every stage its sources' first edges and the end of the last one's, from ``firsts`` on;
    ``targets`` where the edges go to. ``order`` is which of the cascade's weights each has, and ``weight`` those.
    """

    firsts: NDArray[np.int64]
    starts: NDArray[np.int32]
    targets: NDArray[np.int32]
    order: NDArray[np.int32]
    weight: _Floats


def _ways_back(wiring: Wiring, weight: _Floats) -> tuple[_Way, _Way]:
    """Trainable and constant edges on the way back: made for every call, since to keep them would double a layer."""
    widths = wiring.stages[:, WIDTH] + 1
    firsts = np.cumsum(widths) - widths
    starts = np.zeros((2, widths.sum()), np.int32)
    targets, order = np.empty((2, weight.size), np.int32)
    constants = np.empty(wiring.constant_sources.size, np.int32)
    trainable = _Way(firsts, starts[0], targets, order, np.empty_like(weight))
    constant = _Way(firsts, starts[1], constants, order[:0], weight[:0])
    _arrange(wiring.edges, weight, trainable, constant)
    return trainable, constant


@compiled
def _arrange(edges, weight, trainable, constant):  # type: ignore[no-untyped-def]
    """Fill the ways back."""
    first, first_constant = 0, 0
    for part in range(edges.parts):
        for number in range(edges.depth):
            stage = (part + 1) * edges.depth - 1 - number
            first = _sort(edges, stage, TRAINABLE, edges.trainable_counts, edges.trainable_sources, trainable, first)
            first_constant = _sort(
                edges, stage, CONSTANT, edges.constant_counts, edges.constant_sources, constant, first_constant
            )
    for e in range(trainable.order.size):
        place = at(trainable.order, e)
        if edges.order.size:
            place = at(edges.order, place)
            put(trainable.order, e, place)
        put(trainable.weight, e, at(weight, place))


def _arranged(edges: Edges, weight: _Floats) -> _Floats:
    """The cascade's trainable weights in the order of the wiring."""
    return np.take(weight, edges.order) if edges.order.size else weight


@compiled
def _restore(partial, order, gradient):  # type: ignore[no-untyped-def]
    """Add up the chunks' gradients, in order of the way back, to ``gradient``, in order of the cascade's weights."""
    for e in range(order.size):
        total = partial[0, e]
        for chunk in range(1, partial.shape[0]):
            total += partial[chunk, e]
        put(gradient, at(order, e), total)


@compiled
def _sort(edges, stage, kind, counts, sources, way, first):  # type: ignore[no-untyped-def]
    """A counting sort of one stage's edges by source, from place ``first`` on; returns the place after them."""
    neuron, end = edges.stages[stage, NEURON], edges.stages[stage, END]
    edge, base, starts = edges.stages[stage, kind], way.firsts[stage], way.starts
    last = edge
    for k in range(neuron, end):
        last += at(counts, k)
    for e in range(edge, last):
        place = base + at(sources, e)
        put(starts, place, at(starts, place) + 1)
    total = first
    for j in range(base, base + edges.stages[stage, WIDTH] + 1):
        total += at(starts, j)
        put(starts, j, total)
    # The starts are those of the next source until its own edges have been put before it, last one first.
    for k in range(end - 1, neuron - 1, -1):
        target = _place(edges, stage, k)
        for _ in range(at(counts, k)):
            last -= 1
            place = base + at(sources, last)
            found = at(starts, place) - 1
            put(starts, place, found)
            put(way.targets, found, target)
            if way.order.size:
                put(way.order, found, last)
    return total


@compiled
def _place(edges, stage, neuron):  # type: ignore[no-untyped-def]
    """The tile of a neuron among those of its layer: outputs that a part among several reaches have names."""
    if edges.parts > 1 and stage % edges.depth == edges.depth - 1:
        return np.int64(edges.names[neuron])
    return neuron - edges.stages[stage, NEURON]


@compiled
def _push(edges, stage, weight, before, after, adds, tiles):  # type: ignore[no-untyped-def]
    """One stage forwards: from the tiles at ``before`` to those at ``after``, which it adds to or sets."""
    edge, constant = edges.stages[stage, TRAINABLE], edges.stages[stage, CONSTANT]
    for k in range(edges.stages[stage, NEURON], edges.stages[stage, END]):
        place = after + _place(edges, stage, k)
        total = load(tiles, place) if adds else splat(tiles, np.float32(0))
        end = edge + at(edges.trainable_counts, k)
        for e in range(edge, end):
            total = fma(splat(tiles, at(weight, e)), load(tiles, before + at(edges.trainable_sources, e)), total)
        edge = end
        end = constant + at(edges.constant_counts, k)
        for e in range(constant, end):
            total = total + load(tiles, before + at(edges.constant_sources, e))
        constant = end
        store(tiles, place, total)


@compiled
def _pull(edges, stage, trainable, constant, values, above, below, adds, tiles, ring, gradient):  # type: ignore[no-untyped-def]
    """One stage backwards: gradients at ``below`` from those at ``above``, and of the weights with its ``values``."""
    base = trainable.firsts[stage]
    for j in range(edges.stages[stage, WIDTH]):
        total = load(tiles, below + j) if adds else splat(tiles, np.float32(0))
        first, end = at(trainable.starts, base + j), at(trainable.starts, base + j + 1)
        if first < end:
            value = load(tiles, values + j)
            for e in range(first, end):
                arriving = load(tiles, above + at(trainable.targets, e))
                total = fma(splat(tiles, at(trainable.weight, e)), arriving, total)
                store_aligned(ring, e % LANES * LANES, fold(value * arriving))
                if e % LANES == LANES - 1:
                    _add_up(ring, gradient, e + 1 - LANES)
        for e in range(at(constant.starts, base + j), at(constant.starts, base + j + 1)):
            total = total + load(tiles, above + at(constant.targets, e))
        store(tiles, below + j, total)


@compiled
def _add_up(ring, gradient, first):  # type: ignore[no-untyped-def]
    """Add the sums of eight edges' products, which wait in the ring, to their gradients."""
    store_lanes(gradient, first, load_lanes(gradient, first) + sums(ring, 0))


@compiled
def _forward(edges, weight, bias, x, rows, y, out, first, last, widest, tiles, flat):  # type: ignore[no-untyped-def]
    """The blocks from ``first`` up to ``last``. Tiles: inputs, outputs, and two layers of hidden neurons in turn."""
    outputs = edges.n_in
    hidden = outputs + edges.n_out
    for block in range(first, last):
        _take(x, rows, block, edges.n_in, tiles, flat, 0)
        for k in range(edges.n_out):
            store(tiles, outputs + k, splat(tiles, bias[k]))
        for stage in range(edges.parts * edges.depth):
            layer = stage % edges.depth
            is_last = layer == edges.depth - 1
            before = hidden + (layer - 1) % 2 * widest if layer else 0
            after = outputs if is_last else hidden + layer % 2 * widest
            _push(edges, stage, weight, before, after, is_last, tiles)
        _give(tiles, flat, outputs, edges.n_out, y, out, block)


@compiled
def _backward(  # type: ignore[no-untyped-def]
    edges, weight, trainable, constant, x, rows, arriving, out, leaving, first, last, widest, most, tiles, flat, ring,
    gradient,
):  # fmt: skip
    """The blocks from ``first`` up to ``last``.

    Tiles: inputs, gradients of the outputs, gradients of the inputs, the hidden values of one part, and the gradients
    of two layers of hidden neurons in turn.
    """
    above_all = edges.n_in
    below_all = above_all + edges.n_out
    hidden = below_all + edges.n_in
    turns = hidden + most
    for block in range(first, last):
        _take(x, rows, block, edges.n_in, tiles, flat, 0)
        _take(arriving, out, block, edges.n_out, tiles, flat, above_all)
        for k in range(edges.n_in):
            store(tiles, below_all + k, splat(tiles, np.float32(0)))
        for part in range(edges.parts):
            stage, values, after = part * edges.depth, 0, hidden
            for layer in range(edges.depth - 1):
                _push(edges, stage + layer, weight, values, after, False, tiles)
                values, after = after, after + edges.stages[stage + layer + 1, WIDTH]
            for layer in range(edges.depth - 1, -1, -1):
                above = above_all if layer == edges.depth - 1 else turns + layer % 2 * widest
                below = turns + (layer - 1) % 2 * widest if layer else below_all
                _pull(
                    edges, stage + layer, trainable, constant, values, above, below, layer == 0, tiles, ring, gradient
                )  # fmt: skip
                values = values - edges.stages[stage + layer - 1, WIDTH] if layer > 1 else 0
        left = weight.size % LANES
        if left:
            for lane in range(left * LANES, LANES * LANES):
                ring[lane] = 0
            _add_up(ring, gradient, weight.size - left)
        _give(tiles, flat, below_all, edges.n_in, leaving, rows, block)


@compiled
def _span(rows, block, width):  # type: ignore[no-untyped-def]
    """Where a block begins in memory, and how many rows it has."""
    per_image = (rows.columns + width - 1) // width
    column = block % per_image * width
    return block // per_image * rows.image + column * rows.column, min(width, rows.columns - column)


@compiled
def _take(x, rows, block, n, tiles, flat, place):  # type: ignore[no-untyped-def]
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
def _give(tiles, flat, place, n, y, rows, block):  # type: ignore[no-untyped-def]
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
