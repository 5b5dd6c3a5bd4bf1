"""Topology files: one topology and where it came from, in one safetensors file that proves itself intact.

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
``provenance``  JSON object, see :class:`Provenance`
=============== ====================================================================================================

Header and tensors have one admissible spelling (the library's own writer shuffles metadata), so the same topology
and provenance give the same bytes, and any change to a file is noticed. Nothing in it is ever unpickled.

Dense masks travel as ``.npz``, see :mod:`topologies.masks`.
"""

from __future__ import annotations

import hashlib
import json
import os
import reprlib
import secrets
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, fields
from importlib import metadata
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from topologies.topology import Layer, Topology

MAX_FILE = 1 << 30
"""Bytes of a topology file: about 119 million edges."""

MAX_HEADER = 1 << 22
"""Bytes of a topology file's header: some 17 thousand layers, or a very long provenance."""

_FORMAT, _VERSION = "evofabric topology", "1"
_NO_CHECKSUM = "0" * 64
_LENGTH_BYTES = 8
_EDGE_BYTES = 4 + 4 + 1
_FREE_NEURONS = 1 << 16  # so many may be declared by a file of any size


def _installed_version() -> str | None:
    try:
        return metadata.version("evofabric")
    except metadata.PackageNotFoundError:
        return None


@dataclass(frozen=True)
class Provenance:
    """Where a topology came from. Every field may be left out; values are kept as JSON gives them back.

    Parameters
    ----------
    recipe:
        Whatever the topology can be made from again: a search's resolved settings, or ``"clos(32, 8, 9, 8)"``.
    seed:
        The search seed.
    scores:
        Measured scores by name.
    parents:
        Digests of the topologies it was bred from.
    package_version:
        Version of evofabric that made it; the installed one unless told otherwise.
    extra:
        Anything else, by names other than those above. A reader keeps what it does not know here.

    Raises
    ------
    ValueError
        For what JSON cannot hold (arrays, NaN, infinities), or a name in ``extra`` that is a field's.
    """

    recipe: Any = None
    seed: int | None = None
    scores: Mapping[str, Any] = field(default_factory=dict)
    parents: Sequence[str] = ()
    package_version: str | None = field(default_factory=_installed_version)
    extra: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        names = [each.name for each in fields(self)]
        for name in names:
            object.__setattr__(self, name, _as_json(getattr(self, name), name))
        if not (isinstance(self.scores, dict) and isinstance(self.extra, dict)):
            raise ValueError("provenance: scores and extra are mappings from names to values")
        if not (isinstance(self.parents, list) and all(isinstance(parent, str) for parent in self.parents)):
            raise ValueError("provenance: parents are a sequence of digests")
        if clash := self.extra.keys() & names:
            raise ValueError(f"provenance: {min(clash)} is a field of its own, not an extra")
        object.__setattr__(self, "parents", tuple(self.parents))

    def to_json(self) -> str:
        """One line of JSON, keys sorted, the extra names beside the fields."""
        known = {each.name: getattr(self, each.name) for each in fields(self) if each.name != "extra"}
        return json.dumps({**self.extra, **known}, sort_keys=True, separators=(",", ":"), allow_nan=False)

    @staticmethod
    def from_json(text: str) -> Provenance:
        """The provenance that :meth:`to_json` wrote; a field that is missing was left out."""
        extra = _parse_json(text)
        if not isinstance(extra, dict):
            raise ValueError("provenance is not a JSON object")
        known = ({each.name for each in fields(Provenance)} - {"extra"}) & extra.keys()
        mine = {"package_version": None} | {name: extra.pop(name) for name in known}
        return Provenance(**mine, extra=extra)


def save(topology: Topology, path: str | Path, provenance: Provenance | None = None) -> Path:
    """Write a topology to ``path``, whole or not at all, and return the path.

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
    _check_sizes(len(head) + len(payload), len(head), sum(topology.widths))
    return write_whole(Path(path), head + payload)


def load(path: str | Path) -> Topology:
    """The topology in a file that :func:`save` wrote, see :func:`read` for what is raised."""
    return read(path)[0]


def read(path: str | Path) -> tuple[Topology, Provenance]:
    """The topology in a file that :func:`save` wrote, and where it came from.

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
        return _decode(file, size)


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


def _encode(topology: Topology, provenance: str) -> tuple[bytes, bytes]:
    """The two parts of the file: the header with its length before it, and the tensors."""
    about = {
        "checksum": _NO_CHECKSUM,
        "format": _FORMAT,
        "version": _VERSION,
        "widths": json.dumps(topology.widths, separators=(",", ":")),
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


def _tensors(topology: Topology) -> Iterator[tuple[str, str, NDArray[np.integer]]]:
    """Names, types and little-endian values; the bytes come last so that every int32 stays aligned."""
    for number, layer in enumerate(topology.layers):
        yield f"layers.{number}.sources", "I32", layer.sources.astype("<i4")
        yield f"layers.{number}.targets", "I32", layer.targets.astype("<i4")
    for number, layer in enumerate(topology.layers):
        yield f"layers.{number}.trainable", "U8", layer.trainable.astype("u1")


def _decode(file: BinaryIO, size: int) -> tuple[Topology, Provenance]:
    """Sizes first, then the checksum, then the values, and last that no other spelling of them was used."""
    head = _read_head(file, size)
    about, widths, n_edges = _parse(head[_LENGTH_BYTES:])
    _check_sizes(size, len(head), sum(widths))
    if (declared := len(head) + _EDGE_BYTES * sum(n_edges)) != size:
        raise ValueError(f"it has {size} bytes, its header declares {declared}: cut short, extended or damaged")
    payload = file.read(size - len(head))
    checksum = about["checksum"]
    if _sha256(head.replace(checksum.encode(), _NO_CHECKSUM.encode(), 1), payload) != checksum:
        raise ValueError("it is damaged: its contents do not match its checksum")
    topology = Topology(tuple(_layers(widths, n_edges, payload)))
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


def _parse(header: bytes) -> tuple[dict[str, str], list[int], list[int]]:
    """Metadata, widths and edges per layer, of the right types; whether they fit together is checked later."""
    try:
        entries = _parse_json(header.decode("ascii"))
        about: dict[str, str] = entries["__metadata__"]
        if (about["format"], about["version"]) != (_FORMAT, _VERSION):
            found = reprlib.repr(f"{about['format']} version {about['version']}")
            raise ValueError(f"format {found}, this evofabric reads '{_FORMAT} version {_VERSION}'")
        if not all(isinstance(about[name], str) for name in ("checksum", "widths", "digest", "provenance")):
            raise ValueError("metadata that are not strings")
        widths = _counts(_parse_json(about["widths"]))
        layers = range(len(widths) - 1)
        return about, widths, _counts([entries[f"layers.{layer}.sources"]["shape"][0] for layer in layers])
    except (ValueError, TypeError, LookupError) as problem:
        raise ValueError(f"its header is damaged, or of another format ({problem})") from problem


def _counts(values: list[Any]) -> list[int]:
    if not isinstance(values, list) or not all(type(value) is int and 0 <= value < 2**31 for value in values):
        raise ValueError("counts are whole numbers from 0 to 2147483647")
    return values


def _layers(widths: Sequence[int], n_edges: Sequence[int], payload: bytes) -> Iterator[Layer]:
    position = 0
    ends = np.frombuffer(payload, dtype="<i4", count=2 * sum(n_edges))
    trainable = np.frombuffer(payload, dtype="u1", offset=ends.nbytes)
    for n_in, n_out, n in zip(widths, widths[1:], n_edges, strict=False):
        sources, targets = ends[2 * position : 2 * (position + n)].reshape(2, n)
        yield Layer(n_in, n_out, sources, targets, trainable[position : position + n] != 0)
        position += n


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


def _as_json(value: Any, name: str) -> Any:
    try:
        return json.loads(json.dumps(value, allow_nan=False))
    except (TypeError, ValueError, RecursionError) as problem:
        raise ValueError(f"provenance: {name} cannot be written as JSON ({problem})") from problem


def _parse_json(text: str) -> Any:
    try:
        return json.loads(text)
    except RecursionError as problem:
        raise ValueError("JSON nested too deeply") from problem
