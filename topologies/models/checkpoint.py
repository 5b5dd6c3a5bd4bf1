"""A model with sparse layers in a folder: weights and topologies in safetensors files, from which it is built again.

The folder, version 1
---------------------
``model.safetensors`` holds the tensors of the ``state_dict`` under their names, of those that share memory the first.
Its metadata are strings:

=========== ==========================================================================================================
``format``  ``evofabric model``
``version`` ``1``
``layers``  JSON list, an entry for each sparse layer: ``names``, all of its places in the model; ``kind``, what it
            stands for; ``topology``, the name of its file without the ending, or of a layer with several cascades
            an object of them by where the cascades stand in the layer
``shared``  JSON object: names of tensors that are not in the file, and the names of those that they share memory with
=========== ==========================================================================================================

``topologies/`` has a file for each topology (:mod:`topologies.files`), called after a hash of its edges. Topologies are
written first, and the weights are moved into place last, in one step: whatever interrupts that, the folder has the
model that it had. Nothing is ever pickled.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import secrets
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from topologies import files
from topologies.models.kinds import KINDS, Kind, cascades_of, kind_of, sparse_kind_of
from topologies.models.obstacles import own_way
from topologies.models.places import keep_nested_tensors_out, modules_at, names_of, swap
from topologies.packing import pack
from topologies.stack import the_topology
from topologies.topology import Topology

WEIGHTS, TOPOLOGIES = "model.safetensors", "topologies"
_FORMAT, _VERSION = "evofabric model", "1"
_HASH = re.compile(r"[0-9a-f]{64}")


class _Sparse(NamedTuple):
    """A sparse layer of a checkpoint: its places in the model, the kind of layer it stands for, its topologies' files.

    A name alone is that of the only cascade.
    """

    names: tuple[str, ...]
    kind: str
    topology: str | dict[str, str]

    @property
    def files(self) -> list[str]:
        """The names of the files."""
        return [self.topology] if isinstance(self.topology, str) else list(self.topology.values())


def save(model: nn.Module, folder: str | Path) -> Path:
    """Write a model's weights and topologies to a folder, which is made where it is not there, and return its path.

    The folder has the old checkpoint or the new one, whatever interrupts this.

    Raises
    ------
    ValueError
        When a part of the model's state is no tensor, or has no memory (the meta device).
    OSError
        When the folder cannot be written.
    """
    folder = Path(folder)
    layers, topologies = _layers(model)
    tensors, shared = _tensors(model)
    (folder / TOPOLOGIES).mkdir(parents=True, exist_ok=True)
    for name, topology in topologies.items():
        path = folder / TOPOLOGIES / f"{name}.safetensors"
        if not files.is_intact(path):
            files.save(topology, path)
    about = {
        "format": _FORMAT,
        "version": _VERSION,
        "layers": json.dumps([layer._asdict() for layer in layers]),
        "shared": json.dumps(shared),
    }
    unfinished = folder / f".{WEIGHTS}.{secrets.token_hex(4)}.tmp"
    try:
        save_file(tensors, unfinished, about)
        with unfinished.open("rb+") as file:
            os.fsync(file.fileno())
        unfinished.replace(folder / WEIGHTS)
    finally:
        unfinished.unlink(missing_ok=True)
    for path in (folder / TOPOLOGIES).glob("*.safetensors"):
        if _HASH.fullmatch(path.stem) and path.stem not in topologies:
            path.unlink(missing_ok=True)  # of the checkpoint that was here before
    return folder


def load(model: nn.Module, folder: str | Path) -> nn.Module:
    """Make a freshly built model the one that was saved, in place, and return it.

    Its dense layers are replaced by cascades where the saved model had some, and all weights are read. Devices and
    dtypes are those of ``model``. Where anything is wrong, the model is left as it is.

    Parameters
    ----------
    model:
        Built by the code that built the saved one, dense, or converted with the same topologies.
    folder:
        As :func:`save` wrote it.

    Raises
    ------
    ValueError
        When the folder holds no such checkpoint, or a damaged one; when a layer of the model is of another kind, size
        or topology than the saved one, or computes in a way of its own, which the message names; or when the model has
        other tensors.
    """
    folder = Path(folder)
    if any(tensor.is_meta for tensor in (*model.parameters(), *model.buffers())):
        raise ValueError("the model has no memory (the meta device): give it some first, by to_empty(device=...)")
    tensors, layers, shared = _read(folder / WEIGHTS)
    topologies = {name: _topology(folder, name) for name in {file for layer in layers for file in layer.files}}
    _refuse_others(model, layers)
    built = [(layer.names, _built(model, layer, topologies)) for layer in layers]
    dense = [(names, model.get_submodule(names[0])) for names, _ in built]
    tensors |= {name: tensors[other] for name, other in shared.items() if other in tensors}
    changed = swap(model, built)
    try:
        _refuse_other_tensors(changed.state_dict(), tensors, folder)
        changed.load_state_dict(tensors)
    except Exception:
        swap(changed, dense)
        raise
    keep_nested_tensors_out(changed, (names for names, _ in built))
    return changed


def _layers(model: nn.Module) -> tuple[list[_Sparse], dict[str, Topology]]:
    """The sparse layers of a model, and their topologies by the names of their files."""
    layers, topologies, hashes = [], dict[str, Topology](), dict[Topology, str]()
    for module, names in names_of(model).items():
        kind = sparse_kind_of(module)
        if kind is not None:
            found = {}
            for path, cascade in cascades_of(module).items():
                topology = cascade.topology
                found[path] = hashes.setdefault(topology, hashlib.sha256(pack(topology)).hexdigest())
                topologies[found[path]] = topology
            layers.append(_Sparse(tuple(names), kind.name, found if len(found) > 1 else next(iter(found.values()))))
    return layers, topologies


def _tensors(model: nn.Module) -> tuple[dict[str, Tensor], dict[str, str]]:
    """The tensors of a model's state, of those that share memory the first, and whose memory the others share."""
    first: dict[tuple[Any, ...], str] = {}
    tensors: dict[str, Tensor] = {}
    shared: dict[str, str] = {}
    for name, tensor in model.state_dict().items():
        if not isinstance(tensor, Tensor):
            raise ValueError(f"{name} of the model's state is a {type(tensor).__name__}: only tensors can be saved")
        if tensor.is_meta:
            raise ValueError(f"{name} has no memory (the meta device): there is nothing to save")
        place = (tensor.data_ptr(), tensor.dtype, tensor.shape, tensor.stride(), tensor.device)
        if tensor.numel() and place in first:
            shared[name] = first[place]
        else:
            first[place] = name
            tensors[name] = tensor.detach().cpu().contiguous()
    return _apart(tensors), shared


def _apart(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """The tensors, copied where they overlap in memory without being the same."""
    seen = set[int]()
    for name, tensor in tensors.items():
        storage = tensor.untyped_storage()
        if storage.data_ptr() in seen or storage.nbytes() != tensor.nbytes:
            tensors[name] = tensor.clone()
        seen.add(storage.data_ptr())
    return tensors


def _read(path: Path) -> tuple[dict[str, Tensor], list[_Sparse], dict[str, str]]:
    """What is in the file of the weights."""
    if not path.is_file():
        raise ValueError(f"{path.parent} holds no saved model: there is no {WEIGHTS} in it")
    try:
        with safe_open(path, framework="pt") as file:
            about = file.metadata() or {}
            if about.get("format") != _FORMAT:
                raise ValueError(f"{path} is a safetensors file, but not of a model that was saved here")
            if about.get("version") != _VERSION:
                raise ValueError(f"{path} is of version {about.get('version')!r}: this evofabric reads {_VERSION!r}")
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as problem:
        raise ValueError(f"{path} cannot be read, it is damaged or another kind of file ({problem})") from None
    try:
        entries, shared = json.loads(about["layers"]), json.loads(about["shared"])
        layers = [_Sparse(tuple(map(str, one["names"])), str(one["kind"]), _files(one["topology"])) for one in entries]
        shared = {str(name): str(other) for name, other in shared.items()}
        if not all(layer.names and layer.files and all(map(_HASH.fullmatch, layer.files)) for layer in layers):
            raise ValueError
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError):
        raise ValueError(f"{path} is damaged: it does not say which layers are sparse") from None
    return tensors, layers, shared


def _files(entry: Any) -> str | dict[str, str]:
    return {str(path): str(name) for path, name in entry.items()} if isinstance(entry, dict) else str(entry)


def _topology(folder: Path, name: str) -> Topology:
    path = folder / TOPOLOGIES / f"{name}.safetensors"
    try:
        topology = the_topology(files.load(path), path)
    except OSError as problem:
        raise ValueError(f"{folder} is incomplete: {path} cannot be read ({problem.strerror or problem})") from None
    if hashlib.sha256(pack(topology)).hexdigest() != name:
        raise ValueError(f"{path} holds another topology than its name says")
    return topology


def _refuse_others(model: nn.Module, layers: Sequence[_Sparse]) -> None:
    """Refuse a model that is sparse where the saved one was dense."""
    saved = {name for layer in layers for name in layer.names}
    for module, names in names_of(model).items():
        if sparse_kind_of(module) is not None and saved.isdisjoint(names):
            raise ValueError(f"{names[0]}: the model's layer is sparse, the saved one was dense")


def _built(model: nn.Module, layer: _Sparse, topologies: Mapping[str, Topology]) -> nn.Module:
    """The sparse module for a layer of the model; its own where it has one of these topologies already."""
    name = layer.names[0]
    saved: Kind | None = next((kind for kind in KINDS if kind.name == layer.kind), None)
    if saved is None:
        raise ValueError(f"{name} stands for a {layer.kind!r}, which this evofabric does not know")
    found = modules_at(model, layer.names, "{}: the saved model has a sparse layer here, this one has none")
    module, kind = found[0], kind_of(found[0])
    if isinstance(module, saved.sparse):
        there = {path: cascade.topology for path, cascade in cascades_of(module).items()}
        wanted = _by_path(layer, list(there), topologies)
        for path, topology in wanted.items():
            if there[path] != topology:
                raise ValueError(
                    f"{'.'.join(filter(None, (name, path)))}: the saved layer has another topology, {topology!r}, than "
                    f"the model's, {there[path]!r}: load it into a freshly built model"
                )
        return module
    if kind is None or kind.sparse is not saved.sparse:
        raise ValueError(f"{name}: the saved layer stands for a {saved.name}, the model's is a {type(module).__name__}")
    if reason := own_way(module, kind):
        raise ValueError(f"{name}: {reason}")
    matrices = kind.matrices(module)
    wanted = _by_path(layer, [matrix.path for matrix in matrices], topologies)
    for matrix in matrices:
        sizes = wanted[matrix.path].n_in, wanted[matrix.path].n_out
        if not matrix.fits(*sizes):
            ours = f"{sizes[0]} x {sizes[1]}, the model's {matrix.n_in} x {matrix.n_out}"
            raise ValueError(f"{name}: the saved layer is {ours}")
    return kind.replace(module, wanted, None)


def _by_path(layer: _Sparse, paths: Sequence[str], topologies: Mapping[str, Topology]) -> dict[str, Topology]:
    """The topologies of a layer's cascades, which stand at these paths."""
    by_path = dict.fromkeys(paths, layer.topology) if isinstance(layer.topology, str) else layer.topology
    if by_path.keys() != set(paths):
        raise ValueError(f"{layer.names[0]}: the saved layer has {len(by_path)} matrices, the model's {len(paths)}")
    return {path: topologies[by_path[path]] for path in paths}


def _refuse_other_tensors(there: dict[str, Any], saved: dict[str, Tensor], folder: Path) -> None:
    """Refuse tensors that do not fit the model before any is copied."""
    if lacking := sorted(there.keys() - saved.keys()):
        raise ValueError(f"{folder} has no {lacking[0]}, which the model has ({len(lacking)} tensors in all)")
    if more := sorted(saved.keys() - there.keys()):
        raise ValueError(f"{folder} has {more[0]}, which the model has not ({len(more)} tensors in all)")
    for name, tensor in there.items():
        if isinstance(tensor, Tensor) and tensor.shape != saved[name].shape:
            shapes = f"{tuple(saved[name].shape)} in {folder}, {tuple(tensor.shape)} in the model"
            raise ValueError(f"{name} is {shapes}")
