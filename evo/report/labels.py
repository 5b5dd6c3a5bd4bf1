"""Names beside points of a picture, put where they cover neither each other nor another point."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg, RendererAgg
from matplotlib.patheffects import withStroke
from matplotlib.text import Annotation, Text
from matplotlib.transforms import Bbox

from evo.report.style import INK, SOFT

_NEAR, _STEP, _RINGS = 9.0, 13.0, 24
"""Points from a mark to its label, how much farther each further try is, and how many there are."""
_MARK = 6.0
"""Half the side of a mark, in points."""
_Side = tuple[Literal["left", "center", "right"], Literal["bottom", "center", "top"], int, int]
_SIDES: tuple[_Side, ...] = (
    ("center", "bottom", 0, 1),
    ("left", "center", 1, 0),
    ("right", "center", -1, 0),
    ("center", "top", 0, -1),
    ("left", "bottom", 1, 1),
    ("right", "bottom", -1, 1),
    ("left", "top", 1, -1),
    ("right", "top", -1, -1),
)
"""Alignment of a label and the direction in which it lies from its mark, the first choice first."""


def label_points(axes: Axes, labels: Mapping[tuple[float, float], str]) -> None:
    """Write every label beside its point: above, at a side or below, farther off where there is no room.

    The axes' limits must be final, because room is measured in pixels. A label that is not next to its point is
    joined with it by a line. The lowest points come first, around which there is the least room.
    """
    figure = axes.get_figure(root=True)
    assert figure is not None and isinstance(figure.canvas, FigureCanvasAgg)
    axes.autoscale_view()
    renderer: RendererAgg = figure.canvas.get_renderer()  # type: ignore[no-untyped-call]
    room = _Room(axes, renderer, figure.dpi / 72)
    taken = [room.around(place) for place in labels]
    for place in sorted(labels, key=lambda one: (one[1], one[0])):
        for away, side in ((_NEAR + _STEP * ring, side) for ring in range(_RINGS) for side in _SIDES):
            text = _annotation(axes, labels[place], place, away, side)
            box = room.of(text)
            if room.holds(box) and not any(box.overlaps(other) for other in taken):
                taken.append(box)
                break
            text.remove()


def _annotation(axes: Axes, label: str, place: tuple[float, float], away: float, side: _Side) -> Annotation:
    across, along, right, up = side
    line = {"arrowstyle": "-", "color": SOFT, "lw": 0.8, "shrinkA": 0, "shrinkB": 4}
    return axes.annotate(
        label,
        place,
        (right * away, up * away),
        "data",
        "offset points",
        ha=across,
        va=along,
        fontsize=8.5,
        color=INK,
        zorder=7,
        path_effects=[withStroke(linewidth=2.5, foreground="white")],
        arrowprops=line if away > _NEAR else None,
    )


@dataclass(frozen=True)
class _Room:
    """Where things are on the page, in pixels; ``scale`` is those of a point."""

    axes: Axes
    renderer: RendererAgg
    scale: float

    def around(self, place: tuple[float, float]) -> Bbox:
        """The room of a mark."""
        x, y = self.axes.transData.transform(place)
        half = _MARK * self.scale
        return Bbox.from_extents(x - half, y - half, x + half, y + half)

    def of(self, text: Annotation) -> Bbox:
        """The room of a label, without its line."""
        text.update_positions(self.renderer)
        return Text.get_window_extent(text, self.renderer)

    def holds(self, box: Bbox) -> bool:
        """Whether a label is within the axes."""
        frame = self.axes.get_window_extent(self.renderer)
        return bool(frame.x0 <= box.x0 and box.x1 <= frame.x1 and frame.y0 <= box.y0 and box.y1 <= frame.y1)
