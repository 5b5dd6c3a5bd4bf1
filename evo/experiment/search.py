"""The search, readable alone: tune the baseline, evolve, sample the control, confirm on held-out targets."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from evaluators.task import Evaluator, Race, Stream
from evo.algorithm.individual import Birth, Individual, Litter
from evo.algorithm.nsga2 import SAMPLED, Policy, Rules, State, bar, breed
from evo.algorithm.progress import Progress, Sent, told
from evo.algorithm.selection import hypervolume
from evo.experiment.baselines import best_member, growth_rule, tuned
from evo.experiment.initial_population import founders
from evo.experiment.tune import Trial
from evo.experiment.validation import choose, hold_out
from evo.settings import Settings
from evo.storage.champion import keep_best, write_champion
from evo.storage.checkpoint import Snapshots
from evo.storage.evaluations import Answer, Request
from evo.storage.journal import Record
from evo.storage.results import BASELINE, EVOLVED, GROWTH_RULE, KINDS, RANDOM, Chosen, Finalist, Row
from evo.storage.run import Run, Watcher, open_run
from evo.variation.bounds import Bounds
from topologies.topology import Topology


@dataclass(frozen=True)
class Result:
    """What a search found.

    ``rows`` is the final table on held-out targets, the champion first and the baseline second; ``champion_file`` is
    what a model loads; ``digest`` names the result: equal recipes and seeds give equal digests.
    """

    folder: Path
    champion: Topology
    champion_file: Path
    rows: tuple[Row, ...]
    digest: str


def search(
    settings: Settings,
    evaluator: Evaluator | None = None,
    *,
    folder: Path | None = None,
    watcher: Watcher = lambda record: None,
) -> Result:
    """Run a recipe from beginning to end, or what is left of it.

    Parameters
    ----------
    settings:
        The recipe.
    evaluator:
        What scores candidates; by default the one that the recipe names.
    folder:
        Where the run lives. By default a new folder in ``settings.runs``. A folder that holds a journal of the same
        recipe is continued, and nothing in the journal is evaluated again.
    watcher:
        Shown every record, see :data:`evo.storage.run.Watcher`.

    Raises
    ------
    ValueError
        In one line, for anything in the recipe that cannot be done.
    """
    with open_run(settings, evaluator, folder, watcher) as run:
        trials = {BASELINE: tuned(run, BASELINE)}
        _check_baseline(run, trials[BASELINE])
        trials |= {family: tuned(run, family) for family in KINDS if family != BASELINE}
        members = {KINDS[family]: best_member(run, family, found) for family, found in trials.items()}
        chosen = {kind: member for kind, member in members.items() if member is not None}
        if KINDS[BASELINE] not in chosen:
            raise ValueError("the baseline could not be evaluated at full fidelity; the log says why")
        baseline = chosen[KINDS[BASELINE]]
        reference = _search_error(run, baseline)
        evolved = loop(run, rules_of(run, Policy.EVOLUTION, trials, baseline), reference)
        sampled = loop(run, rules_of(run, Policy.RANDOM, trials, baseline), reference)
        return confirmed(run, chosen, evolved, sampled)


@dataclass(frozen=True)
class Searched:
    """What a loop ends with: its last state, and one hash over everything that was told, in order of birth."""

    state: State
    chronicle: str


def loop(run: Run, rules: Rules, reference: float) -> Searched:
    """Breed broods, have them evaluated, tell their scores; brood k + lag is bred as soon as brood k is told.

    What is bred never depends on how many broods there will be, nor on ``reference``, the baseline's error.
    """
    broods, lag = run.settings.loop.broods + 1, run.settings.loop.lag
    run.show({"kind": "phase", "phase": rules.policy.value})
    snapshots = Snapshots(run.folder, rules, run.journal)
    here = snapshots.last(broods, lag) or Progress()
    for sent in here.under_way:
        run.evaluations.send(_requests(run.settings, rules, sent))
    while here.told < broods:
        while here.sent < min(here.told + lag, broods):
            state, litters = breed(here.state, rules, here.sent)
            sent = Sent(litters, Race(bar(state, rules), run.settings.fidelity.race_targets))
            run.evaluations.send(_requests(run.settings, rules, sent))
            here = replace(here, state=state, under_way=(*here.under_way, sent))
        oldest = here.under_way[0]
        answers = run.evaluations.answers(_requests(run.settings, rules, oldest))
        pairs = zip(oldest.litters, answers, strict=True)
        brood = [_individual(litter, answer, run.settings.objectives) for litter, answer in pairs]
        here = told(here, rules, brood)
        _note_brood(run, here, rules, reference)
        snapshots.keep(here)
    return Searched(here.state, here.chronicle)


def rules_of(run: Run, policy: Policy, trials: Mapping[str, Sequence[Trial]], baseline: Chosen) -> Rules:
    """A loop's rules: the recipe's, with the tuned baseline's depth, width and edges for bounds that it leaves out.

    A baseline of one layer (of a prime size) would leave nothing to search: then a usual depth bounds the search.
    """
    settings, best = run.settings, baseline.finalist.topology
    asked = settings.bounds
    bounds = Bounds(
        budget=settings.budget,
        max_depth=asked.max_depth or (best.depth if best.depth > 1 else 2 * best.n_in.bit_length()),
        max_width=asked.max_width or max(2 * settings.n_in, 2 * settings.n_out, *best.widths),
        max_edges=asked.max_edges or max(best.n_edges, settings.budget),
    )
    own = {name: run.given[name] for name in settings.founders}
    first = founders(trials, own, bounds, settings.seed)
    return Rules(
        policy=policy,
        n_in=settings.n_in,
        n_out=settings.n_out,
        bounds=bounds,
        brood_size=settings.loop.brood_size,
        population=settings.loop.population,
        leaders=settings.fidelity.finalists,
        limits=(best.n_edges, best.depth),
        founders=first,
        seed=settings.seed,
        siblings=settings.siblings if settings.screen else 1,
    )


def confirmed(run: Run, chosen: Mapping[str, Chosen], evolved: Searched, sampled: Searched) -> Result:
    """Rank the finalists on the choice stream, fill the final table on the held-out one, and write the champion."""
    run.show({"kind": "phase", "phase": "confirm"})
    fidelity = run.settings.fidelity
    baseline = KINDS[BASELINE]
    rule = growth_rule(run.settings.n_in, run.settings.n_out, run.settings.budget)
    champion = choose(run.evaluations, EVOLVED, _finalists(evolved), fidelity)
    if champion is None:
        raise ValueError("no candidate could be evaluated; the log says why")
    entries = {
        EVOLVED: champion,
        baseline: chosen[baseline],
        GROWTH_RULE: choose(run.evaluations, GROWTH_RULE, [rule] if rule else [], fidelity),
        **{kind: one for kind, one in chosen.items() if kind != baseline},
        RANDOM: choose(run.evaluations, RANDOM, _finalists(sampled), fidelity),
    }
    rows = hold_out(
        run.evaluations, {kind: one for kind, one in entries.items() if one is not None}, baseline, fidelity
    )
    digest = _digest(evolved, sampled, champion)
    known = (*evolved.state.leaders, *evolved.state.archive)
    individual = next(one for one in known if one.topology == champion.finalist.topology)
    file = write_champion(run, individual, champion, rows, digest)
    record = {"kind": "table", "rows": [_row_record(row) for row in rows], "digest": digest, "champion": file.name}
    run.note(record)
    return Result(run.folder, champion.finalist.topology, file, rows, digest)


def _check_baseline(run: Run, trials: Sequence[Trial]) -> None:
    """Raise ValueError when there is no baseline, or none could be evaluated: then nothing else could be either."""
    settings = run.settings
    if not trials:
        raise ValueError(
            f"there is no baseline: no connected parallel butterfly of {settings.n_in} x {settings.n_out} has at "
            f"most {settings.budget} trainable edges; raise the budget, or give a baseline in the recipe"
        )
    if all(trial.score is None for trial in trials):
        raise ValueError(f"the evaluator fails on every topology: {run.evaluations.last_failure}")


def _search_error(run: Run, baseline: Chosen) -> float:
    """The baseline's error on as many search targets as a leader's."""
    fidelity = run.settings.fidelity
    race = Race(float("inf"), fidelity.race_targets)
    request = Request("baseline", 0, baseline.finalist.topology, fidelity.search, Stream.SEARCH, race=race)
    score = run.evaluations.evaluate([request])[0]
    return float("inf") if score is None else score.error


def _requests(settings: Settings, rules: Rules, sent: Sent) -> list[Request]:
    """What is asked of a brood."""
    return [
        Request(
            rules.policy.value,
            litter[0].number,
            litter[0].topology,
            settings.fidelity.search,
            Stream.SEARCH,
            {"brood": litter[0].brood},
            sent.race,
            tuple(sibling.topology for sibling in litter[1:]),
            settings.screen,
            settings.objectives,
            tuple(_origin(birth) for birth in litter),
        )
        for litter in sent.litters
    ]


def _origin(birth: Birth) -> Record:
    return {"parents": list(birth.parents), "operator": birth.operator, "family": birth.family}


def _individual(litter: Litter, answer: Answer, objectives: Sequence[str]) -> Individual:
    measures = tuple(answer.measures.get(name, float("inf")) for name in objectives)
    return Individual(litter[answer.chosen], answer.score, measures)


def _note_brood(run: Run, here: Progress, rules: Rules, reference: float) -> None:
    state = here.state
    best = state.leaders[0].error if state.leaders else None
    corner = (1.0, rules.bounds.max_edges + 1.0)
    run.note(
        {
            "kind": "brood",
            "phase": rules.policy.value,
            "number": here.told - 1,
            "births": here.births,
            "best": best,
            "baseline": reference,
            "hypervolume": hypervolume(state.archive, corner),
        }
    )
    if rules.policy is Policy.EVOLUTION and state.leaders:
        keep_best(run, state.leaders[0])


def _finalists(searched: Searched) -> list[Finalist]:
    """The leaders; where nothing kept within the baseline's edges and depth, the most accurate of all."""
    leaders = searched.state.leaders or sorted(searched.state.archive, key=lambda one: one.error)[:1]
    return [Finalist(_label(one.birth), one.topology) for one in leaders]


def _label(birth: Birth) -> str:
    return f"birth {birth.number}" if birth.family == SAMPLED else f"birth {birth.number}, from {birth.family}"


def _digest(evolved: Searched, sampled: Searched, champion: Chosen) -> str:
    """One hash over what was told, in order of birth, the archive and the champion; no times, no hosts."""
    archive = [one.topology.digest for one in evolved.state.archive]
    whole = json.dumps([evolved.chronicle, sampled.chronicle, archive, champion.finalist.topology.digest])
    return hashlib.sha256(whole.encode()).hexdigest()


def _row_record(row: Row) -> dict[str, object]:
    return {
        "kind": row.kind,
        "label": row.label,
        "digest": row.topology.digest,
        "n_trainable": row.topology.n_trainable,
        "n_edges": row.topology.n_edges,
        "depth": row.topology.depth,
        "rate": row.rate,
        "error": asdict(row.error),
        "difference": row.difference and asdict(row.difference),
    }
