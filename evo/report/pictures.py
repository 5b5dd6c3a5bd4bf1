"""Pictures of what topologies can do: controllability, errors entry by entry, tangent spectra.

One function a picture, for any topologies by name; each returns a matplotlib figure (see :mod:`evo.report.style`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from textwrap import fill

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm, Normalize
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.ticker import LogLocator, MaxNLocator, StrMethodFormatter
from numpy.typing import ArrayLike, NDArray

from evaluators.controllability.evaluator import Controllability, Reading
from evaluators.controllability.model import Control
from evaluators.proxies.tangent_rank import Spectrum, TangentRank
from evaluators.reconstruction.entries import entry_errors
from evaluators.task import Fidelity, Split
from evo.report.correlation import spearman
from evo.report.palette import MARKERS, SERIES, family_colour
from evo.report.style import INK, PALE, SOFT, blank, head, page, place
from topologies.stack import AnyTopology
from topologies.topology import Topology

_LINES = ("solid", (0, (6, 2)), (0, (2, 1.5)), (0, (6, 2, 1.5, 2)))
_MAP = "viridis"
"""The colours of K, dark is little; errors use them in reverse, so that dark is bad in both."""
_SIDE = 2.5
"""Side of a heat map, in inches."""
_ACROSS, _DOWN = _SIDE + 0.45, _SIDE + 2.1
"""From one map to the next, with its heading and the distribution below it."""
_NOTE = 0.19
"""From one line below a heat map to the next."""
_ENTRY_RATES = (0.3, 1.0)


def control_maps(
    topologies: Mapping[str, Topology], reading: Reading = "uniform", notes: Mapping[str, Sequence[str]] | None = None
) -> Figure:
    """K of every topology as a heat map, inputs down and outputs across, all on one scale of colours (Fig. 5).

    Below each is how many entries have which K: that shows what a map hides where K is nearly even. ``notes`` are lines
    to stand below that, by topology.

    Raises
    ------
    ValueError
        Without any topology, or for an unknown reading.
    """
    _some(topologies)
    controls = {name: Controllability(reading).analyse(topology) for name, topology in topologies.items()}
    rows = -(-len(controls) // 4)
    columns = -(-len(controls) // rows)
    down = _DOWN + max((len(lines) for lines in (notes or {}).values()), default=0) * _NOTE
    figure = blank(max(0.65 + columns * _ACROSS + 0.75, 7.0), 0.95 + rows * down)
    scale = _whole(list(controls.values()))
    for number, (name, control) in enumerate(controls.items()):
        row, column = divmod(number, columns)
        left, top = 0.65 + column * _ACROSS, 1.35 + row * down
        image = _control_panel(figure, left, top, name, control, scale, first=column == 0)
        for line, note in enumerate((notes or {}).get(name, ())):
            height = 1 - (top + _SIDE + 1.6 + line * _NOTE) / figure.get_figheight()
            figure.text(left / figure.get_figwidth(), height, note, fontsize=8, color=INK)
    _scale(image, figure, 0.65 + columns * _ACROSS - 0.25, 1.35)
    head(
        figure,
        "Controllability K of every input at every output",
        f"{reading} reading · bright is full control over an input's ratios to all others, dark is little",
    )
    return figure


def control_difference(name: str, topology: AnyTopology, other_name: str, other: AnyTopology) -> Figure:
    """Uniform K of two topologies and how far the first's is above the second's, a row for every place.

    K is on the scale of colours of all other pictures; below every map is how many entries have which value. Places of
    different sizes have no difference, and where all are, no room is left for one.
    """
    pairs = list(zip(topology.places, other.places, strict=False))
    both = [tuple(Controllability("uniform").analyse(one) for one in pair) for pair in pairs]
    scale = _whole([control for pair in both for control in pair])
    columns = 2 + any(mine.matrix.shape == reference.matrix.shape for mine, reference in both)
    figure = blank(0.65 + columns * _ACROSS + (1.35 if columns == 3 else 0.75), 0.95 + len(both) * _DOWN)
    last = 0.65 + 2 * _ACROSS + 0.75
    for row, (mine, reference) in enumerate(both):
        top = 1.35 + row * _DOWN
        place_name = f", place {row + 1}" if len(both) > 1 else ""
        _control_panel(figure, 0.65, top, f"{name}{place_name}", mine, scale, first=True)
        image = _control_panel(figure, 0.65 + _ACROSS, top, f"{other_name}{place_name}", reference, scale, first=False)
        _scale(image, figure, 0.65 + 2 * _ACROSS - 0.25, top)
        if mine.matrix.shape == reference.matrix.shape:
            apart = mine.matrix - reference.matrix
            most = max(float(np.abs(apart).max()), 0.01)
            axes = place(figure, last, top, _SIDE, _SIDE)
            heading = f"difference\nblue: the {name} controls more"
            drawn = _heat(axes, apart, Normalize(-most, most), heading, "RdBu", first=False)
            _scale(drawn, figure, last + _SIDE + 0.15, top)
            _histogram(figure, last, top, apart, Normalize(-most, most))
    head(
        figure,
        f"Controllability K: the {name} beside the {other_name}",
        "uniform reading · bright is full control over an input's ratios to all others, dark is little",
    )
    return figure


def errors_beside_control(topologies: Mapping[str, Topology], seed: int = 0) -> Figure:
    """Uniform K beside the reconstruction error of every entry, a row of two heat maps for each topology.

    Dark is bad in both: little control, large error. Above is their Spearman correlation over all entries. Errors are
    means over hundreds of targets, see :func:`entry_fidelity`; a second or two a topology at n = 32.

    Raises
    ------
    ValueError
        Without any topology.
    """
    _some(topologies)
    step = _SIDE + 1.05
    figure = blank(7.6, 0.95 + len(topologies) * step)
    controls = [Controllability("uniform").analyse(topology) for topology in topologies.values()]
    whole = _whole(controls)
    for row, (name, topology) in enumerate(topologies.items()):
        fidelity, control = entry_fidelity(topology), controls[row]
        errors = entry_errors(topology, fidelity, Split.SEARCH, seed)
        top = 1.35 + row * step
        left, right = place(figure, 0.65, top, _SIDE, _SIDE), place(figure, 4.3, top, _SIDE, _SIDE)
        heading = f"{_short(name)}\nK: {_control_facts(control)}"
        _scale(_heat(left, control.matrix, whole, heading), figure, 0.65 + _SIDE + 0.15, top)
        heading = f"squared error, mean {errors.mean():.4f}\n{_agreement(control, errors)}"
        _scale(_heat(right, errors, _logarithmic(errors), heading, f"{_MAP}_r"), figure, 4.3 + _SIDE + 0.15, top)
    head(
        figure,
        "Where control is missing, and where the error is",
        f"K in the uniform reading; errors over {fidelity.targets} targets · dark is bad in both",
    )
    return figure


def entry_fidelity(topology: Topology) -> Fidelity:
    """Enough targets to tell entries apart: 512, or fewer where the topology is so large that they fill memory."""
    return Fidelity(min(512, max(1, 2**22 // (topology.n_in * topology.n_out))), 500, _ENTRY_RATES)


def spectra(topologies: Mapping[str, Topology]) -> Figure:
    """Eigenvalues of the tangent space's Gram matrix at initial weights, on a logarithmic scale by their number.

    A line ends with a dot at its topology's exact tangent rank: what lies beyond is zero but for rounding.

    Raises
    ------
    ValueError
        Without any topology.
    """
    _some(topologies)
    figure, axes = page(9.5, max(4.6, 1.7 + 0.5 * len(topologies)), right=3.1)
    for number, (name, topology) in enumerate(topologies.items()):
        spectrum = TangentRank().spectrum(topology)
        colour = SERIES[number % len(SERIES)]
        kept = np.maximum(spectrum.eigenvalues[: spectrum.rank], spectrum.floor)
        index = np.arange(1, kept.size + 1)
        label = f"{_short(name)}\n{_spectrum_facts(topology, spectrum)}"
        axes.plot(index, kept, color=colour, ls=_LINES[number % len(_LINES)], lw=1.7, label=label)
        axes.plot(index[-1:], kept[-1:], "o", color=colour, ms=5)
    axes.set_yscale("log")
    axes.set_xlim(left=0)
    axes.set(xlabel="number of the eigenvalue, the greatest first", ylabel="eigenvalue")
    _legend(axes)
    head(
        figure,
        "Gram spectrum of the tangent space",
        "at initial weights · a dot marks the exact rank · flat is well conditioned, a cliff is not",
    )
    return figure


def scatter(
    axes: Axes, families: Sequence[str], scores: ArrayLike, errors: ArrayLike, among: Sequence[str] | None = None
) -> None:
    """Points by family, labelled for a legend; each of ``among`` has its own marker."""
    x, y = np.asarray(scores, dtype=np.float64), np.asarray(errors, dtype=np.float64)
    every = sorted(set(families if among is None else among))
    for number, family in enumerate(every):
        own = np.array([one == family for one in families], dtype=np.bool_) & np.isfinite(x) & np.isfinite(y)
        marker, colour = MARKERS[number % len(MARKERS)], family_colour(family)
        axes.plot(x[own], y[own], marker, color=colour, ms=5, alpha=0.75, mew=0, label=family.replace("_", " "))


def _some(given: Sequence[str] | Mapping[str, Topology]) -> None:
    if not given:
        raise ValueError("there is nothing to draw: name at least one topology")


def _heat(
    axes: Axes, values: NDArray[np.float64], scale: Normalize, heading: str, colours: str = _MAP, first: bool = True
) -> AxesImage:
    """A matrix as an image with inputs down and outputs across."""
    image = axes.imshow(values, cmap=colours, norm=scale, aspect="auto", interpolation="nearest")
    axes.set_title(heading, fontsize=8.5, color=INK, loc="left", linespacing=1.4)
    axes.tick_params(colors=SOFT, labelsize=8, length=2)
    for spine in axes.spines.values():
        spine.set_color(PALE)
    axes.set_xlabel("output", fontsize=8.5, color=INK)
    if first:
        axes.set_ylabel("input", fontsize=8.5, color=INK)
    return image


def _scale(image: AxesImage, figure: Figure, left: float, top: float) -> None:
    """An image's scale of colours, at a place in inches."""
    bar = figure.colorbar(image, cax=place(figure, left, top, 0.13, _SIDE))
    bar.outline.set_visible(False)
    bar.ax.tick_params(colors=SOFT, labelsize=8, length=2)
    if isinstance(image.norm, LogNorm):
        low, high = image.get_clim()
        bar.set_ticks(LogLocator(subs=(1.0, 2.0, 5.0) if (high or 1.0) > 4 * (low or 1.0) else range(1, 10)))
        bar.minorticks_off()
        bar.formatter = StrMethodFormatter("{x:.3g}")


def _control_panel(
    figure: Figure, left: float, top: float, name: str, control: Control, scale: Normalize, first: bool
) -> AxesImage:
    """A map of K with its distribution below it."""
    axes = place(figure, left, top, _SIDE, _SIDE)
    image = _heat(axes, control.matrix, scale, f"{_short(name)}\n{_control_facts(control)}", first=first)
    _histogram(figure, left, top, control.matrix, scale)
    return image


def _histogram(figure: Figure, left: float, top: float, values: NDArray[np.float64], scale: Normalize) -> None:
    """How many entries of a map have which value, below the map whose top is at ``top``."""
    axes = place(figure, left, top + _SIDE + 0.62, _SIDE, 0.55)
    low, high = float(scale.vmin or 0), float(scale.vmax or 1)
    axes.hist(values.ravel(), bins=np.linspace(low, high, 41).tolist(), color=SOFT)
    axes.set_xlim(low, high)
    axes.set_yticks([])
    axes.xaxis.set_major_locator(MaxNLocator(4))
    axes.tick_params(colors=SOFT, labelsize=8, length=2)
    for side, spine in axes.spines.items():
        spine.set_visible(side == "bottom")
        spine.set_color(PALE)


def _whole(controls: Sequence[Control]) -> Normalize:
    """Colours from no control to full control, or beyond if an entry has more than its share: one scale everywhere."""
    return Normalize(0.0, max(1.0, *(float(one.matrix.max()) for one in controls)))


def _logarithmic(values: NDArray[np.float64]) -> LogNorm:
    """Colours by orders of magnitude, three at most: frozen entries would hide all other differences."""
    high = max(float(values.max()), 1e-12)
    return LogNorm(max(min(float(values.min()), 0.9 * high), high / 1000), high, clip=True)


def _control_facts(control: Control) -> str:
    return f"total {control.total:.0f}, unfairness {control.unfairness:.3f}"


def _agreement(control: Control, errors: NDArray[np.float64]) -> str:
    levels = np.round(control.matrix, 9)  # entries that are equal but for rounding tie
    found = spearman(levels.ravel(), errors.ravel(), resamples=0).value
    return f"Spearman with K {found:+.2f}" if np.isfinite(found) else "K is even: no correlation"


def _spectrum_facts(topology: Topology, spectrum: Spectrum) -> str:
    return f"rank {spectrum.rank} of {topology.n_trainable}, effective {spectrum.effective_rank:.0f}"


def _short(name: str) -> str:
    """A name that fits above a heat map: at most two lines."""
    return fill(name if len(name) <= 70 else f"{name[:69]}…", 36)


def _legend(axes: Axes) -> None:
    """At the right of the axes, where it covers nothing."""
    axes.legend(
        loc="upper left", bbox_to_anchor=(1.01, 1), frameon=False, fontsize=8.5, labelcolor=INK, labelspacing=0.8
    )
