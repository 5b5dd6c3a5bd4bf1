"""Recipes: what is refused, in which words, and how overrides change them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evaluators.task import Fidelity, Score
from evo.recipe import _RENAMED, load, load_as, overridden, validate, validate_as
from evo.settings import Settings
from evo.studies.figures.settings import FigureSettings
from evo.studies.proxies.study import StudySettings
from evo.studies.rules.study import RuleSettings

quick = settings(max_examples=50, deadline=None)
RECIPES = sorted((Path(__file__).parents[2] / "runs").glob("*.toml"))


def written(folder: Path, text: str) -> Path:
    """A recipe file."""
    path = folder / "recipe.toml"
    path.write_text(text, encoding="utf-8")
    return path


def refusal(values: dict[str, Any]) -> str:
    """The words in which values are refused, which are one line."""
    with pytest.raises(ValueError) as caught:
        validate(values)
    assert type(caught.value) is ValueError
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.name)
def test_every_recipe_of_the_project_is_valid(path: Path) -> None:
    if path.name == "fig6.toml":  # read before it is checked
        with pytest.raises(ValueError, match=r'^data = "cifar10.npz": is not there'):
            load_as(FigureSettings, path)
        return
    if "[[series]]" in path.read_text(encoding="utf-8"):
        assert load_as(FigureSettings, path).series
        return
    model = {"proxies.toml": StudySettings, "rule.toml": RuleSettings}.get(path.name, Settings)
    own = ["training.data=digits"] if path.name in ("images.toml", "mnist.toml") else []  # files that are not here
    assert load_as(model, path, own).n_in >= 2


def test_there_is_a_quick_recipe_for_32_by_32_at_640() -> None:
    quick_recipe = load(next(path for path in RECIPES if path.name == "quick.toml"))
    assert (quick_recipe.n_in, quick_recipe.n_out, quick_recipe.budget) == (32, 32, 640)


@pytest.mark.parametrize(
    ("values", "nearest"),
    [
        ({"budgt": 320}, "budget"),
        ({"bugdet": 320}, "budget"),
        ({"seeds": 2}, "seed"),
        ({"initial_populations": []}, "initial_population"),
        ({"lop": {}}, "loop"),
        ({"loop": {"generation": 3}}, "loop.generations"),
        ({"fidelity": {"validation_step": 3}}, "fidelity.validation_steps"),
        ({"bounds": {"maxdepth": 3}}, "bounds.max_depth"),
        ({"generations": 3}, "loop.generations"),
        ({"rates": [0.1]}, "fidelity.rates"),
        ({"loop": {"seed": 3}}, "seed"),
        ({"loop": {"workers": 3}}, "cluster.workers"),
    ],
)
def test_an_unknown_key_names_the_nearest(values: dict[str, Any], nearest: str) -> None:
    assert f"did you mean {nearest!r}?" in refusal(values)


@pytest.mark.parametrize(("old", "new"), _RENAMED.items())
def test_a_key_of_a_recipe_of_version_0_1_names_the_new_key(old: str, new: str) -> None:
    model = StudySettings if new == "sample_size" else Settings
    with pytest.raises(ValueError) as caught:
        validate_as(model, overridden({}, [f"{old}=3"]))
    assert str(caught.value) == f"unknown key {old!r}: since version 0.2 it is called {new!r}"


def test_the_renamed_keys_are_those_of_version_0_1() -> None:
    assert set(_RENAMED) == {
        "founders",
        "known",
        "specimens",
        "loop.broods",
        "loop.brood_size",
        "loop.lag",
        "fidelity.full_targets",
        "fidelity.full_steps",
        "fidelity.full_rates",
        "fidelity.held_out_targets",
        "cluster.patience",
    }


def test_a_key_that_was_renamed_elsewhere_is_unknown_like_any_other() -> None:
    assert refusal({"specimens": 3}).startswith("unknown key 'specimens': known are name, ")


def test_an_unknown_key_like_no_other_lists_those_there_are() -> None:
    words = refusal({"zzz": 1})
    assert words.startswith("unknown key 'zzz': known are name, seed, n_in, n_out, evaluator, reuse_from,")
    assert words.removeprefix("unknown key 'zzz': known are ").split(", ") == list(Settings.model_fields)
    assert refusal({"tuning": {"zzz": 1}}) == "unknown key 'tuning.zzz': known are tuning.trials"


def test_all_mistakes_are_told_at_once() -> None:
    words = refusal({"n_in": 1, "loop": {"offspring": 0}, "bugdet": 3})
    assert "n_in = 1: " in words and "loop.offspring = 0: " in words and "'budget'" in words


@quick
@given(st.integers(2, 40), st.integers(2, 40), st.integers(-5, 1700))
def test_the_budget_lies_between_the_ends_and_the_dense_layer(n_in: int, n_out: int, budget: int) -> None:
    values = {"n_in": n_in, "n_out": n_out, "budget": budget}
    if n_in + n_out <= budget <= n_in * n_out:
        assert validate(values).budget == budget
    else:
        assert refusal(values).startswith(
            f"budget = {budget}: between n_in + n_out = {n_in + n_out} and n_in * n_out = {n_in * n_out}"
        )


@pytest.mark.parametrize(
    ("n_in", "n_out", "least", "most"), [(8, 8, 16, 64), (8, 12, 20, 96), (2, 3, 5, 6), (2, 2, 4, 4)]
)
def test_both_ends_of_the_range_are_budgets(n_in: int, n_out: int, least: int, most: int) -> None:
    for budget in (least, most):
        assert validate({"n_in": n_in, "n_out": n_out, "budget": budget}).budget == budget
    for budget in (least - 1, most + 1):
        assert refusal({"n_in": n_in, "n_out": n_out, "budget": budget}).startswith(f"budget = {budget}: between")


@pytest.mark.parametrize(
    ("values", "place"),
    [
        ({"n_in": 1}, "n_in = 1"),
        ({"n_out": 0}, "n_out = 0"),
        ({"seed": -1}, "seed = -1"),
        ({"budget": "many"}, "budget = 'many'"),
        ({"name": "../escape"}, "name = '../escape'"),
        ({"evaluator": "no colon"}, "evaluator = 'no colon'"),
        ({"fidelity": {"rates": []}}, "fidelity.rates = []"),
        ({"fidelity": {"rates": [0.1, 0.0]}}, "fidelity.rates"),
        ({"fidelity": {"validation_rates": [float("nan")]}}, "fidelity.validation_rates"),
        ({"fidelity": {"rates": [float("inf")]}}, "fidelity.rates"),
        ({"fidelity": {"test_targets": 1}}, "fidelity.test_targets = 1"),
        ({"loop": {"population": 3}}, "loop.population = 3"),
        ({"loop": {"max_pending_generations": 0}}, "loop.max_pending_generations = 0"),
        ({"loop": 5}, "loop = 5"),
        ({"bounds": {"max_depth": 0}}, "bounds.max_depth = 0"),
        ({"cluster": {"pool": "dask"}}, "cluster.pool = 'dask'"),
        ({"cluster": {"cores_per_worker": 0}}, "cluster.cores_per_worker = 0"),
    ],
)
def test_a_value_out_of_range_is_refused_with_its_place(values: dict[str, Any], place: str) -> None:
    assert refusal(values).startswith(place)


def test_overrides_change_values_and_make_sections_and_the_later_one_wins() -> None:
    values = {"budget": 640, "loop": {"generations": 3}}
    sections = ["loop.generations=5", "loop.generations=6", "fidelity.rates=[0.1, 1]"]
    changed = overridden(values, ["budget=320", *sections, "name=night", 'baseline="clos(32, 8, 6, 8)"'])
    assert changed == {
        "budget": 320,
        "loop": {"generations": 6},
        "fidelity": {"rates": [0.1, 1]},
        "name": "night",
        "baseline": "clos(32, 8, 6, 8)",
    }
    assert values == {"budget": 640, "loop": {"generations": 3}}


@pytest.mark.parametrize(
    ("override", "words"),
    [("budget", "write key=value"), ("seed.low=3", "seed is a value, not a section")],
)
def test_an_override_of_another_form_is_explained(override: str, words: str) -> None:
    with pytest.raises(ValueError, match=f"--set {override}: {words}"):
        overridden({"seed": 1}, [override])


def test_an_override_is_checked_like_the_recipe(tmp_path: Path) -> None:
    path = written(tmp_path, "n_in = 8\nn_out = 8\nbudget = 40\n")
    assert load(path, ["budget=64"]).budget == 64
    with pytest.raises(ValueError, match=r"^budget = 65: between n_in \+ n_out = 16 and n_in \* n_out = 64"):
        load(path, ["budget=65"])
    with pytest.raises(ValueError, match=r"^unknown key 'loop.generationz': did you mean 'loop.generations'\?"):
        load(path, ["loop.generationz=65"])


def test_a_recipe_that_is_not_there_names_its_neighbours(tmp_path: Path) -> None:
    there = written(tmp_path, "seed = 1")
    for missing in (tmp_path / "recipes.toml", tmp_path):
        with pytest.raises(ValueError, match="no recipe at"):
            load(missing)
    with pytest.raises(
        ValueError, match=f"no recipe at {tmp_path / 'other.toml'}: there are {there}; with evofabric come "
    ):
        load(tmp_path / "other.toml")
    with pytest.raises(ValueError, match="no recipe at"):
        load(there / "inside.toml")


@pytest.mark.parametrize(
    "text", ["budget", "budget = ", "budget = 1\nbudget = 2", "[loop", "a = 'b\nc'", "\0", "seed = 09"]
)
def test_text_that_is_not_toml_is_one_line_with_the_file(tmp_path: Path, text: str) -> None:
    path = written(tmp_path, text)
    with pytest.raises(ValueError, match="is not TOML: ") as caught:
        load(path)
    assert "\n" not in str(caught.value)
    assert str(caught.value).startswith(str(path))


def test_a_recipe_may_begin_with_the_mark_that_some_editors_write(tmp_path: Path) -> None:
    path = tmp_path / "recipe.toml"
    path.write_bytes(b"\xef\xbb\xbfseed = 9")
    assert load(path).seed == 9


def test_bytes_that_are_not_text_are_not_toml(tmp_path: Path) -> None:
    path = tmp_path / "recipe.toml"
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ValueError, match="is not TOML: "):
        load(path)


def test_settings_come_back_from_what_a_journal_keeps_of_them() -> None:
    own = ["a.safetensors"]
    made = validate({"n_in": 12, "budget": 100, "initial_population": own, "fidelity": {"rates": [1, 0.5]}})
    assert validate(made.model_dump(mode="json")) == made
    assert made == Settings(n_in=12, budget=100, initial_population=tuple(own), fidelity={"rates": (1.0, 0.5)})


def test_the_three_fidelities() -> None:
    fidelity = validate({"fidelity": {"targets": 2, "validation_targets": 3, "test_targets": 4}}).fidelity
    assert fidelity.search == Fidelity(2, fidelity.steps, fidelity.rates)
    assert fidelity.validation == Fidelity(3, fidelity.validation_steps, fidelity.validation_rates)
    assert fidelity.test(Score((0.5,), 0.7)) == Fidelity(4, fidelity.validation_steps, (0.7,))
    decayed = validate({"training": {"data": "digits", "hidden": [64]}}).fidelity
    assert decayed.test(Score((0.5,), 0.7, 0.1)) == Fidelity(5, 16, (0.7,), (0.1,))
    assert fidelity.test(None) == Fidelity(4, fidelity.validation_steps, fidelity.validation_rates)


def test_promotion_is_to_more_targets_and_edges_are_no_fewer_than_the_budget() -> None:
    with pytest.raises(ValueError, match="race_targets = 4: at least targets = 8"):
        validate({"budget": 640, "fidelity": {"race_targets": 4}})
    with pytest.raises(ValueError, match=r"bounds.max_edges = 600: at least budget = 640"):
        validate({"budget": 640, "bounds": {"max_edges": 600}})
