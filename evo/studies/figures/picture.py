"""The figure of a study: error against whatever the recipe wants to the right, a line a series."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter, StrMethodFormatter

from evo.report.palette import MARKERS, SERIES
from evo.report.style import INK, bare, blank, head, place
from evo.report.text import plural
from evo.storage.results import Interval
from evo.studies.figures.findings import Point
from evo.studies.figures.settings import FigureSettings

_LINES = ("solid", (0, (4, 2)), (0, (1.5, 1.5)))
"""The first eight lines are solid; those after have the same colours, are dashed, and then dotted."""
_LABEL = 0.08
"""A label's share of an axis."""
_FEW_PLACES = 9
"""Places on a logarithmic axis up to which each has a label of its own, if there is room."""
_FEW_POWERS = 1000
"""Between the ends of a logarithmic axis of errors below which 1, 2 and 5 times a power of ten have labels."""
_LABELS = {"parameters": "parameters", "edges": "edges", "depth": "sparse layers", "value": "value"}


def figure(settings: FigureSettings, points: Sequence[Point], error_name: str) -> Figure:
    """Error with 95 % intervals against x, by series.

    Raises
    ------
    ValueError
        Where no point is known.
    """
    known = [one for one in points if one.error is not None]
    if not known:
        raise ValueError("no point of the figure is known yet")
    names = [one.name for one in settings.series if any(point.series == one.name for point in known)]
    height = max(4.8, 1.9 + 0.24 * len(names))
    page = blank(10.5, height)
    axes = bare(place(page, 0.85, 0.85, 6.5, height - 1.45))
    looks = _looks(settings, names)
    for name in names:
        _draw(axes, [one for one in known if one.series == name], settings, looks[name])
    if settings.log_x:
        _logarithmic_x(axes, sorted({x_of(one, settings.x) for one in known}))
    else:
        axes.xaxis.set_major_locator(MaxNLocator(8, integer=settings.x != "value"))
    errors = [one.error.mean for one in known if one.error]
    if settings.log_y:
        _logarithmic_y(axes)
    elif min(errors) < max(errors) / 2:
        axes.set_ylim(bottom=0)
    axes.set(xlabel=settings.x_label or _LABELS[settings.x], ylabel=error_name)
    axes.legend(
        loc="upper left", bbox_to_anchor=(1.01, 1), frameon=False, fontsize=8.5, labelcolor=INK, labelspacing=0.6
    )
    repeats = max(len(one.errors) for one in known)
    what = plural(repeats, "test training" if settings.network else "test target")
    bars = "" if all(one.error and one.error.is_unknown for one in known) else " · bars are 95 % intervals"
    head(page, settings.title, f"{what} a point{bars} · seed {settings.seed}")
    return page


def _draw(axes: Axes, points: Sequence[Point], settings: FigureSettings, look: Mapping[str, Any]) -> None:
    """A series' line from left to right, with its intervals."""
    line = sorted(points, key=lambda one: x_of(one, settings.x))
    errors = [one.error for one in line if one.error]
    axes.errorbar(
        [x_of(one, settings.x) for one in line],
        [one.mean for one in errors],
        np.transpose([_bar(one) for one in errors]),
        **look,
        ms=4.5,
        lw=1.5,
        elinewidth=0.9,
        capsize=2,
        label=line[0].series,
    )


def _logarithmic_x(axes: Axes, places: Sequence[float]) -> None:
    """A logarithmic axis with labels at the points' own places, of many points at 1, 2 and 5 times powers of ten."""
    axes.set_xscale("log")
    if len(places) <= _FEW_PLACES:
        axes.set_xticks(_readable(places))
    else:
        axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.xaxis.set_major_formatter(StrMethodFormatter("{x:,.15g}"))


def _logarithmic_y(axes: Axes) -> None:
    """A logarithmic axis of errors, with more labels where it spans few powers of ten."""
    axes.set_yscale("log")
    least, most = axes.get_ylim()
    if most / least < _FEW_POWERS:
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.yaxis.set_major_formatter(StrMethodFormatter("{x:g}"))


def _bar(error: Interval) -> tuple[float, float]:
    """How far the bar of an error goes down, to nothing at most, and up; no number where its interval is unknown."""
    if error.is_unknown:
        return np.nan, np.nan
    return max(error.mean - max(error.low, 0.0), 0.0), error.half_width


def _readable(places: Sequence[float]) -> list[float]:
    """Those of the places on a logarithmic axis, the least first, whose labels do not cover that of the one before."""
    kept = [places[0]]
    for one in places[1:]:
        if one > kept[-1] * (places[-1] / places[0]) ** _LABEL:
            kept.append(one)
    return kept


def _looks(settings: FigureSettings, names: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Colour, marker and line of every series; a control has those of what it is the control of, hollow and dashed."""
    controls = {control.name: one.name for one in settings.series if (control := settings.control_of(one))}
    found: dict[str, dict[str, Any]] = {}
    for number, name in enumerate(name for name in names if controls.get(name) not in names):
        found[name] = {
            "color": SERIES[number % len(SERIES)],
            "marker": MARKERS[number % len(MARKERS)],
            "ls": _LINES[number // len(SERIES) % len(_LINES)],
        }
    hollow = {"ls": (0, (4, 2)), "mfc": "white"}
    return found | {name: found[of] | hollow for name, of in controls.items() if name in names and of in found}


def x_of(point: Point, x: Literal["value", "parameters", "edges", "depth"]) -> float:
    """What a point has to the right."""
    return float(getattr(point, x))
