"""A run's topology files: the best so far, in the end the champion, and other rows that are worth to be used."""

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
UNSEARCHED_ROW = "unsearched.safetensors"
"""The file of the topology that should be used in place of the champion, because it needs no search."""


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


def rows_kept(table: FinalTable, is_founder: bool) -> dict[str, Row]:
    """The rows beside the champion's that have a file, by its name; ``is_founder`` says what the champion is."""
    best, unsearched = table.best, table.unsearched(is_founder)
    found = {BEST_ROW: best} if best is not table.first else {}
    return found | ({UNSEARCHED_ROW: unsearched} if unsearched else {})


def write_rows(
    run: Run[Settings], chosen: Mapping[str, Chosen], table: FinalTable, is_founder: bool, digest: str
) -> dict[str, Path]:
    """Write the topologies of :func:`rows_kept`, so that they can be used and verified as a champion is.

    ``chosen`` has them by the names of rows. Files from before the search was extended go.
    """
    kept = rows_kept(table, is_founder)
    for name in {BEST_ROW, UNSEARCHED_ROW} - kept.keys():
        (run.folder / name).unlink(missing_ok=True)
    files = {}
    for name, row in kept.items():
        extra = {"row": row.name, "label": row.label, "result digest": digest, "evaluators": _evaluators(run)}
        scores = _scores(run, row, chosen[row.name], table)
        files[name] = _write(run, name, chosen[row.name], scores, (), extra)
    return files


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
