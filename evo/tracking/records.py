"""What tracking should hold of a run, as plain values that follow from its journal alone.

A search is one sheet, and every family that was tuned is a sheet below it. Nothing here talks to MLflow, and points
carry the journal's times, so filing a sheet twice changes nothing.
"""

from __future__ import annotations

import inspect
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from scipy.stats import spearmanr

from evo.algorithm.nsga2 import Policy
from evo.report.text import about_family, controls, trials_csv
from evo.settings import Settings
from evo.storage.history import History, error
from evo.storage.journal import Record
from evo.storage.results import BASELINE, KINDS
from topologies.expression import is_expression, read
from topologies.families import find

_LATELY, _FEW = 256, 8
"""Births over which the screen is compared with the error, at most and at least."""


@dataclass(frozen=True)
class Point:
    """One value of a metric; ``time`` is in seconds since the epoch."""

    name: str
    value: float
    step: int
    time: float


@dataclass(frozen=True)
class Sheet:
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


def sheets(history: History) -> tuple[Sheet, ...]:
    """The search's sheet, then one for every family tuned so far, the baseline first."""
    search = sheet_of(history, (*_evolution(history), *_held_out(history), *_controllability(history)))
    return (search, *(_family(history, name) for name in KINDS if history.scores(f"tune {name}")))


def model_name(history: History) -> str:
    """What the champion is registered as: one name for all searches for the same size, budget and kind of error."""
    evaluator = history.header["evaluator"]
    usual = Settings.model_fields["evaluator"].default
    suffix = "" if evaluator == usual else "-" + evaluator.partition(":")[2]
    return f"evofabric-{history.size}-b{history.settings['budget']}{suffix}"


def _key(history: History) -> str:
    """The folder's name, and the time to the microsecond in case another machine used the same name."""
    return re.sub(r"[^\w.-]", "_", history.folder.name) + f"@{history.header['time']:.6f}"


def sheet_of(history: History, points: tuple[Point, ...], more_tags: Mapping[str, str] | None = None) -> Sheet:
    """A run's own sheet with these points: its recipe, versions, beginning, end and status."""
    header, settings, table = history.header, history.settings, history.table
    params = _flat(settings) | {
        "evaluator": header["evaluator"],
        "canary": header["canary"],
        "backend": header["backend"],
        "machine": header["machine"],
        "version.python": header["python"],
        **{f"version.{name}": version for name, version in header["packages"].items()},
    }
    tags = {
        "recipe": settings["name"],
        "size": history.size,
        "budget": str(settings["budget"]),
        "seed": str(settings["seed"]),
        "mlflow.source.name": settings["name"],
        "mlflow.source.type": "LOCAL",
        **(more_tags or {}),
    }
    if table:
        params["result_digest"] = table["digest"]
        params["devices"] = str(len({one["device"] for one in history.records if one["kind"] == "score"} - {"cache"}))
    return Sheet(
        key=_key(history),
        name=history.folder.name,
        start=header["time"],
        end=history.end,
        status=history.status,
        tags=tags,
        params=params,
        points=points,
    )


def _evolution(history: History) -> Iterator[Point]:
    """The course of evolution and of random search, by births told, so that the two can be laid over each other."""
    for policy in Policy:
        group = policy.value.replace(" ", "_")
        scores = [one for one in history.scores(policy.value) if one["device"] != "cache"]
        finished = np.sort([one["time"] for one in scores])
        broods = history.broods(policy)
        first = [one["time"] - one["seconds"] for one in scores if broods and one["time"] <= broods[0]["time"]]
        before = min(first, default=math.inf)
        for brood in broods:
            best, baseline, time = brood["best"], brood["baseline"], brood["time"]
            count = np.searchsorted(finished, time, "right") - np.searchsorted(finished, before, "right")
            values = {
                "best_error": best,
                "baseline_error": baseline,
                "error_over_baseline": None if best is None else best / baseline,
                "hypervolume": brood["hypervolume"],
                "evaluations_per_second": count / (time - before) if time > before else None,
                "screen_correlation": _agreement(history.scores(policy.value)[: brood["births"]][-_LATELY:]),
            }
            yield from _points(values, group, brood["births"], time)
            before = time


def _agreement(scores: Sequence[Record]) -> float | None:
    """Spearman's correlation of the screen's predictions with the errors; None where there are too few of them."""
    pairs = [(one["measures"][one["screen"]], error(one)) for one in scores if one.get("screen") and not one["failure"]]
    predictions, errors = zip(*pairs, strict=True) if pairs else ((), ())
    if len(set(predictions)) < _FEW or len(set(errors)) < _FEW:
        return None
    return float(spearmanr(predictions, errors).statistic)


def _held_out(history: History) -> Iterator[Point]:
    table = history.table
    if table:
        errors = {row.kind.replace(" ", "_").lower(): row.error.mean for row in history.rows}
        champion, baseline, *_ = errors.values()
        values = {**errors, "champion_over_baseline": champion / baseline}
        yield from _points(values, "held_out", 0, table["time"])  # at step 0 MLflow draws bars


def _controllability(history: History) -> Iterator[Point]:
    """Uniform K of the champion and the baseline (paper, section VI): its total and its unfairness."""
    if history.table:
        for name, control in zip(("champion", "baseline"), controls(history).values(), strict=True):
            values = {f"{name}_total": control.total, f"{name}_unfairness": control.unfairness}
            yield from _points(values, "controllability", 0, history.table["time"])


def _family(history: History, family: str) -> Sheet:
    """A family's trials; once its best member is known, the member's parameters (p, d, constants, ...) and errors."""
    trials = history.scores(f"tune {family}")
    kind = KINDS[family]
    best = history.chosen(kind)
    role = "baseline" if family == BASELINE else "tuned"
    ranked = history.scores(f"closer choice: {kind}") or history.scores(f"choice: {kind}")
    return Sheet(
        key=f"{_key(history)} {family}",
        name=f"{role} {family}",
        start=min(one["time"] - one["seconds"] for one in trials),
        end=max(one["time"] for one in ranked) if best else history.end,
        status="FINISHED" if best else history.status,
        tags={
            "role": role,
            "family": family,
            "recipe": history.settings["name"],
            "size": history.size,
            "mlflow.note.content": about_family(history, family),
        },
        params=_member(best) if best else {},
        points=tuple(_trials(history, trials, best, kind)),
        texts={"trials.csv": trials_csv(history, family)} if best else {},
    )


def _member(best: Record) -> dict[str, str]:
    """The best member and its parameters by name, those left at their defaults included; a file has none."""
    about = {"member": best["label"], "rate": best["rate"]}
    if is_expression(best["label"]):
        family, arguments = read(best["label"])
        parameters = inspect.signature(find(family).build).parameters
        about |= {f"member.{name}": arguments.get(name, each.default) for name, each in parameters.items()}
    return _flat(about | {name: best[name] for name in ("n_trainable", "n_edges", "depth", "digest")})


def _trials(history: History, trials: list[Record], best: Record | None, kind: str) -> Iterator[Point]:
    for trial in trials:
        yield from _points({"trial_error": error(trial)}, "tuning", trial["number"], trial["time"])
    if best:
        found = next(trial for trial in trials if trial["digest"] == best["digest"])
        values = {"search_error": error(found), "choice_error": error(best)}
        yield from _points(values, "best_member", 0, best["time"])
    if history.table:
        errors = {row.kind: row.error.mean for row in history.rows}
        yield from _points({"held_out_error": errors.get(kind)}, "best_member", 0, history.table["time"])


def _points(values: Mapping[str, float | None], group: str, step: int, time: float) -> Iterator[Point]:
    """Points of one group; what is unknown or infinite, which charts cannot show, is left out."""
    for name, value in values.items():
        if value is not None and math.isfinite(value):
            yield Point(f"{group}/{name}", float(value), step, time)


def _flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    """Nested settings as text under dotted names; what is left out in the recipe is left out here."""
    found: dict[str, str] = {}
    for name, value in values.items():
        if isinstance(value, Mapping):
            found |= _flat(value, f"{prefix}{name}.")
        elif value not in (None, []):
            found[prefix + name] = " ".join(map(str, value)) if isinstance(value, list) else str(value)
    return found
