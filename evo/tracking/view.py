"""How MLflow's page of runs opens: its columns and charts, kept in a tag of the experiment.

MLflow's page reads such a tag when an address names its key, as an address does that somebody shared. A page without
it shows neither errors nor more than one metric a chart. The names within are those of MLflow 3.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

_KEY = "evofabric"
TAG = f"mlflow.sharedViewState.{_KEY}"
"""The experiment's tag in which MLflow looks for the state of its page."""

ERROR, BASELINE, RATIO = "error", "baseline", "ratio"
"""Metrics that the list of runs shows: the champion's test error, the baseline's, and the one over the other. The names
are short because its columns are narrow."""

_COLUMNS = (
    *(f"metrics.`{name}`" for name in (ERROR, BASELINE, RATIO)),
    "tags.`size`",
    "tags.`budget`",
    "params.`seed`",
)

_CURVES = (
    ("evolution/best_error", "random_search/best_error", "evolution/baseline_error"),
    ("evolution/error_over_baseline", "random_search/error_over_baseline"),
    ("evolution/hypervolume", "random_search/hypervolume"),
    ("evolution/evaluations_per_second", "random_search/evaluations_per_second"),
)
"""Metrics of each chart that opens, which MLflow names by them: evolution and random search in one."""

_FOLDED = (
    "evolution", "random_search", "controllability", "test", "tuning", "best_member", "Model metrics", "System metrics"
)  # fmt: skip
"""Sections of charts that MLflow makes by itself, one a metric; these are there, but folded."""


def page(experiment: str) -> str:
    """The part of an address behind ``#`` that opens the list of an experiment's runs in this form."""
    return f"/experiments/{experiment}/runs?viewStateShareKey={_KEY}&workflowType=machine_learning"


def state() -> str:
    """What the tag says: columns, order and charts, as JSON."""
    sections = [_section("course", "Course of the search", True), *(_section(name, name, False) for name in _FOLDED)]
    return json.dumps(
        {
            "searchFilter": "",
            "orderByKey": "attributes.start_time",
            "orderByAsc": False,
            "startTime": "ALL",
            "lifecycleFilter": "Active",
            "selectedColumns": _COLUMNS,
            "compareRunCharts": [_chart(metrics) for metrics in _CURVES],
            "compareRunSections": sections,
            "isAccordionReordered": True,
            "globalLineChartConfig": {"xAxisKey": "step", "lineSmoothness": 0, "selectedXAxisMetricKey": ""},
        }
    )


def _section(key: str, name: str, opened: bool) -> dict[str, Any]:
    return {
        "uuid": f"{_KEY}-{key}",
        "name": name,
        "display": opened,
        "isReordered": False,
        "deleted": False,
        "isGenerated": False,
    }


def _chart(metrics: Sequence[str]) -> dict[str, Any]:
    """Curves of several metrics over the number of candidates."""
    return {
        "uuid": f"{_KEY}-{metrics[0]}",
        "type": "LINE",
        "metricSectionId": f"{_KEY}-course",
        "metricKey": metrics[0],
        "selectedMetricKeys": metrics,
        "xAxisKey": "step",
        "lineSmoothness": 0,
        "useGlobalXaxisKey": True,
        "useGlobalLineSmoothing": True,
        "runsCountToCompare": 10,
        "deleted": False,
        "isGenerated": False,
    }
