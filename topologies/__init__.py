"""Topologies: what a sparse cascade is, and everything that is a function of it alone.

>>> from topologies import butterfly
>>> butterfly(32, 18)
Topology(32-32-32-32-32-32-32-32-32-32-32-32-32-32-32-32-32-32-32, 576 trainable of 1152 edges)
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from topologies.families.blocks import dense, low_rank, monarch, radix_net
from topologies.families.butterfly import butterfly, parallel_butterfly
from topologies.families.clos import clos
from topologies.families.evolved import evolved
from topologies.families.hypercube import hypercube, torus
from topologies.families.random import bernoulli, expander, random_regular
from topologies.kernel.registration import register as _register
from topologies.layer import Layer
from topologies.lift import lift, resize
from topologies.stack import Stack
from topologies.topology import Topology

if TYPE_CHECKING:
    from topologies.files import load
    from topologies.models.cascade import SparseCascade
    from topologies.models.replace import replace_linear

_LAZY = {
    "SparseCascade": "topologies.models.cascade",
    "load": "topologies.files",
    "replace_linear": "topologies.models.replace",
}


def __getattr__(name: str) -> Any:
    """Names whose modules import torch or safetensors, imported where they are first used."""
    if name not in _LAZY:
        raise AttributeError(f"module 'topologies' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_LAZY[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)


__all__ = [
    "Layer",
    "SparseCascade",
    "Stack",
    "Topology",
    "bernoulli",
    "butterfly",
    "clos",
    "dense",
    "evolved",
    "expander",
    "hypercube",
    "lift",
    "load",
    "low_rank",
    "monarch",
    "parallel_butterfly",
    "radix_net",
    "random_regular",
    "replace_linear",
    "resize",
    "torus",
]

_register()
