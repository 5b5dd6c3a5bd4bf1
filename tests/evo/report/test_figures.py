"""Pictures of a run show what its journal says."""

from __future__ import annotations

from pathlib import Path
from threading import Thread

import numpy as np
import pytest
from matplotlib.figure import Figure
from scipy import stats

from evo.algorithm.nsga2 import Policy
from evo.report.figures import front, held_out, progress
from evo.storage.history import History, error


def lines(figure: Figure) -> list[np.ndarray]:
    """The points of every line of the only axes, shape ``(points, 2)``."""
    return [
        np.column_stack([np.asarray(line.get_xdata()), np.asarray(line.get_ydata())]) for line in figure.axes[0].lines
    ]


def words(figure: Figure) -> str:
    return " ".join(text.get_text() for text in (*figure.texts, *figure.axes[0].texts))


@pytest.mark.parametrize("policy", list(Policy))
def test_progress_shows_the_best_of_every_brood_and_every_candidate(finished: History, policy: Policy) -> None:
    figure = progress(finished)
    generations = np.array(
        [(one["candidates"], one["best"]) for one in finished.generations(policy) if one["best"] is not None]
    )
    assert any(np.array_equal(line, generations) for line in lines(figure))
    errors = [error(one) for one in finished.scores(policy.value)]
    assert any(line[:, 1].tolist() == errors for line in lines(figure))
    assert f"{policy.value}  {generations[-1, 1]:.4f}" in words(figure)


def test_progress_counts_what_lies_above_the_picture(finished: History) -> None:
    figure = progress(finished)
    _, high = figure.axes[0].get_ylim()
    above = sum(error(one) > high for policy in Policy for one in finished.scores(policy.value))
    assert above > 0 and f"{above} candidates above" in words(figure)


def test_the_baseline_is_in_sight_of_every_picture_of_the_search(finished: History) -> None:
    baseline = finished.generations(Policy.EVOLUTION)[0]["baseline"]
    for figure in (progress(finished), front(finished)):
        low, high = figure.axes[0].get_ylim()
        assert low < baseline < high


def test_the_front_is_what_nothing_beats_in_both(finished: History) -> None:
    candidates = [(one["n_edges"], error(one)) for one in finished.scores(Policy.EVOLUTION.value)]
    unbeaten = {
        one
        for one in candidates
        if np.isfinite(one[1]) and not any(a <= one[0] and b <= one[1] and (a, b) != one for a, b in candidates)
    }
    assert any({tuple(point) for point in line} == unbeaten for line in lines(front(finished)))


def test_the_front_marks_the_champion_and_the_rivals(finished: History) -> None:
    assert finished.champion is not None
    figure = front(finished)
    champion = [(finished.champion["n_edges"], error(finished.champion))]
    assert any(line.shape == (1, 2) and [tuple(line[0])] == champion for line in lines(figure))
    assert "parallel butterfly" in words(figure)


def test_held_out_shows_paired_intervals(finished: History) -> None:
    drawn = lines(held_out(finished))
    baseline = finished.rows[1]
    for place, row in enumerate(finished.rows):
        if row is baseline:
            continue
        paired = stats.ttest_rel(row.errors, baseline.errors).confidence_interval(0.95)
        ends = np.array([[paired.low, place], [paired.high, place]])
        assert any(line.shape == ends.shape and np.allclose(line, ends, atol=1e-12) for line in drawn), row.kind


def test_a_run_that_has_nothing_to_draw_says_so(finished: History) -> None:
    begun = History(finished.folder, finished.records[:3])
    with pytest.raises(ValueError, match="no generation"):
        progress(begun)
    with pytest.raises(ValueError, match="no candidates"):
        front(begun)
    with pytest.raises(ValueError, match="no final table"):
        held_out(begun)


def test_pictures_can_be_drawn_in_another_thread(finished: History, tmp_path: Path) -> None:
    thread = Thread(target=lambda: progress(finished).savefig(tmp_path / "progress.png"))
    thread.start()
    thread.join()
    assert (tmp_path / "progress.png").read_bytes().startswith(b"\x89PNG")
