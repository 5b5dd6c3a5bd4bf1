"""Pictures of a topology: its layers as columns of neurons, and its masks as images.

Figures are made without pyplot, so drawing needs no display, leaves no global state and works in any thread.
``draw_topology(topology).savefig("topology.png")`` writes one to a file.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import LineCollection
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.textpath import TextPath
from numpy.typing import NDArray

from topologies.entries import ABSENT, CONSTANT, TRAINABLE
from topologies.layer import Layer
from topologies.measures import path_counts
from topologies.order import heights
from topologies.stack import AnyTopology, Stack, size_text
from topologies.topology import Topology

_COLOURS = {ABSENT: "#eef1f4", TRAINABLE: "#2b6a99", CONSTANT: "#e8853d"}
_INK, _SOFT = "#1f2a33", "#75818c"
_FEWEST = 0.12
"""How dark a single path is, of 1: it is told from none."""
_INK_SHARE = 0.33
"""Ink of a layer's edges over the paper that they are drawn on."""
_DASHES = (0, (3.5, 2.5))
_DPI = 160

_Heights = NDArray[np.float64]

# The page, in inches.
_MARGIN, _HEADING, _FOOT = 0.35, 0.8, 0.3
_GAP = 0.55  # between the places of a stack


def draw_topology(topology: AnyTopology, title: str | None = None) -> Figure:
    """Layers as columns of neurons, inputs at the left; trainable edges solid, constant edges dashed.

    Hidden neurons are in the order of :func:`topologies.order.heights`, in which edges are short. All columns keep the
    spacing of the widest one, so the profile of widths shows. The closer the neurons, the finer
    the edges; the more edges in a layer, the paler. The places of a stack are drawn one below the other.
    """
    title, facts = title or _name(topology), _facts(topology)
    least = _heading_width(title, facts)
    sizes = [(max(width, least), height) for width, height in map(_extent, topology.places)]
    gap = _GAP if isinstance(topology, Stack) else 0.0
    width, height = max(width for width, _ in sizes), sum(height + gap for _, height in sizes)
    figure = _page(width, height, title, facts, _line_legend(topology))
    top = gap / 2
    for number, (place, (across, down)) in enumerate(zip(topology.places, sizes, strict=True), 1):
        axes = _panel(figure, 0.0, top, across, down)
        if isinstance(topology, Stack):
            axes.annotate(
                f"place {number}: {_name(place)}",
                (0, 1),
                (0, 4),
                "axes fraction",
                "offset points",
                color=_SOFT,
                fontsize=8,
            )
        _draw_layers(axes, place, down)
        top += down + gap
    return figure


def _extent(topology: Topology) -> tuple[float, float]:
    """Width and height of the picture of a topology's layers, in inches."""
    height = float(np.clip(0.11 * max(topology.widths), 1.6, 7.0))
    return float(np.clip(topology.depth * np.clip(0.45 * height, 1.3, 2.6), 4.2, 15.0)), height


def _draw_layers(axes: Axes, topology: Topology, height: float) -> None:
    """The layers of one topology on axes of so many inches."""
    widest = max(topology.widths)
    axes.set(xlim=(-0.15, topology.depth + 0.15), ylim=(widest / 2, -widest / 2))
    spacing = 72 * height / widest
    columns = heights(topology)
    for place, layer in enumerate(topology.layers):
        _draw_edges(axes, place, layer, columns[place], columns[place + 1], spacing)
    size = float(np.clip(0.4 * spacing, 0.8, 7.0))
    for place, neurons in enumerate(topology.widths):
        axes.plot(np.full(neurons, place), columns[place], "o", color=_INK, ms=size, mew=0, zorder=CONSTANT + 1)
        foot = (place, widest / 2)
        axes.annotate(str(neurons), foot, (0, -13), "data", "offset points", color=_SOFT, fontsize=8, ha="center")


@dataclass(frozen=True)
class _Image:
    """A matrix as a picture: its heading, sides, and the colours of its blocks, shape ``(rows, columns, 3)``."""

    heading: str
    n_in: int
    n_out: int
    colours: NDArray[np.float64]


def draw_masks(topology: AnyTopology, title: str | None = None) -> Figure:
    """Every layer's mask as an image, sources downwards and targets to the right, all at one scale.

    After the masks comes how many paths join every input and output, the darker the more, in proportion. Layers of a
    stack are numbered by place and layer, and every place has its paths after its masks.

    Of masks too large to show every entry, blocks of entries are shown: constant before trainable before absent, and
    of paths the most.
    """
    count = topology.depth + len(topology.places)
    columns = _columns(count)
    largest = max(topology.widths)
    panel = float(np.clip(11.0 / columns, 1.2, 3.2))
    scale = min(panel / largest, 0.3)
    block = math.ceil(largest / (panel * _DPI / 2))  # two pixels an entry or more
    images = [one for number, place in enumerate(topology.places, 1) for one in _images(topology, number, place, block)]
    across = max(scale * max(image.n_out for image in images), 0.9) + 0.3
    rows = [images[first : first + columns] for first in range(0, count, columns)]
    downs = [scale * max(image.n_in for image in row) + 0.4 for row in rows]
    facts = _facts(topology) + " · sources down, targets across" + (f" · {block} × {block} blocks" if block > 1 else "")
    size = max(columns * across - 0.3, 4.2), sum(downs) - 0.1
    figure = _page(*size, title or _name(topology), facts, _patch_legend(topology))
    for number, image in enumerate(images):
        row, column = divmod(number, columns)
        axes = _panel(figure, column * across, sum(downs[:row]) + 0.2, scale * image.n_out, scale * image.n_in)
        axes.imshow(image.colours, aspect="auto", interpolation="nearest")
        axes.annotate(image.heading, (0, 1), (0, 4), "axes fraction", "offset points", color=_SOFT, fontsize=8)
    return figure


def _images(whole: AnyTopology, number: int, place: Topology, block: int) -> Iterator[_Image]:
    """The masks of one place, and its paths."""
    prefix = f"{number}." if isinstance(whole, Stack) else ""
    colours = np.array([to_rgb(_COLOURS[kind]) for kind in (ABSENT, TRAINABLE, CONSTANT)])
    for count, layer in enumerate(place.layers, 1):
        heading = f"{prefix}{count}   {layer.n_in} × {layer.n_out}"
        yield _Image(heading, layer.n_in, layer.n_out, colours[_blocks(layer.mask(), block)])
    paths = np.minimum(path_counts(place), np.finfo(np.float64).max)
    shares = _blocks(paths, block)[..., None] / max(float(paths.max()), 1.0)
    shades = np.where(shares > 0, _FEWEST + (1 - _FEWEST) * shares, 0.0)
    nothing, most = (np.array(to_rgb(colour)) for colour in (_COLOURS[ABSENT], _INK))
    heading = f"{prefix}paths: {paths.min():.3g} to {paths.max():.3g}"
    yield _Image(heading, place.n_in, place.n_out, nothing + shades * (most - nothing))


def _draw_edges(axes: Axes, place: int, layer: Layer, left: _Heights, right: _Heights, spacing: float) -> None:
    """Straight lines from column ``place`` to the next; the constants, which are fewer, on top.

    The more lines cross, the paler they are, so that about as much of the paper stays white.
    """
    starts = np.column_stack([np.full(layer.n_edges, place), left[layer.sources]])
    ends = np.column_stack([np.full(layer.n_edges, place + 1), right[layer.targets]])
    lines = np.stack([starts, ends], axis=1)
    across = spacing * max(layer.n_in, layer.n_out)
    thickness = float(np.clip(0.12 * spacing, 0.3, 1.3))
    alpha = float(np.clip(_INK_SHARE * across / (max(layer.n_edges, 1) * thickness), 0.1, 0.9))
    styles = ((layer.trainable, TRAINABLE, "solid", 1.0), (~layer.trainable, CONSTANT, _DASHES, 1.4))
    for kept, kind, dashes, stress in styles:
        axes.add_collection(
            LineCollection(
                list(lines[kept]),
                colors=_COLOURS[kind],
                linestyles=[dashes],
                linewidths=stress * thickness,
                alpha=min(1.0, stress * alpha),
                zorder=kind,
            )
        )


def _page(width: float, height: float, title: str, facts: str, legend: list[Line2D] | list[Patch]) -> Figure:
    """A white page around so many inches of drawing, wider for a long heading, with heading and legend."""
    width = max(width, _heading_width(title, facts))
    figure = Figure((width + 2 * _MARGIN, height + _HEADING + _FOOT + 0.3), dpi=_DPI, facecolor="white")
    FigureCanvasAgg(figure)
    page_width, page_height = figure.get_size_inches()
    left = _MARGIN / page_width
    figure.text(left, 1 - 0.22 / page_height, title, fontsize=12, weight="bold", color=_INK, va="top")
    figure.text(left, 1 - 0.47 / page_height, facts, fontsize=8.5, color=_SOFT, va="top")
    figure.legend(
        handles=legend,
        loc="lower left",
        bbox_to_anchor=(left, 0.08 / page_height),
        ncols=3,
        frameon=False,
        fontsize=8.5,
        labelcolor=_INK,
        borderpad=0,
        borderaxespad=0,
        handlelength=2.2,
    )
    return figure


def _heading_width(title: str, facts: str) -> float:
    return max(text_width(title, 12, "bold"), text_width(facts, 8.5))


def text_width(text: str, size: float, weight: str = "normal") -> float:
    """How wide a line is in letters of so many points, in inches."""
    return float(TextPath((0, 0), text, prop=FontProperties(size=size, weight=weight)).get_extents().width) / 72


def _panel(figure: Figure, left: float, top: float, width: float, height: float) -> Axes:
    """Bare axes, measured in inches from the top left corner of the drawing."""
    page_width, page_height = figure.get_size_inches()
    bottom = page_height - _HEADING - top - height
    place = ((_MARGIN + left) / page_width, bottom / page_height, width / page_width, height / page_height)
    axes = figure.add_axes(place)
    axes.set_axis_off()
    return axes


def _blocks(mask: NDArray[Any], block: int) -> NDArray[Any]:
    """The greatest entry of every ``block`` × ``block`` square."""
    rows, columns = (range(0, side, block) for side in mask.shape)
    return np.maximum.reduceat(np.maximum.reduceat(mask, rows, axis=0), columns, axis=1)


def _columns(panels: int) -> int:
    """As many panels a row as there are rows or up to two more, so that the last row is as full as it can be."""
    square = math.ceil(math.sqrt(panels))
    return min(range(square, min(square + 2, panels) + 1), key=lambda columns: (-panels % columns, -columns))


def _name(topology: AnyTopology) -> str:
    layers = "1 layer" if topology.depth == 1 else f"{topology.depth} layers"
    if isinstance(topology, Stack):
        return f"{size_text(topology.sizes)}: {layers} in {len(topology.places)} places"
    return f"{topology.n_in} × {topology.n_out} in {layers}"


def _facts(topology: AnyTopology) -> str:
    return f"{topology.n_trainable} trainable + {topology.n_constant} constant = {topology.n_edges} edges"


def _line_legend(topology: AnyTopology) -> list[Line2D]:
    solid = Line2D([], [], color=_COLOURS[TRAINABLE], linewidth=1.5, label="trainable")
    dashed = Line2D([], [], color=_COLOURS[CONSTANT], linewidth=1.8, linestyle=_DASHES, label="constant 1")
    return [solid, dashed] if topology.n_constant else [solid]


def _patch_legend(topology: AnyTopology) -> list[Patch]:
    names = {TRAINABLE: "trainable", CONSTANT: "constant 1", ABSENT: "absent"}
    shown = [kind for kind in names if kind != CONSTANT or topology.n_constant]
    return [Patch(color=_COLOURS[kind], label=names[kind]) for kind in shown]
