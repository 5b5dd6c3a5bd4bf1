"""Optuna tunes the hand-derived families: which member of a family is best at a budget.

Where a family has few members every one is tried, otherwise Optuna's TPE chooses which, after the one that a user would
try first: few trials could miss it. The study lives in memory: it is a function of the scores, which the journal keeps.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import optuna

from evaluators.task import Score
from evo.experiment.stack_members import AnyMember
from topologies.stack import AnyTopology

BATCH = 8
"""Trials that TPE asks for at once: a constant, because the sequence of trials depends on it."""

Evaluate = Callable[[Sequence["Trial"]], list[Score | None]]
"""Scores of a batch of trials that have none yet."""


@dataclass(frozen=True)
class Trial:
    """One member of a family, in canonical form, and its score on the search split."""

    number: int
    expression: str
    topology: AnyTopology
    score: Score | None = None

    @property
    def error(self) -> float:
        """Mean error, infinite for a failed evaluation."""
        return float("inf") if self.score is None else self.score.error


def tune(
    candidates: Sequence[AnyMember], evaluate: Evaluate, trials: int, seed: int, first: AnyMember | None = None
) -> tuple[Trial, ...]:
    """Trials of a family's members, best first.

    Parameters
    ----------
    candidates:
        The members to choose from.
    evaluate:
        Scores a batch of trials.
    trials:
        Every member is tried where there are at most this many; above, TPE is asked this many times, and the member
        nearest to what it asks for is tried.
    seed:
        Of TPE.
    first:
        A member that TPE is told to ask for first; it need not be among the candidates.

    Returns
    -------
    The trials made, each member once, by error.
    """
    if len(candidates) <= trials:
        made = [_trial(number, member) for number, member in enumerate(candidates)]
        done = [_scored(trial, score) for trial, score in zip(made, evaluate(made), strict=True)]
    else:
        done = _ask_tpe(candidates, evaluate, trials, seed, first)
    return tuple(sorted(done, key=lambda trial: (trial.error, trial.number)))


def _ask_tpe(
    candidates: Sequence[AnyMember], evaluate: Evaluate, trials: int, seed: int, first: AnyMember | None
) -> list[Trial]:
    if first is not None and all(one.expression != first.expression for one in candidates):
        candidates = [*candidates, first]
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(sampler=optuna.samplers.TPESampler(seed=seed % 2**32))  # NumPy's limit
    space = _space(candidates)
    if first is not None:
        study.enqueue_trial(_asked(first, space))
    done: dict[str, Trial] = {}
    for start in range(0, trials, BATCH):
        asked = [study.ask(space) for _ in range(min(BATCH, trials - start))]
        chosen = [_nearest(candidates, one.params) for one in asked]
        fresh = {member.expression: member for member in chosen if member.expression not in done}
        made = [_trial(len(done) + place, member) for place, member in enumerate(fresh.values())]
        for trial, score in zip(made, evaluate(made), strict=True):
            done[trial.expression] = _scored(trial, score)
        for one, member in zip(asked, chosen, strict=True):
            study.tell(one, done[member.expression].error)
    return list(done.values())


def _varied(candidates: Sequence[AnyMember]) -> dict[str, list[Any]]:
    """The parameters in which members differ, with the values they take (hashable, in order of appearance)."""
    names = dict.fromkeys(name for member in candidates for name in member.arguments)
    values = {name: list(dict.fromkeys(member.arguments.get(name) for member in candidates)) for name in names}
    return {name: seen for name, seen in values.items() if len(seen) > 1}


def _is_number(values: Sequence[Any]) -> bool:
    return all(isinstance(value, int) and not isinstance(value, bool) for value in values)


def _space(candidates: Sequence[AnyMember]) -> dict[str, optuna.distributions.BaseDistribution]:
    space: dict[str, optuna.distributions.BaseDistribution] = {}
    for name, values in _varied(candidates).items():
        if _is_number(values):
            space[name] = optuna.distributions.IntDistribution(min(values), max(values), log=min(values) > 0)
        else:
            space[name] = optuna.distributions.CategoricalDistribution([str(value) for value in values])
    return space


def _asked(member: AnyMember, space: Mapping[str, optuna.distributions.BaseDistribution]) -> dict[str, Any]:
    """A member's parameters as TPE would ask for them."""
    values = {name: member.arguments.get(name) for name in space}
    return {
        name: value if isinstance(space[name], optuna.distributions.IntDistribution) else str(value)
        for name, value in values.items()
    }


def _nearest(candidates: Sequence[AnyMember], asked: dict[str, Any]) -> AnyMember:
    """The member whose parameters are nearest in proportion, the first of equals."""

    def distance(member: AnyMember) -> float:
        total = 0.0
        for name, wanted in asked.items():
            value = member.arguments.get(name)
            if isinstance(wanted, int):
                total += abs(wanted - value) / max(abs(wanted), abs(value), 1) if isinstance(value, int) else 1.0
            else:
                total += str(value) != wanted
        return total

    return min(candidates, key=distance)


def _trial(number: int, member: AnyMember) -> Trial:
    return Trial(number, member.expression, member.topology().canonical)


def _scored(trial: Trial, score: Score | None) -> Trial:
    return Trial(trial.number, trial.expression, trial.topology, score)
