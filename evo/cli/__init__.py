"""The ``evofabric`` command: a thin shell over the Python functions."""

from __future__ import annotations

import io
import logging
import signal
import sys
import traceback
from collections.abc import Callable
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from evo.cli.experiments import proxies, resume, search, tune
from evo.cli.recipes import init, settings
from evo.cli.results import compare, report, runs, track, ui
from evo.cli.studies import study
from evo.cli.switches import telling_as_much_as_wanted
from evo.cli.terminal import WarningHandler, status, wordiness
from evo.cli.topology import export, families, generalise, score, show, verify
from topologies.extras import needed_by


class _Commands(TyperGroup):
    """The commands, of which each shows at once that it is at work, and says a word when it is stopped."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command that was asked for."""
        try:
            with status, needed_by(f"evofabric {ctx.invoked_subcommand or ''}".strip()):
                return super().invoke(ctx)
        except KeyboardInterrupt:
            print("evofabric: interrupted", file=sys.stderr)
            raise SystemExit(130) from None


app = typer.Typer(
    name="evofabric",
    cls=_Commands,
    help="Find the sparse topology that trains best, before training.",
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
)


def _show_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        print(f"evofabric {version('evofabric')}")
        raise typer.Exit


@app.callback()
def about(
    version: Annotated[
        bool, typer.Option("--version", is_eager=True, callback=_show_version, help="Show the version and exit.")
    ] = False,
) -> None:
    """Find the sparse topology that trains best, before training."""


_EXAMPLES: dict[Callable[..., None], str] = {
    init: "init mine.toml --size 64x48 --density 0.3",
    search: "search --data mine.npz --hidden 256 --density 0.1",
    resume: "resume runs/quick-32x32-b640-s1-20260102-030405",
    tune: "tune runs/quick.toml --family clos --set budget=320",
    score: 'score champion.safetensors "clos(32, 8, 6, 8)"',
    verify: "verify runs/quick-32x32-b640-s1-20260102-030405",
    generalise: "generalise runs/quick-32x32-b640-s1-20260102-030405 --size 48x48 --edges 1440",
    families: "families",
    show: 'show "torus((8, 4), 5)" "butterfly(32, 10)" --controllability k.png',
    proxies: "proxies runs/proxies.toml --set sample_size=20",
    study: "study runs/fig3.toml",
    export: "export champion.safetensors masks.npz",
    runs: "runs",
    report: "report runs/quick-32x32-b640-s1-20260102-030405",
    compare: "compare runs/quick-32x32-b640-s1-20260102-030405 runs/quick-32x32-b640-s2-20260102-031405",
    settings: "settings",
    ui: "ui --port 5001",
    track: "track runs/quick-32x32-b640-s1-20260102-030405",
}
"""Every command with an example of its use, in the order in which ``evofabric --help`` lists them."""

for _command, _example in _EXAMPLES.items():
    app.command(epilog=f"Example: [bold]evofabric {_example}[/bold]")(telling_as_much_as_wanted(_command))


def main() -> None:
    """Run the command line. Mistakes of the user are one line and exit code 2; a stop is a word and exit code 130.

    Until a command says that it begins (:func:`evo.cli.terminal.begin`), whoever calls this decides what a signal
    does: nothing is there yet that would have to be ended in order.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # what a terminal cannot show must not end a search
    logging.basicConfig(level=logging.WARNING, format="%(message)s", handlers=[WarningHandler(logging.WARNING)])
    try:
        app(prog_name="evofabric")
    except (ValueError, OSError, ModuleNotFoundError) as error:
        if wordiness.verbose:
            traceback.print_exc()
        print(f"evofabric: {error}", file=sys.stderr)
        sys.exit(2)
    finally:
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_IGN)  # what libraries do at the end is not to be cut off
