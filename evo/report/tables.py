"""Results as tables for the terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from rich import box
from rich.table import Table

from evo.experiment.plan import Phase
from evo.experiment.search import Result
from evo.experiment.tune import Trial
from evo.report.listing import RunSummary
from evo.storage.results import Interval, Row, interval
from topologies.families import FAMILIES
from topologies.families.family import SHARED
from topologies.measures import Spread, summarise
from topologies.topology import Topology

_BETTER, _WORSE, _LEVEL = "green", "red", "yellow"


def final_table(rows: Sequence[Row], baseline: str) -> Table:
    """The rows on held-out targets, with each one's paired difference from the row ``baseline``."""
    targets = len(rows[0].errors)
    table = Table(
        title=f"Relative error on {targets} held-out targets (smaller is better)",
        title_justify="left",
        caption="difference: from the baseline, paired over the targets, with its 95 % interval",
        caption_justify="left",
        box=box.SIMPLE_HEAD,
    )
    table.add_column("topology")
    for heading in ("trainable", "edges", "depth", "error", "difference"):
        table.add_column(heading, justify="right", no_wrap=True)
    for row in rows:
        lines = [f"[bold]{row.kind}[/bold]" if row is rows[0] else row.kind]
        lines += [f"[dim]{row.label}[/dim]"] * bool(row.label)
        lines += ["[dim]some pairs unconnected[/dim]"] * (not row.topology.is_connected)
        table.add_row(
            "\n".join(lines),
            str(row.topology.n_trainable),
            str(row.topology.n_edges),
            str(row.topology.depth),
            f"{row.error.mean:.4f}",
            "the baseline" if row.kind == baseline else _difference(row),
        )
    return table


def verdict(rows: Sequence[Row]) -> str:
    """In words, what the first row's comparison with every other row says."""
    first, others = rows[0], rows[1:]
    beaten: list[str] = []
    level: list[str] = []
    lost: list[str] = []
    for other in others:
        difference = _paired(first, other)
        (beaten if difference.high < 0 else lost if difference.low > 0 else level).append(other.kind)
    parts = [
        f"{words} {', '.join(kinds)}"
        for words, kinds in (
            ("is better than", beaten),
            ("is not told apart from", level),
            ("[bold]does not beat[/bold]", lost),
        )
        if kinds
    ]
    return f"The {first.kind} {'; it '.join(parts)} (paired, 95 %)."


def trials_table(trials: Sequence[Trial], most: int = 12) -> Table:
    """The best trials of a family on the search stream."""
    table = Table(title=f"The best of {len(trials)} members tried, on the search stream", title_justify="left")
    table.add_column("member")
    for heading in ("trainable", "edges", "depth", "error", "rate"):
        table.add_column(heading, justify="right")
    for trial in trials[:most]:
        topology, score = trial.topology, trial.score
        rate = f"{score.rate:g}" if score and score.rate else ""
        numbers = (topology.n_trainable, topology.n_edges, topology.depth)
        table.add_row(trial.expression, *map(str, numbers), f"{trial.error:.4f}", rate)
    return table


def families_table() -> Table:
    """Every family with its own parameters and an example; below, the parameters that most families share."""
    table = Table(title="Families of topologies", title_justify="left", show_lines=True, caption_justify="left")
    table.add_column("family", overflow="fold")
    table.add_column("parameters", overflow="fold")
    table.add_column("example", no_wrap=True)
    for family in FAMILIES.values():
        own = {name: meaning for name, meaning in family.parameters.items() if SHARED.get(name) != meaning}
        table.add_row(f"[bold]{family.name}[/bold]\n{family.summary}", _meanings(own), family.example)
    table.caption = f"Most families also take:\n{_meanings(SHARED)}"
    return table


def summary_table(name: str, topology: Topology) -> Table:
    """What can be said of a topology by counting."""
    summary = summarise(topology)
    table = Table(title=name, title_justify="left", show_header=False)
    pairs = topology.n_in * topology.n_out
    connected = "every input reaches every output"
    if summary.unconnected_pairs:
        connected = f"[red]{summary.unconnected_pairs} of {pairs} input-output pairs are not connected[/red]"
    frozen = f"{summary.frozen_entries} of {pairs}: no trainable edge reaches them; error at least "
    for label, value in (
        ("digest", topology.digest),
        ("widths", " ".join(map(str, summary.widths))),
        ("edges", f"{summary.n_edges}: {summary.n_trainable} trainable, {summary.n_constant} constant"),
        ("fan-in, by layer", ", ".join(_spread(fans.fan_in) for fans in summary.fans)),
        ("fan-out, by layer", ", ".join(_spread(fans.fan_out) for fans in summary.fans)),
        ("connectivity", connected),
        ("frozen entries", frozen + f"{summary.frozen_lower_bound:.4f}" if summary.frozen_entries else "none"),
    ):
        table.add_row(label, value)
    return table


def plan_table(phases: Sequence[Phase]) -> Table:
    """What a search will evaluate."""
    table = Table(title="What will be evaluated", title_justify="left")
    table.add_column("phase")
    for heading in ("evaluations", "targets", "steps", "rates"):
        table.add_column(heading, justify="right")
    for phase in phases:
        fidelity = phase.fidelity
        numbers = (phase.evaluations, fidelity.targets, fidelity.steps, len(fidelity.rates))
        table.add_row(phase.name, *map(str, numbers))
    return table


def runs_table(runs: Sequence[RunSummary]) -> Table:
    """A folder's runs; of finished ones the held-out error, of others the best on the search stream so far."""
    table = Table(title="Runs", title_justify="left", box=box.SIMPLE_HEAD, padding=(0, 0))
    table.add_column("run", no_wrap=True)
    table.add_column("state")
    for heading in ("error", "of baseline's"):
        table.add_column(heading, justify="right")
    table.add_column("digest")
    for run in runs:
        ratio = f"{run.best / run.baseline:.1%}" if run.best and run.baseline else ""
        table.add_row(run.name, run.state, _error(run.best), ratio, (run.digest or "")[:8])
    return table


def spread_table(rows_by_seed: Mapping[int, Sequence[Row]]) -> Table:
    """One column a seed and the mean over seeds, one row a kind of topology; held-out errors."""
    table = Table(title="Held-out error by seed", title_justify="left")
    table.add_column("topology")
    for seed in rows_by_seed:
        table.add_column(f"seed {seed}", justify="right")
    for heading in ("mean", "standard deviation"):
        table.add_column(heading, justify="right")
    for kind in dict.fromkeys(row.kind for rows in rows_by_seed.values() for row in rows):
        found = {seed: row.error.mean for seed, rows in rows_by_seed.items() for row in rows if row.kind == kind}
        errors = list(found.values())
        deviation = f"{np.std(errors, ddof=1):.4f}" if len(errors) > 1 else ""
        table.add_row(kind, *(_error(found.get(seed)) for seed in rows_by_seed), f"{np.mean(errors):.4f}", deviation)
    return table


def how_to_use(result: Result) -> str:
    """The champion's path, how a model uses it, the digest, and where to look at the run."""
    ends = result.champion
    return f"""
Champion: [bold]{result.champion_file}[/bold]

    from topologies import SparseCascade
    layer = SparseCascade("{result.champion_file}")
    y = layer(x)  # layer stands in for torch.nn.Linear({ends.n_in}, {ends.n_out}); x: (..., {ends.n_in})

Result digest: {result.digest}
Look at the run in MLflow: [bold]make ui[/bold], or evofabric ui --runs "{result.folder.parent}"
"""


def _meanings(parameters: Mapping[str, str]) -> str:
    return "\n".join(f"[bold]{name}[/bold]: {meaning}" for name, meaning in parameters.items())


def _paired(first: Row, second: Row) -> Interval:
    """The mean difference (first - second) over the same targets."""
    return interval(np.subtract(first.errors, second.errors))


def _error(value: float | None) -> str:
    return "" if value is None else f"{value:.4f}"


def _spread(spread: Spread) -> str:
    return str(spread.least) if spread.least == spread.most else f"{spread.least}-{spread.most}"


def _difference(row: Row) -> str:
    if row.difference is None:
        return ""
    colour = _BETTER if row.difference.high < 0 else _WORSE if row.difference.low > 0 else _LEVEL
    half = (row.difference.high - row.difference.low) / 2
    return f"[{colour}]{row.difference.mean:+.4f} ± {half:.4f}[/{colour}]"
