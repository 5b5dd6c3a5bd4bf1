"""Topologies by name: a file, a family expression, or the folder of a run that has a champion.

This is the one place that decides what a name means; layers, recipes and commands all ask here.
"""

from __future__ import annotations

from os import PathLike, fspath
from pathlib import Path
from typing import NamedTuple

import numpy as np

from topologies.expression import is_expression, likely, parse, read
from topologies.families import FAMILIES, find
from topologies.stack import AnyTopology, Sizes, Stack, the_topology
from topologies.topology import Topology

CHAMPION = "champion.safetensors"
"""What the file with the champion is called in the folder of a run."""

DEFAULT_FAMILY = "random_regular"
"""The family of a topology of which only the budget is known: the control that any other has to beat."""

Source = Topology | Stack | str | PathLike[str] | int
"""What stands for the topology of a layer: itself, a stack of that place, a name, or a budget of trainable edges."""

_PICKLES = (".pt", ".pth", ".pkl", ".pickle")


def resolve(name: AnyTopology | str | PathLike[str], sizes: tuple[int, int] | None = None) -> Topology:
    """The topology that a name stands for; as :func:`resolve_any`, but ValueError for a stack of several places."""
    return the_topology(resolve_any(name, sizes), "the stack" if isinstance(name, Stack) else name)


def at_places(name: str | Path, sizes: Sizes) -> Stack:
    """The stack that a name stands for in a model with places of these sizes.

    That of a file may have other sizes; one topology is taken for every place, and an expression that names no sizes,
    such as ``"butterfly(depth=8)"``, is read at each place's.

    Raises
    ------
    ValueError
        When there is no such topology, or one that does not fit every place.
    """
    if is_expression(str(name)):
        return Stack(tuple(_fitting(parse(str(name), size), size, name) for size in sizes))
    found = resolve_any(name)
    if isinstance(found, Stack):
        return found
    return Stack(tuple(_fitting(found, size, name) for size in sizes))


def _fitting(topology: Topology, size: tuple[int, int], name: str | Path) -> Topology:
    if (topology.n_in, topology.n_out) != size:
        found, wanted = f"{topology.n_in} x {topology.n_out}", f"{size[0]} x {size[1]}"
        raise ValueError(f"{str(name)!r} is {found}, which does not fit a place of {wanted}")
    return topology


def resolve_any(name: AnyTopology | str | PathLike[str], sizes: tuple[int, int] | None = None) -> AnyTopology:
    """The topology that a name stands for, or the stack where it is a file that holds one.

    Parameters
    ----------
    name:
        A family expression such as ``"clos(32, 8, 9, 8)"``, a ``.safetensors`` file, an ``.npz`` or ``.npy`` file
        of masks ``(n_in, n_out)``, or the folder of a run with a champion. A topology or a stack stands for itself.
    sizes:
        Inputs and outputs that an expression which names none, such as ``"butterfly(depth=8)"``, takes.

    Raises
    ------
    ValueError
        When it is none of these, or the file or expression is refused.
    """
    if isinstance(name, Topology | Stack):
        return name
    if not isinstance(name, str | PathLike):
        raise ValueError(_no_name(name))
    text = fspath(name)
    if is_expression(text):
        return parse(text, sizes)
    from topologies.files import load  # files need more libraries than expressions do
    from topologies.masks import load_masks

    try:
        path = topology_file(Path(text))
        reader = {".safetensors": load, ".npz": load_masks, ".npy": load_masks}.get(path.suffix.lower())
        if reader is None:
            raise ValueError(_what_is_wrong(text))
        return reader(path)
    except OSError as problem:
        raise ValueError(f"cannot read {text}: {problem.strerror or problem}") from problem


def stack_of(source: Source | None) -> Stack | None:
    """The stack that a source is, or that its file holds; None of any other source."""
    if isinstance(source, str | PathLike) and (source in FAMILIES or is_expression(fspath(source))):
        return None
    if source is None or isinstance(source, int | np.integer):
        return None
    found = resolve_any(source)
    return found if isinstance(found, Stack) else None


class OtherSizesError(ValueError):
    """A topology that is there, but at other sizes than those of the layer it is meant for."""


def checked(source: Source) -> Source:
    """The source, once what can be wrong with it at any sizes was looked for; of a file, the topology in it."""
    if isinstance(source, Topology | int | np.integer) or (isinstance(source, str) and source in FAMILIES):
        return source
    if isinstance(source, str | PathLike) and is_expression(fspath(source)):
        read(fspath(source), (2, 2))
        return source
    return resolve(source)


class Sized(NamedTuple):
    """A topology at the sizes of a layer, the words that tell people which it is, and whether it was brought there."""

    topology: Topology
    text: str
    lifted: bool = False


def at_sizes(source: Source, n_in: int, n_out: int, budget: int | None = None, *, lift: bool = False) -> Sized:
    """The topology that a source stands for at the sizes of a layer.

    Parameters
    ----------
    source:
        A topology, or a stack of a single place; a name as :func:`resolve` takes it, where an expression may leave its
        sizes out; a budget of trainable edges, of which random regular makes the best
        (:meth:`topologies.families.Family.fit`); or a family's name alone, which makes the best of ``budget``.
    n_in, n_out:
        The layer's inputs and outputs.
    budget:
        Trainable edges, of a family's name alone.
    lift:
        Whether a topology at other sizes is brought to these by :func:`topologies.lift.resize`.

    Raises
    ------
    OtherSizesError
        When the topology has other sizes, and may not be lifted.
    ValueError
        When there is no such topology, also not at these sizes.
    """
    if isinstance(source, int | np.integer):
        return at_sizes(DEFAULT_FAMILY, n_in, n_out, source)
    if isinstance(source, str) and source in FAMILIES:
        if budget is None:
            raise ValueError(
                f"{source!r} is a family: say by a budget or a density how many trainable edges it may have"
            )
        member = find(source).fit(n_in, n_out, budget)
        return Sized(member.topology(), member.expression)
    topology = resolve(source, (n_in, n_out))
    there = f"{topology.n_in} x {topology.n_out}"
    text = there if isinstance(source, Topology | Stack) else fspath(source)
    if (topology.n_in, topology.n_out) == (n_in, n_out):
        return Sized(topology, text)
    if lift:
        from topologies.lift import resize

        return Sized(resize(topology, n_in, n_out), text, lifted=True)
    raise OtherSizesError(
        f"the topology is {there} but the layer is {n_in} x {n_out}: build one at the layer's sizes (Family.fit, or an "
        "expression without sizes), or bring this one there (topologies.lift copies its neurons, topologies.resize "
        "lifts and crops; convert does it with lift=True)"
    )


def topology_file(path: Path) -> Path:
    """The champion's file where ``path`` is the folder of a run that has one, else ``path`` itself."""
    champion = path / CHAMPION
    return champion if champion.is_file() else path


def _no_name(value: object) -> str:
    """What is wrong with a value that is no name, and what may have been meant."""
    if isinstance(value, float | np.floating) and 0 < value < 1:
        return f"{value:g} is no topology: did you mean density={value:g}, which plan and convert take?"
    example = find(DEFAULT_FAMILY).example
    if isinstance(value, int | np.integer):
        return f"{value} is no topology: so many edges make one where a layer's sizes are known; name one, as {example}"
    return (
        f"a {type(value).__name__} is no topology: a Topology, a file's name or an expression such as {example} is "
        "wanted; Topology.from_masks makes one of masks"
    )


def _what_is_wrong(text: str) -> str:
    """What a name that is none should have been."""
    if text.startswith("models:/"):
        return (
            f"{text!r} is a model in an MLflow registry, which commands such as `evofabric show` read; in Python, "
            f"evo.tracking.load_champion gives its topology"
        )
    if Path(text).suffix.lower() in _PICKLES:
        return (
            f"{text!r} is a pickle, which is never loaded: in Python, Topology.from_masks takes the masks themselves, "
            f"with transpose=True those of PyTorch"
        )
    if text and Path(text).is_dir():
        return f"{text!r} is a folder without {CHAMPION}: a run has one as soon as its search has bred"
    example = likely(text).example
    return (
        f"{text!r} is no .safetensors, .npz or .npy file, no run's folder and no family expression, such as {example}"
    )
