"""The champion's file in a run's folder: the best topology so far, and in the end with all that is known of it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from evo.algorithm.individual import Birth, Individual
from evo.storage.header import outcome_settings
from evo.storage.results import Chosen, Row
from evo.storage.run import Run
from topologies.files import save
from topologies.names import CHAMPION
from topologies.provenance import Provenance


def keep_best(run: Run, leader: Individual) -> None:
    """Write the best so far: whatever happens next, it is on disk."""
    save(
        leader.topology, run.folder / CHAMPION, Provenance(scores={"search": leader.error}, extra=_about(leader.birth))
    )


def write_champion(run: Run, individual: Individual, champion: Chosen, rows: Sequence[Row], digest: str) -> Path:
    """Write the champion, with its recipe and its scores on all three streams; ``rows`` are those of the final table.

    ``individual`` is the birth that it was, and ``digest`` the result's.
    """
    row, baseline = rows[0], rows[1]
    fidelity = run.settings.fidelity.held_out(champion.choice.rate)
    provenance = Provenance(
        recipe=outcome_settings(run.settings),
        seed=run.settings.seed,
        scores={
            "search": individual.error,
            "choice": champion.choice.error,
            "held-out": {
                "error": row.error.mean,
                "interval": [row.error.low, row.error.high],
                "targets": fidelity.targets,
                "steps": fidelity.steps,
                "rate": champion.choice.rate,
                "baseline": baseline.error.mean,
                "baseline label": baseline.label,
            },
        },
        parents=individual.birth.parent_digests,
        extra=_about(individual.birth) | {"result digest": digest},
    )
    return save(champion.finalist.topology, run.folder / CHAMPION, provenance)


def _about(birth: Birth) -> dict[str, str | int]:
    return {"birth": birth.number, "operator": birth.operator, "family": birth.family}
