"""Pictures of a study of proxies: errors against the best of them, and how well each one predicts."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, MaxNLocator, NullLocator, StrMethodFormatter

from evo.report.pictures import scatter
from evo.report.style import INK, bare, blank, head, place
from evo.studies.proxies.findings import Finding, Sample, ranking

BEST = 3
"""Proxies that are shown against the error; the best cheap reconstruction comes below them."""
_PANEL = (2.35, 2.05)
_BUDGETS = ("#a6cee3", "#56a0d3", "#1f6aa5", "#0b3558")
"""From light to dark, so that the order shows without colour."""
_INTERVALS = "#d55e00"
"""Stands out from light bars and dark ones."""


def best_scores(samples: Sequence[Sample], findings: Sequence[Finding], error_name: str = "relative error") -> Figure:
    """Error against each of the best few scores (rows), a panel a budget (columns), families by colour and marker.

    ``error_name`` is what the errors are called.

    Raises
    ------
    ValueError
        Without a complete budget.
    """
    _complete(samples)
    shown = _shown(findings)
    families = sorted({family for sample in samples for family in sample.families})
    (width, height), across, down = _PANEL, _PANEL[0] + 0.45, _PANEL[1] + 0.75
    left, top = 0.85, 1.25
    figure = blank(max(left + across * len(samples) + 1.65, 8.5), top + down * len(shown))
    found = {(one.budget, one.score): one for one in findings}
    for row, name in enumerate(shown):
        sign = _sign(samples, name)
        for column, sample in enumerate(samples):
            axes = bare(place(figure, left + column * across, top + row * down, width, height))
            score = sample.scores.get(name)
            if score is not None:
                scatter(axes, sample.families, sign * score.original, sample.errors, families)
                value = found[sample.budget, name].spearman.value
                told = f"Spearman {value:.2f}" if np.isfinite(value) else "says nothing"
                axes.set_title(f"budget {sample.budget}, {told}", fontsize=9, color=INK, loc="left")
            axes.set_yscale("log")
            axes.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
            axes.yaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
            axes.yaxis.set_minor_locator(NullLocator())
            axes.xaxis.set_major_locator(MaxNLocator(4))
            axes.set_xlabel(f"{name.replace('_', ' ')} ({'less' if sign > 0 else 'more'} is promising)", fontsize=9)
            axes.tick_params(labelsize=8)
            if column == 0:
                axes.set_ylabel(error_name, fontsize=9)
    handles, labels = figure.axes[0].get_legend_handles_labels()
    right = (left + across * len(samples) - 0.25) / figure.get_size_inches()[0]
    high = 1 - top / figure.get_size_inches()[1]
    figure.legend(
        handles, labels, loc="upper left", bbox_to_anchor=(right, high), frameon=False, fontsize=8.5, labelcolor=INK
    )
    head(
        figure,
        "Error against the scores that predict it best",
        f"{len(samples[0].families)} topologies a budget · Spearman is positive where a score keeps its promise",
    )
    return figure


def correlations(findings: Sequence[Finding]) -> Figure:
    """Every score's Spearman correlation with the error, a bar a budget, with 95 % intervals; best scores on top.

    A bar to the left of zero is a score that predicts the opposite of what it promises: its length is what counts for
    the strength of the relation.

    Raises
    ------
    ValueError
        Without findings.
    """
    _complete(findings)
    names, budgets = ranking(tuple(findings)), sorted({one.budget for one in findings})
    thickness = 0.8 / len(budgets)
    height = 1.75 + len(names) * max(0.3, 0.11 * len(budgets))
    figure = blank(9.5, height)
    axes = bare(place(figure, 2.35, 0.95, 9.5 - 2.35 - 1.6, height - 1.6))
    for number, budget in enumerate(budgets):
        of_budget = {one.score: one.spearman for one in findings if one.budget == budget}
        shown = [name for name in names if name in of_budget and np.isfinite(of_budget[name].value)]
        places = np.array([names.index(name) for name in shown]) + (number - (len(budgets) - 1) / 2) * thickness
        values = np.array([of_budget[name].value for name in shown])
        ends = np.array([(of_budget[name].low, of_budget[name].high) for name in shown]).reshape(-1, 2)
        colour = _BUDGETS[round(number * (len(_BUDGETS) - 1) / max(len(budgets) - 1, 1))]
        axes.barh(places, values, 0.9 * thickness, color=colour, label=str(budget))
        axes.hlines(places, ends[:, 0], ends[:, 1], color=_INTERVALS, lw=1.2)
    axes.axvline(0, color=INK, lw=0.8)
    axes.axvline(0.9, color=INK, lw=0.8, ls=(0, (2, 2)))
    axes.set_yticks(range(len(names)), [name.replace("_", " ") for name in names], color=INK)
    axes.set(xlim=(-1.02, 1.02), ylim=(len(names) - 0.4, -0.6), xlabel="Spearman correlation with the error")
    axes.grid(axis="y", visible=False)
    axes.tick_params(axis="y", length=0)
    axes.legend(
        title="budget",
        title_fontsize=9,
        loc="upper left",
        bbox_to_anchor=(1.01, 1),
        frameon=False,
        fontsize=8.5,
        labelcolor=INK,
    )
    head(
        figure,
        "How well each score predicts the error",
        "95 % intervals over topologies · 1 is perfect, 0 is chance, below 0 the promise is wrong · dotted: 0.9",
    )
    return figure


def _sign(samples: Sequence[Sample], name: str) -> int:
    """The sign with which a score is shown: -1 for one that is negative so that small is promising."""
    every = np.concatenate([sample.scores[name].original for sample in samples if name in sample.scores])
    known = every[np.isfinite(every)]
    return -1 if known.size and known.max() <= 0 and known.min() < 0 else 1


def _shown(findings: Sequence[Finding]) -> list[str]:
    """The best few proxies, then the best cheap reconstruction if there is one."""
    trains = {one.score for one in findings if one.trains}
    order = ranking(tuple(findings))
    return [name for name in order if name not in trains][:BEST] + [name for name in order if name in trains][:1]


def _complete(found: Sequence[object]) -> None:
    if not found:
        raise ValueError("the study has no complete budget yet: there is nothing to draw")
