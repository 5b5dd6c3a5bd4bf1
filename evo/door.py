"""The search as it is called from Python, and its result as a notebook shows it."""

from __future__ import annotations

import io
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass, fields
from functools import cached_property
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.text import Text

from evaluators.function import Function
from evaluators.task import Evaluator
from evo.experiment import search as loop
from evo.report.final_table import plain, verdict
from evo.report.numbers import difference, significant
from evo.settings import Settings
from evo.storage.history import History
from evo.storage.records import RunEvent
from evo.storage.run import Watcher

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

_HEADINGS = ("topology", "error", "difference", "trainable", "edges", "depth", "member")


def search(
    settings: Settings,
    evaluator: Evaluator | Function | None = None,
    *,
    folder: Path | None = None,
    watcher: Watcher = lambda event: None,
    progress: bool = False,
) -> Result:
    """Run a recipe from beginning to end, or what is left of it.

    Parameters
    ----------
    settings:
        The recipe.
    evaluator:
        What scores candidates, or a plain function ``(topology, fidelity, split, seed) -> Score`` that does; by default
        the one that the recipe names.
    folder:
        Where the run lives, made where it is not there. By default a new folder in ``settings.runs``. A folder that
        holds a journal of the same recipe is continued, and nothing in the journal is evaluated again.
    watcher:
        Shown every record, see :data:`evo.storage.run.Watcher`.
    progress:
        Whether a bar is shown while the search runs, in a notebook or at a terminal.

    Raises
    ------
    ValueError
        In one line, for anything in the recipe that cannot be done.
    """
    shown: Any = nullcontext(watcher)
    if progress:
        from evo.console.notebook import progress_display

        shown = progress_display(settings)
    with shown as display:

        def watch(event: RunEvent) -> None:
            watcher(event)
            if progress:
                display(event)

        found = loop.search(settings, evaluator, folder=folder, watcher=watch)
    return Result(**{field.name: getattr(found, field.name) for field in fields(found)})


@dataclass(frozen=True)
class Picture:
    """A figure, which a notebook shows."""

    figure: Figure

    def savefig(self, path: str | Path) -> None:
        """Write it to a file."""
        self.figure.savefig(path)

    def _repr_png_(self) -> bytes:
        file = io.BytesIO()
        self.figure.savefig(file, format="png")
        return file.getvalue()


@dataclass(frozen=True, repr=False)
class Result(loop.Result):
    """What a search found.

    ``table`` compares on test targets, the champion first; ``champion_file`` is what a model loads; ``digest`` names
    the result: equal recipes and seeds give equal digests. In a notebook it shows its table.
    """

    def __repr__(self) -> str:
        first, baseline = self.table.first, self.table.baseline
        return (
            f"Result({first.name} {significant(first.error.mean)}, {baseline.name} {significant(baseline.error.mean)} "
            f"(the baseline), {str(self.folder)!r})"
        )

    def to_frame(self) -> pd.DataFrame:
        """The final table as pandas has it, a row a topology by name, the least error first.

        Columns are those of ``evofabric search --json``, but for the single errors.
        """
        import pandas as pd

        return pd.DataFrame(plain(self.table)["rows"]).set_index("name").drop(columns="errors")

    def plot_progress(self) -> Picture:
        """The errors of evolution and of random search against the baseline, candidate by candidate."""
        return self._figure("progress")

    def plot_front(self) -> Picture:
        """Error against edges, by family."""
        return self._figure("front")

    def plot_table(self) -> Picture:
        """Every row's difference from the baseline on test targets."""
        return self._figure("final_table")

    def plot_topology(self) -> Picture:
        """The champion's layers and edges."""
        from topologies.draw import draw_topology

        return Picture(draw_topology(self.champion))

    def plot_masks(self) -> Picture:
        """The champion's masks as images."""
        from topologies.draw import draw_masks

        return Picture(draw_masks(self.champion))

    @cached_property
    def history(self) -> History:
        """All that the journal says of the run."""
        return History.of(self.folder)

    def _figure(self, name: str) -> Picture:
        from evo.report import figures

        draw: Callable[[History], Figure] = getattr(figures, name)
        return Picture(draw(self.history))

    def _repr_html_(self) -> str:
        lines = ["".join(f"<th>{heading}</th>" for heading in _HEADINGS)]
        for row in self.table.by_error:
            apart = "the baseline" if row.difference is None else difference(row.difference)
            counts = (row.topology.n_trainable, row.topology.n_edges, row.topology.depth)
            cells = (row.name, significant(row.error.mean), apart, *map(str, counts), row.label)
            tag = "th" if row is self.table.first else "td"
            lines.append("".join(f"<{tag}>{escape(cell)}</{tag}>" for cell in cells))
        told = Text.from_markup(verdict(self.table, self.founder)).plain
        rows = "".join(f"<tr>{line}</tr>" for line in lines)
        return f"<table>{rows}</table><p>{escape(told)}</p><p><code>{escape(str(self.champion_file))}</code></p>"
