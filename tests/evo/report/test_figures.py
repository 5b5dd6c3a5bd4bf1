"""Pictures of a run show what its journal says."""

from __future__ import annotations

import io
from itertools import combinations
from pathlib import Path
from threading import Thread

import numpy as np
import pytest
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.text import Text
from scipy import stats

from evo.algorithm.nsga2 import Policy
from evo.report import palette
from evo.report.figures import final_table, front, progress
from evo.report.labels import label_points
from evo.report.style import page
from evo.storage.history import History
from evo.storage.names import ROWS
from evo.storage.records import GenerationRecord, ScoreRecord
from tests.evo.histories import by_mine, with_baseline, with_errors, with_test_errors
from topologies.families import FAMILIES


def lines(figure: Figure) -> list[np.ndarray]:
    """The points of every line of the only axes, shape ``(points, 2)``."""
    return [
        np.column_stack([np.asarray(line.get_xdata()), np.asarray(line.get_ydata())]) for line in figure.axes[0].lines
    ]


def words(figure: Figure) -> str:
    return " ".join(text.get_text() for text in (*figure.texts, *figure.axes[0].texts))


@pytest.mark.parametrize("policy", list(Policy))
def test_progress_shows_the_best_of_every_generation_and_every_candidate(finished: History, policy: Policy) -> None:
    figure = progress(finished)
    generations = np.array([(one.candidates, one.best) for one in finished.generations(policy) if one.best is not None])
    assert any(np.array_equal(line, generations) for line in lines(figure))
    errors = [one.error for one in finished.scores(policy.value)]
    assert any(line[:, 1].tolist() == errors for line in lines(figure))
    assert f"{policy.value}  {generations[-1, 1]:.4f}" in words(figure)


def test_progress_counts_what_lies_above_the_picture(finished: History) -> None:
    figure = progress(finished)
    _, high = figure.axes[0].get_ylim()
    errors = [one.error for policy in Policy for one in finished.scores(policy.value)]
    failed = sum(np.isinf(errors))
    above = sum(error > high for error in errors) - failed
    assert above > 0 and f"{above} candidates above" in words(figure)
    assert failed > 0 and f"{failed} failed" in words(figure)


def test_the_baseline_is_in_sight_of_every_picture_of_the_search(finished: History) -> None:
    baseline = finished.generations(Policy.EVOLUTION)[0].baseline
    assert baseline is not None
    for figure in (progress(finished), front(finished)):
        low, high = figure.axes[0].get_ylim()
        assert low < baseline < high


def test_the_front_is_what_nothing_beats_in_both(finished: History) -> None:
    candidates = [(one.n_edges, one.error) for one in finished.scores(Policy.EVOLUTION.value)]
    unbeaten = {
        one
        for one in candidates
        if np.isfinite(one[1]) and not any(a <= one[0] and b <= one[1] and (a, b) != one for a, b in candidates)
    }
    assert any({tuple(point) for point in line} == unbeaten for line in lines(front(finished)))


def test_the_front_marks_the_champion_and_the_baselines(finished: History) -> None:
    assert finished.champion is not None
    figure = front(finished)
    champion = [(finished.champion.n_edges, finished.champion.error)]
    assert any(line.shape == (1, 2) and [tuple(line[0])] == champion for line in lines(figure))
    assert "parallel butterfly" in words(figure)


def test_the_final_table_shows_paired_intervals(finished: History) -> None:
    drawn, table = lines(final_table(finished)), finished.table
    assert table is not None
    baseline = table.baseline
    for place, row in enumerate(table.by_error):
        if row is baseline:
            continue
        paired = stats.ttest_rel(row.errors, baseline.errors).confidence_interval(0.95)
        ends = np.array([[paired.low, place], [paired.high, place]])
        assert any(line.shape == ends.shape and np.allclose(line, ends, atol=1e-12) for line in drawn), row.name


def test_a_run_that_has_nothing_to_draw_says_so(finished: History) -> None:
    begun = History(finished.folder, finished.records[:3])
    with pytest.raises(ValueError, match="no generation"):
        progress(begun)
    with pytest.raises(ValueError, match="no candidates"):
        front(begun)
    with pytest.raises(ValueError, match="no final table"):
        final_table(begun)


@pytest.mark.parametrize("error", [0.0, None])
def test_a_baseline_without_an_error_or_with_none_to_beat_is_drawn(finished: History, error: float | None) -> None:
    history = with_baseline(finished, error)
    for figure in (progress(history), front(history)):
        figure.savefig(io.BytesIO())
        low, high = figure.axes[0].get_ylim()
        best = finished.generations(Policy.EVOLUTION)[-1].best
        assert best is not None and np.isfinite([low, high]).all() and low < best < high
        assert error is None or low < error < high
    assert ("tuned parallel butterfly  0" in words(progress(history))) == (error == 0)
    if error == 0:
        table = final_table(with_test_errors(finished, {"parallel butterfly": [0.0] * 12}))
        table.savefig(io.BytesIO())
        assert np.isfinite(np.concatenate(lines(table)).astype(float)).all()


def test_names_of_families_cover_neither_each_other_nor_a_mark() -> None:
    """Sixteen marks in a heap in the lower right corner."""
    figure, axes = page(9.5, 5.8, right=0.3)
    places = {(1000.0 + 3 * number, 0.01 * (number % 5)): "a long name of a family" for number in range(16)}
    axes.set(xlim=(0, 1060), ylim=(-0.1, 1))
    label_points(axes, places)
    figure.canvas.draw()
    boxes = [Text.get_window_extent(text) for text in axes.texts]
    assert len(boxes) == len(places)
    frame = axes.get_window_extent()
    marks = axes.transData.transform(np.array(list(places)))
    for place, box in enumerate(boxes):
        assert frame.x0 <= box.x0 and box.x1 <= frame.x1 and frame.y0 <= box.y0 and box.y1 <= frame.y1
        assert not any(box.overlaps(other) for other in boxes[place + 1 :])
        assert not any(box.contains(x, y) for x, y in marks)


def lab(colour: str) -> np.ndarray:
    """A colour in CIELAB, in which distances are about as people see them."""
    rgb = np.array(to_rgb(colour))
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    xyz = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]) @ linear
    x, y, z = np.cbrt(xyz / (0.9505, 1.0, 1.089))
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


def test_no_two_families_look_alike() -> None:
    assert {*FAMILIES, *ROWS} <= palette.FAMILIES.keys()
    colours = {family: lab(colour) for family, colour in palette.FAMILIES.items()}
    near = [
        (one, other) for one, other in combinations(colours, 2) if np.linalg.norm(colours[one] - colours[other]) < 12
    ]
    assert near == []


def labels(figure: Figure) -> str:
    """All that is written in a picture."""
    return " ".join(text.get_text() for text in figure.findobj(Text))


@pytest.mark.parametrize("factor", [10.0, 1e-7])
def test_errors_of_another_evaluator_are_not_called_relative(finished: History, factor: float) -> None:
    history = by_mine(finished, factor)
    assert history.champion is not None
    for figure, wanted in (
        (progress(history), "search error (error by Mine on the search split)"),
        (front(history), "search error (error by Mine on the search split)"),
        (final_table(history), "difference of the test error (error by Mine) from the baseline"),
    ):
        figure.savefig(io.BytesIO())
        assert wanted in labels(figure) and "relative" not in labels(figure)
    for figure in (progress(history), front(history)):
        low, high = figure.axes[0].get_ylim()
        assert low < history.champion.error < high


def test_differences_without_uncertainty_are_drawn_as_points(finished: History) -> None:
    history = by_mine(finished)
    assert history.table is not None
    figure = final_table(history)
    drawn = lines(figure)
    for place, row in enumerate(history.table.by_error):
        if row.difference is not None:
            at_row = np.concatenate([line for line in drawn if (line[:, 1] == place).all()])
            assert (at_row[:, 0] == row.difference.mean).all()
    assert "95 %" not in labels(figure) and "Holm" not in labels(figure)
    assert "without Holm's correction" in labels(final_table(finished))


def test_errors_that_are_all_equal_can_be_drawn(finished: History) -> None:
    phases = {one.phase for one in finished.records if isinstance(one, ScoreRecord)}
    level = with_errors(by_mine(finished), dict.fromkeys(phases, [2.5] * 12))
    records = tuple(
        one.model_copy(update={"best": 2.5, "baseline": 2.5}) if isinstance(one, GenerationRecord) else one
        for one in level.records
    )
    for figure in (draw(History(level.folder, records)) for draw in (progress, front, final_table)):
        figure.savefig(io.BytesIO())
    low, high = progress(History(level.folder, records)).axes[0].get_ylim()
    assert low < 2.5 < high


def test_pictures_can_be_drawn_in_another_thread(finished: History, tmp_path: Path) -> None:
    thread = Thread(target=lambda: progress(finished).savefig(tmp_path / "progress.png"))
    thread.start()
    thread.join()
    assert (tmp_path / "progress.png").read_bytes().startswith(b"\x89PNG")
