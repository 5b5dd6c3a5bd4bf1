"""Topologies by name: a file, a family expression, or the folder of a run that has a champion.

This is the one place that decides what a name means; layers, recipes and commands all ask here.
"""

from __future__ import annotations

from pathlib import Path

from topologies.expression import is_expression, likely, parse
from topologies.topology import Topology

CHAMPION = "champion.safetensors"
"""What the file with the champion is called in the folder of a run."""

_PICKLES = (".pt", ".pth", ".pkl", ".pickle")


def resolve(name: str | Path) -> Topology:
    """The topology that a name stands for.

    Parameters
    ----------
    name:
        A family expression such as ``"clos(32, 8, 9, 8)"``, a ``.safetensors`` file, an ``.npz`` or ``.npy`` file
        of masks ``(n_in, n_out)``, or the folder of a run with a champion.

    Raises
    ------
    ValueError
        When it is none of these, or the file or expression is refused.
    """
    text = str(name)
    if is_expression(text):
        return parse(text)
    from topologies.files import load  # files need more libraries than expressions do
    from topologies.masks import load_masks

    try:
        path = topology_file(Path(name))
        reader = {".safetensors": load, ".npz": load_masks, ".npy": load_masks}.get(path.suffix.lower())
        if reader is None:
            raise ValueError(_what_is_wrong(text))
        return reader(path)
    except OSError as problem:
        raise ValueError(f"cannot read {text}: {problem.strerror or problem}") from problem


def topology_file(path: Path) -> Path:
    """The champion's file where ``path`` is the folder of a run that has one, else ``path`` itself."""
    champion = path / CHAMPION
    return champion if champion.is_file() else path


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
