"""Who evaluates: the evaluator that a recipe names, and the pool of workers that it asks for."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from cluster.in_process import InProcessPool
from cluster.pool import Pool
from evaluators.function import as_evaluator, imported
from evaluators.run import canary, proof_at
from evaluators.staged import EachPlace, staged
from evaluators.task import Evaluator, GpuEvaluator
from evo.own_data import RECONSTRUCTION
from evo.run_settings import RunSettings
from evo.settings import Settings
from evo.stages import whole_name

_log = logging.getLogger(__name__)


@contextmanager
def open_pool(settings: RunSettings, evaluator: Evaluator) -> Iterator[tuple[Pool, str]]:
    """The pool that a recipe asks for, and what it computes on, "cpu" or "gpu"; Ray is started or joined, and left.

    That is chosen here, once: a worker whose GPU fails is replaced, none goes on with its CPU.
    """
    cluster = settings.cluster
    if cluster.pool == "in-process":
        yield InProcessPool(evaluator), "cpu"
        return
    from cluster.ray_session import session

    with session(cluster.address, cluster.workers):
        from cluster.ray_pool import RayPool
        from cluster.ray_resources import Share

        gpus = cluster.gpus_per_worker
        if gpus is None:
            gpus = 1.0 if _can_use_gpus(evaluator) else 0.0
        at_work = evaluator.on_gpu() if gpus and isinstance(evaluator, GpuEvaluator) else evaluator
        share, task = Share(cluster.cores_per_worker, gpus), proof_at(settings.sizes, evaluator)
        pool = RayPool(at_work, cluster.workers, share, cluster.task_timeout, evaluator, task)
        try:
            yield pool, "gpu" if gpus else "cpu"
        finally:
            pool.close()


def check_evaluator(evaluator: Evaluator, settings: RunSettings) -> None:
    """Raise ValueError where an evaluator gives two scores for equal arguments: such a run could not be repeated."""
    task = proof_at(settings.sizes, evaluator)
    first, second = (canary(evaluator, task) for _ in range(2))
    if first != second:
        raise ValueError(
            f"the evaluator gave two scores for equal arguments, {first} and {second}: everything random in it has to "
            "be drawn from `seed`"
        )


def _can_use_gpus(evaluator: Evaluator) -> bool:
    """Whether the cluster has GPUs on which the evaluator works as it does here; where it does not, say why."""
    from cluster.ray_resources import gpu_trouble, has_gpus

    if not isinstance(evaluator, GpuEvaluator) or not has_gpus():
        return False
    trouble = gpu_trouble(evaluator)
    if trouble is not None:
        _log.warning("the cluster's GPUs are not used: %s", trouble)
    return trouble is None


def evaluator_of(settings: RunSettings, given: Evaluator | None = None) -> Evaluator:
    """The evaluator that a recipe asks for, with the data or targets that it names; both of them, if it asks for two.

    ``given`` takes the place of the one that the recipe names, or of the one that ranks finalists.

    Raises
    ------
    ValueError
        When it cannot be made.
    """
    search_by = settings.search_by if isinstance(settings, Settings) else None
    final = given or _final(settings)
    return final if search_by is None else staged(_of_search(settings, whole_name(search_by)), final)


def _of_search(settings: RunSettings, name: str) -> Evaluator:
    """The evaluator of candidates; reconstruction is of one topology, so that of a stack goes place by place."""
    evaluator = named_evaluator(name)
    stacks = isinstance(settings, Settings) and settings.places is not None
    return EachPlace(evaluator) if stacks and name == RECONSTRUCTION else evaluator


def _final(settings: RunSettings) -> Evaluator:
    own = settings.own_evaluator()
    if own is not None:
        return own
    training = settings.training if isinstance(settings, Settings) else None
    if training is not None:
        from evaluators.training import Data, TrainedAccuracy

        data = Data.read(training.data, training.task, training.examples)
        _check_unchanged(settings, training.data, data.fingerprint)
        batch, folds = training.batch_size, training.folds
        if training.hidden is not None:
            free = training.free_widths
            return TrainedAccuracy(data, training.hidden, free_widths=free, batch=batch, folds=folds)
        return TrainedAccuracy(data, model=training.model, sizes=settings.sizes, batch=batch, folds=folds)
    if isinstance(settings, Settings) and settings.targets is not None:
        from evaluators.reconstruction import MatrixReconstruction, OwnTargets

        own_targets = OwnTargets.read(settings.targets, settings.transpose_targets)
        _check_unchanged(settings, settings.targets, own_targets.fingerprint)
        return MatrixReconstruction(own_targets)
    return named_evaluator(settings.evaluator)


def _check_unchanged(settings: RunSettings, name: str, fingerprint: str) -> None:
    """Raise ValueError where a file holds other data than when the settings were made, which describe those."""
    found = settings.found if isinstance(settings, Settings) else None
    if found is not None and found.fingerprint != fingerprint:
        raise ValueError(f"{name} has changed since the settings were made: make them anew")


def named_evaluator(name: str) -> Evaluator:
    """The evaluator that a recipe names: a class ``package.module:Class``, made without arguments, or a function.

    Raises
    ------
    ValueError
        When there is no such module, class or function, or the class has no ``evaluate``.
    """
    found = imported(name, "evaluator")
    try:
        return as_evaluator(found() if isinstance(found, type) else found)
    except (TypeError, ValueError) as error:
        raise ValueError(f"evaluator {name!r}: {error}") from None
