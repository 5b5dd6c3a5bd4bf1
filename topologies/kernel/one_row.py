"""A cascade row by row in scalar loops, for batches of one: there is nothing to put side by side in vectors.

Edges are read once each, in order of their targets, forwards and backwards. The way back computes hidden values again.
The plain form is :mod:`topologies.kernel.plain`.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from topologies.kernel.compiled import compiled
from topologies.kernel.places import has_names, which
from topologies.kernel.simd import at
from topologies.kernel.tiles import put
from topologies.kernel.wiring import CONSTANT, END, NEURON, PAIRED, TRAINABLE, WIDTH, Wiring

_Floats = NDArray[np.float32]


def forward(wiring: Wiring, x: _Floats, weight: _Floats, bias: _Floats) -> _Floats:
    """The outputs, ``(rows, n_out)``, for contiguous ``x``, ``(rows, n_in)``; weights as the fused kernel's."""
    y = np.empty((len(x), bias.size), np.float32)
    values = np.empty(wiring.n_in + wiring.hidden, np.float32)
    for row, out in zip(x, y, strict=True):
        _forward(wiring.edges, weight, bias, row, values, out)
    return y


def backward(wiring: Wiring, x: _Floats, weight: _Floats, arriving: _Floats) -> tuple[_Floats, _Floats]:
    """Gradients of the inputs and of the weights, from the inputs and the gradient of the outputs that arrives."""
    leaving, gradients = np.empty_like(x), np.empty((len(x), weight.size), np.float32)
    values, wanted = np.empty((2, wiring.n_in + wiring.hidden), np.float32)
    for row, wanted_row, out, gradient in zip(x, arriving, leaving, gradients, strict=True):
        _backward(wiring.edges, weight, row, wanted_row, values, wanted, out, gradient)
    return leaving, gradients[0] if len(x) == 1 else gradients.sum(axis=0)


@compiled
def _forward(edges, weight, bias, x, values, y):  # type: ignore[no-untyped-def]
    """Set ``y`` to the outputs."""
    values[: x.size] = x
    y[:] = bias
    for part in range(edges.parts):
        last = _hidden(edges, part, weight, values)
        _push(edges, (part + 1) * edges.depth - 1, weight, values, last, y, 0)


@compiled
def _hidden(edges, part, weight, values):  # type: ignore[no-untyped-def]
    """Set the hidden values of a part, which follow the inputs; returns where its last layer's inputs begin."""
    before, after = 0, edges.n_in
    for stage in range(part * edges.depth, (part + 1) * edges.depth - 1):
        count = edges.stages[stage, END] - edges.stages[stage, NEURON]
        values[after : after + count] = 0
        _push(edges, stage, weight, values, before, values, after)
        before, after = after, after + count
    return before


@compiled
def _push(edges, stage, weight, values, before, sums, after):  # type: ignore[no-untyped-def]
    """Add what arrives over one stage's edges to the sums of its neurons."""
    edge, constant = edges.stages[stage, TRAINABLE], edges.stages[stage, CONSTANT]
    neuron, end, named = edges.stages[stage, NEURON], edges.stages[stage, END], has_names(edges, stage)
    if edges.stages[stage, PAIRED]:
        for k in range(end - neuron):
            target = after + (np.int64(at(edges.names, neuron + k)) if named else k)
            arriving = at(weight, which(edges, edge + k)) * at(values, before + at(edges.trainable_sources, edge + k))
            arriving += at(values, before + at(edges.constant_sources, constant + k))
            put(sums, target, at(sums, target) + arriving)
        return
    for k in range(neuron, end):
        target = after + (np.int64(at(edges.names, k)) if named else k - neuron)
        total = at(sums, target)
        last = edge + at(edges.trainable_counts, k)
        for e in range(edge, last):
            total += at(weight, which(edges, e)) * at(values, before + at(edges.trainable_sources, e))
        edge = last
        last = constant + at(edges.constant_counts, k)
        for e in range(constant, last):
            total += at(values, before + at(edges.constant_sources, e))
        constant = last
        put(sums, target, total)


@compiled
def _backward(edges, weight, x, arriving, values, wanted, leaving, gradient):  # type: ignore[no-untyped-def]
    """Set ``leaving`` and ``gradient``."""
    values[: x.size] = x
    wanted[: x.size] = 0
    for part in range(edges.parts):
        before = _hidden(edges, part, weight, values)
        wanted[x.size :] = 0
        stage = (part + 1) * edges.depth - 1
        _pull(edges, stage, weight, values, before, arriving, 0, wanted, gradient)
        for layer in range(stage - 1, part * edges.depth - 1, -1):
            after = before
            before = after - edges.stages[layer, WIDTH] if layer > part * edges.depth else 0
            _pull(edges, layer, weight, values, before, wanted, after, wanted, gradient)
    leaving[:] = wanted[: x.size]


@compiled
def _pull(edges, stage, weight, values, before, arriving, after, wanted, gradient):  # type: ignore[no-untyped-def]
    """Set the gradients of a stage's weights and add those of its sources, from those that arrive at its targets."""
    edge, constant = edges.stages[stage, TRAINABLE], edges.stages[stage, CONSTANT]
    neuron, end, named = edges.stages[stage, NEURON], edges.stages[stage, END], has_names(edges, stage)
    if edges.stages[stage, PAIRED]:
        for k in range(end - neuron):
            here = at(arriving, after + (np.int64(at(edges.names, neuron + k)) if named else k))
            source, mine = before + at(edges.trainable_sources, edge + k), which(edges, edge + k)
            put(gradient, mine, here * at(values, source))
            put(wanted, source, at(wanted, source) + here * at(weight, mine))
            source = before + at(edges.constant_sources, constant + k)
            put(wanted, source, at(wanted, source) + here)
        return
    for k in range(neuron, end):
        here = at(arriving, after + (np.int64(at(edges.names, k)) if named else k - neuron))
        last = edge + at(edges.trainable_counts, k)
        for e in range(edge, last):
            source, mine = before + at(edges.trainable_sources, e), which(edges, e)
            put(gradient, mine, here * at(values, source))
            put(wanted, source, at(wanted, source) + here * at(weight, mine))
        edge = last
        last = constant + at(edges.constant_counts, k)
        for e in range(constant, last):
            source = before + at(edges.constant_sources, e)
            put(wanted, source, at(wanted, source) + here)
        constant = last
