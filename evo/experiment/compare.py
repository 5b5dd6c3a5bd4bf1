"""Any topologies beside the baseline on test targets, and champions checked against what their file says."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from evaluators.task import Evaluator, Split
from evo.experiment.baselines import baseline_row, best_member, given_baseline, tuned
from evo.experiment.known import run_of, with_known_scores
from evo.experiment.tune import Trial
from evo.experiment.validation import choose, compared
from evo.kinds import check_is_search
from evo.own_data import completed
from evo.recipe import load, overridden, validate
from evo.settings import Settings
from evo.storage import names
from evo.storage.header import JOURNAL, given_in
from evo.storage.history import History
from evo.storage.journal import first as first_record
from evo.storage.names import BASELINES, GIVEN_BASELINE, PARALLEL_BUTTERFLY
from evo.storage.pools import evaluator_of
from evo.storage.records import Header, PhaseStarted
from evo.storage.results import Chosen, Finalist, FinalTable, Interval, Row, error_interval
from evo.storage.run import Run, Watcher, open_run
from topologies.files import read
from topologies.names import topology_file
from topologies.stack import AnyTopology, Stack, size_text, the_topology


def tuning(settings: Settings, family: str, watcher: Watcher) -> tuple[tuple[Trial, ...], Row]:
    """All trials of a family at a recipe's budget, best first, and the best of them on test targets.

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
            raise ValueError(f"no member of {family} could be evaluated: {run.evaluations.last_failure}")
        return trials, compared(run, {BASELINES[family]: best}, BASELINES[family]).first


def for_scores(topologies: Mapping[str, AnyTopology], overrides: Sequence[str]) -> Settings:
    """A recipe that compares topologies: of their size, and of the budget of the largest, unless the overrides say.

    Where one of them is a run's, and has the size of all, it is that run's recipe, and the run's scores are known:
    then the table is the one that the run ends with.

    Raises
    ------
    ValueError
        When they have different sizes, or the overrides are wrong.
    """
    run = run_of(topologies)
    if run is not None:
        largest = max(one.n_trainable for one in topologies.values())
        found = _of_run(run, overrides, largest)
        if found is not None and (found.places or {one.sizes for one in topologies.values()} == {found.sizes}):
            return found
    first = next(iter(topologies.values()))
    values = overridden({}, overrides)
    places = 1
    if values.get("training") is not None:
        values = completed(values)
        places = len(values["places"]["sizes"]) if values.get("places") else 1
    else:
        _check_one_size(topologies)
        values = {"n_in": first.n_in, "n_out": first.n_out} | values
    budget = max(one.n_trainable if isinstance(one, Stack) else places * one.n_trainable for one in topologies.values())
    return with_known_scores(validate({"budget": budget} | values))


def for_tuning(recipe: Path, overrides: Sequence[str]) -> Settings:
    """The settings of a recipe, or of a run's folder, with the scores of the families that a run's journal holds."""
    found = _of_run(recipe, overrides) if (recipe / JOURNAL).is_file() else None
    if found is None:
        return with_known_scores(load(recipe, overrides))
    return found.model_copy(update={"baseline": None})  # whose file may be gone, and which tuning does without


def _of_run(folder: Path, overrides: Sequence[str], budget: int = 0) -> Settings | None:
    """The recipe of a run, of at least a budget, with the run's scores; None where its evaluator is not named."""
    header = first_record(folder / JOURNAL)
    if not isinstance(header, Header) or header.from_python:
        return None
    check_is_search(folder, header.settings)
    recipe = {**header.settings, "initial_population": [], "reuse_from": [str(folder)]}
    recipe["budget"] = max(budget, header.settings["budget"])
    return validate(overridden(recipe, overrides))


def _check_one_size(topologies: Mapping[str, AnyTopology]) -> None:
    """Raise ValueError unless all are single topologies of one size: without data those alone can be compared."""
    for name, topology in topologies.items():
        if isinstance(topology, Stack):
            raise ValueError(
                f"{name} holds {len(topology.places)} places ({size_text(topology.sizes)}): say what their model is to "
                "be trained on, --set training.data=mine.npz --set 'training.hidden=[256, 256]'"
            )
    if len({(one.n_in, one.n_out) for one in topologies.values()}) > 1:
        told = ", ".join(f"{name} is {one.n_in} x {one.n_out}" for name, one in topologies.items())
        raise ValueError(f"only topologies of one size can be compared: {told}")


def scores(settings: Settings, topologies: Mapping[str, AnyTopology], watcher: Watcher) -> FinalTable:
    """The final table for topologies by name, all of the recipe's size; the baseline comes first.

    Learning rates are chosen on the validation targets, as in a search. The baseline is tuned at the recipe's budget,
    or is the one that the recipe names; of a run's recipe, as it was when the run began.

    Raises
    ------
    ValueError
        When there is no baseline at the budget.
    """
    wanted = {name: _at_places(settings, name, topology).canonical for name, topology in topologies.items()}
    named = _as_kept(settings, run_of(topologies))
    with tempfile.TemporaryDirectory() as folder, open_run(settings, None, Path(folder), watcher, named) as run:
        baseline, best = _baseline(run)
        run.show(PhaseStarted("validation"))
        chosen: dict[str, Chosen | None] = {baseline: best}
        for name, topology in wanted.items():
            chosen[name] = choose(run, name, [Finalist("", topology)])
        table = compared(run, {name: one for name, one in chosen.items() if one is not None}, baseline)
        if missing := [name for name in wanted if table.get(name) is None]:
            raise ValueError(f"{', '.join(missing)} could not be evaluated: {run.evaluations.last_failure}")
        return table


def _as_kept(settings: Settings, run: Path | None) -> dict[str, AnyTopology] | None:
    """The topologies that the settings name, as a run keeps them; None unless the settings are those of the run."""
    header = first_record(run / JOURNAL) if run is not None and run in settings.reuse_from else None
    kept = given_in(header) if isinstance(header, Header) else {}
    return {name: kept[name] for name in settings.topologies} if kept.keys() >= set(settings.topologies) else None


def _at_places(settings: Settings, name: str, topology: AnyTopology) -> AnyTopology:
    """The topology as the recipe's evaluator takes it: at every place of a model with several."""
    if settings.places is None:
        return the_topology(topology, name)
    stack = topology if isinstance(topology, Stack) else Stack((topology,) * len(settings.sizes))
    settings.places.check(name, stack.sizes)
    return stack


def _baseline(run: Run[Settings]) -> tuple[str, Chosen]:
    """The given baseline, else the tuned parallel butterfly, else the best of the other families."""
    given = given_baseline(run)
    if given is not None:
        return GIVEN_BASELINE, given
    chosen: dict[str, Chosen] = {}
    for family, row in BASELINES.items():
        if best := best_member(run, family, tuned(run, family)):
            chosen[row] = best
        if BASELINES[PARALLEL_BUTTERFLY] in chosen:
            break
    baseline = baseline_row(chosen)
    if baseline is None:
        raise ValueError(f"no baseline at a budget of {run.settings.budget}: give one with --set baseline=...")
    return baseline, chosen[baseline]


@dataclass(frozen=True)
class Verification:
    """A champion's test error as its file states it, and as it was found again from the file alone."""

    stated: float
    stated_interval: Interval
    found: Interval

    @property
    def agrees(self) -> bool:
        """Whether the error found lies within the stated 95 % interval."""
        return self.stated_interval.low <= self.found.mean <= self.stated_interval.high


def verify(path: Path, evaluator: Evaluator | None = None) -> Verification:
    """Train the topology of a champion's file or a run's folder on the test targets again, and compare.

    Raises
    ------
    ValueError
        When the file is damaged or states no test score.
    """
    path = topology_file(path)
    topology, provenance = read(path)
    stated = provenance.scores.get("test")
    if not isinstance(stated, dict) or provenance.recipe is None or provenance.seed is None:
        raise ValueError(f"{path} states no test score: only champions of a finished search do")
    settings = validate(provenance.recipe)
    chosen = stated["learning_rate"], stated.get("weight_decay")
    fidelity = replace(settings.fidelity.validation, steps=stated["steps"]).at(stated["targets"], *chosen)
    judge = evaluator_of(settings, evaluator)
    score = judge.evaluate(topology.canonical, fidelity, Split.TEST, provenance.seed)
    low, high = stated["interval"]
    found = error_interval(score, settings.is_cross_validated)
    return Verification(stated["error"], Interval(stated["error"], low, high), found)


def expected_seconds(path: Path) -> float | None:
    """The seconds that the run of a champion took for what :func:`verify` does; None where no journal tells them."""
    run = run_of([path])
    with suppress(ValueError):  # of a journal that is damaged, or of another version
        record = History.of(run).scores(names.test(names.EVOLVED)) if run is not None else ()
        return record[0].seconds if record else None
    return None
