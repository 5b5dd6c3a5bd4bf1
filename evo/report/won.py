"""What a champion saves beside the baseline: multiply-accumulates, depth, and trainable edges at equal error."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from evo.report.numbers import ratio
from evo.storage import names
from evo.storage.history import History
from evo.storage.names import BASELINES
from evo.storage.results import FinalTable, Verdict


def edges_for(curve: Sequence[tuple[int, float]], times: float) -> float | None:
    """Trainable edges at which a family has so many times the error that its best member has.

    Parameters
    ----------
    curve:
        Trainable edges and error of members. Those count that have a smaller error than all with fewer edges and at
        least half as many edges as the best; the logarithm of the error is taken to be linear in the edges.
    times:
        Of the best member's error: below 1 the answer is beyond the curve, an extrapolation.

    Returns
    -------
    None where fewer than two members say anything, or errors are not positive.
    """
    best: list[tuple[int, float]] = []
    for edges, error in sorted(curve):
        if error > 0 and (not best or error < best[-1][1]):
            best = [*[one for one in best if one[0] < edges], (edges, error)]
    near = [one for one in best if 2 * one[0] >= best[-1][0]]
    if len(near) < 2 or times <= 0:
        return None
    edges, errors = np.array(near, dtype=np.float64).T
    slope = np.polyfit(edges - edges[-1], np.log(errors), 1)[0]
    return float(edges[-1] + np.log(times) / slope)


def won_in_words(history: History, table: FinalTable) -> str:
    """The champion's multiply-accumulates and depth beside the baseline's, and the trainable edges that the baseline's
    family would need for the champion's error, where that is better and the members' errors in the search say.
    """
    champion, baseline = table.first.topology, table.baseline.topology
    told = (
        f"It takes {champion.n_edges} multiply-accumulates an example (the baseline {baseline.n_edges}) in "
        f"{champion.depth} layers ({baseline.depth})."
    )
    family = next((family for family, row in BASELINES.items() if row == table.baseline_name), None)
    share = ratio(table.first.error.mean, table.baseline.error.mean)
    is_better = table.verdicts[table.baseline_name] is Verdict.BETTER
    if family is None or share is None or not 0 < share < 1 or not is_better or table.is_staged:
        return told
    trials = history.scores(names.tuning(family))
    curve = [(one.n_trainable, one.error) for one in trials if one.score is not None]
    needed = edges_for(curve, share)
    more = 0.0 if needed is None else needed - champion.n_trainable
    if needed is None or more < 1:
        return told  # the baseline may have fewer trainable edges than the budget
    return (
        f"{told} By its own curve over budgets, carried on, the {table.baseline_name} would need about {needed:.0f} "
        f"trainable edges for this error: {more:.0f} more."
    )
