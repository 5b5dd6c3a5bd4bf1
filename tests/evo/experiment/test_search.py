"""A whole search on a cheap evaluator: the same result whatever the order of arrival and wherever it was cut off."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from evaluators.task import Fidelity, Score, Split
from evo.experiment.search import search
from evo.storage.header import JOURNAL, new_header, records_of
from evo.storage.journal import Journal
from evo.storage.names import BASELINES, EVOLVED, EVOLVED_LAW, GROWTH_RULE, PARALLEL_BUTTERFLY, RANDOM_SEARCH, SHUFFLED
from evo.storage.records import (
    EndRecord,
    Header,
    PhaseStarted,
    Record,
    RunEvent,
    RunOpened,
    ScoreRecord,
)
from tests.evo.experiment.searches import Finished, generations, processed, run, scores, small
from tests.fakes import HashEvaluator, ShufflingPool, SometimesNotANumber, SometimesRaises, doomed, recipe
from topologies import Topology, load
from topologies.canonical import canonical
from topologies.files import read as read_file
from topologies.names import CHAMPION

BASELINE = BASELINES[PARALLEL_BUTTERFLY]


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Finished:
    """A search of 8 x 8, all in order, in which candidates may be deeper and have more edges than the baseline."""
    wide = recipe(bounds={"max_depth": 8, "max_edges": 120})
    return run(tmp_path_factory.mktemp("finished"), wide)


def test_the_digest_is_a_function_of_the_recipe(finished: Finished, tmp_path: Path) -> None:
    again = run(tmp_path / "again", finished.settings)
    assert again.result.digest == finished.result.digest
    assert again.result.table == finished.result.table
    others = [small(seed=4), small(loop={"generations": 5}), small(budget=23), small()]
    digests = [run(tmp_path / str(number), settings).result.digest for number, settings in enumerate(others)]
    assert len(set(digests)) == len(digests)


@pytest.mark.parametrize(("most", "seed"), [(1, 0), (1, 1), (3, 2)])
def test_the_order_of_arrival_changes_nothing(tmp_path: Path, most: int, seed: int) -> None:
    settings = small(loop={"max_pending_generations": most})
    in_order = run(tmp_path / "in order", settings)
    shuffled = run(tmp_path / "shuffled", settings, pool=lambda evaluator: ShufflingPool(evaluator, seed))
    arrived = [one for one in records_of(shuffled.result.folder) if isinstance(one, ScoreRecord)]
    numbers = [one.number for one in arrived if one.phase == "evolution"]
    assert numbers != sorted(numbers)
    assert shuffled.result.digest == in_order.result.digest
    assert shuffled.result.table == in_order.result.table
    assert shuffled.tasks == in_order.tasks


def evaluated(lines: list[bytes]) -> int:
    """Evaluations among whole journal lines: scores that did not come from the cache."""
    return sum(b'"kind":"score"' in line and b'"device":"cache"' not in line for line in lines if line.endswith(b"\n"))


@pytest.mark.parametrize("most", [1, 2])
def test_a_search_that_was_cut_off_anywhere_ends_the_same_and_evaluates_nothing_twice(
    tmp_path: Path, most: int
) -> None:
    generator = np.random.default_rng(most)
    settings = small(loop={"max_pending_generations": most})
    whole = run(tmp_path / "whole", settings, pool=ShufflingPool)
    places = [0, 1, len(whole.lines) - 1, *generator.integers(2, len(whole.lines), 4)]
    for number, place in enumerate(places):
        kept = whole.lines[:place]
        if number % 2 or place == 0:  # and in the middle of a record
            kept.append(whole.lines[place][: int(generator.integers(1, len(whole.lines[place])))])
        folder = tmp_path / f"cut {number}"
        folder.mkdir()
        (folder / JOURNAL).write_bytes(b"".join(kept))
        resumed = run(folder, settings, pool=lambda one, seed=number: ShufflingPool(one, seed))
        assert resumed.result.digest == whole.result.digest
        assert resumed.result.table == whole.result.table
        assert set(resumed.tasks) <= set(whole.tasks)
        assert len(resumed.tasks) == len(whole.tasks) - evaluated(kept)
        assert processed(folder, "evolution") == processed(whole.result.folder, "evolution")
        names = [(one.kind, getattr(one, "phase", None), getattr(one, "number", None)) for one in records_of(folder)]
        assert len(set(names)) == len(names)


def test_a_search_that_is_finished_only_tells_its_result_again(finished: Finished, tmp_path: Path) -> None:
    folder = tmp_path / "copy"
    folder.mkdir()
    (folder / JOURNAL).write_bytes(b"".join(finished.lines))
    again = run(folder, finished.settings)
    assert again.result.digest == finished.result.digest
    assert again.tasks == []
    assert again.lines == finished.lines
    assert (folder / CHAMPION).read_bytes() == finished.result.champion_file.read_bytes()


def test_a_search_that_is_interrupted_says_so_keeps_the_best_and_can_go_on(finished: Finished, tmp_path: Path) -> None:
    class Interrupted(HashEvaluator):
        def evaluate(self, topology: Topology, fidelity: Fidelity, split: Split, seed: int) -> Score:
            if len(self.calls) == len(finished.tasks) * 2 // 3:
                raise KeyboardInterrupt
            return super().evaluate(topology, fidelity, split, seed)

    Interrupted.__module__, Interrupted.__qualname__ = HashEvaluator.__module__, HashEvaluator.__qualname__
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, finished.settings, Interrupted())
    kept = (tmp_path / JOURNAL).read_bytes().splitlines(keepends=True)
    last = records_of(tmp_path)[-1]
    assert isinstance(last, EndRecord) and last.status == "KILLED"
    errors = {one.digest: one.error for one in scores(tmp_path, "evolution")}
    assert errors[load(tmp_path / CHAMPION).digest] == generations(tmp_path, "evolution")[-1].best
    resumed = run(tmp_path, finished.settings)
    assert resumed.result.digest == finished.result.digest
    assert len(resumed.tasks) == len(finished.tasks) - evaluated(kept)
    last = records_of(tmp_path)[-1]
    assert isinstance(last, EndRecord) and last.status == "FINISHED"


@pytest.mark.parametrize("most", [1, 2, 3])
def test_a_longer_search_processes_what_a_shorter_one_does_and_then_more(tmp_path: Path, most: int) -> None:
    lengths = {
        count: run(tmp_path / str(count), small(loop={"generations": count, "max_pending_generations": most}))
        for count in (0, 2, 5)
    }
    longest = lengths[5].result.folder
    for phase in ("evolution", "random search"):
        for count in (0, 2):
            short = processed(lengths[count].result.folder, phase)
            assert short == processed(longest, phase)[: len(short)]
        assert len(short) < len(processed(longest, phase))


def test_no_topology_is_bred_twice_and_numbers_have_no_gaps(finished: Finished) -> None:
    for phase in ("evolution", "random search"):
        bred = finished.scores(phase)
        assert [one.number for one in bred] == list(range(len(bred)))
        assert len({one.digest for one in bred}) == len(bred)
        assert all(one.n_trainable == 40 for one in bred)


def test_random_search_has_as_many_candidates_each_of_them_sampled(finished: Finished) -> None:
    evolved, sampled = finished.scores("evolution"), finished.scores("random search")
    assert len(evolved) == len(sampled) >= 4 * 6 + 4
    assert [one.origin.generation for one in evolved] == [one.origin.generation for one in sampled]
    assert {one.origin.operator for one in sampled} == {"sample"}


def test_nothing_is_evaluated_twice(finished: Finished) -> None:
    assert len(set(finished.tasks)) == len(finished.tasks)


def test_each_split_has_its_fidelity_and_the_test_targets_are_read_last_and_once(finished: Finished) -> None:
    fidelity = finished.settings.fidelity
    splits = [task.split for task in finished.tasks]
    tested = splits.count(Split.TEST)
    assert 0 < tested <= len(finished.result.table.rows)  # two rows may share a topology
    assert set(splits[-tested:]) == {Split.TEST}
    asked = {split: {task.fidelity for task in finished.tasks if task.split is split} for split in Split}
    steps, one_or_all = fidelity.steps, {1, len(fidelity.rates)}
    searched = {(one.targets, one.steps, len(one.rates)) for one in asked.pop(Split.SEARCH)}
    assert searched == {*((fidelity.targets, steps, rates) for rates in one_or_all), (fidelity.race_targets, steps, 1)}
    assert asked == {
        Split.VALIDATION: {fidelity.validation},
        Split.TEST: {fidelity.test(Score((0.0,), fidelity.validation_rates[0]))},
    }


def test_the_table_has_every_row_once_champion_and_baseline_first(finished: Finished) -> None:
    table = finished.result.table
    names = [row.name for row in table.rows]
    assert names[:2] == [EVOLVED, BASELINE]
    assert (table.first.name, table.baseline_name, table.baseline) == (EVOLVED, BASELINE, table.rows[1])
    assert len(set(names)) == len(names)
    assert {*BASELINES.values(), RANDOM_SEARCH} <= set(names)
    assert [row.difference is None for row in table.rows] == [name == BASELINE for name in names]
    for row in table.rows:
        score = HashEvaluator().evaluate(row.topology, Fidelity(4, 1, (0.1,)), Split.TEST, finished.settings.seed)
        assert row.errors == score.errors
        assert row.topology.n_trainable <= 40


def test_the_champion_is_the_best_on_validation_targets_of_the_best_few_within_the_baselines_edges_and_depth(
    finished: Finished,
) -> None:
    baseline = finished.result.table.baseline.topology
    candidates = [one.topology for one in finished.scores("evolution")]
    errors = {one.topology: one.error for one in finished.scores("evolution")}
    allowed = [one for one in candidates if one.n_edges <= baseline.n_edges and one.depth <= baseline.depth]
    assert 3 < len(allowed) < len(candidates)
    finalists = sorted(allowed, key=errors.__getitem__)[:3]
    validation = {
        one: HashEvaluator().evaluate(one, Fidelity(3, 1, (0.1,)), Split.VALIDATION, 3).error for one in finalists
    }
    assert finished.result.champion == min(validation, key=validation.__getitem__)


def test_a_champion_never_has_more_edges_or_layers_than_the_baseline(tmp_path: Path) -> None:
    class MoreIsBetter(HashEvaluator):
        def evaluate(self, topology: Topology, fidelity: Fidelity, split: Split, seed: int) -> Score:
            return Score((1 / (topology.n_edges + 5 * topology.depth),) * fidelity.targets)

    settings = recipe(baseline="clos(8, 2, 3, 2)", bounds={"max_depth": 8, "max_edges": 120})
    large = run(tmp_path, settings, MoreIsBetter())
    champion, baseline = large.result.table.first.topology, large.result.table.baseline.topology
    assert (baseline.n_edges, baseline.depth) == (60, 3)
    better = [one for one in large.scores("evolution") if one.n_edges + 5 * one.depth > champion.n_edges + 15]
    assert any(one.n_edges > 60 and one.depth <= 3 for one in better)
    assert any(one.n_edges <= 60 and one.depth > 3 for one in better)
    assert champion.n_edges <= 60
    assert champion.depth <= 3


def test_the_champions_file_says_where_it_comes_from(finished: Finished) -> None:
    topology, provenance = read_file(finished.result.champion_file)
    assert topology == finished.result.champion == canonical(topology)
    row, baseline = finished.result.table.first, finished.result.table.baseline
    stated = provenance.scores["test"]
    assert isinstance(stated, dict)
    assert (stated["error"], stated["baseline"]) == (row.error.mean, baseline.error.mean)
    assert (stated["interval"], stated["baseline label"]) == ([row.error.low, row.error.high], baseline.label)
    assert provenance.seed == finished.settings.seed
    assert provenance.extra["result digest"] == finished.result.digest
    candidate = next(one for one in finished.scores("evolution") if one.digest == topology.digest)
    digests = {one.number: one.digest for one in finished.scores("evolution")}
    assert provenance.parents == tuple(digests[number] for number in candidate.origin.parents)


def test_every_generation_is_noted_with_the_best_so_far(finished: Finished) -> None:
    for phase in ("evolution", "random search"):
        noted = generations(finished.result.folder, phase)
        assert [one.number for one in noted] == list(range(5))
        volumes = [one.hypervolume for one in noted]
        bests = [one.best for one in noted if one.best is not None]
        assert bests
        assert volumes == sorted(volumes)
        assert bests == sorted(bests, reverse=True)
        assert noted[-1].candidates == len(finished.scores(phase))
        assert {one.baseline for one in noted} == {finished.scores("baseline")[0].error}


@pytest.mark.parametrize(
    ("evaluator", "words"),
    [
        (SometimesRaises, "ArithmeticError: too sparse for me (fakes.py, line "),
        (SometimesNotANumber, "not every error is a finite number"),
    ],
)
def test_failures_are_recorded_and_never_win(tmp_path: Path, evaluator: type[HashEvaluator], words: str) -> None:
    failing = run(tmp_path / "failing", recipe(), evaluator())
    failures = 0
    for phase in ("evolution", "random search", "tune clos"):
        for record in failing.scores(phase):
            assert (record.score is None) == doomed(record.topology)
            assert (record.failure is None) == (record.score is not None)
            assert words in (record.failure or words)
            failures += record.score is None
    assert failures > 10
    for row in failing.result.table.rows:  # the rules are never on the search split
        assert not doomed(row.topology) or row.name in (GROWTH_RULE, EVOLVED_LAW, SHUFFLED)
    assert all(np.isfinite(row.error.mean) for row in failing.result.table.rows)


@pytest.mark.parametrize(
    "changes",
    [
        {"n_in": 8, "n_out": 12, "budget": 60},
        {"n_in": 12, "n_out": 8, "budget": 60},
        {"n_in": 9, "n_out": 6, "budget": 40},
        {"n_in": 7, "n_out": 7, "budget": 42, "bounds": {"max_depth": 4}},
        {"n_in": 11, "n_out": 11, "budget": 60, "baseline": "clos(11, 3, 2, 3)"},
        {"n_in": 4, "n_out": 4, "budget": 8},
        {"budget": 64},
    ],
    ids=str,
)
def test_rectangles_primes_and_extreme_budgets_run_too(tmp_path: Path, changes: dict[str, Any]) -> None:
    settings = recipe(**{"loop": {"generations": 2}, **changes})
    result = run(tmp_path / "run", settings).result
    champion, baseline = result.table.first.topology, result.table.baseline.topology
    assert (champion.n_in, champion.n_out) == (settings.n_in, settings.n_out)
    assert champion.n_trainable == settings.budget
    assert champion.is_connected and baseline.is_connected
    assert load(result.champion_file) == champion
    if not settings.bounds.max_depth:
        assert (champion.n_edges, champion.depth) <= (max(baseline.n_edges, settings.budget), baseline.depth)


def test_a_folder_of_another_recipe_is_refused_and_left_alone(finished: Finished, tmp_path: Path) -> None:
    (tmp_path / JOURNAL).write_bytes(b"".join(finished.lines))
    with pytest.raises(
        ValueError, match=r"it is a run of another recipe \(bounds, budget differ\): choose another folder"
    ):
        run(tmp_path, recipe(budget=41))
    assert (tmp_path / JOURNAL).read_bytes() == b"".join(finished.lines)


def test_a_folder_that_is_in_use_is_refused(tmp_path: Path) -> None:
    header = new_header(recipe(), None, {}, "cpu")
    with Journal(tmp_path / JOURNAL, header), pytest.raises(ValueError, match="is in use"):
        run(tmp_path, recipe())


@pytest.mark.parametrize(
    ("targets", "refused"), [(2, 2), (5, 5), (1, 3)], ids=["search", "more", "only validation has several"]
)
def test_an_evaluator_with_one_error_for_any_number_of_targets_ends_the_search_with_both_numbers(
    tmp_path: Path, targets: int, refused: int
) -> None:
    class Mean(HashEvaluator):
        def evaluate(self, topology: Topology, fidelity: Fidelity, split: Split, seed: int) -> Score:
            return Score((super().evaluate(topology, fidelity, split, seed).error,))

    with pytest.raises(ValueError) as caught:
        run(tmp_path, recipe(fidelity={"targets": targets}), Mean())
    words = str(caught.value)
    assert "\n" not in words
    assert f"1 errors for {refused} targets" in words
    last = records_of(tmp_path)[-1]
    assert isinstance(last, EndRecord) and (last.status, last.why) == ("FAILED", words)
    assert not scores(tmp_path, "evolution")


def test_watchers_see_every_record_and_every_phase(tmp_path: Path) -> None:
    seen: list[RunEvent] = []
    search(recipe(), HashEvaluator(), folder=tmp_path, watcher=seen.append)
    header, *records = records_of(tmp_path)
    opened, *rest = seen
    assert isinstance(header, Header) and opened == RunOpened(header, tmp_path, 1)
    assert [one for one in rest if not isinstance(one, PhaseStarted)] == records
    phases = [one.phase for one in seen if isinstance(one, PhaseStarted)]
    assert phases[:2] == ["tune parallel_butterfly", "tune butterfly"]
    assert phases[-3:] == ["evolution", "random search", "validation"]


def test_a_watcher_of_a_run_that_goes_on_sees_the_old_records_first(finished: Finished, tmp_path: Path) -> None:
    half = len(finished.lines) // 2
    (tmp_path / JOURNAL).write_bytes(b"".join(finished.lines[:half]))
    seen: list[RunEvent] = []
    search(finished.settings, HashEvaluator(), folder=tmp_path, watcher=seen.append)
    header, *records = records_of(tmp_path)
    assert isinstance(seen[0], RunOpened) and seen[0].header == header
    shown: list[Record] = [one for one in seen[1:] if not isinstance(one, PhaseStarted | RunOpened)]
    assert shown == records
    assert not any(isinstance(one, PhaseStarted) for one in seen[1:half])
