"""Results as tables for the terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from rich import box
from rich.markup import escape
from rich.table import Table

from evaluators.controllability.flow import flow_bound
from evaluators.proxies.matching import ConstraintMatching
from evaluators.proxies.registry import measure
from evo.experiment.plan import Phase
from evo.experiment.tune import Trial
from evo.report.listing import RunSummary
from evo.report.numbers import ratio, significant
from evo.report.requirements import Standing, standings
from evo.storage.results import FinalTable
from topologies.families import FAMILIES
from topologies.families.family import SHARED
from topologies.measures import Spread, path_counts, summarise
from topologies.topology import Topology


def trials_table(trials: Sequence[Trial], most: int = 12) -> Table:
    """The best trials of a family on the search split."""
    table = Table(title=f"The best of {len(trials)} members tried, on the search split", title_justify="left")
    table.add_column("member", overflow="fold")
    for heading in ("trainable", "edges", "depth", "error", "rate"):
        table.add_column(heading, justify="right", no_wrap=True)
    for trial in trials[:most]:
        topology, score = trial.topology, trial.score
        rate = f"{score.learning_rate:g}" if score and score.learning_rate else ""
        numbers = (topology.n_trainable, topology.n_edges, topology.depth)
        table.add_row(trial.expression, *map(str, numbers), significant(trial.error), rate)
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
    table = Table(title=escape(name), title_justify="left", show_header=False)
    table.add_column()
    table.add_column(overflow="fold")
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
        ("controllability", _control(topology)),
        ("frozen entries", frozen + significant(summary.frozen_lower_bound) if summary.frozen_entries else "none"),
    ):
        table.add_row(label, value)
    return table


def requirements_table(name: str, topology: Topology) -> Table:
    """The requirements of the paper's section VII-E, and how the topology stands to each; see :func:`standings`."""
    flow, pairs = flow_bound(topology), topology.n_in * topology.n_out
    reached = "reached" if flow.control else "not certified"
    matching = ConstraintMatching().analyse(topology).count
    connected = float((path_counts(topology) > 0).mean())
    of_ratios = f"of {pairs - topology.n_out} ratios of inputs at most, {reached}"
    table = Table(title=f"{escape(name)}: the paper's requirements (VII-E)", title_justify="left")
    table.add_column("requirement")
    table.add_column("found", overflow="fold")
    table.add_column("met")
    for one in (
        Standing("every pair connected (III)", f"{connected:.1%}", "of the pairs", connected == 1),
        *standings(topology, name),
        Standing("controllability (VI)", f"{flow.total}", of_ratios, None),
        Standing("matching (V-A)", f"{matching}", f"of {pairs} entries exact at once, at most", None),
    ):
        table.add_row(
            one.requirement, f"{one.number} {one.meaning}", {True: "[green]yes", False: "[red]no", None: ""}[one.is_met]
        )
    return table


def plan_table(phases: Sequence[Phase]) -> Table:
    """What a search will evaluate; phases in which there is nothing to do are left out."""
    table = Table(title="What will be evaluated", title_justify="left")
    table.add_column("phase")
    for heading in ("evaluations", "targets", "steps", "rates", "decays"):
        table.add_column(heading, justify="right")
    for phase in (one for one in phases if one.evaluations):
        fidelity = phase.fidelity
        numbers = (
            phase.evaluations,
            fidelity.targets,
            fidelity.steps,
            len(fidelity.rates),
            len(fidelity.weight_decays),
        )
        table.add_row(phase.name, *map(str, numbers))
    return table


def runs_table(runs: Sequence[RunSummary]) -> Table:
    """A folder's runs; of finished ones the test error, of others the best on the search split so far."""
    table = Table(title="Runs", title_justify="left", box=box.SIMPLE_HEAD, padding=(0, 0))
    table.add_column("run", overflow="fold")
    table.add_column("state", no_wrap=True)
    for heading in ("error", "of baseline's"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("digest", no_wrap=True)
    for run in runs:
        share = ratio(run.best, run.baseline) if run.best is not None and run.baseline else None
        of_baseline = "" if share is None else f"{share:.1%}"
        table.add_row(escape(run.name), run.state, significant(run.best), of_baseline, (run.digest or "")[:8])
    return table


@dataclass(frozen=True)
class SeedSpread:
    """The test errors of one row of the final table by seed, and over those that have it their mean and deviation."""

    name: str
    mean: float
    deviation: float | None
    errors: Mapping[int, float]


def seed_spreads(tables: Mapping[int, FinalTable]) -> list[SeedSpread]:
    """One for every row that any of the tables has; the deviation is None where there is a single error."""
    found = []
    for name in dict.fromkeys(row.name for one in tables.values() for row in one.rows):
        errors = {seed: row.error.mean for seed, one in tables.items() if (row := one.get(name))}
        values = list(errors.values())
        deviation = float(np.std(values, ddof=1)) if len(values) > 1 else None
        found.append(SeedSpread(name, float(np.mean(values)), deviation, errors))
    return found


def spread_table(tables: Mapping[int, FinalTable]) -> Table:
    """One row a kind of topology: test errors, their mean over seeds, and each seed's, in the order of the seeds."""
    table = Table(title="Test error by seed", title_justify="left")
    table.add_column("topology", overflow="fold")
    for heading in ("mean", "deviation"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column(f"seeds {', '.join(map(str, tables))}")
    for row in seed_spreads(tables):
        each = " ".join(significant(row.errors.get(seed)) or "-" for seed in tables)
        table.add_row(row.name, significant(row.mean), significant(row.deviation, 2), each)
    return table


def _meanings(parameters: Mapping[str, str]) -> str:
    return "\n".join(f"[bold]{name}[/bold]: {meaning}" for name, meaning in parameters.items())


def _control(topology: Topology) -> str:
    """Total and unfairness of uniform K (paper, section VI)."""
    ratios = topology.n_out * (topology.n_in - 1)
    try:
        total, unfairness = -measure("controllability", topology), measure("unfairness", topology)
    except ValueError as error:
        return str(error)
    return f"{total:.0f} of {ratios} ratios of inputs, unfairness {unfairness:.3f} (uniform reading)"


def _spread(spread: Spread) -> str:
    return str(spread.least) if spread.least == spread.most else f"{spread.least}-{spread.most}"
