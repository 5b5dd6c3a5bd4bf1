"""A whole search on a cheap evaluator: the same result whatever the order of arrival and wherever it was cut off."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import evo.storage.pools
from cluster.in_process import InProcessPool
from cluster.pool import Pool
from evaluators.task import Evaluator, Fidelity, Score, Split, Task
from evo.experiment.search import Result, search
from evo.settings import Settings
from evo.storage.evaluations import score_of, topology_of
from evo.storage.header import JOURNAL
from evo.storage.journal import Journal, Record, read
from evo.storage.results import EVOLVED, GROWTH_RULE, RANDOM
from tests.fakes import HashEvaluator, ShufflingPool, SometimesNotANumber, SometimesRaises, doomed, recipe
from topologies import Topology, load
from topologies.canonical import canonical
from topologies.expression import parse
from topologies.files import read as read_file
from topologies.names import CHAMPION

BASELINE = "parallel butterfly"


@dataclass(frozen=True)
class Finished:
    """A search that was run, with its journal."""

    settings: Settings
    result: Result
    tasks: list[Task]

    @property
    def lines(self) -> list[bytes]:
        """The journal, a record a line."""
        return (self.result.folder / JOURNAL).read_bytes().splitlines(keepends=True)

    def scores(self, phase: str) -> list[Record]:
        """The scores of a phase by number."""
        return scores(self.result.folder, phase)


def scores(folder: Path, phase: str) -> list[Record]:
    """The scores of a phase in a journal, by number."""
    records = [one for one in read(folder / JOURNAL)[0] if one["kind"] == "score" and one["phase"] == phase]
    return sorted(records, key=lambda one: one["number"])


def told(folder: Path, phase: str) -> list[Any]:
    """What a loop was told, in order of candidate."""
    kept = ("number", "generation", "digest", "parents", "operator", "family", "errors", "failure")
    return [[one[name] for name in kept] for one in scores(folder, phase)]


def run(
    folder: Path,
    settings: Settings,
    evaluator: Evaluator | None = None,
    pool: Callable[[Evaluator], Pool] = InProcessPool,
) -> Finished:
    """Search in a folder with a pool that notes its tasks."""
    folder.mkdir(exist_ok=True)
    tasks: list[Task] = []

    def noting(judge: Evaluator) -> Pool:
        made = pool(judge)
        submit = made.submit

        def note(asked: Sequence[Task]) -> None:
            tasks.extend(replace(task, number=0) for task in asked)
            submit(asked)

        made.submit = note  # type: ignore[method-assign]
        return made

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(evo.storage.pools, "InProcessPool", noting)
        return Finished(settings, search(settings, evaluator or HashEvaluator(), folder=folder), tasks)


def small(**changes: Any) -> Settings:
    """A search of 6 x 6."""
    return recipe(**{"n_in": 6, "n_out": 6, "budget": 24, **changes})


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Finished:
    """A search of 8 x 8, all in order, in which candidates may be deeper and have more edges than the baseline."""
    wide = recipe(bounds={"max_depth": 8, "max_edges": 120})
    return run(tmp_path_factory.mktemp("finished"), wide)


def test_the_digest_is_a_function_of_the_recipe(finished: Finished, tmp_path: Path) -> None:
    again = run(tmp_path / "again", finished.settings)
    assert again.result.digest == finished.result.digest
    assert again.result.rows == finished.result.rows
    others = [small(seed=4), small(loop={"generations": 5}), small(budget=23), small()]
    digests = [run(tmp_path / str(number), settings).result.digest for number, settings in enumerate(others)]
    assert len(set(digests)) == len(digests)


@pytest.mark.parametrize(("lag", "seed"), [(1, 0), (1, 1), (3, 2)])
def test_the_order_of_arrival_changes_nothing(tmp_path: Path, lag: int, seed: int) -> None:
    settings = small(loop={"lag": lag})
    in_order = run(tmp_path / "in order", settings)
    shuffled = run(tmp_path / "shuffled", settings, pool=lambda evaluator: ShufflingPool(evaluator, seed))
    numbers = [one["number"] for one in read(shuffled.result.folder / JOURNAL)[0] if one.get("phase") == "evolution"]
    assert numbers != sorted(numbers)
    assert shuffled.result.digest == in_order.result.digest
    assert shuffled.result.rows == in_order.result.rows
    assert shuffled.tasks == in_order.tasks


def evaluated(lines: list[bytes]) -> int:
    """Evaluations among whole journal lines: scores that did not come from the cache."""
    return sum(b'"kind":"score"' in line and b'"device":"cache"' not in line for line in lines if line.endswith(b"\n"))


@pytest.mark.parametrize("lag", [1, 2])
def test_a_search_that_was_cut_off_anywhere_ends_the_same_and_evaluates_nothing_twice(tmp_path: Path, lag: int) -> None:
    generator = np.random.default_rng(lag)
    settings = small(loop={"lag": lag})
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
        assert resumed.result.rows == whole.result.rows
        assert set(resumed.tasks) <= set(whole.tasks)
        assert len(resumed.tasks) == len(whole.tasks) - evaluated(kept)
        assert told(folder, "evolution") == told(whole.result.folder, "evolution")
        names = [(one["kind"], one.get("phase"), one.get("number")) for one in read(folder / JOURNAL)[0]]
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

    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, finished.settings, Interrupted())
    kept = (tmp_path / JOURNAL).read_bytes().splitlines(keepends=True)
    records = read(tmp_path / JOURNAL)[0]
    assert (records[-1]["kind"], records[-1]["status"]) == ("end", "KILLED")
    noted = [one for one in records if one["kind"] == "generation" and one["phase"] == "evolution"][-1]
    errors = {one["digest"]: np.mean(one["errors"]) for one in scores(tmp_path, "evolution")}
    assert errors[load(tmp_path / CHAMPION).digest] == noted["best"]
    resumed = run(tmp_path, finished.settings)
    assert resumed.result.digest == finished.result.digest
    assert len(resumed.tasks) == len(finished.tasks) - evaluated(kept)
    assert read(tmp_path / JOURNAL)[0][-1]["status"] == "FINISHED"


@pytest.mark.parametrize("lag", [1, 2, 3])
def test_a_longer_search_is_told_what_a_shorter_one_is_and_then_more(tmp_path: Path, lag: int) -> None:
    lengths = {
        generations: run(tmp_path / str(generations), small(loop={"generations": generations, "lag": lag}))
        for generations in (0, 2, 5)
    }
    longest = lengths[5].result.folder
    for phase in ("evolution", "random search"):
        for generations in (0, 2):
            short = told(lengths[generations].result.folder, phase)
            assert short == told(longest, phase)[: len(short)]
        assert len(short) < len(told(longest, phase))


def test_no_topology_is_born_twice_and_numbers_have_no_gaps(finished: Finished) -> None:
    for phase in ("evolution", "random search"):
        born = finished.scores(phase)
        assert [one["number"] for one in born] == list(range(len(born)))
        assert len({one["digest"] for one in born}) == len(born)
        assert all(one["n_trainable"] == 40 for one in born)


def test_the_control_has_as_many_births_each_of_them_sampled(finished: Finished) -> None:
    evolved, sampled = finished.scores("evolution"), finished.scores("random search")
    assert len(evolved) == len(sampled) >= 4 * 6 + 4
    assert [one["generation"] for one in evolved] == [one["generation"] for one in sampled]
    assert {one["operator"] for one in sampled} == {"sample"}


def test_nothing_is_evaluated_twice(finished: Finished) -> None:
    assert len(set(finished.tasks)) == len(finished.tasks)


def test_each_stream_has_its_fidelity_and_what_is_held_out_is_read_last_and_once(finished: Finished) -> None:
    fidelity = finished.settings.fidelity
    splits = [task.split for task in finished.tasks]
    held_out = splits.count(Split.TEST)
    assert 0 < held_out <= len(finished.result.rows)  # two rows may share a topology
    assert set(splits[-held_out:]) == {Split.TEST}
    asked = {split: {task.fidelity for task in finished.tasks if task.split is split} for split in Split}
    assert asked == {
        Split.SEARCH: {fidelity.search, fidelity.search.promoted(fidelity.race_targets, fidelity.rates[0])},
        Split.VALIDATION: {fidelity.validation},
        Split.TEST: {fidelity.test(fidelity.validation_rates[0])},
    }


def test_the_table_has_every_kind_once_champion_and_baseline_first(finished: Finished) -> None:
    kinds = [row.kind for row in finished.result.rows]
    assert kinds[:2] == [EVOLVED, BASELINE]
    assert len(set(kinds)) == len(kinds)
    assert {"butterfly", "Clos", "hypercube", "torus", "random regular", RANDOM} <= set(kinds)
    assert [row.difference is None for row in finished.result.rows] == [kind == BASELINE for kind in kinds]
    for row in finished.result.rows:
        score = HashEvaluator().evaluate(row.topology, Fidelity(4, 1, (0.1,)), Split.TEST, finished.settings.seed)
        assert row.errors == score.errors
        assert row.topology.n_trainable <= 40


def test_the_champion_is_the_best_on_the_choice_stream_of_the_best_few_within_the_baselines_edges_and_depth(
    finished: Finished,
) -> None:
    baseline = finished.result.rows[1].topology
    candidates = [topology_of(one) for one in finished.scores("evolution")]
    errors = {topology_of(one): np.mean(one["errors"]) for one in finished.scores("evolution")}
    allowed = [one for one in candidates if one.n_edges <= baseline.n_edges and one.depth <= baseline.depth]
    assert 3 < len(allowed) < len(candidates)
    finalists = sorted(allowed, key=errors.__getitem__)[:3]
    choice = {
        one: HashEvaluator().evaluate(one, Fidelity(3, 1, (0.1,)), Split.VALIDATION, 3).error for one in finalists
    }
    assert finished.result.champion == min(choice, key=choice.__getitem__)


def test_a_champion_never_has_more_edges_or_layers_than_the_baseline(tmp_path: Path) -> None:
    class MoreIsBetter(HashEvaluator):
        def evaluate(self, topology: Topology, fidelity: Fidelity, split: Split, seed: int) -> Score:
            return Score((1 / (topology.n_edges + 5 * topology.depth),) * fidelity.targets)

    settings = recipe(baseline="clos(8, 2, 3, 2)", bounds={"max_depth": 8, "max_edges": 120})
    large = run(tmp_path, settings, MoreIsBetter())
    champion, baseline = (row.topology for row in large.result.rows[:2])
    assert (baseline.n_edges, baseline.depth) == (60, 3)
    better = [one for one in large.scores("evolution") if one["n_edges"] + 5 * one["depth"] > champion.n_edges + 15]
    assert any(one["n_edges"] > 60 and one["depth"] <= 3 for one in better)
    assert any(one["n_edges"] <= 60 and one["depth"] > 3 for one in better)
    assert champion.n_edges <= 60
    assert champion.depth <= 3


def test_the_champions_file_says_where_it_comes_from(finished: Finished) -> None:
    topology, provenance = read_file(finished.result.champion_file)
    assert topology == finished.result.champion == canonical(topology)
    row, baseline = finished.result.rows[:2]
    held_out = provenance.scores["test"]
    assert isinstance(held_out, dict)
    assert (held_out["error"], held_out["baseline"]) == (row.error.mean, baseline.error.mean)
    assert provenance.seed == finished.settings.seed
    assert provenance.extra["result digest"] == finished.result.digest
    candidate = next(one for one in finished.scores("evolution") if one["digest"] == topology.digest)
    digests = {one["number"]: one["digest"] for one in finished.scores("evolution")}
    assert provenance.parents == tuple(digests[number] for number in candidate["parents"])


def test_every_brood_is_noted_with_the_best_so_far(finished: Finished) -> None:
    for phase in ("evolution", "random search"):
        generations = [
            one
            for one in read(finished.result.folder / JOURNAL)[0]
            if one["kind"] == "generation" and one["phase"] == phase
        ]
        assert [one["number"] for one in generations] == list(range(5))
        volumes, bests = (
            [one["hypervolume"] for one in generations],
            [one["best"] for one in generations if one["best"] is not None],
        )
        assert volumes == sorted(volumes)
        assert bests == sorted(bests, reverse=True)
        assert generations[-1]["candidates"] == len(finished.scores(phase))


@pytest.mark.parametrize("evaluator", [SometimesRaises, SometimesNotANumber])
def test_failures_are_recorded_and_never_win(tmp_path: Path, evaluator: type[HashEvaluator]) -> None:
    failing = run(tmp_path / "failing", recipe(), evaluator())
    failures = 0
    for phase in ("evolution", "random search", "tune clos"):
        for record in failing.scores(phase):
            assert (score_of(record) is None) == doomed(topology_of(record))
            failures += score_of(record) is None
    assert failures > 10
    for row in failing.result.rows:  # the growth rule is never on the search split
        assert not doomed(row.topology) or row.kind == GROWTH_RULE
    assert all(np.isfinite(row.error.mean) for row in failing.result.rows)


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
    champion, baseline = (row.topology for row in result.rows[:2])
    assert (champion.n_in, champion.n_out) == (settings.n_in, settings.n_out)
    assert champion.n_trainable == settings.budget
    assert champion.is_connected and baseline.is_connected
    assert load(result.champion_file) == champion
    if not settings.bounds.max_depth:
        assert (champion.n_edges, champion.depth) <= (max(baseline.n_edges, settings.budget), baseline.depth)


def test_the_users_own_founders_and_baseline_take_part(tmp_path: Path) -> None:
    own = canonical(parse("random_regular(8, 8, 8, 3, 3, 5)"))
    own.save(tmp_path / "mine.safetensors")
    settings = recipe(
        budget=own.n_trainable,
        founders=[str(tmp_path / "mine.safetensors"), "butterfly(8, 3)"],
        baseline="clos(8, 2, 3, 2)",
        bounds={"max_edges": 200, "max_depth": 6},
    )
    mine = run(tmp_path / "run", settings)
    assert [one["family"] for one in mine.scores("evolution")[:3]].count("own") == 2
    assert mine.scores("evolution")[0]["digest"] == own.digest
    assert mine.result.rows[1].topology == canonical(parse("clos(8, 2, 3, 2)"))


def test_a_folder_of_another_recipe_is_refused_and_left_alone(finished: Finished, tmp_path: Path) -> None:
    (tmp_path / JOURNAL).write_bytes(b"".join(finished.lines))
    with pytest.raises(
        ValueError, match=r"it is a run of another recipe \(bounds, budget differ\): choose another folder"
    ):
        run(tmp_path, recipe(budget=41))
    assert (tmp_path / JOURNAL).read_bytes() == b"".join(finished.lines)


def test_a_folder_that_is_in_use_is_refused(tmp_path: Path) -> None:
    with Journal(tmp_path / JOURNAL, {}), pytest.raises(ValueError, match="is in use"):
        run(tmp_path, recipe())


def test_a_budget_too_small_for_a_baseline_says_so(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no connected parallel butterfly of 8 x 8 has at most 20 trainable edges"):
        run(tmp_path, recipe(budget=20))


def test_watchers_see_every_record_and_every_phase(tmp_path: Path) -> None:
    seen: list[Record] = []
    search(recipe(), HashEvaluator(), folder=tmp_path, watcher=seen.append)
    records = read(tmp_path / JOURNAL)[0]
    assert [one for one in seen[1:] if one["kind"] != "phase"] == records[1:]
    assert seen[0].items() >= records[0].items()
    phases = [one["phase"] for one in seen if one["kind"] == "phase"]
    assert phases[:2] == ["tune parallel_butterfly", "tune butterfly"]
    assert phases[-3:] == ["evolution", "random search", "confirm"]


def test_without_a_folder_a_new_one_is_made_where_the_recipe_says(tmp_path: Path) -> None:
    settings = recipe(name="night", runs=str(tmp_path / "results"), loop={"generations": 0})
    folders = [search(settings, HashEvaluator()).folder for _ in range(2)]
    assert len(set(folders)) == 2
    for folder in folders:
        assert folder.parent == tmp_path / "results"
        assert folder.name.startswith("night-8x8-b40-s3-")
        assert (folder / CHAMPION).is_file()
