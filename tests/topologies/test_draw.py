"""Drawings: what is in the picture is what is in the topology."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from functools import reduce
from io import BytesIO
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.collections import LineCollection
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure
from matplotlib.image import imread

from topologies import butterfly
from topologies.draw import draw_masks, draw_topology
from topologies.order import heights
from topologies.topology import Topology

fast = settings(max_examples=20, deadline=None)


def random_topology(seed: int) -> Topology:
    generator = np.random.default_rng(seed)
    widths = generator.integers(1, 12, size=generator.integers(2, 6))
    return Topology.from_masks([generator.choice(3, size=(a, b)) for a, b in pairwise(widths)])


def bundles(figure: Figure, dashed: bool) -> list[LineCollection]:
    """The drawn edges of one kind, layer by layer."""
    found = [each for each in figure.axes[0].collections if isinstance(each, LineCollection)]
    return [each for each in found if (each.get_linestyle()[0][1] is not None) == dashed]


def colour_of(figure: Figure, label: str) -> tuple[float, float, float]:
    """The colour of a label in the legend."""
    (legend,) = figure.legends
    handles = dict(zip([text.get_text() for text in legend.get_texts()], legend.legend_handles, strict=True))
    handle = handles[label]
    paint = handle.get_color() if hasattr(handle, "get_color") else handle.get_facecolor()  # type: ignore[union-attr]
    return to_rgba(paint)[:3]


def labels(figure: Figure) -> list[str]:
    return [text.get_text() for text in figure.legends[0].get_texts()]


class TestTopology:
    @fast
    @given(st.integers(0, 2**32 - 1))
    def test_every_edge_is_one_line_between_its_neurons(self, seed: int) -> None:
        topology = random_topology(seed)
        figure = draw_topology(topology)
        columns = heights(topology)
        for place, layer in enumerate(topology.layers):
            for dashed, kept in ((False, layer.trainable), (True, ~layer.trainable)):
                lines = bundles(figure, dashed)[place].get_segments()
                drawn = {tuple(map(float, line.ravel())) for line in lines}
                edges = zip(layer.sources[kept].tolist(), layer.targets[kept].tolist(), strict=True)
                assert drawn == {
                    (place, columns[place][source], place + 1, columns[place + 1][target]) for source, target in edges
                }
        bottom, top = figure.axes[0].get_ylim()
        assert bottom > top

    def test_kinds_are_told_apart_by_colour_and_dash_and_named(self) -> None:
        figure = draw_topology(Topology.from_masks([[[1, 2], [2, 1]]]))
        (solid,), (dashed,) = bundles(figure, False), bundles(figure, True)
        assert tuple(solid.get_color()[0][:3]) == colour_of(figure, "trainable")
        assert tuple(dashed.get_color()[0][:3]) == colour_of(figure, "constant 1")
        assert colour_of(figure, "trainable") != colour_of(figure, "constant 1")

    def test_without_constants_the_legend_has_none(self) -> None:
        assert labels(draw_topology(Topology.from_masks([[[1]]]))) == ["trainable"]

    def test_every_neuron_is_a_dot_under_the_number_of_its_column(self) -> None:
        topology = random_topology(3)
        axes = draw_topology(topology).axes[0]
        assert [len(line.get_xdata()) for line in axes.lines] == list(topology.widths)
        assert [text.get_text() for text in axes.texts] == [str(width) for width in topology.widths]

    def test_the_title_and_the_numbers_of_edges(self) -> None:
        figure = draw_topology(Topology.from_masks([[[1, 2], [1, 1]]]), title="clos(2, 1, 1, 1)")
        assert [text.get_text() for text in figure.texts] == ["clos(2, 1, 1, 1)", "3 trainable + 1 constant = 4 edges"]

    def test_crowded_layers_are_paler(self) -> None:
        sparse, crowded = np.eye(32, dtype=int), np.ones((32, 32), int)
        few, many = (bundles(draw_topology(Topology.from_masks([mask])), False)[0] for mask in (sparse, crowded))
        assert many.get_alpha() < few.get_alpha()


def length(topology: Topology, columns: list[np.ndarray]) -> float:
    """How far the edges go up or down, together."""
    return float(
        sum(
            np.abs(columns[place][layer.sources] - columns[place + 1][layer.targets]).sum()
            for place, layer in enumerate(topology.layers)
        )
    )


class TestOrder:
    @fast
    @given(st.integers(0, 2**32 - 1))
    def test_columns_are_ordered_anew_but_for_inputs_and_outputs_and_edges_are_no_longer(self, seed: int) -> None:
        topology = random_topology(seed)
        columns, own = heights(topology), [np.arange(n) - (n - 1) / 2 for n in topology.widths]
        assert all(np.array_equal(np.sort(one), other) for one, other in zip(columns, own, strict=True))
        assert np.array_equal(columns[0], own[0]) and np.array_equal(columns[-1], own[-1])
        assert length(topology, columns) <= length(topology, own)

    def test_a_butterfly_that_was_shuffled_is_unfolded_again(self) -> None:
        topology = butterfly(16, 4)
        own = [np.arange(16) - 7.5] * 5
        generator = np.random.default_rng(0)
        orders = [np.arange(16), *(generator.permutation(16) for _ in range(3)), np.arange(16)]
        masks = [mask[np.ix_(a, b)] for mask, (a, b) in zip(topology.masks(), pairwise(orders), strict=True)]
        shuffled = Topology.from_masks(masks)
        assert length(shuffled, heights(shuffled)) < 1.25 * length(topology, own) < 0.5 * length(shuffled, own)


class TestMasks:
    @fast
    @given(st.integers(0, 2**32 - 1))
    def test_every_entry_has_the_colour_of_its_kind(self, seed: int) -> None:
        topology = random_topology(seed)
        topology = Topology.from_masks([*topology.masks(), np.full((topology.n_out, 1), 2)])  # constants in any case
        figure = draw_masks(topology)
        colours = np.array([colour_of(figure, label) for label in ("absent", "trainable", "constant 1")])
        *masks, paths = figure.axes
        for mask, axes in zip(topology.masks(), masks, strict=True):
            assert np.array_equal(axes.images[0].get_array(), colours[mask])
        counts = reduce(np.matmul, [(mask > 0).astype(float) for mask in topology.masks()])
        darkness = 3 - np.asarray(paths.images[0].get_array()).sum(axis=-1)
        order = np.argsort(counts, axis=None)
        assert (np.diff(darkness.ravel()[order]) >= -1e-12).all()
        assert np.array_equal(darkness > darkness.min(), counts > 0) or counts.min() > 0
        assert paths.texts[0].get_text() == f"paths: {counts.min():.3g} to {counts.max():.3g}"

    def test_every_mask_is_numbered_and_measured(self) -> None:
        figure = draw_masks(Topology.from_masks([np.ones((2, 3), int), np.ones((3, 4), int)]))
        assert [axes.texts[0].get_text() for axes in figure.axes] == ["1   2 × 3", "2   3 × 4", "paths: 3 to 3"]

    def test_masks_are_drawn_at_one_scale_and_do_not_overlap(self) -> None:
        widths = [3, 3, 3, 40, 40, 40, 5, 5, 30, 24]  # three rows of very different height
        topology = Topology.from_masks([np.ones((a, b), int) for a, b in pairwise(widths)])
        figure = draw_masks(topology)
        width, height = figure.get_size_inches()
        boxes = [axes.get_position() for axes in figure.axes]
        scales = [
            (box.width * width / layer.n_out, box.height * height / layer.n_in)
            for box, layer in zip(boxes, topology.layers, strict=False)  # the last one is of the paths
        ]
        assert np.allclose(scales, scales[0][0])
        assert all(min(box.x0, box.y0) >= 0 and max(box.x1, box.y1) <= 1 for box in boxes)
        for index, box in enumerate(boxes):
            assert not any(box.overlaps(other) for other in boxes[index + 1 :])

    def test_a_single_edge_of_a_large_mask_is_still_seen(self) -> None:
        mask = np.zeros((1500, 1500), int)
        mask[700, 1111] = 1
        figure = draw_masks(Topology.from_masks([mask]))
        picture = BytesIO()
        figure.savefig(picture)
        picture.seek(0)
        blue = np.array(colour_of(figure, "trainable"))
        rows = imread(picture)[100:-80]  # without the heading and the legend
        assert np.any(np.all(np.abs(rows[..., :3] - blue) < 0.01, axis=-1))
        assert "blocks" in figure.texts[1].get_text()


@pytest.mark.parametrize("draw", [draw_topology, draw_masks])
class TestBoth:
    @pytest.mark.parametrize(
        "widths", [(1, 1), (2, 3), (24, 40), (32, *[64] * 9, 32), (32,) * 41, (1, 200, 1)], ids=lambda w: f"{len(w)}"
    )
    def test_any_shape_gives_a_picture_of_reasonable_size(self, draw: object, widths: tuple[int, ...]) -> None:
        assert callable(draw)
        masks = [np.ones((a, b), int) for a, b in pairwise(widths)]
        figure = draw(Topology.from_masks(masks))
        width, height = figure.get_size_inches()
        assert 3 <= width <= 17 and 1.5 <= height <= 17

    def test_labels_stay_inside_the_page(self, draw: object) -> None:
        assert callable(draw)
        figure = draw(random_topology(5), title=f"random_regular(32, 32, 32, 5, 5, seed=1){' and others' * 4}")
        page = figure.bbox
        texts = [*figure.texts, *figure.legends, *(text for axes in figure.axes for text in axes.texts)]
        for text in texts:
            box = text.get_window_extent(figure.canvas.get_renderer())
            assert min(box.x0, box.y0) >= 0 and box.x1 <= page.x1 and box.y1 <= page.y1

    def test_threads_draw_the_same_picture(self, draw: object) -> None:
        def picture(_: int) -> bytes:
            assert callable(draw)
            buffer = BytesIO()
            draw(random_topology(7)).savefig(buffer)
            return buffer.getvalue()

        with ThreadPoolExecutor(4) as pool:
            assert len(set(pool.map(picture, range(4)))) == 1


def test_drawing_leaves_pyplot_alone(tmp_path: Path) -> None:
    """No display, no backend chosen, no figure kept anywhere."""
    code = (
        "import sys; from topologies.topology import Topology; from topologies.draw import draw_topology, draw_masks\n"
        "t = Topology.from_masks([[[1, 2]]])\n"
        f"draw_topology(t).savefig({str(tmp_path / 'a.png')!r}); draw_masks(t).savefig({str(tmp_path / 'b.png')!r})\n"
        "assert 'matplotlib.pyplot' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parents[2])
    for name in ("a.png", "b.png"):
        assert imread(tmp_path / name).std() > 0.01
