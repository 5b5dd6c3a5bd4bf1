"""Masks that a search found, from files, as rows of a table."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from tests.benchmarks.trained.rows import Row
from topologies.files import load
from topologies.topology import Topology

FORM = "NAME=FILE, where FILE is one .safetensors for all places, one for each joined by +, or an .npz of masks"


def champion(text: str, places: int) -> Row:
    """A row from ``NAME=FILE``.

    An ``.npz`` has masks ``(inputs, outputs)`` with 0 absent, 1 trainable, 2 constant, named ``<place>_<layer>``, or
    one a place in order.

    Raises
    ------
    ValueError
        For anything else.
    """
    name, _, files = text.partition("=")
    paths = files.split("+")
    if not files or not all(Path(path).is_file() for path in paths):
        raise ValueError(f"{text!r} is no champion that can be read: {FORM}")
    if len(paths) == 1 and files.endswith(".npz"):
        found = _of_masks(files)
    else:
        found = tuple(place for path in paths for place in load(path).places)
        found = found * places if len(found) == 1 else found
    if len(found) != places:
        raise ValueError(f"{files} has topologies for {len(found)} places, where the network has {places}")
    return Row(name, {"": found}, "found by a search")


def _of_masks(path: str) -> tuple[Topology, ...]:
    with np.load(path, allow_pickle=False) as file:
        masks = {key: file[key] for key in file.files}
    if not all(key.count("_") == 1 and key.replace("_", "").isdigit() for key in masks):
        return tuple(Topology.from_masks([mask]) for mask in masks.values())
    of_places: dict[int, dict[int, np.ndarray]] = {}
    for key, mask in masks.items():
        place, layer = map(int, key.split("_"))
        of_places.setdefault(place, {})[layer] = mask
    return tuple(Topology.from_masks([layers[at] for at in sorted(layers)]) for _, layers in sorted(of_places.items()))
