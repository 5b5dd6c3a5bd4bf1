"""What a study of proxies found: a function of its journal alone (see :mod:`evo.studies.proxies.study`)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from evo.report.correlation import Estimate, kendall, sign_agreement, spearman
from evo.storage.estimates import paired
from evo.storage.history import History
from evo.storage.records import ProxyRecord, ScoreRecord
from evo.storage.results import Interval, Verdict
from evo.studies.proxies.study import NULL_MODEL, SAMPLE, TANGENT_RANK, phase

_Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Scored:
    """A score of all topologies of a budget and of their null models, shape ``(topologies,)``.

    ``ms`` is its median time in milliseconds; ``trains`` says whether it is a cheap reconstruction.
    """

    original: _Floats
    shuffled: _Floats
    ms: float
    trains: bool


@dataclass(frozen=True)
class Sample:
    """The topologies of one budget, those left out that could not be evaluated.

    ``errors`` has shape ``(topologies,)``, and so has ``worse``: the error of each one's null model less its
    own, zero where the two are not told apart (paired over the targets, 95 %). ``ms`` is the median time of an error.
    """

    budget: int
    families: tuple[str, ...]
    errors: _Floats
    worse: _Floats
    ms: float
    scores: Mapping[str, Scored]


@dataclass(frozen=True)
class Finding:
    """How well one score predicts the error at one budget; estimates have 95 % intervals over topologies.

    ``spearman`` and ``kendall`` are over all topologies, ``at_equal_rank`` is Kendall's over pairs of equal tangent
    rank, ``from_null_model`` the share of topologies for which the score says rightly whether they or their shuffled
    control is better; ``pairs`` is how many such there are. 1 is a perfect prediction each time, and by chance
    correlations are 0 and shares 1/2. ``ms`` is the time of a score, ``cost`` its part of an error's.
    """

    budget: int
    score: str
    trains: bool
    spearman: Estimate
    kendall: Estimate
    at_equal_rank: Estimate
    from_null_model: Estimate
    pairs: int
    ms: float
    cost: float


def samples(history: History) -> tuple[Sample, ...]:
    """The topologies of every budget whose reconstructions are complete, with their errors and the scores so far."""
    settings = history.settings
    last = len(settings["cheap"]) - 1 if settings["cheap"] else None
    return tuple(
        _sample(history, budget)
        for budget in settings["budgets"]
        if len(history.scores(phase(NULL_MODEL, budget, last))) == settings["sample_size"]
    )


def findings(found: tuple[Sample, ...]) -> tuple[Finding, ...]:
    """How well every score predicts at every budget."""
    return tuple(_finding(sample, name) for sample in found for name in sample.scores)


def ranking(found: tuple[Finding, ...]) -> list[str]:
    """The scores by the least of their Spearman correlations over the budgets, best first; undefined counts as none."""
    least: dict[str, float] = {}
    for one in found:
        value = one.spearman.value if np.isfinite(one.spearman.value) else 0.0
        least[one.score] = min(value, least.get(one.score, 1.0))
    return sorted(least, key=lambda name: -least[name])


def _sample(history: History, budget: int) -> Sample:
    full = {arm: history.scores(phase(arm, budget)) for arm in (SAMPLE, NULL_MODEL)}
    errors = np.array([one.error for one in full[SAMPLE]])
    kept = np.isfinite(errors)
    worse = np.array([_worse(*pair) for pair in zip(full[SAMPLE], full[NULL_MODEL], strict=True)])
    scores = {
        name: Scored(one.original[kept], one.shuffled[kept], one.ms, one.trains)
        for name, one in (*_proxies(history, budget), *_cheap(history, budget))
    }
    families = tuple(one.origin.family for one, keep in zip(full[SAMPLE], kept, strict=True) if keep)
    return Sample(budget, families, errors[kept], worse[kept], _ms(full[SAMPLE]), scores)


def _worse(own: ScoreRecord, shuffled: ScoreRecord) -> float:
    if own.score is None or shuffled.score is None:
        return 0.0
    difference = Interval.of(paired(shuffled.score.errors, own.score.errors))
    return 0.0 if difference.verdict is Verdict.LEVEL else difference.mean


def _proxies(history: History, budget: int) -> Iterator[tuple[str, Scored]]:
    """Scores that both arms have; None stands for infinity."""
    found: dict[str, dict[str, ProxyRecord]] = {}
    for one in history.records:
        if isinstance(one, ProxyRecord) and one.budget == budget:
            found.setdefault(one.proxy, {})[one.arm] = one
    for name, arms in found.items():
        if len(arms) == 2:
            original, shuffled = (
                np.array([np.inf if value is None else value for value in arms[arm].values])
                for arm in (SAMPLE, NULL_MODEL)
            )
            yield name, Scored(original, shuffled, arms[SAMPLE].ms, False)


def _cheap(history: History, budget: int) -> Iterator[tuple[str, Scored]]:
    for place, settings in enumerate(history.settings["cheap"]):
        arms = [history.scores(phase(arm, budget, place)) for arm in (SAMPLE, NULL_MODEL)]
        original, shuffled = (np.array([one.error for one in arm]) for arm in arms)
        rates = len(settings["rates"])
        name = f"reconstruction {settings['targets']}x{settings['steps']}" + (f"x{rates}" if rates > 1 else "")
        yield name, Scored(original, shuffled, _ms(arms[0]), True)


def _ms(records: Sequence[ScoreRecord]) -> float:
    """Median milliseconds of the evaluations that were made."""
    seconds = [one.seconds for one in records if one.device != "cache"]
    return 1000 * float(np.median(seconds)) if seconds else float("nan")


def _finding(sample: Sample, name: str) -> Finding:
    score = sample.scores[name]
    rank = sample.scores.get(TANGENT_RANK)
    apart = sample.worse != 0
    return Finding(
        budget=sample.budget,
        score=name,
        trains=score.trains,
        spearman=spearman(score.original, sample.errors),
        kendall=kendall(score.original, sample.errors),
        at_equal_rank=kendall(score.original, sample.errors, None if rank is None else rank.original),
        from_null_model=sign_agreement(_rise(score)[apart], sample.worse[apart]),
        pairs=int(apart.sum()),
        ms=score.ms,
        cost=score.ms / sample.ms,
    )


def _rise(score: Scored) -> _Floats:
    """The sign of a score's change by shuffling; infinite before and after is no change."""
    return np.asarray(np.sign((score.shuffled > score.original).astype(float) - (score.shuffled < score.original)))
