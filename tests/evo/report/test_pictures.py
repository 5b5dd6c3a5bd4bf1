"""Pictures of topologies show what the evaluators say; the shape of errors follows K (paper, section VI)."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure

from evaluators import Controllability, TangentRank
from evo.console.show import draw_together
from evo.report.pictures import control_difference, control_maps, entry_fidelity, errors_beside_control, spectra
from topologies import butterfly, clos, dense, hypercube, torus
from topologies.stack import Stack
from topologies.topology import Topology


def maps(figure: Figure) -> list[np.ndarray]:
    """The matrices that are drawn as images, colour bars apart."""
    return [np.asarray(axes.images[0].get_array()) for axes in figure.axes if axes.images]


def titles(figure: Figure) -> list[str]:
    return [axes.get_title(loc="left") for axes in figure.axes if axes.images]


FIG_5 = {
    "hypercube": hypercube(32, 6),
    "Clos": clos(32, 8, 9, 8),
    "butterfly": butterfly(32, 18),
    "torus": torus((8, 4), 7),
}


def test_the_paper_s_four_topologies_beside_each_other_on_one_scale() -> None:
    figure = control_maps(FIG_5)
    drawn = dict(zip(FIG_5, maps(figure), strict=True))
    assert {name: round(matrix.sum()) for name, matrix in drawn.items()} == {
        "hypercube": 960,
        "Clos": 976,
        "butterfly": 576,
        "torus": 896,
    }
    assert np.ptp(drawn["Clos"]) < 1e-9 and np.ptp(drawn["butterfly"]) < 1e-9
    assert drawn["torus"].std() > drawn["hypercube"].std() > 0.05
    scales = {axes.images[0].get_clim() for axes in figure.axes if axes.images}
    assert scales == {(0, max(map(np.max, drawn.values())))}  # as in all pictures, but for an entry beyond its share
    assert "total 896" in titles(figure)[3]


def test_the_difference_of_control_is_drawn_place_by_place() -> None:
    one, other = Stack((butterfly(8, 3), clos(8, 2, 3, 2))), Stack((torus((4, 2), 3), butterfly(8, 2)))
    figure = control_difference("one", one, "other", other)
    drawn = maps(figure)
    assert len(drawn) == 6
    for place, (mine, reference) in enumerate(zip(one.places, other.places, strict=True)):
        expected = [Controllability("uniform").analyse(topology).matrix for topology in (mine, reference)]
        assert np.allclose(drawn[3 * place], expected[0]) and np.allclose(drawn[3 * place + 1], expected[1])
        assert np.allclose(drawn[3 * place + 2], expected[0] - expected[1])
    bars = [sum(bar.get_height() for bar in axes.patches) for axes in figure.axes if axes.patches]
    assert bars == [64] * 6  # every entry is in a histogram
    wide = control_difference("one", butterfly(8, 3), "other", clos(6, 2, 3, 2))
    assert len(maps(wide)) == 2
    right = max(axes.get_position().x1 * wide.get_figwidth() for axes in wide.axes)
    assert wide.get_figwidth() - right < 1, "no room is left for a difference that there is not"


def test_another_reading_is_drawn_and_said() -> None:
    topology = torus((2, 2), 2)
    figure = control_maps({"torus": topology}, "fair")
    assert np.allclose(maps(figure)[0], Controllability("fair").analyse(topology).matrix)
    assert any("fair reading" in text.get_text() for text in figure.texts)


@pytest.mark.parametrize(
    ("topology", "low", "high"),
    [(torus((8, 4), 5), -1.0, -0.88), (hypercube(32, 4), -0.92, -0.75)],
    ids=["torus", "hypercube"],
)
def test_errors_are_large_where_control_is_small(topology: Topology, low: float, high: float) -> None:
    figure = errors_beside_control({"one": topology})
    control, errors = maps(figure)
    assert control.shape == errors.shape == (32, 32)
    assert np.allclose(control, Controllability("uniform").analyse(topology).matrix)
    told = float(re.search(r"Spearman with K ([+-]\d\.\d\d)", titles(figure)[1])[1])
    assert low < told < high
    unreached = control < 1e-9
    assert unreached.any() and errors[unreached].min() > 5 * np.median(errors)


def test_an_even_k_has_no_correlation_and_large_topologies_fewer_targets() -> None:
    figure = errors_beside_control({"Clos": clos(8, 2, 3, 2)})
    assert "no correlation" in titles(figure)[1]
    assert entry_fidelity(clos(8, 2, 3, 2)).targets == 512 > entry_fidelity(butterfly(128, 7)).targets


def test_a_spectrum_ends_at_the_exact_rank() -> None:
    figure = spectra({"butterfly": butterfly(16, 8), "dense": dense(16, 16)})
    lines = figure.axes[0].lines
    assert [line.get_xdata()[-1] for line in lines[::2]] == [
        TangentRank().analyse(topology) for topology in (butterfly(16, 8), dense(16, 16))
    ]
    assert (np.diff(lines[0].get_ydata()) <= 0).all()
    assert np.allclose(lines[2].get_ydata(), 1)  # a dense layer's Jacobian is the identity
    assert lines[0].get_color() != lines[2].get_color()


def test_nothing_to_draw_is_said() -> None:
    for draw in (control_maps, errors_beside_control, spectra):
        with pytest.raises(ValueError, match="name at least one topology"):
            draw({})


def test_pictures_are_written_where_they_are_wanted(tmp_path: Path) -> None:
    named = {"butterfly(8, 3)": butterfly(8, 3), "a/champion.safetensors": dense(8, 8)}
    files = (tmp_path / "k.png", None, tmp_path / "s.svg")
    assert list(draw_together(named, *files)) == [files[0], files[2]]
    assert files[0].read_bytes().startswith(b"\x89PNG") and "<svg" in files[2].read_text()
    with pytest.raises(ValueError, match=r"cannot write to .*nowhere"):
        list(draw_together(named, tmp_path / "nowhere" / "k.png", None, None))
