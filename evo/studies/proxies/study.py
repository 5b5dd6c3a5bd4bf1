"""The study of proxies: how well each predicts the error, and what it costs (``evofabric proxies``).

Random structured topologies at several budgets, and each of them once more with its edges shuffled within the layers,
are reconstructed at full fidelity and, as competitors of the scores, cheaply. Then all scores are taken. Everything
goes through a run's journal, so that the study can be stopped and continued; from there
:mod:`evo.studies.proxies.findings` reads it.

To study another score, add it to :data:`STUDIED`, or to :data:`evaluators.proxies.registry.PROXIES`, of which
recipes can make use too. A study that was finished takes up a new one when it is resumed.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, ClassVar

import numpy as np
from pydantic import Field, model_validator

from evaluators.controllability.evaluator import Controllability
from evaluators.controllability.model import Control
from evaluators.function import Function
from evaluators.proxies.graph_measures import paths, spectral_gap
from evaluators.proxies.registry import PROXIES
from evaluators.proxies.tangent_rank import TangentRank
from evaluators.rng import generator
from evaluators.task import Evaluator, Fidelity, Split, Task
from evo.kinds import Kind
from evo.run_settings import RunSettings
from evo.section import Count
from evo.storage.evaluations import Request
from evo.storage.records import Origin, PhaseStarted, ProxyRecord
from evo.storage.run import Run, Watcher, open_run
from evo.studies.proxies.sample import Sampled, draw_sample
from topologies.measures import frozen_lower_bound
from topologies.shuffle import shuffled
from topologies.topology import Topology

STUDIED: dict[str, Callable[[Topology], float]] = PROXIES | {
    "controllability_variance": lambda topology: Controllability("uniform").analyse(topology).variance,
    "controllability_least": lambda topology: -float(Controllability("uniform").analyse(topology).matrix.min()),
    "controllability_trained": lambda topology: _trained(topology).loss,
    "log_volume": lambda topology: -TangentRank().spectrum(topology).log_volume,
    "paths_least": lambda topology: -paths(topology).least,
    "paths_spread": lambda topology: paths(topology).spread,
    "spectral_gap": lambda topology: -spectral_gap(topology),
    "frozen": frozen_lower_bound,
}
"""All proxies by name; small is predicted to be good."""

TANGENT_RANK = "tangent_rank"
"""The score that is also held fixed: of topologies with equal tangent rank, which is better?"""

SAMPLE, NULL_MODEL = "sample", "null model"


class StudySettings(RunSettings):
    """A study's recipe: its size, its budgets, and how carefully and how cheaply errors are measured."""

    kind: ClassVar[Kind] = Kind.PROXIES
    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]*$")] = "proxies"
    """What the folders of the recipe's runs begin with."""
    budgets: Annotated[tuple[Count, ...], Field(min_length=1)] = (160, 320, 640, 960)
    """Trainable edges; at each of them topologies are drawn."""
    sample_size: Annotated[int, Field(ge=3)] = 100
    """Topologies at each budget."""
    full: Fidelity = Fidelity(32, 4000, (0.1, 0.3, 0.7, 1.6, 4.0))
    """How carefully errors are measured that scores are to predict."""
    cheap: tuple[Fidelity, ...] = (Fidelity(2, 150, (1.0,)),)
    """Reconstructions that are scores of their own."""

    @model_validator(mode="after")
    def _square(self) -> StudySettings:
        n = self.n_in
        if self.n_out != n:
            raise ValueError(f"n_in = {n}, n_out = {self.n_out}: topologies are square, give both the same value")
        for budget in self.budgets:
            if not 2 * n <= budget <= n * n:
                raise ValueError(f"budgets: {budget} is not between 2n = {2 * n} and n² = {n * n} for n = {n}")
        return self


def study(
    settings: StudySettings,
    evaluator: Evaluator | Function | None = None,
    *,
    folder: Path | None = None,
    watcher: Watcher = lambda event: None,
) -> Path:
    """Run a study, or what is left of it, and return its folder; arguments as for :func:`evo.experiment.search.search`.

    Raises
    ------
    ValueError
        For a recipe that cannot be followed; among others, where there are not as many different topologies.
    """
    drawn = {budget: _arms(settings, budget) for budget in settings.budgets}
    with open_run(settings, evaluator, folder, watcher) as run:
        for budget, arms in drawn.items():
            for arm, topologies in arms.items():
                _reconstruct(run, settings, budget, arm, topologies)
        for budget, arms in drawn.items():
            for arm, topologies in arms.items():
                _score(run, budget, arm, [one.topology for one in topologies])
        return run.folder


def phase(arm: str, budget: int, cheap: int | None = None) -> str:
    """What the journal calls the reconstructions of an arm: at full fidelity, or the cheap ones of that number."""
    return f"{arm} {budget}" if cheap is None else f"{arm} {budget}, cheap {cheap}"


def _arms(settings: StudySettings, budget: int) -> dict[str, list[Sampled]]:
    """The sample, and its null model: the same topologies shuffled."""
    found = draw_sample(settings.n_in, budget, settings.sample_size, settings.seed)
    again = [
        Sampled(one.family, shuffled(one.topology, generator(settings.seed, "shuffle", one.topology.digest)).canonical)
        for one in found
    ]
    return {SAMPLE: list(found), NULL_MODEL: again}


def _reconstruct(
    run: Run[StudySettings], settings: StudySettings, budget: int, arm: str, topologies: Sequence[Sampled]
) -> None:
    """Evaluate topologies at full fidelity on the validation targets, and cheaply on the search targets."""
    wanted = {phase(arm, budget): (settings.full, Split.VALIDATION)}
    wanted |= {phase(arm, budget, place): (cheap, Split.SEARCH) for place, cheap in enumerate(settings.cheap)}
    for name, (fidelity, split) in wanted.items():
        run.show(PhaseStarted(f"reconstruct {name}", len(topologies)))
        run.evaluations.evaluate(
            [
                Request(
                    phase=name,
                    number=number,
                    task=Task(topology=one.topology, fidelity=fidelity, split=split, seed=settings.seed),
                    origin=Origin(family=one.family),
                )
                for number, one in enumerate(topologies)
            ]
        )


def _score(run: Run[StudySettings], budget: int, arm: str, topologies: Sequence[Topology]) -> None:
    """Take every proxy of every topology here, one by one, while no worker is busy: for the times to mean something.

    The journal has one record for each proxy, so that a study that knows more proxies later adds only these.
    """
    run.show(PhaseStarted(f"score {arm} {budget}", len(STUDIED)))
    for name, proxy in STUDIED.items():
        name_of_phase = f"{phase(arm, budget)}: {name}"
        if ("proxy", name_of_phase, 0) not in run.noted:
            values, seconds = zip(*(_timed(proxy, topology) for topology in topologies), strict=True)
            ms = 1000 * float(np.median(seconds))
            run.note(
                ProxyRecord(phase=name_of_phase, number=0, arm=arm, budget=budget, proxy=name, values=values, ms=ms)
            )


def _timed(proxy: Callable[[Topology], float], topology: Topology) -> tuple[float | None, float]:
    """A score, None where it is infinite or not a number, which predicts the worst; and the seconds it took."""
    start = time.perf_counter()
    value = float(proxy(topology))
    return value if np.isfinite(value) else None, time.perf_counter() - start


def _trained(topology: Topology) -> Control:
    """Control after a few training steps, with pairs summed out: by pairs it would cost more than the error itself."""
    return Controllability("trained", by_pair=False, steps=100).analyse(topology)
