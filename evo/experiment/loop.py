"""The loop that evolution and random search share: breed, have evaluated, tell, and keep generations under way."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from evaluators.task import Answer, Fidelity, Race, Split, Task
from evo.algorithm.individual import Candidate, Individual
from evo.algorithm.nsga2 import Policy, Rules, State, ask, promotion_threshold
from evo.algorithm.progress import Pending, Progress, process
from evo.algorithm.selection import hypervolume
from evo.settings import Settings
from evo.storage.champion import keep_best
from evo.storage.checkpoint import Checkpoints
from evo.storage.evaluations import Request
from evo.storage.records import GenerationRecord, Origin, PhaseStarted
from evo.storage.run import Run


@dataclass(frozen=True)
class Searched:
    """What a loop ends with: its last state, and one hash over everything that was processed, in order of breeding."""

    state: State
    history_digest: str


def loop(run: Run[Settings], rules: Rules, reference: float | None) -> Searched:
    """Breed generations, have them evaluated, and tell their scores.

    At most ``max_pending_generations`` are under way: one is bred as soon as the oldest of them is processed. What is
    bred never depends on how many generations there will be, nor on ``reference``, the baseline's error.
    """
    generations, most = run.settings.loop.generations + 1, run.settings.loop.max_pending_generations
    fidelity = run.settings.fidelity
    run.show(PhaseStarted(rules.policy.value))
    checkpoints = Checkpoints(run.folder, rules, run.journal)
    progress = checkpoints.last(generations, most) or Progress()
    for pending in progress.pending:
        run.evaluations.send(_requests(run.settings, rules, pending))
    while progress.generations < generations:
        while progress.bred < min(progress.generations + most, generations):
            state, candidates = ask(progress.state, rules, progress.bred)
            race = Race(promotion_threshold(state, rules, fidelity.targets), fidelity.race_targets)
            pending = Pending(candidates, race)
            run.evaluations.send(_requests(run.settings, rules, pending))
            progress = replace(progress, state=state, pending=(*progress.pending, pending))
        oldest = progress.pending[0]
        answers = run.evaluations.answers(_requests(run.settings, rules, oldest))
        pairs = zip(oldest.candidates, answers, strict=True)
        generation = [_individual(candidate, answer, run.settings.objectives) for candidate, answer in pairs]
        progress = process(progress, rules, generation)
        _note_generation(run, progress, rules, reference)
        checkpoints.keep(progress)
    return Searched(progress.state, progress.history_digest)


def _requests(settings: Settings, rules: Rules, pending: Pending) -> list[Request]:
    """What is asked of a generation."""
    return [
        Request(
            phase=rules.policy.value,
            number=candidate.number,
            task=Task(
                topology=candidate.topology,
                fidelity=_fidelity(settings, candidate),
                split=Split.SEARCH,
                seed=settings.seed,
                race=pending.race,
                measures=settings.objectives,
            ),
            origin=_origin(candidate),
        )
        for candidate in pending.candidates
    ]


def _fidelity(settings: Settings, candidate: Candidate) -> Fidelity:
    """How a candidate is scored: at what it inherited, or at every learning rate and weight decay."""
    search = settings.fidelity.search
    return search if candidate.inherited is None else candidate.inherited.of(search)


def _origin(candidate: Candidate) -> Origin:
    return Origin(
        family=candidate.family,
        generation=candidate.generation,
        parents=candidate.parents,
        operator=candidate.operator,
    )


def _individual(candidate: Candidate, answer: Answer, objectives: Sequence[str]) -> Individual:
    measures = tuple(answer.measures.get(name, float("inf")) for name in objectives)
    return Individual(candidate, answer.score, measures)


def _note_generation(run: Run[Settings], progress: Progress, rules: Rules, reference: float | None) -> None:
    state = progress.state
    corner = (_worst_error(reference), rules.bounds.max_edges + 1.0)
    is_new = run.note(
        GenerationRecord(
            phase=rules.policy.value,
            number=progress.generations - 1,
            candidates=progress.candidates,
            best=state.elite[0].error if state.elite else None,
            baseline=reference,
            hypervolume=hypervolume(state.front, corner),
        )
    )
    if is_new and rules.policy is Policy.EVOLUTION and state.elite:  # a finished run has its champion already
        keep_best(run, state.elite[0])


def _worst_error(baseline: float | None) -> float:
    """The error from which the hypervolume is measured: twice the baseline's, where errors are positive."""
    if not baseline:
        return 1.0
    return 2 * baseline if baseline > 0 else baseline / 2
