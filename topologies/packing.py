"""A topology as bytes: what the digest is taken of, and how a journal stores one."""

from __future__ import annotations

import base64
import zlib
from itertools import pairwise

import numpy as np

from topologies.layer import Layer
from topologies.stack import AnyTopology, Stack
from topologies.topology import Topology

_FORMAT = b"evofabric topology 1"


def pack(topology: Topology) -> bytes:
    """Widths and edges, little-endian, under the numbering the topology has."""
    parts = [_FORMAT, np.array((topology.depth, *topology.widths), dtype="<i4").tobytes()]
    for layer in topology.layers:
        parts.append(np.array([layer.n_edges], dtype="<i4").tobytes())
        parts += [layer.sources.astype("<i4").tobytes(), layer.targets.astype("<i4").tobytes()]
        parts.append(layer.trainable.astype("u1").tobytes())
    return b"".join(parts)


def unpack(data: bytes) -> Topology:
    """The topology that :func:`pack` wrote.

    Raises
    ------
    ValueError
        When the bytes are not exactly what :func:`pack` writes for some topology.
    """
    try:
        topology = _unpack(data)
    except ValueError as error:
        raise ValueError(f"these bytes are not a packed topology: {error}") from None
    if pack(topology) != data:
        raise ValueError("these bytes are not a packed topology: there is more or other than pack() writes")
    return topology


def _unpack(data: bytes) -> Topology:
    """The topology at the beginning of the bytes; ValueError where they end too soon or make no topology."""
    if not data.startswith(_FORMAT):
        raise ValueError(f"they do not begin with {_FORMAT.decode()!r}")
    place = len(_FORMAT)

    def take(count: int, kind: str) -> np.ndarray:
        nonlocal place
        array = np.frombuffer(data, dtype=kind, count=count, offset=place)
        place += array.nbytes
        return array

    depth = int(take(1, "<i4")[0])
    widths = take(depth + 1, "<i4").tolist()
    layers = []
    for n_in, n_out in pairwise(widths):
        edges = int(take(1, "<i4")[0])
        sources, targets = take(edges, "<i4"), take(edges, "<i4")
        layers.append(Layer(n_in, n_out, sources, targets, take(edges, "u1") == 1))
    return Topology(tuple(layers))


_SEPARATOR = " "
"""Between the places of a stack; what ends a stack's text, too, so that one of a single place is known as such."""


def to_text(topology: AnyTopology) -> str:
    """A topology as text: packed, compressed, in base64. A stack is the text of each place and a blank after it."""
    if isinstance(topology, Stack):
        return "".join(to_text(place) + _SEPARATOR for place in topology.places)
    return base64.b64encode(zlib.compress(pack(topology))).decode()


def from_text(text: str) -> AnyTopology:
    """The topology or stack that :func:`to_text` wrote.

    Raises
    ------
    ValueError
        When the text is anything else.
    """
    if text.endswith(_SEPARATOR):
        return Stack(tuple(_from_text(place) for place in text[:-1].split(_SEPARATOR)))
    return _from_text(text)


def _from_text(text: str) -> Topology:
    try:
        return unpack(zlib.decompress(base64.b64decode(text, validate=True)))
    except zlib.error as error:
        raise ValueError(f"this text is not a packed topology: {error}") from None
