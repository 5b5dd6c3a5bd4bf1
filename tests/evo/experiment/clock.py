"""How long a search takes on so many workers, by simulating them: what plans are measured against."""

from __future__ import annotations

from heapq import heapify, heappop, heappush

from evo.experiment.plan import PROMOTED, Phase, plan
from evo.settings import Settings

LOOPS = ("evolution", "random search")


def steps_taken(settings: Settings, workers: int) -> float:
    """Training steps one after another, if every candidate of a loop is trained on the next worker that is free.

    A generation is bred when the one ``max_pending_generations`` before it has been told, in the order of breeding.
    """
    phases = {phase.name: phase for phase in plan(settings)}
    looped = sum(_loop(settings, workers, phases, name) for name in LOOPS)
    rest = (phase for name, phase in phases.items() if not name.startswith((*LOOPS, "promotions")))
    return looped + sum(
        -(-batch // workers) * phase.fidelity.cost * phase.work for phase in rest for batch in phase.batches
    )


def _loop(settings: Settings, workers: int, phases: dict[str, Phase], name: str) -> float:
    loop, heirs = settings.loop, phases.get(f"{name} at inherited rates")
    bred = phases[name].evaluations + (heirs.evaluations if heirs else 0)
    free, told, number = [0.0] * workers, list[float](), 0
    heapify(free)
    for generation in range(loop.generations + 1):
        is_early = generation < loop.max_pending_generations
        bred_at, ended = 0.0 if is_early else told[-loop.max_pending_generations], 0.0
        for _ in range(loop.offspring if generation else bred - loop.generations * loop.offspring):
            cost = (phases[name] if is_early or not heirs else heirs).fidelity.cost
            number += 1
            if is_early or number % PROMOTED == 0:
                cost += phases["promotions"].fidelity.cost
            end = max(heappop(free), bred_at) + cost
            heappush(free, end)
            ended = max(ended, end)
        told.append(max([ended, *told[-1:]]))
    return told[-1]
