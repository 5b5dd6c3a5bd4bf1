"""The lines of Python that put a champion into a model."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

from rich.markup import escape

from evo.experiment.search import Result
from evo.settings import Settings
from topologies.stack import AnyTopology, Stack


def how_to_use(result: Result, settings: Settings, store: str | None) -> str:
    """The champion's path, how a model uses it, the digest, and where to look at the run.

    ``store`` is the tracking store, None for the database in the folder of runs.
    """
    look = f"in {store}" if store else f'[bold]make ui[/bold], or evofabric ui --runs "{result.folder.parent}"'
    code = "\n".join(f"    {line}" for line in lines_of_python(result.champion, result.champion_file, settings))
    return f"""
Champion: [bold]{result.champion_file}[/bold]

{escape(code)}

Result digest: {result.digest}
Look at the run in MLflow: {look}
"""


def lines_of_python(champion: AnyTopology, file: Path, settings: Settings) -> list[str]:
    """Three lines that can be copied: they end with the trained layer's stand-in, or the whole model's."""
    training = settings.training
    if training is None:
        ends = f"torch.nn.Linear({champion.n_in}, {champion.n_out}); x: (..., {champion.n_in})"
        return [
            "from topologies import SparseCascade",
            f'layer = SparseCascade("{file}")',
            f"y = layer(x)  # layer stands in for {ends}",
        ]
    outputs = settings.found.outputs if settings.found and settings.found.outputs else "outputs"
    if training.hidden is None:
        module, _, function = (training.model or "").partition(":")
        return [
            f"import topologies, {module}",
            f"cascades = [topologies.SparseCascade(one) for one in {_places(champion, file)}]",
            f"model = {module}.{function}(cascades, {outputs})",
        ]
    widths = (settings.n_in, *training.hidden)
    if isinstance(champion, Stack):  # widths may have been free
        widths = (champion.n_in, *(n_out for _, n_out in champion.sizes))
    hidden = "".join(f"nn.Linear({a}, {b}), nn.ReLU(), " for a, b in pairwise(widths))
    return [
        "import torch.nn as nn, topologies.models as tm",
        f"model = nn.Sequential({hidden}nn.Linear({widths[-1]}, {outputs}))",
        f'tm.convert(model, "{file}", exclude=["{2 * len(training.hidden)}"])  # all but the head',
    ]


def _places(champion: AnyTopology, file: Path) -> str:
    """Python for the topologies of all places of a champion's file."""
    return f'topologies.load("{file}").places' if isinstance(champion, Stack) else f'[topologies.load("{file}")]'
