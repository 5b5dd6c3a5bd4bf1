"""The honest end: finalists are ranked on the validation targets, and what is reported comes from the test targets.

Every row of the final table goes the same way. The few best of its kind on the search targets are trained at full
fidelity on the validation targets, which pick one and its learning rate; that one is trained once on the test targets,
on which nothing is chosen.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from evaluators.task import Fidelity, Race, Score, Split, Task
from evo.algorithm.individual import Individual
from evo.experiment.grid import added, grown, remark
from evo.settings import Settings
from evo.storage import names
from evo.storage.evaluations import Request
from evo.storage.records import Origin
from evo.storage.results import Chosen, Finalist, FinalTable, final_table
from evo.storage.run import Run
from topologies.stack import Stack


def choose(run: Run[Settings], row: str, finalists: Sequence[Finalist]) -> Chosen | None:
    """The best finalist for a row, at full fidelity on the validation targets; None if none could be evaluated.

    All are trained at every learning rate; the best third again on four times as many targets, at the learning rate
    that each chose. Where models are trained on data, those of the best third that chose an end of the grid are tried
    beyond it before. Of equals the first is taken.
    """
    fidelity = run.settings.fidelity
    asked = dict.fromkeys(range(len(finalists)), fidelity.validation)
    ranked = _ranked(run, names.validation(row), finalists, asked)
    best = list(ranked)[: n_promoted(len(ranked))]
    if run.settings.training is not None:
        ranked = _beyond_the_grid(run, row, finalists, {place: ranked[place] for place in best})
        best = list(ranked)
    if len(best) > 1:
        targets = 4 * fidelity.validation_targets
        closer = {place: fidelity.validation.promoted(targets, ranked[place]) for place in best}
        ranked = _ranked(run, names.final_validation(row), finalists, closer) or ranked
    return next((Chosen(finalists[place], score) for place, score in ranked.items()), None)


RETRAININGS = 3
"""Trainings from new seeds of every finalist of a search on data."""


def retrain(run: Run[Settings], elite: Sequence[Individual]) -> None:
    """Train the best of a search on data afresh, on the validation part, so that the journal has both errors.

    They were chosen for their errors in the search, which are therefore too good; new trainings as long as those, at
    the same learning rates, tell by how much. Nothing is chosen by them.
    """
    requests = [
        _request(
            run,
            names.RETRAINED,
            place,
            Finalist("", one.topology),
            run.settings.fidelity.search.promoted(RETRAININGS, one.score),
            Split.VALIDATION,
        )
        for place, one in enumerate(elite)
    ]
    run.evaluations.evaluate(requests)


def _beyond_the_grid(
    run: Run[Settings], row: str, finalists: Sequence[Finalist], scores: Mapping[int, Score]
) -> dict[int, Score]:
    """Scores of the finalists at the places in ``scores``, best first, each at the best of a grid that grew for it."""
    found, grids = dict(scores), dict.fromkeys(scores, run.settings.fidelity.validation)
    for step in range(1, names.GRID_STEPS + 1):
        more = {place: grown(grids[place], found[place]) for place in found}
        asked = [(place, one) for place, grid in more.items() for one in added(grids[place], grid)]
        requests = [
            _request(run, names.beyond(row, step), number, finalists[place], fidelity, Split.VALIDATION)
            for number, (place, fidelity) in enumerate(asked)
        ]
        for (place, _), score in zip(asked, run.evaluations.evaluate(requests), strict=True):
            if score is not None and score.error < found[place].error:
                found[place] = score
        grids = more
    return dict(sorted(found.items(), key=lambda one: (one[1].error, one[0])))


def n_promoted(finalists: int) -> int:
    """How many of a number of finalists are trained again: the best third, rounded up."""
    return -(-finalists // 3)


def _ranked(
    run: Run[Settings], phase: str, finalists: Sequence[Finalist], asked: Mapping[int, Fidelity]
) -> dict[int, Score]:
    """Scores on the validation targets of the finalists at the places in ``asked``, best first, failures left out."""
    requests = [
        _request(run, phase, place, finalists[place], fidelity, Split.VALIDATION) for place, fidelity in asked.items()
    ]
    scores = zip(asked, run.evaluations.evaluate(requests), strict=True)
    found = [(place, score) for place, score in scores if score is not None]
    return dict(sorted(found, key=lambda one: (one[1].error, one[0])))


def compared(run: Run[Settings], chosen: Mapping[str, Chosen], baseline: str) -> FinalTable:
    """The final table: the chosen topology of every row on the test targets, compared with the row ``baseline``.

    A topology whose evaluation fails has no row.

    Raises
    ------
    ValueError
        When that is the first, which the table is about, or the baseline.
    """
    requests = [
        _request(
            run,
            names.test(row),
            0,
            one.finalist,
            run.settings.fidelity.test(one.validation),
            Split.TEST,
        )
        for row, one in chosen.items()
    ]
    scores = dict(zip(chosen, run.evaluations.evaluate(requests), strict=True))
    for row in (next(iter(chosen)), baseline):
        if scores[row] is None:
            raise ValueError(f"the {row} could not be evaluated on test targets: {run.evaluations.last_failure}")
    found = [(row, _told(run.settings, chosen[row]), score) for row, score in scores.items() if score is not None]
    table = final_table(found, baseline, run.settings.is_cross_validated)
    return table.with_search_errors(_search_errors(run, chosen))


def _told(settings: Settings, one: Chosen) -> Finalist:
    """The finalist as the table calls it: with what its hidden widths cost beside the budget, where they are free, and
    with the learning rate or weight decay that is from beyond the grid.
    """
    finalist, topology = one.finalist, one.finalist.topology
    widths = settings.places.about_widths(topology.sizes) if settings.places and isinstance(topology, Stack) else ""
    beyond = remark(settings.fidelity.validation, one.validation) if settings.training is not None else ""
    return replace(finalist, label="; ".join(filter(None, (finalist.label, widths, beyond))))


def _search_errors(run: Run[Settings], chosen: Mapping[str, Chosen]) -> dict[str, float | None]:
    """The error of every row's topology by the evaluator that candidates were searched by; none where there is one.

    It is found as that of the best candidates, who are promoted; None where it cannot be. Dense layers, which no search
    looks for, have none.
    """
    if run.settings.search_by is None:
        return {}
    race = Race(None, run.settings.fidelity.race_targets)
    searched = {row: one for row, one in chosen.items() if row != names.DENSE}
    requests = [
        _request(run, names.searched(row), 0, one.finalist, run.settings.fidelity.search, Split.SEARCH, race)
        for row, one in searched.items()
    ]
    scores = zip(searched, run.evaluations.evaluate(requests), strict=True)
    return {row: None if score is None else score.error for row, score in scores}


def _request(
    run: Run[Settings],
    phase: str,
    number: int,
    finalist: Finalist,
    fidelity: Fidelity,
    split: Split,
    race: Race | None = None,
) -> Request:
    task = Task(topology=finalist.topology, fidelity=fidelity, split=split, seed=run.settings.seed, race=race)
    return Request(phase=phase, number=number, task=task, origin=Origin(label=finalist.label))
