"""The hand-derived topologies that evolution is compared with, each at its best member."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import chain, count

from evaluators.task import Score, Stream
from evo.experiment.tune import Trial, tune
from evo.experiment.validation import choose
from evo.storage.evaluations import Request
from evo.storage.results import BASELINE, KINDS, Chosen, Finalist
from evo.storage.run import Run
from topologies.canonical import canonical
from topologies.families import FAMILIES, members
from topologies.families.butterfly import parallel_butterfly
from topologies.families.family import Member


def tuned(run: Run, family: str) -> tuple[Trial, ...]:
    """Optuna's trials of a family at the run's size and budget, best first; a given baseline is its only trial."""
    settings = run.settings

    def evaluate(trials: Sequence[Trial]) -> list[Score | None]:
        """The trials' scores on the search stream."""
        return run.evaluations.evaluate(
            [
                Request(
                    f"tune {family}",
                    trial.number,
                    trial.topology,
                    settings.fidelity.search,
                    Stream.SEARCH,
                    {"label": trial.expression, "family": family},
                )
                for trial in trials
            ]
        )

    run.show({"kind": "phase", "phase": f"tune {family}"})
    if family == BASELINE and settings.baseline is not None:
        given = Trial(0, settings.baseline, canonical(run.given[settings.baseline]))
        if given.topology.n_trainable > settings.budget:
            raise ValueError(
                f"baseline {settings.baseline!r} has {given.topology.n_trainable} trainable edges, "
                f"more than the budget of {settings.budget}"
            )
        return (replace(given, score=evaluate([given])[0]),)
    return tune(
        candidates(family, settings.n_in, settings.n_out, settings.budget),
        evaluate,
        settings.tuning.trials,
        settings.seed,
    )


def candidates(family: str, n_in: int, n_out: int, budget: int) -> list[Member]:
    """The family's connected members within the budget; if there are none, those that leave pairs unconnected."""
    return members(family, n_in, n_out, budget) or FAMILIES[family].too_shallow(n_in, n_out, budget)


def best_member(run: Run, family: str, trials: Sequence[Trial]) -> Chosen | None:
    """The best of the first few trials that have a score, at full fidelity on the choice stream, if there are any."""
    scored = [trial for trial in trials if trial.score is not None]
    finalists = [Finalist(trial.expression, trial.topology) for trial in scored[: run.settings.fidelity.finalists]]
    return choose(run.evaluations, KINDS[family], finalists, run.settings.fidelity)


def growth_rule(n_in: int, n_out: int, budget: int) -> Finalist | None:
    """The paper's own rule (VII-E): one butterfly deepens up to d layers, then copies are added; None if none fits.

    The paper leaves d open. Here it is twice the number of base-2 digits: the least depth at which every input has
    more than one path to every output, so that no entry is left to constants alone.
    """
    digits = (max(n_in, n_out) - 1).bit_length()
    deepening = ((1, depth) for depth in range(digits, 2 * digits))
    widening = ((copies, 2 * digits) for copies in count(1))
    best = None
    for p, d in chain(deepening, widening):
        topology = parallel_butterfly(n_in, p, d, n_out=n_out)
        if topology.n_trainable > budget:
            break
        best = Finalist(f"p = {p}, d = {d}", topology)
    return best and replace(best, topology=canonical(best.topology))
