"""Searches by one evaluator whose finalists another one ranks: who scores what, where it is told, what is refused."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console

from evaluators import Fidelity, MatrixReconstruction, Score, Split, TrainedAccuracy
from evaluators.run import canary, proof
from evaluators.staged import BatchStaged, EachPlace, GpuStaged, Staged, staged
from evaluators.task import Task
from evo.console.search import show_plan
from evo.experiment.compare import verify
from evo.experiment.pace import seconds_per_step
from evo.experiment.plan import plan
from evo.experiment.search import Result, search
from evo.recipe import validate
from evo.report.csv_tables import final_table_csv
from evo.report.description import description
from evo.report.final_table import comparison_table
from evo.report.words import words_of
from evo.settings import Settings
from evo.storage.checkpoint import cut
from evo.storage.header import agree, new_header, recipe_of, records_of
from evo.storage.history import History
from evo.storage.names import DENSE
from evo.storage.pools import evaluator_of
from evo.storage.records import ScoreRecord
from tests.evaluators.training.examples import blobs
from tests.fakes import HashEvaluator, recipe
from topologies import Topology, butterfly, dense
from topologies.files import read
from topologies.stack import Stack

FIDELITY: dict[str, Any] = {
    "targets": 2, "steps": 20, "rates": [0.6, 1.2], "race_targets": 4, "finalists": 2,
    "validation_targets": 1, "validation_steps": 2, "validation_rates": [0.003, 0.01, 0.03],
    "validation_weight_decays": [0.0], "test_targets": 2,
}  # fmt: skip


class ByEdges:
    """Counts edges, to the last bit like nothing else."""

    def evaluate(self, topology: Topology, fidelity: Fidelity, split: Split, seed: int) -> Score:
        return Score((topology.n_edges / 1000,) * fidelity.targets)


def both(folder: Path, **changes: Any) -> Settings:
    """A search by reconstruction whose finalists are trained."""
    x, y = blobs()
    np.savez(folder / "mine.npz", x_train=x, y_train=y)
    values: dict[str, Any] = {
        "seed": 3,
        "budget": 24,
        "search_by": "reconstruction",
        "training": {"data": str(folder / "mine.npz"), "hidden": [8]},
        "loop": {"generations": 2, "offspring": 4, "population": 4},
        "tuning": {"trials": 2},
        "cluster": {"pool": "in-process"},
        "fidelity": FIDELITY,
    }
    return validate({**values, **changes})


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    return both(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module")
def result(settings: Settings, tmp_path_factory: pytest.TempPathFactory) -> Result:
    return search(settings, folder=tmp_path_factory.mktemp("staged") / "run")


@pytest.mark.end_to_end
def test_candidates_are_reconstructed_and_finalists_are_trained(settings: Settings, result: Result) -> None:
    trained = evaluator_of(settings)
    assert isinstance(trained, Staged) and isinstance(trained.final, TrainedAccuracy)
    scores = [one for one in records_of(result.folder) if isinstance(one, ScoreRecord)]
    asked = {Split.SEARCH: MatrixReconstruction(), Split.VALIDATION: trained.final, Split.TEST: trained.final}
    for split, evaluator in asked.items():
        of_split = [one for one in scores if one.split is split and one.entry is None]
        assert of_split
        for one in of_split[:: max(1, len(of_split) // 5)]:
            assert one.score == evaluator.evaluate(one.topology, one.fidelity, split, 3)
    assert {one.fidelity.steps for one in scores if one.split is Split.SEARCH} == {20}
    assert {one.fidelity.steps for one in scores if one.split is not Split.SEARCH} == {2}


@pytest.mark.end_to_end
def test_every_row_has_both_numbers_wherever_the_table_is(settings: Settings, result: Result) -> None:
    table, history = result.table, History.of(result.folder)
    assert history.table == table and table.is_staged
    dense, searched = table.get(DENSE), [row for row in table.rows if row.name != DENSE]
    assert dense is not None and dense.search_error is None
    for row in searched:
        first = MatrixReconstruction().evaluate(row.topology, settings.fidelity.search, Split.SEARCH, 3)
        fidelity = settings.fidelity.search.promoted(4, first)
        promoted = MatrixReconstruction().evaluate(row.topology, fidelity, Split.SEARCH, 3)
        assert row.search_error == promoted.error != row.error.mean
    console = Console(width=200, file=io.StringIO(), record=True)
    console.print(comparison_table(table, words_of(settings.evaluator, settings.model_dump())))
    shown = console.export_text()
    assert "in the search" in shown and all(f"{row.search_error:.4g}"[:5] in shown for row in searched)
    assert "error in the search" in description(history)
    rows = list(csv.DictReader(io.StringIO(final_table_csv(history))))
    told = {row["topology"]: row["search_error"] for row in rows}
    assert told.pop(DENSE) == "" and [float(one) for one in told.values()] == [row.search_error for row in searched]


@pytest.mark.end_to_end
def test_the_champions_file_says_which_evaluator_gave_which_score_and_verify_agrees(result: Result) -> None:
    _, provenance = read(result.champion_file)
    reconstruction, training = "evaluators.reconstruction:MatrixReconstruction", "evaluators.training:TrainedAccuracy"
    assert provenance.extra["evaluators"] == {"search": reconstruction, "validation": training, "test": training}
    found = verify(result.folder)
    assert found.found.mean == found.stated == result.table.first.error.mean


@pytest.mark.end_to_end
def test_a_run_that_was_cut_off_goes_on_to_the_same_end(result: Result, tmp_path: Path) -> None:
    import shutil

    folder = shutil.copytree(result.folder, tmp_path / "run")
    cut(folder, len(records_of(folder)) // 2)
    again = search(validate(recipe_of(folder)), folder=folder)
    assert again.digest == result.digest and again.table == result.table


def test_two_evaluators_of_ones_own_and_one_from_python(tmp_path: Path) -> None:
    named = recipe(n_in=6, n_out=6, budget=24, search_by=f"{__name__}:ByEdges", evaluator="tests.fakes:HashEvaluator")
    first = search(named, folder=tmp_path / "named")
    given = recipe(n_in=6, n_out=6, budget=24, search_by=f"{__name__}:ByEdges")
    second = search(given, HashEvaluator(), folder=tmp_path / "given")
    assert first.digest == second.digest
    for result in (first, second):
        assert all(row.search_error == row.topology.n_edges / 1000 for row in result.table.rows)
        history = History.of(result.folder)
        assert history.searched_by == f"{__name__}:ByEdges" and history.header.evaluator == "tests.fakes:HashEvaluator"


def test_without_the_key_the_table_is_what_it_was(tmp_path: Path) -> None:
    result = search(recipe(n_in=6, n_out=6, budget=24), HashEvaluator(), folder=tmp_path / "run")
    assert not result.table.is_staged
    assert not any(one.phase.startswith("search error") for one in History.of(tmp_path / "run").records[1:] if isinstance(one, ScoreRecord))  # fmt: skip # noqa: E501


def test_both_evaluators_prove_themselves() -> None:
    class Other(HashEvaluator):
        def evaluate(self, topology: Topology, fidelity: Fidelity, split: Split, seed: int) -> Score:
            return Score((0.25,) * fidelity.targets)

    pairs = [staged(one, other) for one in (HashEvaluator(), Other()) for other in (HashEvaluator(), Other())]
    assert len({canary(pair, proof(8, 8, pair)) for pair in pairs}) == 4
    settings = recipe(search_by=f"{__name__}:ByEdges")
    records = [new_header(settings, HashEvaluator(), {}, "cpu")]
    assert agree(records, settings, staged(ByEdges(), HashEvaluator())) == []
    for changed in (staged(ByEdges(), Other()), staged(HashEvaluator(), HashEvaluator())):
        with pytest.raises(ValueError, match=r"the evaluator|given from Python"):
            agree(records, settings, changed)


def test_a_proof_by_training_is_short_and_one_by_reconstruction_is_not() -> None:
    steps: list[tuple[str, int]] = []

    class Noting(ByEdges):
        def __init__(self, name: str) -> None:
            self.name = name

        def evaluate(self, topology: Topology, fidelity: Fidelity, split: Split, seed: int) -> Score:
            steps.append((self.name, fidelity.steps))
            return super().evaluate(topology, fidelity, split, seed)

    class Slow(Noting):
        proof_steps = 1

    pair = staged(Noting("fast"), Slow("slow"))
    canary(pair, proof(8, 8, pair))
    assert steps == [("fast", 5), ("slow", 1)]


def test_of_several_places_each_is_reconstructed_and_their_mean_counts(tmp_path: Path) -> None:
    settings = both(tmp_path, training={"data": str(tmp_path / "mine.npz"), "hidden": [8, 6]}, budget=44)
    evaluator = evaluator_of(settings)
    assert isinstance(evaluator, Staged) and isinstance(evaluator.search, EachPlace)
    stack = Stack((butterfly(8, 3), dense(8, 6)))
    fidelity = settings.fidelity.search
    scores = [MatrixReconstruction().evaluate(place, fidelity, Split.SEARCH, 3) for place in stack.places]
    found = evaluator.search.evaluate(stack, fidelity, Split.SEARCH, 3)
    np.testing.assert_allclose(found.errors, np.mean([one.errors for one in scores], axis=0))
    rates = {one.learning_rate for one in scores}
    assert found.learning_rate == (rates.pop() if len(rates) == 1 else None)
    result = search(settings, folder=tmp_path / "run")
    assert result.table.is_staged and isinstance(result.champion, Stack)
    assert verify(result.folder).found.mean == result.table.first.error.mean


def test_what_either_can_do_both_together_can() -> None:
    class Batch(HashEvaluator):
        def evaluate_many(self, tasks: list[Task]) -> list[Score]:
            return [self.evaluate(one.topology, one.fidelity, one.split, one.seed) for one in tasks]

    class Gpu(ByEdges):
        def on_gpu(self) -> Batch:
            return Batch()

        def gpu_trouble(self) -> str | None:
            return "no GPU here"

    assert type(staged(ByEdges(), HashEvaluator())) is Staged
    pair = staged(ByEdges(), Batch())
    assert isinstance(pair, BatchStaged)
    tasks = [
        Task(topology=butterfly(4, depth), fidelity=Fidelity(2, 1, (1.0,)), split=split, seed=1)
        for depth in (2, 3)
        for split in Split
    ]
    one_by_one = [pair.evaluate(one.topology, one.fidelity, one.split, one.seed) for one in tasks]
    assert pair.evaluate_many(tasks) == one_by_one
    on_gpu = staged(Gpu(), ByEdges())
    assert isinstance(on_gpu, GpuStaged) and on_gpu.gpu_trouble() == "no GPU here"
    assert isinstance(on_gpu.on_gpu().search, Batch) and isinstance(on_gpu.on_gpu().final, ByEdges)


def test_fidelities_are_those_of_each_and_the_cost_is_measured_of_each(tmp_path: Path) -> None:
    few = {"finalists": 2, "validation_steps": 2}
    settings = both(tmp_path, fidelity=few)
    assert (settings.fidelity.steps, settings.fidelity.targets, settings.fidelity.race_targets) == (1200, 8, 32)
    assert settings.fidelity.validation_weight_decays == (0.0, 0.1, 0.3)
    assert validate(settings.model_dump(mode="json")) == settings
    seconds = seconds_per_step(settings)
    assert seconds[Split.VALIDATION] == seconds[Split.TEST] > 10 * seconds[Split.SEARCH], "an epoch is no Adam step"
    assert [phase.name for phase in plan(settings)][-1] == "search errors of the rows"
    console = Console(width=120, file=io.StringIO(), record=True)
    show_plan(settings, console)
    assert "minutes on" in console.export_text()


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"search_by": "reconstructing"}, "search_by = 'reconstructing'"),
        ({"search_by": "reconstruction"}, "finalists are ranked by the same evaluator, so leave it out"),
        ({"search_by": "mine:Mine", "evaluator": "mine:Mine"}, "ranked by the same evaluator"),
        ({"search_by": "evaluators.training:TrainedAccuracy"}, "leave search_by out"),
        ({"search_by": "nowhere:Nothing", "evaluator": "tests.fakes:HashEvaluator"}, "evaluator 'nowhere:Nothing'"),
        (
            {"search_by": "reconstruction", "evaluator": "mine:Mine", "fidelity": {"weight_decays": [0.1]}},
            "reconstruction has no weight decay",
        ),
    ],
    ids=["a misspelt one", "the usual one twice", "one twice", "training", "one that is not there", "decay"],
)
def test_what_makes_no_sense_is_one_line(changes: dict[str, Any], told: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=told) as caught:
        search(recipe(**changes), folder=tmp_path / "run")
    assert "\n" not in str(caught.value) and not (tmp_path / "run").exists()


def test_errors_of_reconstruction_do_not_choose_widths(tmp_path: Path) -> None:
    training = {"data": str(tmp_path / "mine.npz"), "hidden": [8], "free_widths": True}
    with pytest.raises(ValueError, match="cannot be compared between layers of other widths"):
        both(tmp_path, training=training)
