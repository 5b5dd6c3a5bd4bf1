"""The champion's file in a run's folder: the best topology so far, and in the end with all that is known of it."""

from __future__ import annotations

from pathlib import Path

from evo.algorithm.individual import Candidate, Individual
from evo.settings import Settings
from evo.stages import search_name
from evo.storage.header import outcome_settings
from evo.storage.results import Chosen, FinalTable
from evo.storage.run import Run
from topologies.files import save
from topologies.names import CHAMPION
from topologies.provenance import Provenance


def keep_best(run: Run[Settings], best: Individual) -> None:
    """Write the best topology so far: whatever happens next, it is on disk."""
    provenance = Provenance(scores={"search": best.error}, extra=_about(best.candidate))
    save(best.topology, run.folder / CHAMPION, provenance)


def write_champion(
    run: Run[Settings], individual: Individual, champion: Chosen, table: FinalTable, digest: str
) -> Path:
    """Write the champion, with its recipe and its scores on all three splits.

    ``individual`` is the candidate that became champion, and ``digest`` the result's.
    """
    row, baseline = table.first, table.baseline
    fidelity = run.settings.fidelity.test(champion.validation)
    provenance = Provenance(
        recipe=outcome_settings(run.settings),
        seed=run.settings.seed,
        scores={
            "search": individual.error,
            "validation": champion.validation.error,
            "test": {
                "error": row.error.mean,
                "interval": [row.error.low, row.error.high],
                "targets": fidelity.targets,
                "steps": fidelity.steps,
                "learning_rate": champion.validation.learning_rate,
                "weight_decay": champion.validation.weight_decay,
                "baseline": baseline.error.mean,
                "baseline label": baseline.label,
            },
        },
        parents=individual.candidate.parent_digests,
        extra=_about(individual.candidate) | {"result digest": digest, "evaluators": _evaluators(run)},
    )
    return save(champion.finalist.topology, run.folder / CHAMPION, provenance)


def _evaluators(run: Run[Settings]) -> dict[str, str]:
    """Which evaluator gave the scores of which split."""
    final = run.journal.header.evaluator
    return {"search": search_name(run.settings.model_dump(), final), "validation": final, "test": final}


def _about(candidate: Candidate) -> dict[str, str | int]:
    return {"candidate": candidate.number, "operator": candidate.operator, "family": candidate.family}
