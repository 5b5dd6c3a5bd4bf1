"""A run's topology files: the best so far, in the end the champion, and the best row where that is another one."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from evo.algorithm.individual import Candidate, Individual
from evo.settings import Settings
from evo.stages import search_name
from evo.storage.header import outcome_settings
from evo.storage.results import Chosen, FinalTable, Row
from evo.storage.run import Run
from topologies.files import save
from topologies.names import CHAMPION
from topologies.provenance import Provenance

BEST_ROW = "best_row.safetensors"
"""The file of the topology with the least test error, where that is not the champion."""


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
    scores = {"search": individual.error, **_scores(run, table.first, champion, table)}
    extra = _about(individual.candidate) | {"result digest": digest, "evaluators": _evaluators(run)}
    return _write(run, CHAMPION, champion, scores, individual.candidate.parent_digests, extra)


def write_best_row(run: Run[Settings], chosen: Chosen, table: FinalTable, digest: str) -> Path | None:
    """Write the topology of the best row, which ``chosen`` is, so that it can be used and verified as a champion is.

    None where it is the champion: then a file from before the search was extended goes.
    """
    row = table.best
    if row is table.first:
        (run.folder / BEST_ROW).unlink(missing_ok=True)
        return None
    extra = {"row": row.name, "label": row.label, "result digest": digest, "evaluators": _evaluators(run)}
    return _write(run, BEST_ROW, chosen, _scores(run, row, chosen, table), (), extra)


def _write(
    run: Run[Settings],
    name: str,
    chosen: Chosen,
    scores: Mapping[str, object],
    parents: tuple[str, ...],
    extra: Mapping[str, object],
) -> Path:
    recipe, seed = outcome_settings(run.settings), run.settings.seed
    provenance = Provenance(recipe=recipe, seed=seed, scores=scores, parents=parents, extra=extra)
    return save(chosen.finalist.topology, run.folder / name, provenance)


def _scores(run: Run[Settings], row: Row, chosen: Chosen, table: FinalTable) -> dict[str, object]:
    """A row's errors on the validation and the test targets, and how it was trained for the latter."""
    fidelity = run.settings.fidelity.test(chosen.validation)
    test = {
        "error": row.error.mean,
        "interval": [row.error.low, row.error.high],
        "targets": fidelity.targets,
        "steps": fidelity.steps,
        "learning_rate": chosen.validation.learning_rate,
        "weight_decay": chosen.validation.weight_decay,
        "baseline": table.baseline.error.mean,
        "baseline label": table.baseline.label,
    }
    return {"validation": chosen.validation.error, "test": test}


def _evaluators(run: Run[Settings]) -> dict[str, str]:
    """Which evaluator gave the scores of which split."""
    final = run.journal.header.evaluator
    return {"search": search_name(run.settings.model_dump(), final), "validation": final, "test": final}


def _about(candidate: Candidate) -> dict[str, str | int]:
    return {"candidate": candidate.number, "operator": candidate.operator, "family": candidate.family}
