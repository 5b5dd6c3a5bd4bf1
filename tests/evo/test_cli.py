"""The command line as a user meets it: mistakes are one line and exit code 2, and leave nothing behind."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

from evo.cli.options import placed
from evo.recipe import load as load_recipe
from evo.recipe import validate
from tests.commands import Commands
from topologies import butterfly, load
from topologies.masks import save_masks

RECIPE = """
name = "tiny"
n_in = 8
n_out = 8
budget = 40
[loop]
generations = 1
offspring = 4
[fidelity]
targets = 2
steps = 20
validation_targets = 2
validation_steps = 20
test_targets = 3
[cluster]
pool = "in-process"
"""
OTHER_SIZE = 'initial_population=["clos(16, 4, 4, 4)"]'
STUDY = """
n_in = 8
n_out = 8
budgets = [40]
"""

FIGURE = """
title = "Two butterflies"
n_in = 8
n_out = 8
fidelity = { targets = 2, steps = 20, rates = [0.3] }
[[series]]
name = "butterfly"
topology = "butterfly(8, {value})"
values = [3, 4]
[cluster]
pool = "in-process"
[tracking]
uri = "sqlite:///t.db"
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "a [b] folder"
    folder.mkdir()
    (folder / "recipe.toml").write_text(RECIPE)
    (folder / "study.toml").write_text(STUDY)
    return folder


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["show", "butterfli(8, 3)"], "the nearest is 'butterfly'"),
        (["show", "missing.safetensors"], "there is no such file"),
        (["verify", "missing.safetensors"], "there is no such file"),
        (["export", "butterfly(8, 3)", "nowhere/masks.npz"], "there is no folder nowhere"),
        (["export", "butterfly(8, 3)", "masks.txt"], "the name ends in .npz"),
        (["generalise", "butterfly(8, 3)", "--size", "8", "--edges", "40"], "--size 8: inputs and outputs are wanted"),
        (["score", "butterfly(8, 3)", "butterfly(16, 4)"], "only topologies of one size can be compared"),
        (["search", "missing.toml"], "no recipe at missing.toml: there are recipe.toml"),
        (["init", "--size", "8"], "inputs and outputs are wanted, as 64x48"),
        (["init", "--size", "8x8"], "say by --budget or --density"),
        (["init", "--data", "digits", "--size", "9x9"], "--size goes without --data"),
        (["init", "nowhere/r.toml"], "cannot write to nowhere/r.toml"),
        (["search", "recipe.toml", "--set", "budgett=3"], "did you mean 'budget'?"),
        (["search", "recipe.toml", "--set", "loop.broods=3"], "since version 0.2 it is called 'loop.generations'"),
        (["search", "recipe.toml", "--set", "budget=3"], "between n_in + n_out = 16 and n_in * n_out = 64"),
        (["search", "recipe.toml", "--set", "n_in=1"], "n_in = 1"),
        (
            ["search", "recipe.toml", "--set", OTHER_SIZE],
            "is 16 x 16, the recipe 8 x 8",
        ),
        (["search", "recipe.toml", "--set", OTHER_SIZE, "--dry-run"], "is 16 x 16"),
        (["search", "recipe.toml", "--set", "evaluator=nothing:Here"], "evaluator 'nothing:Here'"),
        (["search", "recipe.toml", "--ray-address", "localhost:1"], "nothing answers at the Ray address"),
        (["resume", "."], "is not the folder of a run"),
        (["report", "missing"], "is not the folder of a run"),
        (["compare", ".", "."], "is not the folder of a run"),
        (["tune", "recipe.toml", "--family", "dense"], "is not tuned"),
        (["proxies", "missing.toml"], "no recipe at missing.toml"),
        (["proxies", "study.toml", "--set", "n_out=9"], "topologies are square"),
        (["proxies", "recipe.toml"], "but a search for a topology, for it has 'budget': evofabric search recipe.toml"),
        (
            ["search", "study.toml"],
            "but a study of proxies, for it has 'budgets': evofabric proxies study.toml takes it",
        ),
        (["search", "fig3"], "fig3 is not a search for a topology, but a study of a figure, for it has 'series'"),
        (["tune", "rule", "-q"], "but a search for a rule, for it has 'cases': evofabric search rule takes it"),
        (["study", "recipe.toml"], "recipe.toml is not a study of a figure, but a search for a topology"),
        (["search", "recipe.toml", "--dry-run", "--json"], "leave one of them out"),
        (["search", "recipe.toml", "--pool", "in-process", "--workers", "2"], "--workers is for Ray"),
        (["families", "--law", "law.png", "--json"], "leave one of them out"),
        (["show", "butterfly(8, 3)", "--reading", "fair"], "--reading fair goes with --controllability"),
        (["init", "--data", "digits", "--budget", "300", "--density", "0.1"], "--budget or --density, not both"),
        (["show", "butterfly(8, 3)", "--spectrum", "nowhere/s.png"], "cannot write to nowhere/s.png"),
    ],
    ids=lambda value: "-".join(value[:2]) if isinstance(value, list) else "",
)
def test_a_mistake_is_one_line_and_leaves_nothing_behind(
    command: Commands, folder: Path, arguments: list[str], words: str
) -> None:
    done = command(folder, *arguments)
    assert done.returncode == 2
    assert done.stderr.startswith("evofabric: ") and done.stderr.count("\n") == 1
    assert words in done.stderr
    assert not list(folder.glob("runs/*"))


def test_an_evaluator_that_returns_no_score_ends_the_search_before_all_families_are_tuned(
    command: Commands, folder: Path
) -> None:
    (folder / "mine.py").write_text("class Mine:\n    def evaluate(self, *_):\n        return 0.5\n")
    done = command(folder, "search", "recipe.toml", "--set", "evaluator=mine:Mine")
    assert done.returncode == 2
    assert "the evaluator returned float, not a Score" in done.stderr
    assert "tune butterfly" not in done.stdout


def test_the_python_door_opens_in_a_fresh_process() -> None:
    code = "import evo; print(callable(evo.search), evo.search is evo.search, evo.Settings(budget=640).budget)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.stdout == "True True 640\n", done.stderr


@pytest.mark.end_to_end
def test_a_search_is_listed_verified_and_resumed(command: Commands, folder: Path) -> None:
    done = command(folder, "search", "recipe.toml", "--set", 'initial_population=["clos(8, 2, 3, 2)"]')
    assert done.returncode == 0, done.stderr
    (run,) = (folder / "runs").glob("tiny-8x8-b40-s1-*")
    assert f"results in {run}\n" in done.stdout and f'ui --runs "{run.parent}"' in done.stdout
    champion = run / "champion.safetensors"
    assert load(champion).n_trainable == 40
    digest = done.stdout.partition("Result digest: ")[2].split()[0]
    listed = command(folder, "runs").stdout
    assert run.name in listed and "finished" in listed and digest[:8] in listed
    (told,) = json.loads(command(folder, "runs", "--json").stdout)
    assert (told["name"], told["state"], told["digest"]) == (run.name, "finished", digest)
    assert "to the last bit" in command(folder, "verify", str(champion)).stdout
    table = command(folder, "score", str(run), "clos(8, 4, 2, 4)", "--json", "-v")
    compared = json.loads(table.stdout.splitlines()[-1])
    rows = {row["name"]: row["error"] for row in compared["rows"]}
    shared = [(one["name"], one["parameters"]) for one in compared["weight_sharing"]]
    assert shared == [("hashed", 40), ("circulant", 32)]
    again = command(folder, "resume", str(run), "--json")
    assert digest in again.stdout and "workers ready" not in again.stderr  # it is there at once
    errors = {row["name"]: row["error"] for row in json.loads(again.stdout)["rows"]}
    assert rows[str(run)] == errors["evolved champion"] and rows["parallel butterfly"] == errors["parallel butterfly"]
    assert "phase: tune parallel_butterfly" in table.stderr  # what goes to a log
    report = run / "report.html"
    assert str(report) in done.stdout and run.name in report.read_text()
    before = report.read_bytes()
    report.unlink()
    assert command(folder, "report", str(run)).stdout.strip().endswith(str(report))
    assert report.read_bytes() == before


def test_a_quiet_command_shows_its_result_alone(command: Commands, folder: Path) -> None:
    done = command(folder, "tune", "recipe.toml", "-q")
    assert done.stdout.startswith("The best of") and done.stderr == ""


def test_a_quiet_study_shows_its_result_alone(command: Commands, folder: Path) -> None:
    (folder / "figure.toml").write_text(FIGURE)
    done = command(folder, "study", "figure.toml", "-q")
    assert done.returncode == 0 and done.stdout.strip().startswith("Two butterflies") and done.stderr == ""


def test_with_v_a_mistake_says_where_it_was_found(command: Commands, folder: Path) -> None:
    done = command(folder, "search", "missing.toml", "-v")
    assert done.returncode == 2 and done.stderr.startswith("Traceback")
    assert done.stderr.splitlines()[-1].startswith("evofabric: no recipe at missing.toml")


def test_a_run_that_was_begun_on_a_cluster_goes_on_in_a_local_ray_if_that_is_asked_for() -> None:
    settings = validate({"cluster": {"address": "head:6379"}})
    assert placed(settings, None, None).cluster.address == "head:6379"
    assert placed(settings, None, None, "ray").cluster.address is None
    assert placed(settings, "other:6379", None, "ray").cluster.address == "other:6379"


def test_the_version_is_told_and_words_are_completed(command: Commands, folder: Path) -> None:
    assert command(folder, "--version").stdout == f"evofabric {version('evofabric')}\n"
    completed = {
        "fam": ["families"],
        "search qu": ["quick"],
        "search fig": [],
        "study fig2": ["fig2b"],
        "proxies ": ["proxies"],
    }
    for words, wanted in completed.items():
        words = f"evofabric {words}"
        asked = {"_EVOFABRIC_COMPLETE": "complete_bash", "COMP_WORDS": words, "COMP_CWORD": str(words.count(" "))}
        assert command(folder, **asked).stdout.split() == wanted


def test_a_recipe_is_written_once(command: Commands, folder: Path) -> None:
    asked = ("init", "mine.toml", "--size", "12x8", "--density", "0.5")
    assert "evofabric search mine.toml" in command(folder, *asked).stdout
    assert load_recipe(folder / "mine.toml") == validate({"n_in": 12, "n_out": 8, "budget": 48})
    again = command(folder, *asked)
    assert again.returncode == 2 and "is there already and is left as it is" in again.stderr
    assert command(folder, "init", "-q").stdout.startswith("## A recipe of evofabric")


def test_pictures_and_exports_are_written(command: Commands, folder: Path) -> None:
    drawn = command(folder, "show", "butterfly(8, 3)", "--out", "pictures [old]")
    assert drawn.returncode == 0 and "drawn to pictures [old]/butterfly-8-3.png\n" in drawn.stdout
    assert {path.suffix for path in (folder / "pictures [old]").iterdir()} == {".png"}
    asked = ("--controllability", "k.png", "--spectrum", "s.png", "--errors", "e.png")
    together = command(folder, "show", "torus((4, 2), 3)", "butterfly(8, 3)", *asked)
    assert together.returncode == 0 and "computing the spectra of tangent spaces ...\n" in together.stdout
    assert {path.name for path in folder.glob("*.png")} == {"k.png", "s.png", "e.png"}
    assert command(folder, "show", "butterfly(8, 3)", "--out", "both", "--controllability", "k.png").returncode == 0
    assert {path.name for path in (folder / "both").iterdir()} == {"butterfly-8-3.png", "butterfly-8-3-masks.png"}
    assert "written to b[1].safetensors\n" in command(folder, "export", "butterfly(8, 3)", "b[1].safetensors").stdout
    assert load(folder / "b[1].safetensors") == butterfly(8, 3)
    assert "b[1].safetensors" in command(folder, "show", "b[1].safetensors").stdout.splitlines()[0]


def test_champions_of_several_runs_are_drawn_to_files_of_their_own(command: Commands, folder: Path) -> None:
    files = [f"{run}/champion.safetensors" for run in ("one", "other")]
    for file in files:
        (folder / file).parent.mkdir()
        butterfly(4, 2).save(folder / file)
    assert command(folder, "show", *files).returncode == 0
    stems = ("one-champion", "one-champion-masks", "other-champion", "other-champion-masks")
    assert sorted(path.stem for path in folder.glob("*.png")) == sorted(stems)
    save_masks(butterfly(4, 2), folder / "one" / "champion.npz")
    (folder / "below").mkdir()
    named = (f"../{files[0]}", "../one/champion.npz", f"../{files[1]}")
    assert command(folder / "below", "show", *named).returncode == 0
    drawn = {path.stem for path in (folder / "below").iterdir()}
    assert drawn == {*stems, "one-champion-2", "one-champion-2-masks"}


def test_a_dry_run_shows_settings_and_cost_and_starts_nothing(command: Commands, folder: Path) -> None:
    done = command(folder, "search", "recipe.toml", "--dry-run", "--set", "seed=7")
    assert done.returncode == 0 and '"seed": 7' in done.stdout
    assert "minutes on 1 worker as" in " ".join(done.stdout.split())
    several = " ".join(command(folder, "search", "recipe.toml", "--dry-run", "--seeds", "3").stdout.split())
    assert re.search(r"about [\d.]+ minutes on 1 worker .*, [\d.]+ minutes for each of 3 seeds", several)
    assert not (folder / "runs").exists()


def test_a_search_on_data_is_planned_for_the_workers_it_will_have(command: Commands, folder: Path) -> None:
    elsewhere = ("--ray-address", "localhost:1")  # where nothing answers, so that it ends before it begins
    done = command(folder, "search", "--data", "digits", "--hidden", "16", "--set", "cluster.workers=7", *elsewhere)
    assert "on 7 cores (--minutes changes it)" in " ".join(done.stdout.split())
