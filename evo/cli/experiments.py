"""The commands that carry out a recipe: search, resume, tune, proxies."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from evo.cli.options import (
    Address,
    AnyRecipe,
    DataFile,
    Density,
    Epochs,
    Examples,
    Hidden,
    Json,
    Minutes,
    Overrides,
    PoolName,
    ProxiesRecipe,
    Task,
    Workers,
    one_thread,
    placed,
    tuned_families,
    widths,
)
from evo.cli.terminal import begin, console, keep_stdout_for_results, progress_console, status

if TYPE_CHECKING:
    from evo.experiment.search import Result
    from evo.run_settings import RunSettings
    from evo.settings import Settings

_SettingsT = TypeVar("_SettingsT", bound="RunSettings")


def search(
    recipe: AnyRecipe = None,
    data: DataFile = None,
    hidden: Hidden = None,
    density: Density = None,
    epochs: Epochs = None,
    minutes: Minutes = None,
    examples: Examples = None,
    task: Task = None,
    overrides: Overrides = None,
    ray_address: Address = None,
    workers: Workers = None,
    pool: PoolName = None,
    as_json: Json = False,
    seeds: Annotated[
        int, typer.Option(min=1, help="Repeat over this many seeds and report the spread, with --json in a last line.")
    ] = 1,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show settings and an estimate of the cost.")] = False,
) -> None:
    """Search for the best topology: tune the baseline, evolve, compare on test targets.

    A recipe says what is searched for; or --data does, and then the rest follows from the data and the time there is.
    A recipe with several cases, as runs/rule.toml, is a search for a rule that maps any size and budget to a topology.
    """
    asked = {
        "--hidden": hidden,
        "--density": density,
        "--epochs": epochs,
        "--minutes": minutes,
        "--examples": examples,
        "--task": task,
    }
    given = {name: value for name, value in asked.items() if value is not None}
    if dry_run and as_json:
        raise ValueError("--json prints what a search found, and --dry-run searches nothing: leave one of them out")
    keep_stdout_for_results(as_json)
    made: Mapping[str, Any] | None = None
    if recipe is not None and _is_of_rules(recipe):
        if given or data is not None or as_json or dry_run or seeds > 1:
            raise ValueError(f"{recipe} is a search for a rule: it takes --set, --ray-address, --workers and --pool")
        _search_rules(recipe, overrides or (), ray_address, workers, pool)
        return
    place = partial(placed, address=ray_address, workers=workers, pool=pool)
    if data is not None and recipe is None:
        one_thread()
        settings, made = _for_data(data, given, overrides or (), place, seeds)
    else:
        settings = place(_load(recipe, data, given, overrides or ()))
    from evo.console.search import search_and_show, show_plan
    from evo.console.seeds import search_seeds
    from evo.recipe import as_toml

    begin("estimating the cost" if dry_run else None)
    if dry_run:
        show_plan(settings, console, seeds, is_timed=made is not None)
        return

    def searched(seeded: Settings) -> Result:
        text = None if made is None else as_toml({**made, "seed": seeded.seed})
        return search_and_show(seeded, None, console, as_json, text, progress_console())

    search_seeds(settings, seeds, searched, console, as_json)


def resume(
    run: Annotated[Path, typer.Argument(help="The folder of a run, stopped or finished.", show_default=False)],
    ray_address: Address = None,
    workers: Workers = None,
    pool: PoolName = None,
    generations: Annotated[int | None, typer.Option(help="Extend the search to this many generations.")] = None,
    as_json: Json = False,
    fork: Annotated[bool, typer.Option("--fork", help="Continue a copy, though another version began it.")] = False,
    before_record: Annotated[
        int | None,
        typer.Option(min=1, help="Drop a damaged record of the journal and all after it; intact scores stay known."),
    ] = None,
) -> None:
    """Continue a run that was stopped, or extend one; nothing that was evaluated is evaluated again.

    Of a run that has ended the result is shown again.
    """
    one_thread()
    keep_stdout_for_results(as_json)
    from evo.console.search import search_and_show, show_result
    from evo.experiment.search import finished
    from evo.kinds import Kind, check_is_search, kind_of
    from evo.recipe import as_begun, validate_as
    from evo.settings import Settings
    from evo.storage import header
    from evo.storage.checkpoint import cut

    begin()
    recipe = header.recipe_of(run.resolve(), generations, before_record)
    if as_json:
        check_is_search(run, recipe, "--json")

    def begun(model: type[_SettingsT]) -> tuple[_SettingsT, Path]:
        """The settings to go on by, and the folder to go on in: the run's, or a copy.

        A journal is cut once nothing more can be refused.
        """
        settings = placed(validate_as(model, recipe), ray_address, workers, pool)
        if before_record is not None:
            cut(run, before_record)
        return settings, header.fork(run.resolve(), partial(validate_as, model)) if fork else run.resolve()

    kind = kind_of(recipe)
    if kind is Kind.RULES:
        from evo.studies.rules.console import search_rules_and_show
        from evo.studies.rules.study import RuleSettings

        search_rules_and_show(*begun(RuleSettings), console, progress_console())
        return
    if kind is Kind.PROXIES:
        from evo.studies.proxies.console import study_and_show
        from evo.studies.proxies.study import StudySettings

        study_and_show(*begun(StudySettings), console, progress_console())
        return
    if kind is Kind.FIGURE:
        from evo.studies.figures.console import draw_and_show
        from evo.studies.figures.settings import FigureSettings

        draw_and_show(*begun(FigureSettings), console, progress_console())
        return
    found = finished(run) if (generations, before_record) == (None, None) and not fork else None
    if found is not None:
        progress_console().print("The search has ended: nothing is left to do. It found:")
        show_result(found, as_begun(recipe), console, is_filed=False, as_json=as_json)
        return
    search_and_show(*begun(Settings), console, as_json, progress_on=progress_console())


def tune(
    recipe: Annotated[Path, typer.Argument(help="A recipe (TOML), or a run's folder.", show_default=False)],
    family: Annotated[
        str, typer.Option(help="A hand-derived family.", autocompletion=tuned_families)
    ] = "parallel_butterfly",
    overrides: Overrides = None,
    ray_address: Address = None,
    workers: Workers = None,
    as_json: Json = False,
) -> None:
    """Find a hand-derived family's best member at a recipe's budget (Optuna)."""
    keep_stdout_for_results(as_json)
    from evo.console.progress import ProgressDisplay
    from evo.experiment.compare import for_tuning, tuning
    from evo.experiment.plan import plan_of_tuning
    from evo.report.numbers import significant
    from evo.report.tables import trials_table
    from evo.storage.names import BASELINES

    begin("starting workers", say=True)
    if family not in BASELINES:
        raise ValueError(f"family {family!r} is not tuned; {', '.join(BASELINES)} are")
    settings = placed(for_tuning(recipe, overrides or ()), ray_address, workers)
    phases = plan_of_tuning(settings, family)
    status.stop()
    with ProgressDisplay(settings, progress_console(), phases) as progress:
        trials, best = tuning(settings, family, progress)
    if as_json:
        error = {"test_error": best.error.mean, "test_error_interval": [best.error.low, best.error.high]}
        tried = [{"member": one.expression, "error": one.score and one.error} for one in trials]
        print(json.dumps({"member": best.label, **error, "trials": tried}))
        return
    console.print(trials_table(trials))
    console.print(
        f"best, ranked at full fidelity: [bold]{best.label}[/bold]\n"
        f"test error {significant(best.error.mean)} ({significant(best.error.low)} to {significant(best.error.high)})",
        soft_wrap=True,
    )


def proxies(
    recipe: ProxiesRecipe,
    overrides: Overrides = None,
    ray_address: Address = None,
    workers: Workers = None,
    pool: PoolName = None,
) -> None:
    """Study how well scores that need no target matrices predict the error, and what they cost."""
    one_thread()
    from evo.recipe import load_as
    from evo.studies.proxies.console import study_and_show
    from evo.studies.proxies.study import StudySettings

    begin()
    settings = placed(load_as(StudySettings, recipe, overrides or ()), ray_address, workers, pool)
    study_and_show(settings, None, console, progress_console())


def _is_of_rules(recipe: Path) -> bool:
    """Whether a recipe names several cases; what is no recipe is left to whoever reads it whole."""
    from evo.kinds import Kind, kind_of
    from evo.shipped import recipe_file

    try:
        return kind_of(tomllib.loads(recipe_file(recipe).read_text(encoding="utf-8-sig"))) is Kind.RULES
    except (OSError, ValueError):
        return False


def _search_rules(
    recipe: Path, overrides: Sequence[str], address: str | None, workers: int | None, pool: str | None
) -> None:
    one_thread()
    from evo.recipe import load_as
    from evo.studies.rules.console import search_rules_and_show
    from evo.studies.rules.study import RuleSettings

    begin()
    settings = placed(load_as(RuleSettings, recipe, overrides), address, workers, pool)
    search_rules_and_show(settings, None, console, progress_console())


def _load(recipe: Path | None, data: str | None, given: Mapping[str, Any], overrides: Sequence[str]) -> Settings:
    """The settings of a recipe; ValueError where there is none, or options that are for searches without one."""
    if recipe is None:
        raise ValueError(
            "say what to search for: a recipe, `evofabric search runs/quick.toml`, or data, `evofabric search --data "
            "mine.npz --hidden 256,256 --density 0.1`"
        )
    if data is not None:
        raise ValueError(
            f"--data makes a recipe of its own: leave {recipe} out, or give it other data, with --set "
            f"training.data={data}"
        )
    if given:
        raise ValueError(f"{', '.join(given)}: only with --data; a recipe's settings are changed with --set")
    from evo.recipe import load

    return load(recipe, overrides)


def _for_data(
    data: str, given: Mapping[str, Any], overrides: Sequence[str], place: Callable[[Settings], Settings], seeds: int
) -> tuple[Settings, Mapping[str, Any]]:
    """The settings of a search on data that ends in time, and the recipe's plain values; says what was chosen."""
    options = {name.removeprefix("--"): value for name, value in given.items() if name != "--hidden"}
    from evo.console.for_data import show_choice
    from evo.experiment.for_data import Wanted, chosen
    from evo.experiment.plan import planned_workers
    from evo.recipe import overridden, validate

    wanted = Wanted(data, widths(given.get("--hidden")), **options)
    cores = planned_workers(place(validate({"cluster": overridden({}, overrides).get("cluster", {})})))
    begin("reading the data and timing a training step", say=True)
    found = chosen(wanted, cores, overrides)
    show_choice(found, cores, console, seeds)
    return place(found.settings), found.values
