"""What tracking should hold of a run, as plain values that follow from its journal alone.

A search is one record, and every family that was tuned is a record below it. Nothing here talks to MLflow, and points
carry the journal's times, so filing a record twice changes nothing.
"""

from __future__ import annotations

import inspect
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evaluators.proxies.registry import CONTROL
from evo.algorithm.nsga2 import Policy
from evo.report.correlation import running_correlation
from evo.report.csv_tables import trials_csv
from evo.report.description import about_family
from evo.report.numbers import ratio
from evo.report.text import controllability_of
from evo.settings import Settings
from evo.storage import names
from evo.storage.history import History
from evo.storage.names import BASELINES, BETWEEN_PLACES, PARALLEL_BUTTERFLY, ROWS
from evo.storage.records import ScoreRecord
from evo.tracking.view import BASELINE, ERROR, RATIO
from topologies.expression import is_expression, read
from topologies.families import find

_LATELY = 256
"""Candidates over which proxies are compared with the error and averaged, at most."""


@dataclass(frozen=True)
class Point:
    """One value of a metric; ``time`` is in seconds since the epoch."""

    name: str
    value: float
    step: int
    time: float


@dataclass(frozen=True)
class RunRecord:
    """One record in the tracking store. ``key`` names it for ever; ``end`` is None while it grows."""

    key: str
    name: str
    start: float
    end: float | None
    status: str
    tags: Mapping[str, str]
    params: Mapping[str, str]
    points: tuple[Point, ...]
    texts: Mapping[str, str] = field(default_factory=dict)


def run_records(history: History) -> tuple[RunRecord, ...]:
    """The search's record, then one for every family tuned so far, the baseline first."""
    search = run_record(history, (*_evolution(history), *_test(history), *_controllability(history)))
    return (search, *(_family(history, name) for name in ROWS if history.scores(names.tuning(name))))


def model_name(history: History) -> str:
    """What the champion is registered as: one name for all searches of one size, budget, kind of error and data."""
    evaluator = history.header.evaluator
    usual = Settings.model_fields["evaluator"].default
    suffix = "" if evaluator == usual else "-" + evaluator.partition(":")[2]
    suffix += f"-{found['fingerprint'][:8]}" if (found := history.settings.get("found")) else ""
    return f"evofabric-{history.size}-b{history.settings['budget']}{suffix}"


def _key(history: History) -> str:
    """The folder's name, and the time to the microsecond in case another machine used the same name."""
    return re.sub(r"[^\w.-]", "_", history.folder.name) + f"@{history.header.time:.6f}"


def run_record(history: History, points: tuple[Point, ...], more_tags: Mapping[str, str] | None = None) -> RunRecord:
    """A run's own record with these points: its recipe, versions, beginning, end and status."""
    header, settings = history.header, history.settings
    params = _flat(settings) | {
        "evaluator": header.evaluator,
        "canary": header.program.canary,
        "backend": header.backend,
        "machine": header.machine,
        "version.python": header.python,
        **{f"version.{name}": version for name, version in header.program.packages.items()},
    }
    tags = {
        "recipe": settings["name"],
        "size": history.size,
        **({"budget": str(settings["budget"])} if "budget" in settings else {}),
        "seed": str(settings["seed"]),
        "mlflow.source.name": settings["name"],
        "mlflow.source.type": "LOCAL",
        **(more_tags or {}),
    }
    if history.result:
        params["result_digest"] = history.result.digest
        params["devices"] = str(
            len({one.device for one in history.records if isinstance(one, ScoreRecord)} - {"cache"})
        )
    return RunRecord(
        key=_key(history),
        name=history.folder.name,
        start=header.time,
        end=history.end,
        status=history.status,
        tags=tags,
        params=params,
        points=points,
    )


def _evolution(history: History) -> Iterator[Point]:
    """The course of evolution and of random search by candidates processed, to be laid over each other."""
    for policy in Policy:
        group = policy.value.replace(" ", "_")
        noted = {name: _noted(history, policy, name) for name in CONTROL}
        scores = [one for one in history.scores(policy.value) if one.device != "cache"]
        finished = np.sort([one.time for one in scores])
        generations = history.generations(policy)
        first = [one.time - one.seconds for one in scores if generations and one.time <= generations[0].time]
        before = min(first, default=math.inf)
        for generation in generations:
            best, baseline, time = generation.best, generation.baseline, generation.time
            count = np.searchsorted(finished, time, "right") - np.searchsorted(finished, before, "right")
            values = {
                "best_error": best,
                "baseline_error": baseline,
                "error_over_baseline": None if best is None or baseline is None else ratio(best, baseline),
                "hypervolume": generation.hypervolume,
                "evaluations_per_second": count / (time - before) if time > before else None,
            }
            for name, pairs in noted.items():
                values |= _course(name, pairs[: generation.candidates])
            yield from _points(values, group, generation.candidates, time)
            before = time


def _noted(history: History, policy: Policy, name: str) -> NDArray[np.float64]:
    """What was noted of every candidate and its error, ``(candidates, 2)``; NaN where there is none.

    The total of K is noted with the other sign, as all proxies are small where they promise much.
    """
    sign = -1 if name == "controllability" else 1
    pairs = [
        (sign * one.measures.get(name, math.nan), one.error if one.score else math.nan)
        for one in history.scores(policy.value)
    ]
    return np.array(pairs, dtype=np.float64).reshape(-1, 2)


def _course(name: str, pairs: NDArray[np.float64]) -> dict[str, float | None]:
    """The best value so far, and of the latest candidates the mean and the rank correlation with the error."""
    values, lately = pairs[:, 0], pairs[-_LATELY:]
    lately = lately[np.isfinite(lately[:, 0])]
    if not len(lately):
        return {}
    best = np.nanmax(values) if name == "controllability" else np.nanmin(values)
    both = lately[np.isfinite(lately[:, 1])]
    return {
        f"{name}_best": float(best),
        f"{name}_mean": float(lately[:, 0].mean()),
        f"{name}_correlation": running_correlation(both[:, 0], both[:, 1]),
    }


def _test(history: History) -> Iterator[Point]:
    """The errors of the final table; at step 0 MLflow draws bars."""
    table, result = history.table, history.result
    if table and result:
        errors = {re.sub(r"[^\w.-]+", "_", row.name).lower(): row.error.mean for row in table.rows}
        over = ratio(table.first.error.mean, table.baseline.error.mean)
        yield from _points({**errors, "champion_over_baseline": over}, "test", 0, result.time)
        listed = {ERROR: table.first.error.mean, BASELINE: table.baseline.error.mean, RATIO: over}
        yield from _points(listed, None, 0, result.time)


def _controllability(history: History) -> Iterator[Point]:
    """Uniform K of the champion and the baseline (paper, section VI): its total and its unfairness."""
    if history.result:
        for name, control in zip(("champion", "baseline"), controllability_of(history).values(), strict=False):
            values = {f"{name}_total": control.total, f"{name}_unfairness": control.unfairness}
            yield from _points(values, "controllability", 0, history.result.time)


def _family(history: History, family: str) -> RunRecord:
    """A family's trials; once its best member is known, the member's parameters (p, d, constants, ...) and errors."""
    row = ROWS[family]
    trials = history.scores(names.tuning(family))
    best = history.chosen(row)
    of_table = history.table.baseline_name if history.table else BASELINES[PARALLEL_BUTTERFLY]
    role = "baseline" if row == of_table else "tuned"
    ranked = history.scores(names.final_validation(row)) or history.scores(names.validation(row))
    return RunRecord(
        key=f"{_key(history)} {family}",
        name=f"{role} {family}",
        start=min(one.time - one.seconds for one in trials),
        end=max(one.time for one in ranked) if best else history.end,
        status="FINISHED" if best else history.status,
        tags={
            "role": role,
            "family": family,
            "recipe": history.settings["name"],
            "size": history.size,
            "mlflow.note.content": about_family(history, family),
        },
        params=_member(best) if best else {},
        points=tuple(_trials(history, trials, best, row)),
        texts={"trials.csv": trials_csv(history, family)} if best else {},
    )


def _member(best: ScoreRecord) -> dict[str, str]:
    """The best member and its parameters by name, those left at their defaults included; a file has none."""
    label = best.origin.label
    chosen = best.score
    about = {
        "member": label,
        "learning_rate": chosen and chosen.learning_rate,
        "weight_decay": chosen and chosen.weight_decay,
    }
    of_places = label.split(BETWEEN_PLACES)
    for number, expression in enumerate(of_places, 1):
        if is_expression(expression):
            family, arguments = read(expression)
            parameters = inspect.signature(find(family).build).parameters
            which = "member" if len(of_places) == 1 else f"member.{number}"
            about |= {f"{which}.{name}": arguments.get(name, each.default) for name, each in parameters.items()}
    return _flat(about | {name: getattr(best, name) for name in ("n_trainable", "n_edges", "depth", "digest")})


def _trials(history: History, trials: Sequence[ScoreRecord], best: ScoreRecord | None, row: str) -> Iterator[Point]:
    for trial in trials:
        yield from _points({"trial_error": trial.error}, "tuning", trial.number, trial.time)
    if best:
        found = next(trial for trial in trials if trial.digest == best.digest)
        values = {"search_error": found.error, "validation_error": best.error}
        yield from _points(values, "best_member", 0, best.time)
    tested = history.table and history.table.get(row)
    if tested and history.result:
        yield from _points({"test_error": tested.error.mean}, "best_member", 0, history.result.time)


def _points(values: Mapping[str, float | None], group: str | None, step: int, time: float) -> Iterator[Point]:
    """Points of one group, or of none; what is unknown or infinite, which charts cannot show, is left out."""
    for name, value in values.items():
        if value is not None and math.isfinite(value):
            yield Point(f"{group}/{name}" if group else name, float(value), step, time)


def _flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    """Nested settings as text under dotted names; what is left out in the recipe is left out here."""
    found: dict[str, str] = {}
    for name, value in values.items():
        if isinstance(value, Mapping):
            found |= _flat(value, f"{prefix}{name}.")
        elif value not in (None, []):
            found[prefix + name] = " ".join(map(str, value)) if isinstance(value, list) else str(value)
    return found
