"""A whole cascade in one compiled function, a block of rows at a time.

The rows of a block are turned feature-major, so that each neuron is one tile (:mod:`topologies.kernel.tiles`), and go
through all layers in cache. The way back computes the hidden values of a block again rather than keep them; then a
layer's edges are read in order of their sources, so that every gradient is written once. Gradients of weights are sums
over rows: eight edges are added up together. The plain form is :mod:`topologies.kernel.plain`.

Bits do not depend on the number of threads: gradients of weights are summed over fixed chunks of blocks, then over
chunks in order.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from topologies.kernel.backwards import restore, ways_back
from topologies.kernel.compiled import compiled
from topologies.kernel.places import has_names
from topologies.kernel.simd import LANES, aligned, at, fma, fold
from topologies.kernel.simd import store as store_aligned
from topologies.kernel.threads import in_parallel
from topologies.kernel.tiles import load, load_lanes, splat, store, store_lanes, sums, tiles
from topologies.kernel.turning import Rows, give, take
from topologies.kernel.wiring import CONSTANT, END, NEURON, TRAINABLE, WIDTH, Edges, Wiring

_Floats = NDArray[np.float32]

_CHUNK = 2
"""Blocks of a chunk at least: 128 rows, so that a batch of 512 keeps four threads busy."""
_CHUNKS = 32
"""Chunks at most."""
_PARTIAL = 1 << 24
"""Partial sums of the gradients of weights at most, over all chunks: 64 MiB."""


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
    trainable, constant = ways_back(wiring, weight)
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
    restore(partial, trainable.order, gradient)
    return leaving, gradient


def _flat(buffer: NDArray[np.void]) -> _Floats:
    return buffer.view(np.float32)


def _arranged(edges: Edges, weight: _Floats) -> _Floats:
    """The cascade's trainable weights in the order of the wiring."""
    return np.take(weight, edges.order) if edges.order.size else weight


@compiled
def _push(edges, stage, weight, before, after, adds, tiles):  # type: ignore[no-untyped-def]
    """One stage forwards: from the tiles at ``before`` to those at ``after``, which it adds to or sets."""
    edge, constant = edges.stages[stage, TRAINABLE], edges.stages[stage, CONSTANT]
    neuron, named = edges.stages[stage, NEURON], has_names(edges, stage)
    for k in range(neuron, edges.stages[stage, END]):
        target = after + (np.int64(at(edges.names, k)) if named else k - neuron)
        total = load(tiles, target) if adds else splat(tiles, np.float32(0))
        end = edge + at(edges.trainable_counts, k)
        for e in range(edge, end):
            total = fma(splat(tiles, at(weight, e)), load(tiles, before + at(edges.trainable_sources, e)), total)
        edge = end
        end = constant + at(edges.constant_counts, k)
        for e in range(constant, end):
            total = total + load(tiles, before + at(edges.constant_sources, e))
        constant = end
        store(tiles, target, total)


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
        take(x, rows, block, edges.n_in, tiles, flat, 0)
        for k in range(edges.n_out):
            store(tiles, outputs + k, splat(tiles, bias[k]))
        for stage in range(edges.parts * edges.depth):
            layer = stage % edges.depth
            is_last = layer == edges.depth - 1
            before = hidden + (layer - 1) % 2 * widest if layer else 0
            after = outputs if is_last else hidden + layer % 2 * widest
            _push(edges, stage, weight, before, after, is_last, tiles)
        give(tiles, flat, outputs, edges.n_out, y, out, block)


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
        take(x, rows, block, edges.n_in, tiles, flat, 0)
        take(arriving, out, block, edges.n_out, tiles, flat, above_all)
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
        give(tiles, flat, below_all, edges.n_in, leaving, rows, block)
