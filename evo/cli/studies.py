"""The command that draws a figure from a recipe: study."""

from __future__ import annotations

from evo.cli.options import Address, FigureRecipe, Overrides, PoolName, Workers, one_thread, placed
from evo.cli.terminal import begin, console, progress_console


def study(
    recipe: FigureRecipe,
    overrides: Overrides = None,
    ray_address: Address = None,
    workers: Workers = None,
    pool: PoolName = None,
) -> None:
    """Score the series of a recipe, and draw their errors: the paper's figures, or your own."""
    one_thread()
    from evo.recipe import load_as
    from evo.studies.figures.console import draw_and_show
    from evo.studies.figures.settings import FigureSettings

    begin()
    settings = placed(load_as(FigureSettings, recipe, overrides or ()), ray_address, workers, pool)
    draw_and_show(settings, None, console, progress_console())
