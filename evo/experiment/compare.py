"""Any topologies beside the baseline on held-out targets, and champions checked against what their file says."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from evaluators.task import Evaluator, Fidelity, Score, Stream
from evo.experiment.baselines import best_member, tuned
from evo.experiment.tune import Trial
from evo.experiment.validation import choose, hold_out
from evo.settings import Settings, validate
from evo.storage.pools import named_evaluator
from evo.storage.results import BASELINE, KINDS, Finalist, Interval, Row, interval
from evo.storage.run import Watcher, open_run
from topologies.canonical import canonical
from topologies.files import read
from topologies.names import resolve, topology_file


def tuning(settings: Settings, family: str, watcher: Watcher) -> tuple[tuple[Trial, ...], Row]:
    """All trials of a family at a recipe's budget, best first, and the best of them on held-out targets.

    Raises
    ------
    ValueError
        When no connected member fits the budget.
    """
    with tempfile.TemporaryDirectory() as folder, open_run(settings, None, Path(folder), watcher) as run:
        trials = tuned(run, family)
        if not trials:
            raise ValueError(f"no connected member of {family} has at most {settings.budget} trainable edges")
        best = best_member(run, family, trials)
        if best is None:
            raise ValueError(f"no member of {family} could be evaluated; the log says why")
        return trials, hold_out(run.evaluations, {KINDS[family]: best}, KINDS[family], settings.fidelity)[0]


def scores(settings: Settings, names: Sequence[str], watcher: Watcher) -> tuple[Row, ...]:
    """The final table for files, runs' folders and expressions, all of the recipe's size; the baseline comes first.

    Learning rates are chosen on the choice stream, as in a search. The baseline is tuned at the recipe's budget.
    """
    topologies = {name: canonical(resolve(name)) for name in names}
    with tempfile.TemporaryDirectory() as folder, open_run(settings, None, Path(folder), watcher) as run:
        baseline = KINDS[BASELINE]
        chosen = {baseline: best_member(run, BASELINE, tuned(run, BASELINE))}
        for name, topology in topologies.items():
            chosen[name] = choose(run.evaluations, name, [Finalist("", topology)], settings.fidelity)
        entries = {kind: one for kind, one in chosen.items() if one is not None}
        if baseline not in entries:
            raise ValueError(f"no baseline at a budget of {settings.budget}: give one with --set baseline=...")
        return hold_out(run.evaluations, entries, baseline, settings.fidelity)


@dataclass(frozen=True)
class Verification:
    """A champion's held-out error as its file states it, and as it was found again from the file alone."""

    stated: float
    stated_interval: Interval
    found: Interval

    @property
    def agrees(self) -> bool:
        """Whether the error found lies within the stated 95 % interval."""
        return self.stated_interval.low <= self.found.mean <= self.stated_interval.high


def verify(path: Path, evaluator: Evaluator | None = None) -> Verification:
    """Train the topology of a champion's file or a run's folder on the held-out targets again, and compare.

    Raises
    ------
    ValueError
        When the file is damaged or states no held-out score.
    """
    path = topology_file(path)
    topology, provenance = read(path)
    stated = provenance.scores.get("held-out")
    if not isinstance(stated, dict) or provenance.recipe is None or provenance.seed is None:
        raise ValueError(f"{path} states no held-out score: only champions of a finished search do")
    settings = validate(provenance.recipe)
    fidelity = Fidelity(
        stated["targets"], stated["steps"], (stated["rate"],) if stated["rate"] else settings.fidelity.full_rates
    )
    judge = evaluator or named_evaluator(settings.evaluator)
    score: Score = judge.evaluate(canonical(topology), fidelity, Stream.HELD_OUT, provenance.seed)
    low, high = stated["interval"]
    return Verification(stated["error"], Interval(stated["error"], low, high), interval(np.array(score.errors)))
