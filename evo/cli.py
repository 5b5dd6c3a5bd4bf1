"""The ``evofabric`` command: a thin shell over the Python functions."""

from __future__ import annotations

import io
import logging
import os
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar

import typer
from rich.console import Console
from typer.core import TyperGroup

from evo.console.interrupts import begin

if TYPE_CHECKING:
    from evo.settings import RunSettings, Settings
    from evo.storage.records import RunEvent

_SettingsT = TypeVar("_SettingsT", bound="RunSettings")


class _Commands(TyperGroup):
    """The commands, of which each shows at once that it is at work, and says a word when it is stopped."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command that was asked for."""
        try:
            with status:
                return super().invoke(ctx)
        except KeyboardInterrupt:
            print("evofabric: interrupted", file=sys.stderr)
            raise SystemExit(130) from None


app = typer.Typer(
    name="evofabric",
    cls=_Commands,
    help="Find the sparse topology that trains best, before training.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
)
console = Console(highlight=False)
status = console.status("loading ...")
"""A line that lives while a command loads what it needs and, where it has no other display, while it works."""


class _WarningHandler(logging.Handler):
    """Prints warnings above the progress bar, if there is one."""

    def emit(self, record: logging.LogRecord) -> None:
        console.print(self.format(record), style="yellow", markup=False, soft_wrap=True)


Recipe = Annotated[Path, typer.Argument(help="A recipe (TOML), for example runs/quick.toml.", show_default=False)]
Overrides = Annotated[
    list[str] | None, typer.Option("--set", help="Change a setting: --set budget=320 --set loop.generations=10.")
]
Address = Annotated[str | None, typer.Option("--ray-address", help="Join a Ray cluster: auto or HOST:PORT.")]
Workers = Annotated[int | None, typer.Option(min=1, help="Evaluators at work; by default one a core.")]
PoolName = Annotated[
    Literal["ray", "in-process"] | None, typer.Option("--pool", help="Evaluate in Ray actors or in this process.")
]
Names = Annotated[
    list[str],
    typer.Argument(
        metavar="X...", help="Files, runs' folders, family expressions or models:/NAME.", show_default=False
    ),
]
Runs = Annotated[Path, typer.Option("--runs", help="The folder of results.")]


def main() -> None:
    """Run the command line. Mistakes of the user are one line and exit code 2; a stop is a word and exit code 130.

    Until a command says that it begins (:func:`evo.console.interrupts.begin`), whoever calls this decides what a
    signal does: nothing is there yet that would have to be ended in order.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # what a terminal cannot show must not end a search
    logging.basicConfig(level=logging.WARNING, format="%(message)s", handlers=[_WarningHandler(logging.WARNING)])
    try:
        app(prog_name="evofabric")
    except (ValueError, OSError) as error:
        print(f"evofabric: {error}", file=sys.stderr)
        sys.exit(2)
    finally:
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_IGN)  # what libraries do at the end is not to be cut off


@app.command(epilog="Example: [bold]evofabric search runs/quick.toml --set seed=2[/bold]")
def search(
    recipe: Recipe,
    overrides: Overrides = None,
    ray_address: Address = None,
    workers: Workers = None,
    pool: PoolName = None,
    seeds: Annotated[int, typer.Option(min=1, help="Repeat over this many seeds and report the spread.")] = 1,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show settings and an estimate of the cost.")] = False,
) -> None:
    """Search for the best topology: tune the baseline, evolve, compare on test targets."""
    settings = _settings(recipe, overrides, ray_address, workers, pool)
    from evo.console.search import search_and_show, show_plan

    _begin("estimating the cost" if dry_run else None)
    if dry_run:
        show_plan(settings, console)
        return
    tables = {
        seed: search_and_show(settings.model_copy(update={"seed": seed}), None, console).table
        for seed in range(settings.seed, settings.seed + seeds)
    }
    if seeds > 1:
        from evo.report.tables import spread_table

        console.print(spread_table(tables))


@app.command(epilog="Example: [bold]evofabric resume runs/quick-32x32-b640-s1-20260102-030405[/bold]")
def resume(
    run: Annotated[Path, typer.Argument(help="The folder of a run that was stopped.", show_default=False)],
    ray_address: Address = None,
    workers: Workers = None,
    pool: PoolName = None,
    generations: Annotated[int | None, typer.Option(help="Extend the search to this many generations.")] = None,
    fork: Annotated[bool, typer.Option("--fork", help="Continue a copy, though another version began it.")] = False,
    before_record: Annotated[
        int | None, typer.Option(help="Drop a damaged record of the journal and all after it.")
    ] = None,
) -> None:
    """Continue a run that was stopped, or extend one; nothing that was evaluated is evaluated again."""
    _one_thread()
    from evo.console.search import search_and_show
    from evo.settings import validate, validate_as
    from evo.storage import header
    from evo.storage.checkpoint import cut

    _begin()
    if before_record is not None:
        cut(run, before_record)
    folder = header.fork(run.resolve()) if fork else run.resolve()
    recipe = header.recipe_of(folder, generations)
    if "budgets" in recipe:
        from evo.studies.proxies.console import study_and_show
        from evo.studies.proxies.study import StudySettings

        study_and_show(_placed(validate_as(StudySettings, recipe), ray_address, workers, pool), folder, console)
        return
    settings = validate(recipe)
    search_and_show(_placed(settings, ray_address, workers, pool), folder, console)


@app.command(epilog="Example: [bold]evofabric tune runs/quick.toml --family clos --set budget=320[/bold]")
def tune(
    recipe: Recipe,
    family: Annotated[str, typer.Option(help="A hand-derived family.")] = "parallel_butterfly",
    overrides: Overrides = None,
    ray_address: Address = None,
    workers: Workers = None,
) -> None:
    """Find a hand-derived family's best member at a recipe's budget (Optuna)."""
    from evo.experiment.compare import tuning
    from evo.report.numbers import significant
    from evo.report.tables import trials_table
    from evo.storage.names import BASELINES

    _begin("starting workers", say=True)
    if family not in BASELINES:
        raise ValueError(f"family {family!r} is not tuned; {', '.join(BASELINES)} are")
    settings = _settings(recipe, overrides, ray_address, workers)
    trials, best = tuning(settings, family, _quiet)
    console.print(trials_table(trials))
    console.print(
        f"best, ranked at full fidelity: [bold]{best.label}[/bold], test error {significant(best.error.mean)} "
        f"({significant(best.error.low)} to {significant(best.error.high)})"
    )


@app.command(epilog='Example: [bold]evofabric score champion.safetensors "clos(32, 8, 6, 8)"[/bold]')
def score(
    names: Names,
    overrides: Overrides = None,
    ray_address: Address = None,
    workers: Workers = None,
) -> None:
    """Compare topologies with the tuned baseline on test targets."""
    from evo.experiment.compare import scores
    from evo.report.tables import comparison_table
    from evo.report.text import words_of
    from evo.settings import overridden, validate
    from evo.tracking.registry import resolve

    _begin("starting workers", say=True)
    found = [resolve(name) for name in names]
    if len({(one.n_in, one.n_out) for one in found}) > 1:
        sizes = ", ".join(f"{name} is {one.n_in} x {one.n_out}" for name, one in zip(names, found, strict=True))
        raise ValueError(f"only topologies of one size can be compared: {sizes}")
    size = {"n_in": found[0].n_in, "n_out": found[0].n_out, "budget": max(one.n_trainable for one in found)}
    settings = _placed(validate(overridden(size, overrides or ())), ray_address, workers)
    topologies = dict(zip(names, found, strict=True))
    console.print(comparison_table(scores(settings, topologies, _quiet), words_of(settings.evaluator)))


@app.command(epilog="Example: [bold]evofabric verify runs/quick-32x32-b640-s1-20260102-030405[/bold]")
def verify(
    file: Annotated[Path, typer.Argument(help="A run's folder or champion file.", show_default=False)],
) -> None:
    """Train a champion again on its test targets and compare with what its file says; exit code 1 if it differs."""
    from evo.experiment.compare import verify as verified

    _begin("training the champion again", say=True)
    found = verified(file)
    stated = found.stated_interval
    console.print(f"stated    {found.stated:.6f}  (95 % interval {stated.low:.6f} to {stated.high:.6f})")
    console.print(f"found     {found.found.mean:.6f}")
    if not found.agrees:
        console.print("[red]The error found lies outside the stated interval.[/red]")
        raise typer.Exit(1)
    exact = "to the last bit" if found.found.mean == found.stated else "within the stated interval"
    console.print(f"[green]They agree {exact}.[/green]")


@app.command(epilog="Example: [bold]evofabric families[/bold]")
def families() -> None:
    """List the families of topologies, their parameters and an example of each."""
    from evo.report.tables import families_table

    _begin("listing")
    console.print(families_table())


@app.command(
    epilog='Example: [bold]evofabric show "torus((8, 4), 5)" "butterfly(32, 10)" --controllability k.png[/bold]'
)
def show(
    names: Names,
    out: Annotated[Path, typer.Option(help="Folder for the pictures of layers and masks.")] = Path(),
    controllability: Annotated[
        Path | None, typer.Option(help="Draw K, control of each input at each output, side by side to this file.")
    ] = None,
    errors: Annotated[
        Path | None, typer.Option(help="Draw the error of every entry beside K to this file; trains for seconds.")
    ] = None,
    spectrum: Annotated[Path | None, typer.Option(help="Draw the tangent spaces' Gram spectra to this file.")] = None,
    requirements: Annotated[
        bool, typer.Option("--requirements", help="Print how it stands to the paper's requirements (VII-E).")
    ] = False,
    reading: Annotated[
        Literal["uniform", "trained", "fair"], typer.Option(help="How K is read; the last two are trained.")
    ] = "uniform",
) -> None:
    """Print what topologies are, and draw their layers and masks to PNG, or what else is asked for."""
    from evo.console.show import draw_each, draw_together
    from evo.report.tables import requirements_table, summary_table
    from evo.tracking.registry import resolve

    _begin("measuring and drawing")
    topologies = {name: resolve(name) for name in names}
    for name, topology in topologies.items():
        console.print(summary_table(name, topology))
        if requirements:
            console.print(requirements_table(name, topology))
    asked = any((controllability, errors, spectrum))
    together = draw_together(topologies, controllability, errors, spectrum, reading)
    for path in together if asked else draw_each(topologies, out):
        console.print(f"drawn to {path}")


@app.command(epilog="Example: [bold]evofabric proxies runs/proxies.toml --set specimens=20[/bold]")
def proxies(
    recipe: Recipe,
    overrides: Overrides = None,
    ray_address: Address = None,
    workers: Workers = None,
    pool: PoolName = None,
) -> None:
    """Study how well scores that need no target matrices predict the error, and what they cost."""
    _one_thread()
    from evo.settings import load_as
    from evo.studies.proxies.console import study_and_show
    from evo.studies.proxies.study import StudySettings

    _begin()
    study_and_show(_placed(load_as(StudySettings, recipe, overrides or ()), ray_address, workers, pool), None, console)


@app.command(epilog="Example: [bold]evofabric export champion.safetensors masks.npz[/bold]")
def export(
    name: Annotated[str, typer.Argument(metavar="X", help="A file, run's folder or expression.", show_default=False)],
    file: Annotated[
        Path, typer.Argument(help="Where to write: .npz (dense masks) or .safetensors.", show_default=False)
    ],
) -> None:
    """Write a topology as dense masks (0 absent, 1 trainable, 2 constant) or as a topology file."""
    from evo.tracking.registry import resolve
    from topologies.files import save
    from topologies.masks import save_masks

    _begin("writing")
    writers = {".npz": save_masks, ".safetensors": save}
    if file.suffix not in writers:
        raise ValueError(f"{file}: the name ends in .npz (dense masks) or .safetensors (a topology file)")
    console.print(f"written to {writers[file.suffix](resolve(name), file)}")


@app.command(epilog="Example: [bold]evofabric runs[/bold]")
def runs(folder: Runs = Path("runs")) -> None:
    """List runs: their state, best error against the baseline, and result digest."""
    from evo.report.listing import runs as listed
    from evo.report.tables import runs_table

    _begin("reading journals")
    found = listed(folder)
    console.print(
        runs_table(found) if found else f"no runs in {folder}: start one with `evofabric search runs/quick.toml`"
    )


@app.command(epilog="Example: [bold]evofabric ui --port 5001[/bold]")
def ui(folder: Runs = Path("runs"), port: int = 5000) -> None:
    """Browse runs in MLflow's web interface, on this machine only."""
    from evo.tracking.ui import serve_ui

    _begin("starting MLflow")
    serve_ui(folder, port, status.stop)


@app.command(epilog="Example: [bold]evofabric track runs/quick-32x32-b640-s1-20260102-030405[/bold]")
def track(
    run: Annotated[Path, typer.Argument(help="The folder of a run.", show_default=False)],
    uri: Annotated[str | None, typer.Option(help="Tracking server; by default the database beside the run.")] = None,
) -> None:
    """Make a run's MLflow records again from its journal; what is there already is not changed."""
    from evo.storage.history import History
    from evo.studies.proxies.report import track as track_study
    from evo.tracking.store import track as track_search

    _begin("filing", say=True)
    tracked = track_study if History.of(run).is_study else track_search
    console.print(f"tracked as MLflow run {tracked(run, uri)}")


def _settings(
    recipe: Path, overrides: list[str] | None, address: str | None, workers: int | None, pool: str | None = None
) -> Settings:
    from evo.settings import load

    return _placed(load(recipe, overrides or ()), address, workers, pool)


def _placed(settings: _SettingsT, address: str | None, workers: int | None, pool: str | None = None) -> _SettingsT:
    """The settings with the command line's word on where to evaluate."""
    if address is not None and pool == "in-process":
        raise ValueError("--ray-address joins a cluster and --pool in-process uses none: leave one of them out")
    changes: dict[str, Any] = {} if pool is None else {"pool": pool}
    if address is not None:
        changes |= {"pool": "ray", "address": address}
    if workers is not None:
        changes["workers"] = workers
    return settings.model_copy(update={"cluster": settings.cluster.model_copy(update=changes)})


def _begin(words: str | None = None, *, say: bool = False) -> None:
    """Have signals stop the work that begins now, and show what it is; None where it has a display of its own.

    Where there is no terminal the words are printed if ``say`` is set, as of work that takes more than a moment.
    """
    begin()
    if say and not console.is_terminal:
        console.print(f"{words} ...")
    if words is None:
        status.stop()
    else:
        status.update(f"{words} ...")


def _quiet(event: RunEvent) -> None:
    from evo.storage.records import PhaseStarted

    if isinstance(event, PhaseStarted):
        console.print(f"[dim]{event.phase} ...[/dim]")
        status.update(f"{event.phase} ...")


def _one_thread() -> None:
    """Compute on one core in this process, as workers do: called before numpy is loaded, which reads it once."""
    os.environ.setdefault("OMP_NUM_THREADS", "1")
