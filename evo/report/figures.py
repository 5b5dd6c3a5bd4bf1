"""Pictures of a run: its course, its front, and its final table. Made without pyplot, so in any thread."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from evo.algorithm.individual import SAMPLED
from evo.algorithm.nsga2 import Policy
from evo.report.labels import label_points
from evo.report.numbers import significant
from evo.report.palette import BASELINE, EVOLUTION, FAMILIES, RANDOM_SEARCH, family_colour
from evo.report.style import GRID, INK, PALE, SOFT, head, page
from evo.report.text import shape_text, unchosen_words
from evo.report.words import error_name, words_of
from evo.storage import names
from evo.storage.history import History
from evo.storage.names import LAW, OWN, ROWS
from evo.storage.records import ScoreRecord
from evo.storage.results import Row, Verdict

_NAMES = {OWN: "your own topologies", SAMPLED: "sampled afresh", LAW: "from the evolved law"}
_CEILING, _GAPS = 1.5, 2.5
"""Errors are shown up to this multiple of the baseline's, or to where they are so many times as far above it as the
least is below, if that is less; what lies above is counted in words."""


def progress(history: History) -> Figure:
    """Every candidate's error, and the best so far of evolution and of random search against the tuned baseline.

    Errors are those on the search split. The lines hold what may become champion, that is what has at most the
    baseline's edges and depth.

    Raises
    ------
    ValueError
        When no generation was processed yet.
    """
    generations = history.generations(Policy.EVOLUTION)
    if not generations:
        raise ValueError(f"{history.folder.name} has processed no generation yet: there is no progress to draw")
    baseline = generations[0].baseline
    figure, axes = page(9.8, 5.2, right=2.9)
    shown = [one.error for policy in Policy for one in history.scores(policy.value)]
    low, high = _limits(axes, shown, baseline)
    axes.axvspan(0, generations[0].candidates, color=GRID, alpha=0.5, lw=0)
    axes.annotate(
        "initial population", (0, 1), (0, 4), ("data", "axes fraction"), "offset points", color=SOFT, fontsize=8
    )
    labels = []
    if baseline is not None:
        axes.axhline(baseline, color=BASELINE, lw=1.6, ls=(0, (5, 3)), zorder=3)
        labels.append((baseline, f"{history.baseline}  {significant(baseline)}", BASELINE))
    for policy, colour in ((Policy.RANDOM, RANDOM_SEARCH), (Policy.EVOLUTION, EVOLUTION)):
        errors = np.array([one.error for one in history.scores(policy.value)])
        axes.plot(np.arange(1, errors.size + 1), errors, ".", color=colour, ms=4, alpha=0.28, mew=0, zorder=2)
        best = [(one.candidates, one.best) for one in history.generations(policy) if one.best is not None]
        if best:
            candidates, least = zip(*best, strict=True)
            axes.step(candidates, least, where="post", color=colour, lw=2.2, zorder=4)
            axes.plot(candidates[-1], least[-1], "o", color=colour, ms=5, zorder=5)
            labels.append((least[-1], f"{policy.value}  {significant(least[-1])}", colour))
    axes.set_xlim(0, max(len(history.scores(policy.value)) for policy in Policy) * 1.002)
    _label_ends(axes, labels, low, high)
    axes.set(xlabel="candidates processed", ylabel=_search_error(history))
    head(
        figure,
        "Best so far, against the baseline",
        f"{_task(history)} · dots are candidates, lines the best within the baseline's edges and depth"
        f"{_above(shown, high)}",
    )
    return figure


def front(history: History) -> Figure:
    """Error against total edges of every candidate of evolution, by family, beside the hand-derived topologies.

    Raises
    ------
    ValueError
        When there is no candidate yet.
    """
    candidates = history.scores(Policy.EVOLUTION.value)
    if not candidates:
        raise ValueError(f"{history.folder.name} has no candidates yet: there is no front to draw")
    figure, axes = page(10.1, 5.8, right=2.7)
    baselines = best_members(history)
    sampled = history.scores(Policy.RANDOM.value)
    shown = [one.error for one in (*candidates, *sampled)]
    every = [*shown, *(one.error for one in baselines.values())]
    generations = history.generations(Policy.EVOLUTION)
    _, high = _limits(axes, every, generations[0].baseline if generations else None)
    axes.plot(*_places(sampled), ".", color=PALE, ms=5, mew=0, zorder=1, label="random search")
    present = {one.origin.family for one in candidates}
    for family in sorted(present, key=lambda one: list(FAMILIES).index(one) if one in FAMILIES else len(FAMILIES)):
        of_family = [one for one in candidates if one.origin.family == family]
        colour, name = family_colour(family), family_name(family)
        axes.plot(*_places(of_family), "o", color=colour, ms=4.5, alpha=0.6, mew=0, zorder=2, label=name)
    edges, errors = staircase(candidates)
    marker = "." if len(edges) == 1 else None
    axes.step(
        edges, errors, where="post", color=INK, lw=1.1, alpha=0.75, zorder=3, marker=marker, label="front of evolution"
    )
    if history.champion:
        place = _places([history.champion])
        axes.plot(*place, "o", ms=13, mfc="none", mec=INK, mew=1.6, zorder=6, label="evolved champion")
    axes.set(xlabel="edges, trainable and constant", ylabel=_search_error(history))
    _mark_baselines(axes, baselines, high)
    axes.legend(loc="upper left", bbox_to_anchor=(1.01, 1), frameon=False, fontsize=8.5, labelcolor=INK)
    facts = f"{_task(history)} · diamonds are the best members of the hand-derived families"
    head(figure, "Error and edges of every candidate", f"{facts}{_above(shown, high)}")
    return figure


def final_table(history: History) -> Figure:
    """Every row's difference from the baseline on test targets, with its 95 % interval.

    Raises
    ------
    ValueError
        When the run has no final table.
    """
    if history.table is None:
        raise ValueError(f"{history.folder.name} has no final table: it was not finished")
    rows = history.table.by_error
    most = history.table.baseline.error.mean  # a row that is worse by more than that is drawn at the edge
    figure, axes = page(9.8, 1.6 + 0.42 * len(rows), left=2.25, right=1.0)
    axes.axvline(0, color=BASELINE, lw=1.6, ls=(0, (5, 3)))
    for place, row in enumerate(rows):
        _forest_line(axes, place, row, most if most > 0 else np.inf, bold=row is history.table.first)
    axes.set_ylim(len(rows) - 0.4, -0.6)
    axes.set_yticks(range(len(rows)), [row.name for row in rows], color=INK)
    axes.tick_params(axis="y", length=0, labelsize=9.5)
    axes.grid(axis="y", visible=False)
    axes.set_xlabel(
        f"difference of the test error ({error_name(history.header.evaluator)}) from the baseline: left is better"
    )
    axes.get_yticklabels()[rows.index(history.table.first)].set_fontweight("bold")
    _beside(axes, -0.85, "test error", SOFT, "normal")
    over = f"{len(rows[0].errors)} {words_of(history.header.evaluator, history.settings).tested}"
    what = "mean" if history.table.is_deterministic else "mean and 95 % interval, without Holm's correction, paired"
    facts = f"{_task(history)} · {what} over {over}{unchosen_words(history)}"
    head(figure, f"Test comparison with the {history.baseline}", facts)
    return figure


def _forest_line(axes: Axes, place: int, row: Row, most: float, bold: bool) -> None:
    difference = row.difference
    _beside(axes, place, significant(row.error.mean), INK, "bold" if bold else "normal")
    if difference is None:
        axes.plot(0, place, "D", color=BASELINE, ms=7)
        return
    colour = {Verdict.BETTER: EVOLUTION, Verdict.WORSE: BASELINE, Verdict.LEVEL: SOFT}[difference.verdict]
    if difference.mean > most:
        axes.plot(0.985, place, ">", color=colour, ms=8, transform=axes.get_yaxis_transform())
        axes.annotate(
            f"{difference.mean:+.2g}",
            (0.965, place),
            xycoords=axes.get_yaxis_transform(),
            ha="right",
            va="center",
            fontsize=9,
            color=SOFT,
        )
        return
    axes.plot([difference.low, difference.high], [place, place], color=colour, lw=2.2, solid_capstyle="round")
    axes.plot(difference.mean, place, "o", color=colour, ms=8 if bold else 6)


def best_members(history: History) -> dict[str, ScoreRecord]:
    """Of every family that was tuned the member with the least error on the search split."""
    trials = {family: [one for one in history.scores(names.tuning(family)) if not one.failure] for family in ROWS}
    return {family: min(found, key=lambda one: one.error) for family, found in trials.items() if found}


def family_name(family: str) -> str:
    """What a candidate's descent is called."""
    return f"from {ROWS[family]}" if family in ROWS else _NAMES.get(family, family)


def _search_error(history: History) -> str:
    return f"search error ({error_name(history.searched_by)} on the search split)"


def _mark_baselines(axes: Axes, baselines: Mapping[str, ScoreRecord], high: float) -> None:
    """Diamonds with the families' names; families whose best members are alike share one."""
    at: dict[tuple[int, float], list[str]] = {}
    for family, record in baselines.items():
        if record.error <= high:
            at.setdefault((record.n_edges, record.error), []).append(family)
    for place, families in at.items():
        axes.plot(*place, "D", ms=8, mfc=family_colour(families[0]), mec="white", mew=1.4, zorder=5)
    label_points(axes, {place: ", ".join(ROWS[family] for family in families) for place, families in at.items()})


def staircase(candidates: Sequence[ScoreRecord]) -> tuple[list[int], list[float]]:
    """The candidates that no other beats in both edges and error, by edges."""
    edges, errors, least = [], [], float("inf")
    for one in sorted(candidates, key=lambda one: (one.n_edges, one.error)):
        if one.error < least:
            least = one.error
            edges.append(one.n_edges)
            errors.append(least)
    return edges, errors


def _places(records: Sequence[ScoreRecord]) -> tuple[list[int], list[float]]:
    return [one.n_edges for one in records], [one.error for one in records]


def _limits(axes: Axes, errors: Sequence[float], baseline: float | None) -> tuple[float, float]:
    low, high = error_range(errors, baseline)
    axes.set_ylim(low, high)
    return low, high


def error_range(errors: Sequence[float], baseline: float | None) -> tuple[float, float]:
    """The range of errors shown: from just below the least to some way above the baseline's, so that what is between
    them can be seen.
    """
    finite = [value for value in errors if np.isfinite(value)]
    known = [] if baseline is None else [baseline]
    finite = [*finite, *known] or [0.0, 1.0]
    ceiling = max(finite)
    if baseline:
        far, below = (_CEILING - 1) * abs(baseline), baseline - min(finite)
        ceiling = baseline + min(far, max(_GAPS * below, far / 5))
    high = min(max(finite), max(ceiling, min(finite)))
    span = high - min(finite) or abs(high) or 1.0  # all may be equal
    return min(finite) - 0.06 * span, high + 0.03 * span


def _above(errors: Sequence[float], high: float) -> str:
    failed = sum(not np.isfinite(value) for value in errors)
    count = sum(value > high for value in errors) - failed
    above = f" · {count} candidates above {significant(high, 2)} not shown" if count else ""
    return above + (f" · {failed} failed" if failed else "")


def _label_ends(axes: Axes, labels: Sequence[tuple[float, str, str]], low: float, high: float) -> None:
    """Names at the right end of their lines, moved apart where they would overlap."""
    least = 0.045 * (high - low)
    place = -float("inf")
    for value, text, colour in sorted(labels):
        place = max(value, place + least)
        _beside(axes, place, text, colour)


def _beside(axes: Axes, place: float, text: str, colour: str, weight: str = "bold") -> None:
    """Text at the right of the axes, at height ``place``."""
    where = ((1, place), (8, 0), ("axes fraction", "data"), "offset points")
    axes.annotate(text, *where, va="center", color=colour, fontsize=9.5, fontweight=weight)


def _task(history: History) -> str:
    settings = history.settings
    return f"{shape_text(history)}, {settings['budget']} trainable edges"
