"""The page about every setting, and recipes in which every setting is explained."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from pydantic import BaseModel

from evo.experiment.for_data import Wanted, plain_recipe
from evo.recipe import validate
from evo.settings import Settings
from evo.settings_text import FILLED_IN, commented_recipe
from evo.shipped import recipe_file, shipped
from evo.studies.proxies.study import StudySettings

HOME = Path(__file__).parents[2]


def keys(model: type[BaseModel], prefix: str = "") -> set[str]:
    """Every key of a model, dotted, those of sections included."""
    found = set()
    for name, field in model.model_fields.items():
        found.add(prefix + name)
        inner = [one for one in (field.annotation, *getattr(field.annotation, "__args__", ())) if isinstance(one, type)]
        for one in inner:
            if issubclass(one, BaseModel):
                found |= keys(one, f"{prefix}{name}.")
    return found


def test_the_page_is_current() -> None:
    command = [sys.executable, "-m", "evofabric", "settings"]
    made = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout
    assert made == (HOME / "SETTINGS.md").read_text(encoding="utf-8"), "make settings"


def test_the_page_explains_every_key() -> None:
    page = (HOME / "SETTINGS.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(\w+)` \| ([^|]+) \|.*\| ([^|]*) \|$", page, re.MULTILINE)
    wanted = {key for model in (Settings, StudySettings) for key in keys(model) if not key.startswith("found")}
    assert {name for name, _, _ in rows} | set(re.findall(r"^### \[(\w+)\]$", page, re.MULTILINE)) == {
        key.rpartition(".")[2] for key in wanted
    }
    assert all(kind and meaning for _, kind, meaning in rows)


RECIPES = {
    "a size": ({"n_in": 32, "n_out": 48, "budget": 500}, validate({"n_in": 32, "n_out": 48, "budget": 500})),
    "data": plain_recipe(Wanted("digits", (64, 32), 0.2)),
}


@pytest.mark.parametrize("name", RECIPES)
def test_a_commented_recipe_says_what_was_given_and_shows_what_holds_by_default(name: str) -> None:
    given, settings = RECIPES[name]
    text = commented_recipe(settings, given, "For a test.")
    stated = tomllib.loads(text)
    assert {key: value for key, value in stated.items() if value != {}} == given
    assert validate(stated) == settings
    uncommented = re.sub(r"^# (?!.* = \.\.\.$)", "", text, flags=re.MULTILINE)
    uncommented = "\n".join(line for line in uncommented.splitlines() if not line.startswith("#"))
    whole = tomllib.loads(uncommented)
    assert {key for key in keys(Settings) if "." not in key and whole.get(key)} >= {"name", "seed", "loop", "fidelity"}
    if name == "a size":
        del whole["training"], whole["space"]  # sections that this recipe has not
    assert validate(whole) == settings
    shown = set(re.findall(r"^(?:# )?(\w+) = ", text, re.MULTILINE))
    hidden = {*FILLED_IN, "evaluator"}
    assert shown >= {key.rpartition(".")[2] for key in keys(Settings) if key.split(".")[0] not in hidden} - {
        name for name, field in Settings.model_fields.items() if "Settings" in str(field.annotation)
    }


def test_recipes_that_come_with_evofabric_are_found_from_any_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert shipped() == tuple(sorted(path.stem for path in (HOME / "runs").glob("*.toml")))
    quick = (HOME / "runs" / "quick.toml").read_text(encoding="utf-8")
    for name in ("quick", "quick.toml", "runs/quick.toml"):
        assert recipe_file(Path(name)).read_text(encoding="utf-8") == quick
    for name in ("quik", "elsewhere/quick.toml", "/quick.toml"):
        assert recipe_file(Path(name)) == Path(name)
    Path("quick").mkdir()
    assert recipe_file(Path("quick")).name == "quick.toml"
    Path("quick.toml").write_text("mine = 1")
    assert recipe_file(Path("quick.toml")) == Path("quick.toml")
