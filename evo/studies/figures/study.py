"""Studies of figures: every topology of every series is scored, through a run's journal (``evofabric study``).

Nothing here is special to one figure: :mod:`.settings` says what a recipe may ask for, :mod:`.findings` reads what
came of it from the journal, and :mod:`.picture` draws it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from evaluators.function import Function
from evaluators.rng import generator
from evaluators.task import Evaluator, Fidelity, Score, Split, Task
from evo.storage.evaluations import Request
from evo.storage.records import Origin, PhaseStarted
from evo.storage.run import Run, Watcher, open_run
from evo.studies.figures.settings import FigureSettings, SeriesSettings, Value
from topologies.families import FAMILIES, find
from topologies.names import resolve
from topologies.shuffle import shuffled
from topologies.stack import AnyTopology, stacked
from topologies.topology import Topology

CHOICE, TEST = "choice of rates", "test"
"""The phases, as the journal calls them."""


@dataclass(frozen=True)
class Cell:
    """One point of the figure; ``number`` is its place among all of them."""

    number: int
    series: SeriesSettings
    value: Value


def cells(settings: FigureSettings) -> list[Cell]:
    """The points of a figure, series by series."""
    pairs = ((series, value) for series in settings.series for value in series.values or settings.values)
    return [Cell(number, series, value) for number, (series, value) in enumerate(pairs)]


def study(
    settings: FigureSettings,
    evaluator: Evaluator | Function | None = None,
    *,
    folder: Path | None = None,
    watcher: Watcher = lambda event: None,
) -> Path:
    """Score what a recipe asks for, or what is left of it, and return the run's folder.

    Arguments are as for :func:`evo.experiment.search.search`.

    Raises
    ------
    ValueError
        For a recipe that cannot be followed, before anything is computed.
    """
    wanted, topologies = cells(settings), topologies_of(settings)
    with open_run(settings, evaluator, folder, watcher) as run:
        tested = _tested(run, settings, list(zip(wanted, topologies, strict=True)))
        _evaluate(run, TEST, tested, Split.TEST)
        return run.folder


def topologies_of(settings: FigureSettings) -> list[AnyTopology]:
    """The topology of every point, or the stack of a network's places; ValueError where there is none."""
    build = _Builder(settings)
    return [build(cell) for cell in cells(settings)]


_Asked = tuple[Cell, AnyTopology, Fidelity]


def _tested(
    run: Run[FigureSettings], settings: FigureSettings, wanted: Sequence[tuple[Cell, AnyTopology]]
) -> list[_Asked]:
    """How each topology is tested: of several rates, at the one that is best on the validation targets.

    What fails there is not tested, for its rate would be chosen by the test. Who trains a network chooses by the
    validation part itself, with the trainings that are tested.
    """
    given = settings.fidelity
    asked = [(cell, topology, given) for cell, topology in wanted]
    if settings.network is not None:
        return asked
    targets = settings.test_targets or given.targets
    if len(given.rates) * len(given.weight_decays) == 1:
        return [(cell, topology, given.promoted(targets)) for cell, topology in wanted]
    chosen = _evaluate(run, CHOICE, asked, Split.VALIDATION)
    pairs = zip(wanted, chosen, strict=True)
    return [(cell, topology, given.promoted(targets, score)) for (cell, topology), score in pairs if score is not None]


def _evaluate(run: Run[FigureSettings], phase: str, asked: Sequence[_Asked], split: Split) -> list[Score | None]:
    run.show(PhaseStarted(phase, len(asked)))
    settings = run.settings
    return run.evaluations.evaluate(
        [
            Request(
                phase=phase,
                number=cell.number,
                task=Task(
                    topology=topology,
                    fidelity=fidelity,
                    split=split,
                    seed=settings.seed,
                    variant=cell.series.layer if settings.network else "",
                ),
                origin=Origin(label=f"{cell.series.name} at {cell.value}"),
            )
            for cell, topology, fidelity in asked
        ]
    )


class _Builder:
    """Makes the topologies of cells; places that are named alike are made once."""

    def __init__(self, settings: FigureSettings) -> None:
        self._settings = settings
        self._named: Callable[[str, Value, tuple[int, int]], Topology] = cache(_named)
        self._spread: dict[str, Topology] = {}

    def __call__(self, cell: Cell) -> AnyTopology:
        """The topology of a cell, or the stack of a network's places; ValueError where there is none."""
        try:
            return stacked(self._places(cell)).canonical
        except ValueError as error:
            raise ValueError(f"series {cell.series.name!r} at {cell.value}: {error}") from None

    def _places(self, cell: Cell) -> list[Topology]:
        settings, series = self._settings, cell.series
        width = series.width or (settings.network.width if settings.network else settings.n_out)
        places = []
        for number, size in enumerate(settings.sizes_of(width, cell.value)):
            is_first = number == 0 and series.first is not None
            text = _filled(series.first if is_first and series.first else series.topology, cell.value, number)
            if series.spread and not is_first:
                found = self._stage(text, number - (series.first is not None), size)
            else:
                found = self._named(text, cell.value, size)
            if series.shuffled:
                found = shuffled(found, generator(settings.seed, "shuffle", found.digest, number))
            places.append(found)
        return places

    def _stage(self, text: str, number: int, size: tuple[int, int]) -> Topology:
        """One layer of a topology, counted over and over, as the topology of a place."""
        if text not in self._spread:
            self._spread[text] = resolve(text)
        layers = [one for one in self._spread[text].layers if (one.n_in, one.n_out) == size]
        if not layers:
            raise ValueError(f"no layer of {text!r} is {size[0]} x {size[1]}: say what the first place has, with first")
        return Topology((layers[number % len(layers)],))


def _filled(template: str, value: Value, place: int) -> str:
    try:
        return template.format(value=value, place=place)
    except (KeyError, IndexError, ValueError, AttributeError):
        raise ValueError(f"{template!r}: only {{value}} and {{place}} stand for something") from None


def expression_of(settings: FigureSettings, cell: Cell) -> str:
    """What the topology of a cell is called; of figures without a network, whose cells have one."""
    return _expression(_filled(cell.series.topology, cell.value, 0), cell.value, (settings.n_in, settings.n_out))


def _expression(text: str, value: Value, size: tuple[int, int]) -> str:
    """A name as it is; of a family alone, its best member with ``value`` times fewer parameters than dense.

    Small places have more: half a trainable edge for every input and output times the stages of a butterfly, below
    which hardly any family connects them.
    """
    if text not in FAMILIES:
        return text
    if value < 1:
        raise ValueError(f"{text} with {value} times fewer parameters than a dense layer: at least 1 is wanted")
    dense, stages = size[0] * size[1], math.ceil(math.log2(max(*size, 2)))
    least = min(dense, math.ceil(sum(size) / 2 * stages))
    return find(text).fit(*size, max(int(dense / value), least)).expression


def _named(text: str, value: Value, size: tuple[int, int]) -> Topology:
    """The topology of a place."""
    found = resolve(_expression(text, value, size), size)
    if (found.n_in, found.n_out) != size:
        raise ValueError(f"{text!r} is {found.n_in} x {found.n_out}, where {size[0]} x {size[1]} is wanted")
    return found
