"""What a search without a recipe chose, in a few lines, before it begins."""

from __future__ import annotations

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from evo.experiment.for_data import MadeRecipe
from evo.experiment.plan import plan
from evo.report.numbers import significant
from topologies.stack import each_size


def show_choice(chosen: MadeRecipe, workers: int, console: Console, seeds: int = 1) -> None:
    """Print data, sizes, epochs, candidates, the grid and the expected time of a search with each of so many seeds."""
    settings, fidelity = chosen.settings, chosen.settings.fidelity
    training = settings.training
    assert training is not None and training.hidden is not None and settings.found is not None
    layers = each_size(settings.sizes, " and ")
    dense = sum(n_in * n_out for n_in, n_out in settings.sizes)
    together = " together" if len(settings.sizes) > 1 else ""
    outputs = settings.found.outputs or 0
    others = sum(training.hidden) + training.hidden[-1] * outputs + outputs
    bred = sum(phase.evaluations for phase in plan(settings) if phase.name.startswith("evolution"))
    drawn = f"; drawn from the file: at most {training.examples}" if training.examples is not None else ""
    ended = f"{training.folds}-fold cross-validation" if training.folds else f"{fidelity.test_targets} test trainings"
    alone = len(fidelity.validation_rates) == 1
    why = "which want more rates" if alone else "which would take long (--set training.dense=true)"
    is_wanted = training.dense or chosen.is_dense_slow
    compared = f"; no row of dense layers, {why}" if is_wanted and not settings.trains_dense else ""
    of_each = f", {chosen.expected_minutes:.0f} for each of {seeds} seeds" if seeds > 1 else ""
    shown = Table.grid(padding=(0, 2))
    shown.add_column(style="bold", no_wrap=True)
    shown.add_column(overflow="fold")
    for name, told in (
        ("data", f"{training.data}: {settings.found.about}{drawn}"),
        (
            "layers",
            f"{layers}, {settings.budget} trainable edges{together}: {settings.budget / dense:.1%} of {dense}; "
            f"{others} more parameters in biases and a dense head",
        ),
        ("timed", f"{significant(chosen.seconds_per_epoch, 2)} s an epoch on one core"),
        ("candidates", f"{bred}, and as many at random; {fidelity.steps} epochs at rate {_listed(fidelity.rates)}"),
        (
            "finalists",
            f"{fidelity.finalists} of each kind, {fidelity.validation_steps} epochs at rates "
            f"{_listed(fidelity.validation_rates)} x decays {_listed(fidelity.validation_weight_decays)}; "
            f"{ended}{compared}",
        ),
        (
            "expected",
            f"{seeds * chosen.expected_minutes:.0f} minutes on {workers} core{'s' * (workers > 1)}{of_each} "
            "(--minutes changes it)",
        ),
    ):
        shown.add_row(name, escape(told))
    console.print(shown)


def _listed(values: tuple[float, ...]) -> str:
    return ", ".join(f"{value:g}" for value in values)
