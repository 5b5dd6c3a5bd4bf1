"""A journal's header: which program and which recipe may go on with a run, and what is said of those that may not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from evaluators.function import as_evaluator
from evaluators.task import Evaluator, Fidelity, Score, Split
from evo.recipe import validate
from evo.storage import header
from evo.storage.header import (
    JOURNAL,
    agree,
    current,
    header_of,
    named_topologies,
    new_header,
    recipe_of,
    records_of,
    settings_of,
)
from evo.storage.journal import VERSION, Journal
from evo.storage.records import ExtendedRecord, Record, TableRecord
from tests.evo.storage.a_function import by_edges
from tests.evo.storage.any_records import a_generation, a_header, a_score
from tests.fakes import HashEvaluator, recipe
from topologies.topology import Topology

NAMED = "tests.fakes:HashEvaluator"


class Other(HashEvaluator):
    """Computes something else."""

    def evaluate(self, topology: Topology, fidelity: Fidelity, split: Split, seed: int) -> Score:
        """Half the score."""
        score = super().evaluate(topology, fidelity, split, seed)
        return Score(tuple(error / 2 for error in score.errors), score.learning_rate)


def begun(folder: Path, given: Evaluator | None, **changes: Any) -> list[Record]:
    """The records of a run that has just begun."""
    with Journal(folder / JOURNAL, new_header(recipe(evaluator=NAMED, **changes), given, {}, "cpu")) as journal:
        return journal.recovered()


def test_a_header_says_what_began_the_run() -> None:
    settings = recipe(evaluator=NAMED, tracking={"experiment": "mine"})
    for given, name in ((None, NAMED), (Other(), f"{__name__}:Other"), (as_evaluator(by_edges), "by_edges")):
        found = new_header(settings, given, {}, "gpu")
        assert found.evaluator.endswith(name) and found.from_python == (given is not None)
        assert (found.version, found.backend, found.settings["seed"]) == (VERSION, "gpu", settings.seed)
        assert not {"runs", "cluster", "tracking", "reuse_from"} & set(found.settings)
        assert found.tracking["experiment"] == "mine" and found.cluster["pool"] == "in-process"
    canaries = {new_header(settings, one, {}, "cpu").program.canary for one in (None, HashEvaluator(), Other())}
    assert len(canaries) == 2, "a name and an object of one class compute the same"


def test_a_run_begun_with_an_evaluator_object_says_so_when_its_recipe_is_wanted(tmp_path: Path) -> None:
    begun(tmp_path, Other())
    with pytest.raises(ValueError, match="was given from Python") as refused:
        recipe_of(tmp_path)
    assert str(refused.value) == (
        f"{tmp_path}: its evaluator, {__name__}:Other, was given from Python: continue it there, with "
        "evo.search(settings, evaluator, folder=...)"
    )
    with pytest.raises(ValueError, match=r"can only be extended"):
        recipe_of(tmp_path, generations=1)


def test_a_run_begun_with_an_evaluator_object_says_so_when_another_would_go_on(tmp_path: Path) -> None:
    records, settings = begun(tmp_path, Other()), recipe(evaluator=NAMED)
    assert agree(records, settings, Other()) == []
    with pytest.raises(ValueError, match="given from Python") as refused:
        agree(records, settings, HashEvaluator())
    assert str(refused.value) == (
        f"it was begun with the evaluator {__name__}:Other, given from Python: "
        "continue it with evo.search(settings, evaluator, folder=...)"
    )


def test_an_evaluator_object_of_the_same_name_that_computes_something_else_is_refused(tmp_path: Path) -> None:
    class Scaled(HashEvaluator):
        def __init__(self, factor: float) -> None:
            super().__init__()
            self.factor = factor

        def evaluate(self, topology: Topology, fidelity: Fidelity, split: Split, seed: int) -> Score:
            return Score(tuple(self.factor * one for one in super().evaluate(topology, fidelity, split, seed).errors))

    records, settings = begun(tmp_path, Scaled(1.0)), recipe(evaluator=NAMED)
    assert agree(records, settings, Scaled(1.0)) == []
    with pytest.raises(
        ValueError, match=r"the evaluator does not compute what it did when the run was begun: .*--fork"
    ):
        agree(records, settings, Scaled(2.0))


def test_the_recipe_of_a_run_begins_it_again(tmp_path: Path) -> None:
    begun(tmp_path, None, tracking={"experiment": "mine"})
    settings = recipe(evaluator=NAMED, tracking={"experiment": "mine"}, runs=tmp_path.parent)
    assert validate(recipe_of(tmp_path)) == settings
    more = validate(recipe_of(tmp_path, generations=9))
    assert more.loop.generations == 9
    assert agree(records_of(tmp_path), settings, HashEvaluator()) == []
    (extended,) = agree(records_of(tmp_path), more, HashEvaluator())
    assert isinstance(extended, ExtendedRecord) and extended.generations == 9
    assert settings_of([*records_of(tmp_path), extended])["loop"]["generations"] == 9
    with pytest.raises(ValueError, match=r"--generations 3: the run has 4, and can only be extended"):
        recipe_of(tmp_path, generations=3)


def test_another_recipe_is_refused_with_what_differs(tmp_path: Path) -> None:
    records = begun(tmp_path, None)
    with pytest.raises(ValueError, match=r"it is a run of another recipe \(budget, seed differ\)"):
        agree(records, recipe(evaluator=NAMED, budget=41, seed=4), HashEvaluator())
    elsewhere = recipe(evaluator=NAMED, tracking={"experiment": "other"}, cluster={"task_timeout": 7}, runs=tmp_path)
    assert agree(records, elsewhere, HashEvaluator()) == [], "where it is computed and tracked decides nothing"


def test_a_journal_without_keys_that_came_later_goes_on_by_their_defaults(tmp_path: Path) -> None:
    first, *rest = begun(tmp_path, None)
    settings, old = recipe(evaluator=NAMED), header_of([first]).settings
    old = {key: value for key, value in old.items() if key != "controllability"}
    old["fidelity"] = {key: value for key, value in old["fidelity"].items() if key != "weight_decays"}
    records: list[Record] = [header_of([first]).model_copy(update={"settings": old}), *rest]
    assert agree(records, settings, HashEvaluator()) == []
    with pytest.raises(ValueError, match=r"it is a run of another recipe \(controllability differ\)"):
        agree(records, recipe(evaluator=NAMED, controllability=False), HashEvaluator())


def test_another_program_is_refused_with_a_way_to_go_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    records, settings = begun(tmp_path, None), recipe(evaluator=NAMED)
    with pytest.raises(ValueError, match=r"the evaluator does not compute what it did .*--fork"):
        agree(records, settings, Other())
    known = header.version
    monkeypatch.setattr(header, "version", lambda name: "9.9" if name == "evofabric" else known(name))
    with pytest.raises(ValueError, match=r"begun with evofabric .*, this is 9\.9, perhaps another result: .*--fork"):
        agree(records, settings, HashEvaluator())


def test_a_folder_without_a_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=rf"is not the folder of a run: it has no {JOURNAL}"):
        records_of(tmp_path)
    (tmp_path / JOURNAL).touch()
    with pytest.raises(ValueError, match="has no whole record: the run was stopped before it began, start it again"):
        recipe_of(tmp_path)
    for records in ([], [a_generation()]):
        with pytest.raises(ValueError, match="a journal begins with a header, this one does not"):
            header_of(records)


def test_of_an_extended_run_the_end_does_not_count() -> None:
    first = a_header()
    table = TableRecord(rows=(), baseline="x", digest="y", champion="z")
    search: list[Record] = [first, a_score(0, phase="evolution"), a_generation(0)]
    end: list[Record] = [a_score(0, phase="validation: row"), a_score(0, phase="final validation: row"), table]
    end += [a_score(0, phase="test: row")]
    assert current([*search, *end]) == [*search, *end]
    more: list[Record] = [ExtendedRecord(generations=9), a_score(1, phase="evolution"), a_score(0, phase="test: row")]
    assert current([*search, *end, *more]) == [*search, *more]


def test_named_topologies_have_the_recipes_size() -> None:
    assert list(named_topologies(recipe(initial_population=["butterfly(8, 3)"]))) == ["butterfly(8, 3)"]
    with pytest.raises(ValueError, match=r"'butterfly\(4, 2\)' is 4 x 4, the recipe 8 x 8"):
        named_topologies(recipe(initial_population=["butterfly(4, 2)"]))
