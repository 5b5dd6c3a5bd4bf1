"""The search, readable alone: tune the baselines, evolve, sample the control, compare on test targets."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from evaluators.function import Function
from evaluators.rng import generator
from evaluators.task import Evaluator, Race, Split, Task
from evo.algorithm.individual import INITIAL, SAMPLED, Candidate
from evo.algorithm.nsga2 import Policy
from evo.experiment.baselines import (
    baseline_row,
    best_founder,
    best_member,
    dense_of,
    evolved_law_of,
    given_baseline,
    growth_rule_of,
    tuned,
)
from evo.experiment.loop import Searched, loop
from evo.experiment.rules import rules_of
from evo.experiment.space_baselines import space_of, tuned_in_space
from evo.experiment.tune import Trial
from evo.experiment.validation import choose, compared, retrain
from evo.settings import Settings
from evo.storage.champion import write_champion, write_rows
from evo.storage.evaluations import Request
from evo.storage.history import History
from evo.storage.names import (
    BASELINE_ERROR,
    BASELINES,
    BEST_FOUNDER,
    DENSE,
    EVOLVED,
    EVOLVED_LAW,
    GIVEN_BASELINE,
    GROWTH_RULE,
    PARALLEL_BUTTERFLY,
    RANDOM_SEARCH,
    ROWS,
    SHUFFLED,
)
from evo.storage.records import EndRecord, PhaseStarted, RowRecord, TableRecord
from evo.storage.results import Chosen, Finalist, FinalTable, Row
from evo.storage.run import Run, Watcher, open_run
from topologies.shuffle import shuffled
from topologies.stack import AnyTopology, each_size


@dataclass(frozen=True)
class Result:
    """What a search found.

    ``table`` compares on test targets, the champion first; ``champion_file`` is what a model loads; ``digest`` names
    the result: equal recipes and seeds give equal digests.
    """

    folder: Path
    champion: AnyTopology
    champion_file: Path
    table: FinalTable
    digest: str
    founder: str | None = None
    """The family of the champion, where it is a member of the initial population."""
    row_files: Mapping[str, Path] = field(default_factory=dict, hash=False)
    """The files of other rows that may be of use, by their names (:func:`evo.storage.champion.rows_kept`)."""


def search(
    settings: Settings,
    evaluator: Evaluator | Function | None = None,
    *,
    folder: Path | None = None,
    watcher: Watcher = lambda event: None,
) -> Result:
    """Run a recipe from beginning to end, or what is left of it.

    Parameters
    ----------
    settings:
        The recipe.
    evaluator:
        What scores candidates, or a function that does; by default the one that the recipe names.
    folder:
        Where the run lives, made where it is not there. By default a new folder in ``settings.runs``. A folder that
        holds a journal of the same recipe is continued, and nothing in the journal is evaluated again.
    watcher:
        Shown every record, see :data:`evo.storage.run.Watcher`.

    Raises
    ------
    ValueError
        In one line, for anything in the recipe that cannot be done.
    """
    space = space_of(settings)
    with open_run(settings, evaluator, folder, watcher) as run:
        given = given_baseline(run)
        trials: dict[str, tuple[Trial, ...]] = {}
        for family in BASELINES:
            trials[family] = tuned(run, family)
            _check_evaluator_works(run, trials)
        if space is not None:
            trials |= tuned_in_space(run, space, trials)
        members = {ROWS[family]: best_member(run, family, found) for family, found in trials.items()}
        chosen = {GIVEN_BASELINE: given} if given else {}
        chosen |= {row: member for row, member in members.items() if member is not None}
        baseline = _baseline(run, trials, chosen)
        reference = _search_error(run, chosen[baseline])
        rules = rules_of(run, Policy.EVOLUTION, trials, chosen[baseline], space)
        evolved = loop(run, rules, reference)
        sampled = loop(run, rules_of(run, Policy.RANDOM, trials, chosen[baseline], space), reference)
        best = best_founder(run, rules)
        chosen |= {BEST_FOUNDER: best} if best else {}
        return concluded(run, chosen, baseline, evolved, sampled)


def finished(folder: Path) -> Result | None:
    """The result of a run that has ended, from its journal and its champion's file; None while it has not.

    Raises
    ------
    ValueError
        When it is not the folder of a run, or its journal is damaged.
    """
    history = History.of(folder)
    last = history.records[-1]
    ended = isinstance(last, EndRecord) and last.status == "FINISHED"
    if not ended or history.result is None or history.table is None or not history.champion_file.is_file():
        return None
    champion = history.table.first.topology
    return Result(
        folder=history.folder,
        champion=champion,
        champion_file=history.champion_file,
        table=history.table,
        digest=history.result.digest,
        founder=history.founder,
        row_files=history.row_files,
    )


def concluded(
    run: Run[Settings], chosen: Mapping[str, Chosen], baseline: str, evolved: Searched, sampled: Searched
) -> Result:
    """Rank the finalists on the validation targets, compare on the test targets, and write the champion."""
    run.show(PhaseStarted("validation"))
    settings = run.settings
    champion = choose(run, EVOLVED, _finalists(evolved))
    if champion is None:
        raise ValueError(f"no candidate could be evaluated: {run.evaluations.last_failure}")
    rule, law = growth_rule_of(settings), evolved_law_of(settings)
    entries = {
        EVOLVED: champion,
        baseline: chosen[baseline],
        GROWTH_RULE: choose(run, GROWTH_RULE, [rule] if rule else []),
        EVOLVED_LAW: choose(run, EVOLVED_LAW, [law] if law else []),
        **{row: one for row, one in chosen.items() if row != baseline},
        RANDOM_SEARCH: choose(run, RANDOM_SEARCH, _finalists(sampled)),
        SHUFFLED: choose(run, SHUFFLED, _shuffled(champion, settings.seed)),
        DENSE: choose(run, DENSE, dense_of(settings)),
    }
    finalists = {row: one for row, one in entries.items() if one is not None}
    table = compared(run, finalists, baseline)
    digest = _digest(evolved, sampled, champion)
    known = (*evolved.state.elite, *evolved.state.front)
    individual = next(one for one in known if one.topology == champion.finalist.topology)
    file = write_champion(run, individual, champion, table, digest)
    founder = individual.candidate.family if individual.candidate.operator == INITIAL else None
    row_files = write_rows(run, finalists, table, founder is not None, digest)
    rows = tuple(_row_record(row) for row in table.rows)
    if settings.retrains:
        retrain(run, evolved.state.elite)
    run.note(TableRecord(rows=rows, baseline=baseline, digest=digest, champion=file.name))
    return Result(run.folder, champion.finalist.topology, file, table, digest, founder, row_files)


def _check_evaluator_works(run: Run[Settings], trials: Mapping[str, Sequence[Trial]]) -> None:
    """Raise ValueError when everything that was tried failed: then everything else would, too."""
    tried = [trial for found in trials.values() for trial in found]
    if tried and all(trial.score is None for trial in tried):
        raise ValueError(f"the evaluator fails on every topology: {run.evaluations.last_failure}")


def _baseline(run: Run[Settings], trials: Mapping[str, Sequence[Trial]], chosen: Mapping[str, Chosen]) -> str:
    """The name of the row to beat; ValueError where there is none."""
    settings = run.settings
    row = baseline_row({row: one for row, one in chosen.items() if row in (GIVEN_BASELINE, *BASELINES.values())})
    if trials[PARALLEL_BUTTERFLY] and row not in (GIVEN_BASELINE, BASELINES[PARALLEL_BUTTERFLY]):
        raise ValueError(f"the baseline could not be evaluated at full fidelity: {run.evaluations.last_failure}")
    if row is None:
        wanted = each_size(settings.sizes, " and ")
        raise ValueError(
            f"there is no baseline: no hand-derived family has a connected member of {wanted} with at most "
            f"{settings.budget} trainable edges; raise the budget, or give a baseline in the recipe"
        )
    return row


def _search_error(run: Run[Settings], baseline: Chosen) -> float | None:
    """The baseline's error on as many search targets as a member of the elite has; None if its evaluation fails."""
    settings = run.settings
    task = Task(
        topology=baseline.finalist.topology,
        fidelity=settings.fidelity.search,
        split=Split.SEARCH,
        seed=settings.seed,
        race=Race(None, settings.fidelity.race_targets),
    )
    score = run.evaluations.evaluate([Request(phase=BASELINE_ERROR, number=0, task=task)])[0]
    return None if score is None else score.error


def _finalists(searched: Searched) -> list[Finalist]:
    """The elite; where nothing kept within the baseline's edges and depth, the most accurate of all."""
    best = searched.state.elite or sorted(searched.state.front, key=lambda one: one.error)[:1]
    return [Finalist(_label(one.candidate), one.topology) for one in best]


def _shuffled(champion: Chosen, seed: int) -> list[Finalist]:
    """The control of the champion's wiring: its edges at random within their layers; none where no edge can move."""
    topology = champion.finalist.topology
    other = shuffled(topology, generator(seed, "shuffle", topology.digest)).canonical
    return [] if other == topology else [Finalist("its edges moved within their layers", other)]


def _label(candidate: Candidate) -> str:
    origin = "" if candidate.family == SAMPLED else f", from {candidate.family}"
    return f"candidate {candidate.number}{origin}"


def _digest(evolved: Searched, sampled: Searched, champion: Chosen) -> str:
    """One hash over what was processed, in order of breeding, the Pareto front and the champion; no times, no hosts."""
    front = [one.topology.digest for one in evolved.state.front]
    whole = [evolved.history_digest, sampled.history_digest, front, champion.finalist.topology.digest]
    return hashlib.sha256(json.dumps(whole).encode()).hexdigest()


def _row_record(row: Row) -> RowRecord:
    return RowRecord(
        name=row.name,
        label=row.label,
        digest=row.topology.digest,
        n_trainable=row.topology.n_trainable,
        n_edges=row.topology.n_edges,
        depth=row.topology.depth,
        learning_rate=row.learning_rate,
        weight_decay=row.weight_decay,
        error=row.error,
        difference=row.difference,
        search_error=row.search_error,
    )
