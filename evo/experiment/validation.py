"""The honest end: finalists are ranked on the choice stream, and what is reported comes from held-out targets.

Every row of the final table goes the same way. The few best of its kind on the search stream are trained at full
fidelity on the choice stream, which picks one and its learning rate; that one is trained once on the held-out stream,
on which nothing is chosen.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from evaluators.task import Fidelity, Score, Stream
from evo.settings import FidelitySettings
from evo.storage.evaluations import Evaluations, Request
from evo.storage.results import Chosen, Finalist, Row, row


def choose(
    evaluations: Evaluations, kind: str, finalists: Sequence[Finalist], fidelity: FidelitySettings
) -> Chosen | None:
    """The best finalist at full fidelity on the choice stream, the first of equals; None if none could be evaluated.

    All are trained at every rate; the best third again on four times as many targets, at the rate that each chose.
    """
    asked = dict.fromkeys(range(len(finalists)), fidelity.choice)
    ranked = _ranked(evaluations, f"choice: {kind}", finalists, asked)
    best = list(ranked)[: heats(len(ranked))]
    if len(best) > 1:
        closer = {place: fidelity.choice.closer(4 * fidelity.full_targets, ranked[place].rate) for place in best}
        ranked = _ranked(evaluations, f"closer choice: {kind}", finalists, closer) or ranked
    return next((Chosen(finalists[place], score) for place, score in ranked.items()), None)


def heats(finalists: int) -> int:
    """How many of a number of finalists are looked at again: the best third, rounded up."""
    return -(-finalists // 3)


def _ranked(
    evaluations: Evaluations, phase: str, finalists: Sequence[Finalist], asked: Mapping[int, Fidelity]
) -> dict[int, Score]:
    """Scores on the choice stream of the finalists at the places in ``asked``, best first, failures left out."""
    requests = [
        Request(phase, place, finalists[place].topology, fidelity, Stream.CHOICE, {"label": finalists[place].label})
        for place, fidelity in asked.items()
    ]
    scores = zip(asked, evaluations.evaluate(requests), strict=True)
    found = [(place, score) for place, score in scores if score is not None]
    return dict(sorted(found, key=lambda one: (one[1].error, one[0])))


def hold_out(
    evaluations: Evaluations, chosen: dict[str, Chosen], baseline: str, fidelity: FidelitySettings
) -> tuple[Row, ...]:
    """The final table: every kind's chosen topology on the held-out targets, compared with the kind ``baseline``.

    A kind whose evaluation fails has no row.

    Raises
    ------
    ValueError
        When that is the first kind, which the table is about, or the baseline.
    """
    requests = [
        Request(
            f"held-out: {kind}",
            0,
            one.finalist.topology,
            fidelity.held_out(one.choice.rate),
            Stream.HELD_OUT,
            {"label": one.finalist.label},
        )
        for kind, one in chosen.items()
    ]
    scores = dict(zip(chosen, evaluations.evaluate(requests), strict=True))
    for kind in (next(iter(chosen)), baseline):
        if scores[kind] is None:
            raise ValueError(f"the {kind} could not be evaluated on held-out targets; the log says why")
    reference = scores[baseline]
    return tuple(
        row(
            kind,
            chosen[kind].finalist.label,
            chosen[kind].finalist.topology,
            score,
            None if kind == baseline else reference,
        )
        for kind, score in scores.items()
        if score is not None
    )
