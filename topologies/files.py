"""Topology files: one topology, or one for every place of a model, in one safetensors file that proves itself intact.

The format, version 1
---------------------
A stranger reads a file with safetensors alone::

    with safetensors.safe_open("champion.safetensors", framework="numpy") as file:
        widths = json.loads(file.metadata()["widths"])
        masks = [np.zeros(shape, dtype=np.int8) for shape in zip(widths, widths[1:])]
        for layer, mask in enumerate(masks):
            sources, targets, trainable = (file.get_tensor(f"layers.{layer}.{name}") for name in TENSORS)
            mask[sources, targets] = np.where(trainable, 1, 2)

with ``TENSORS = ("sources", "targets", "trainable")``: int32, int32 and uint8 (1 trainable, 0 the constant 1), each
of shape ``(edges,)``, in order of (target, source). Hidden neurons are numbered as the saved topology numbered them.
The metadata are strings:

=============== ====================================================================================================
``checksum``    SHA-256 of the whole file as it reads with 64 zeros (``0``) in the checksum's place
``format``      ``evofabric topology``
``version``     ``1``
``widths``      JSON list: neurons of every layer, inputs first
``digest``      ``Topology.digest``, blind to the numbering of hidden neurons
``provenance``  JSON object, see :class:`topologies.provenance.Provenance`
=============== ====================================================================================================

A stack, which has a topology for every place of a model, has the format ``evofabric stack``, a list of widths for every
place in ``widths``, and tensors ``places.0.layers.0.sources`` and so on.

Header and tensors have one admissible spelling, so the same topology and provenance give the same bytes, and any
change to a file is noticed. The safetensors library reads and checks; files are laid out here, because the library's
writer puts metadata in a new order every time. Nothing in a file is ever unpickled.

Dense masks travel as ``.npz``, see :mod:`topologies.masks`.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import reprlib
import secrets
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open

from topologies.layer import MAX_WIDTH, Layer
from topologies.provenance import Provenance, parse_json
from topologies.stack import AnyTopology, Stack
from topologies.topology import Topology

MAX_FILE = 1 << 30
"""Bytes of a topology file: about 119 million edges."""

MAX_HEADER = 1 << 22
"""Bytes of a topology file's header: some 17 thousand layers, or a very long provenance."""

_FORMAT, _STACK_FORMAT, _VERSION = "evofabric topology", "evofabric stack", "1"
_NO_CHECKSUM = "0" * 64
_LENGTH_BYTES = 8
_BEGINNING = 128  # bytes of a file that has its checksum
_FREE_NEURONS = 1 << 16  # so many may be declared by a file of any size


def save(topology: AnyTopology, path: str | Path, provenance: Provenance | None = None) -> Path:
    """Write a topology or a stack to ``path``, whole or not at all, and return the path.

    The same topology and provenance give the same bytes. Without a provenance only the package version is recorded.

    Raises
    ------
    ValueError
        For a topology that no reader would take: above :data:`MAX_FILE` or :data:`MAX_HEADER` bytes, or mostly
        neurons without edges.
    FileNotFoundError
        When the folder does not exist.
    """
    head, payload = _encode(topology, (provenance or Provenance()).to_json())
    _check_sizes(len(head) + len(payload), len(head), sum(topology.widths))  # of a stack, those of all places
    return write_whole(Path(path), head + payload)


def load(path: str | Path) -> AnyTopology:
    """The topology or stack in a file that :func:`save` wrote, see :func:`read` for what is raised."""
    return read(path)[0]


def read(path: str | Path) -> tuple[AnyTopology, Provenance]:
    """The topology or stack in a file that :func:`save` wrote, and where it came from.

    Memory follows the file's true size, whatever the file declares; a pickle is never loaded.

    Raises
    ------
    ValueError
        For any file that is not, bit for bit, what :func:`save` writes: a flipped bit, a missing or an extra byte,
        an unknown version, an index out of range, a declared size that cannot be, another kind of file.
    FileNotFoundError
        When there is no such file.
    """
    with opened(Path(path), "a topology file") as (file, size):
        return _decode(Path(path), file, size)


def is_intact(path: Path) -> bool:
    """Whether a file's bytes match the checksum in it, which is soon found out; what they say is for :func:`read`."""
    whole = path.read_bytes() if path.is_file() else b""
    found = re.search(rb'"checksum":"([0-9a-f]{64})"', whole[:_BEGINNING])
    return found is not None and _sha256(whole.replace(found[1], _NO_CHECKSUM.encode(), 1)) == found[1].decode()


@contextmanager
def opened(path: Path, kind: str) -> Iterator[tuple[BinaryIO, int]]:
    """An open file and its size in bytes; what turns out to be wrong with the contents is told with the path."""
    if not path.exists():
        raise FileNotFoundError(f"{path}: there is no such file")
    if not path.is_file():
        raise ValueError(f"{path} is not {kind}: not a regular file")
    with path.open("rb") as file:
        try:
            yield file, os.fstat(file.fileno()).st_size
        except ValueError as problem:
            raise ValueError(f"{path} is not {kind} that can be used: {problem}") from problem


def _encode(topology: AnyTopology, provenance: str) -> tuple[bytes, bytes]:
    """The two parts of the file: the header with its length before it, and the tensors."""
    is_stack = isinstance(topology, Stack)
    widths = [place.widths for place in topology.places]
    about = {
        "checksum": _NO_CHECKSUM,
        "format": _STACK_FORMAT if is_stack else _FORMAT,
        "version": _VERSION,
        "widths": json.dumps(widths if is_stack else widths[0], separators=(",", ":")),
        "digest": topology.digest,
        "provenance": provenance,
    }
    entries: dict[str, Any] = {"__metadata__": about}
    tensors = list(_tensors(topology))
    position = 0
    for name, kind, array in tensors:
        entries[name] = {"dtype": kind, "shape": [array.size], "data_offsets": [position, position + array.nbytes]}
        position += array.nbytes
    payload = b"".join(array.tobytes() for _, _, array in tensors)
    text = json.dumps(entries, separators=(",", ":")).encode("ascii")
    text += b" " * (-len(text) % 8)  # safetensors starts the tensors at a multiple of 8 bytes
    head = len(text).to_bytes(_LENGTH_BYTES, "little") + text
    return head.replace(_NO_CHECKSUM.encode(), _sha256(head, payload).encode(), 1), payload


def _tensors(topology: AnyTopology) -> Iterator[tuple[str, str, NDArray[np.integer]]]:
    """Names, types and little-endian values; the bytes come last so that every int32 stays aligned."""
    named = [
        (_layer_name(number if isinstance(topology, Stack) else None, layer_number), layer)
        for number, place in enumerate(topology.places)
        for layer_number, layer in enumerate(place.layers)
    ]
    for name, layer in named:
        yield f"{name}.sources", "I32", layer.sources.astype("<i4")
        yield f"{name}.targets", "I32", layer.targets.astype("<i4")
    for name, layer in named:
        yield f"{name}.trainable", "U8", layer.trainable.astype("u1")


def _layer_name(place: int | None, layer: int) -> str:
    """What the tensors of a layer are called; a topology that is no stack has no places."""
    return f"layers.{layer}" if place is None else f"places.{place}.layers.{layer}"


def _decode(path: Path, file: BinaryIO, size: int) -> tuple[AnyTopology, Provenance]:
    """Sizes first, then the checksum, then the values, and last that no other spelling of them was used."""
    head = _read_head(file, size)
    try:
        with safe_open(path, framework="numpy") as contents:
            if not os.path.samestat(path.stat(), os.fstat(file.fileno())):
                return read(path)  # another file was moved into place after this one had been opened
            about, widths = _about(contents.metadata() or {})
            is_stack = about["format"] == _STACK_FORMAT
            _check_sizes(size, len(head), sum(map(sum, widths)))
            payload = file.read()
            checksum = about["checksum"]
            if _sha256(head.replace(checksum.encode(), _NO_CHECKSUM.encode(), 1), payload) != checksum:
                raise ValueError("it is damaged: its contents do not match its checksum")
            places = [
                Topology(tuple(_layers(contents, number if is_stack else None, of_place)))
                for number, of_place in enumerate(widths)
            ]
            topology = Stack(tuple(places)) if is_stack else places[0]
    except SafetensorError as problem:
        raise ValueError(f"its header is damaged, or it is cut short or extended ({problem})") from problem
    if topology.digest != about["digest"]:
        raise ValueError(f"its digest is {reprlib.repr(about['digest'])} but its edges' is {topology.digest}")
    if _encode(topology, about["provenance"]) != (head, payload):
        raise ValueError(f"its values are in order, but not laid out as version {_VERSION} of the format has them")
    return topology, Provenance.from_json(about["provenance"])


def _read_head(file: BinaryIO, size: int) -> bytes:
    """The file up to its tensors: the header's length in 8 bytes, and the header."""
    start = file.read(_LENGTH_BYTES + 1)
    length = int.from_bytes(start[:_LENGTH_BYTES], "little")
    if length > MAX_HEADER or start[_LENGTH_BYTES:] != b"{":
        pickled = start.startswith((b"\x80", b"PK")) and length > MAX_HEADER
        likely = "a pickle or an archive of masks (pickles are never loaded)" if pickled else "another kind of file"
        raise ValueError(f"it does not begin like one, it is damaged or {likely}")
    if _LENGTH_BYTES + length > size:
        raise ValueError(f"it has {size} bytes, its header alone {length}: cut short or damaged")
    return start + file.read(length - 1)


def _about(metadata: dict[str, str]) -> tuple[dict[str, str], list[list[int]]]:
    """The metadata of a topology or stack of this version, and the widths of every place."""
    if metadata.keys().isdisjoint(("checksum", "widths")):
        raise ValueError("it is a safetensors file, but without an evofabric topology in it")
    if lacking := {"checksum", "format", "version", "widths", "digest", "provenance"} - metadata.keys():
        raise ValueError(f"its header is damaged: it lacks {min(lacking)}")
    if metadata["format"] not in (_FORMAT, _STACK_FORMAT) or metadata["version"] != _VERSION:
        found = reprlib.repr(f"{metadata['format']} version {metadata['version']}")
        raise ValueError(f"this evofabric reads '{_FORMAT} version {_VERSION}', not {found}; or it is damaged")
    found = parse_json(metadata["widths"])
    places = found if metadata["format"] == _STACK_FORMAT else [found]
    if not isinstance(places, list) or not places or not all(map(_are_widths, places)):
        raise ValueError(f"its header is damaged: widths are whole numbers from 1 to {MAX_WIDTH}")
    return metadata, places


def _are_widths(found: Any) -> bool:
    return isinstance(found, list) and all(type(width) is int and 1 <= width <= MAX_WIDTH for width in found)


def _layers(contents: Any, place: int | None, widths: Sequence[int]) -> Iterator[Layer]:
    """The layers of a place in an open safetensors file."""
    for number, (n_in, n_out) in enumerate(pairwise(widths)):
        names = [f"{_layer_name(place, number)}.{name}" for name in ("sources", "targets", "trainable")]
        if [contents.get_slice(name).get_dtype() for name in names] != ["I32", "I32", "U8"]:
            raise ValueError(f"layer {number} is not of int32 and uint8")
        sources, targets, trainable = map(contents.get_tensor, names)
        yield Layer(n_in, n_out, sources, targets, trainable != 0)


def _check_sizes(file_size: int, header_size: int, neurons: int) -> None:
    """Refuse what is absurd. Edges take bytes of the file but neurons only a number, so those have their own limit."""
    if file_size > MAX_FILE:
        raise ValueError(f"{file_size} bytes: a topology file has at most {MAX_FILE}")
    if header_size > MAX_HEADER:
        raise ValueError(f"a header of {header_size} bytes: it has at most {MAX_HEADER} (a shorter provenance?)")
    if neurons > max(file_size, _FREE_NEURONS):
        raise ValueError(f"{neurons} neurons in {file_size} bytes: nearly all of them would have no edge")


def _sha256(*parts: bytes) -> str:
    whole = hashlib.sha256()
    for part in parts:
        whole.update(part)
    return whole.hexdigest()


def write_whole(path: Path, data: bytes) -> Path:
    """Write beside the path, then move into place: whoever looks sees the old file or the new one, whole."""
    if not path.parent.is_dir():
        raise FileNotFoundError(f"{path}: there is no folder {path.parent}")
    unfinished = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    try:
        with unfinished.open("xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)
    return path
