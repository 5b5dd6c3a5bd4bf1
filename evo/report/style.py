"""The paper that figures are drawn on: one look for all of them, without pyplot, so that any thread can draw."""

from __future__ import annotations

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from topologies.draw import text_width

INK, SOFT, GRID, PALE = "#1f2a33", "#75818c", "#e6eaee", "#c3cbd2"
DPI = 180
"""Figures are about 850 points wide, at twice the resolution that they are shown at beside the margins of a page."""


def blank(width: float, height: float) -> Figure:
    """An empty white page; width and height in inches."""
    figure = Figure((width, height), dpi=DPI, facecolor="white")
    FigureCanvasAgg(figure)
    return figure


def place(figure: Figure, left: float, top: float, width: float, height: float) -> Axes:
    """Axes at a place measured in inches from the page's top left corner."""
    across, down = figure.get_size_inches()
    return figure.add_axes((left / across, 1 - (top + height) / down, width / across, height / down))


def bare(axes: Axes) -> Axes:
    """The axes with a grid and without a frame."""
    axes.grid(color=GRID, lw=0.8)
    axes.set_axisbelow(True)
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    axes.spines["bottom"].set_color(PALE)
    axes.tick_params(colors=SOFT, labelsize=9)
    axes.xaxis.label.set_color(INK)
    axes.yaxis.label.set_color(INK)
    axes.yaxis.set_major_locator(MaxNLocator(7))
    return axes


def page(width: float, height: float, *, left: float = 0.75, right: float) -> tuple[Figure, Axes]:
    """A page with one pair of bare axes; all measures in inches, ``left`` and ``right`` are the margins."""
    figure = blank(width, height)
    return figure, bare(place(figure, left, 0.85, width - left - right, height - 0.6 - 0.85))


def head(figure: Figure, title: str, facts: str) -> None:
    """A heading, and below it a line of facts, in smaller letters where they would not fit the page."""
    width, height = figure.get_size_inches()
    room = width - 0.4
    for text, top, size, weight, colour in ((title, 0.2, 13, "bold", INK), (facts, 0.5, 9, "normal", SOFT)):
        fitting = size * min(1.0, room / max(text_width(text, size, weight), 0.1))
        figure.text(0.2 / width, 1 - top / height, text, fontsize=fitting, weight=weight, color=colour, va="top")
