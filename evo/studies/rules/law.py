"""A law for people: in words, and drawn."""

from __future__ import annotations

from math import sqrt

import numpy as np
from matplotlib.figure import Figure

from evo.report.style import SOFT, bare, blank, head, place
from topologies.families.rule import Rule, Shape, shapes

_SIZES = {16: "#e8853d", 32: "#9a7a2f", 96: "#2a9d8f", 256: "#2b6a99", 1024: "#8a5ea8"}
_DENSITIES = (0.1, 0.2, 0.35, 0.5, 0.65, 0.8)


def shape_of(rule: Rule, n_in: int, n_out: int, density: float) -> Shape:
    """What a rule says first of a size and a density; where that is too thin to be wired, narrower shapes follow."""
    return next(shapes(rule, n_in, n_out, max(round(density * n_in * n_out), n_in + n_out - 1)))


def words(rule: Rule) -> str:
    """The law in a few sentences, by what it says of squares and of one rectangle."""
    lines = [f"Wiring: {rule.wiring.value}; equal fans; constant edges beside the trainable ones."]
    for n in (32, 256):
        for density in (0.1, 0.35, 0.65):
            shape = shape_of(rule, n, n, density)
            lines.append(
                f"{n} x {n} at {density:.0%} of the dense edges: {_told(shape)}, hidden layers of "
                f"{shape.widths[1]} neurons at the ends and {shape.widths[len(shape.widths) // 2]} in the middle; "
                f"constant edges into a neuron, layer by layer: {'-'.join(map(str, shape.constants))}."
            )
    shape = shape_of(rule, 32, 128, 0.35)
    lines.append(f"32 x 128 at 35%: {_told(shape)}, widths {'-'.join(map(str, shape.widths))}.")
    return "\n".join(lines)


def _told(shape: Shape) -> str:
    fans = shape.fan_in
    middle = fans[len(fans) // 2]
    return f"{len(fans)} layers, {middle:.1f} trainable edges into a neuron of the middle"


def picture(rule: Rule, title: str = "The evolved law") -> Figure:
    """Depth, width and fan-in against density for several sizes, and widths along the cascade."""
    figure = blank(11.0, 7.4)
    head(
        figure, title, "square layers; density is the budget over the dense layer's edges; widths relative to the size"
    )
    densities = np.geomspace(0.03, 0.9, 50)
    depth, width, fan, along = (
        bare(place(figure, left, top, 4.3, 2.5)) for top in (0.95, 4.35) for left in (0.75, 6.1)
    )
    for n, colour in _SIZES.items():
        found = [(density, shape_of(rule, n, n, density)) for density in densities if density * n >= 3]
        x = [density for density, _ in found]
        depth.plot(x, [len(shape.trainable) for _, shape in found], color=colour, lw=1.8, label=f"{n} x {n}")
        width.plot(x, [shape.widths[len(shape.widths) // 2] / n for _, shape in found], color=colour, lw=1.8)
        fan.plot(x, [np.mean(shape.fan_in) for _, shape in found], color=colour, lw=1.8)
    for density, shade in zip(_DENSITIES, np.linspace(0.25, 1, len(_DENSITIES)), strict=True):
        shape = shape_of(rule, 96, 96, density)
        positions = np.linspace(0, 1, len(shape.widths))
        along.plot(positions, np.array(shape.widths) / 96, "o-", color="#2b6a99", alpha=shade, ms=3, lw=1.4)
        along.annotate(
            f"{density:g}", (0.5, shape.widths[len(shape.widths) // 2] / sqrt(96 * 96)), color=SOFT, fontsize=8
        )
    for axes, label in ((depth, "layers"), (width, "width in the middle / n"), (fan, "mean trainable fan-in")):
        axes.set(xscale="log", xlabel="density", title=label)
        axes.title.set(fontsize=10, color=SOFT)
    fan.set_yscale("log")
    along.set(xlabel="position from inputs to outputs", title="width / n of 96 x 96, by density")
    along.title.set(fontsize=10, color=SOFT)
    depth.legend(fontsize=8, frameon=False)
    return figure
