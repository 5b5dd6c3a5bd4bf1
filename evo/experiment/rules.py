"""The rules by which a loop of a run breeds: its recipe's, completed by what the tuned baseline is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from evo.algorithm.inheritance import Grid
from evo.algorithm.nsga2 import Policy, Rules
from evo.experiment.initial_population import initial_population
from evo.experiment.tune import Trial
from evo.settings import Settings
from evo.storage.results import Chosen
from evo.storage.run import Run
from evo.variation.bounds import Bounds
from evo.variation.space import Space


def rules_of(
    run: Run[Settings],
    policy: Policy,
    trials: Mapping[str, Sequence[Trial]],
    baseline: Chosen,
    space: Space | None = None,
) -> Rules:
    """A loop's rules: the recipe's, with the tuned baseline's depth, width and edges for bounds that it leaves out.

    A baseline of one layer (of a prime size) would leave nothing to search: then a usual depth bounds the search.
    """
    settings, best = run.settings, baseline.finalist.topology
    asked, fidelity, sizes, layout = settings.bounds, settings.fidelity, settings.sizes, settings.layout
    ends = [*(end for size in sizes for end in size), *(most for _, most in (layout.widths if layout else ()))]
    bounds = Bounds(
        budget=settings.budget,
        max_depth=asked.max_depth
        or (best.depth if best.depth > len(sizes) else len(sizes) * 2 * best.n_in.bit_length()),
        max_width=asked.max_width or max(2 * max(ends), *best.widths),
        max_edges=asked.max_edges or max(best.n_edges, settings.budget),
        connected=settings.connected,
    )
    own = {name: run.given[name] for name in settings.initial_population}
    return Rules(
        policy=policy,
        n_in=settings.n_in,
        n_out=settings.n_out,
        bounds=bounds,
        offspring=settings.loop.offspring,
        population=settings.loop.population,
        elite=settings.fidelity.finalists,
        limits=(max(best.n_edges, settings.budget), best.depth if best.depth > len(sizes) else bounds.max_depth),
        initial_population=initial_population(
            trials, own, bounds, settings.n_in, settings.n_out, settings.seed, layout
        ),
        seed=settings.seed,
        layout=layout,
        space=space,
        grid=Grid(fidelity.rates, fidelity.weight_decays) if fidelity.inherit_rates else None,
    )
