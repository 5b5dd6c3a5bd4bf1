"""Controllability of many topologies at a time: the bits of one at a time, within the documented memory."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evaluators import Controllability
from evaluators.controllability import evaluator as controllability
from evaluators.controllability import training
from evaluators.controllability.evaluator import training_bytes
from evaluators.controllability.training import train
from tests.evaluators.random_topologies import topologies
from topologies import Topology, butterfly, clos, dense, hypercube, random_regular, torus

PEAK_OF_TRAINING = """
from pathlib import Path
from evaluators.controllability.evaluator import Controllability, training_bytes
from topologies import random_regular
def resident(name):
    status = Path("/proc/self/status").read_text()
    return next(int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith(name))
evaluator, topology = Controllability("fair", steps=2), random_regular(512, 512, 512, 5, 4)
evaluator.analyse(random_regular(40, 40, 40, 2, 2))  # loads what there is to load
before = resident("VmRSS")
evaluator.analyse(topology)
print(resident("VmHWM") - before, training_bytes(topology, by_pair=False))
"""


@settings(max_examples=6, deadline=None)
@given(st.lists(topologies(6), min_size=2, max_size=6), st.sampled_from(["trained", "fair"]), st.booleans())
def test_the_bits_of_one_at_a_time(together: list[Topology], reading: str, by_pair: bool) -> None:
    evaluator = Controllability(reading, by_pair=by_pair, steps=8)  # type: ignore[arg-type]
    for topology, control in zip(together, evaluator.analyse_many(together), strict=True):
        assert np.array_equal(control.matrix, evaluator.analyse(topology).matrix)


def test_so_also_at_the_papers_size_and_with_the_default_form() -> None:
    evaluator = Controllability("fair", steps=2)
    together = [hypercube(32, 6), clos(32, 8, 9, 8), butterfly(32, 18), torus((8, 4), 7)]
    for topology, control in zip(together, evaluator.analyse_many(together), strict=True):
        assert np.array_equal(control.matrix, evaluator.analyse(topology).matrix)


def test_each_keeps_its_own_best_step() -> None:
    """Their errors fall at some steps and rise at others, and not at the same."""
    together = [
        butterfly(8, 4),
        torus((8,), 4),
        hypercube(8, 3),
        *(random_regular(8, 8, 8, 3, 3, s) for s in range(4)),
    ]
    evaluator = Controllability("fair", by_pair=False, steps=30)
    found = evaluator.analyse_many(together)
    for topology, control in zip(together, found, strict=True):
        assert np.array_equal(control.matrix, evaluator.analyse(topology).matrix)
        assert control.shortfall <= Controllability(by_pair=False).analyse(topology).shortfall + 1e-6


def test_steps_that_lead_away_do_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training, "RATE", 50.0)
    together = [torus((8,), 4), hypercube(8, 3)]
    even, trained = (Controllability(reading, steps=3).analyse_many(together) for reading in ("uniform", "fair"))  # type: ignore[arg-type]
    assert all(after.shortfall <= before.shortfall + 1e-6 for before, after in zip(even, trained, strict=True))


def test_nothing_leaves_the_device_before_the_results() -> None:
    """The device "meta" has shapes and no values: mixed with arrays that are on the CPU it raises another error."""
    with pytest.raises(NotImplementedError, match="Cannot copy out of meta tensor"):
        Controllability("fair", steps=2, device="meta").analyse_many([butterfly(4, 3), dense(4, 2)])


def test_none_at_all() -> None:
    assert Controllability("fair").analyse_many([]) == [] == Controllability().evaluate_many([])


def test_what_does_not_fit_in_memory_together_goes_in_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    together = [random_regular(n, n, n, 2, 3, seed) for seed in range(3) for n in (8, 9)]
    evaluator = Controllability("trained", steps=2)
    expected = [control.matrix for control in evaluator.analyse_many(together)]
    held: list[int] = []

    def watched(topologies: list[Topology], *rest: object) -> object:
        held.append(sum(training_bytes(topology, True) for topology in topologies))
        return train(topologies, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(training, "train", watched)
    limit = 2 * training_bytes(together[1], True)
    monkeypatch.setattr(controllability, "MEMORY", limit)
    found = [control.matrix for control in evaluator.analyse_many(together)]
    assert all(map(np.array_equal, found, expected))
    assert len(held) == 4 and max(held) <= limit
    monkeypatch.setattr(controllability, "MEMORY", 0)
    held.clear()
    evaluator.analyse_many(together)
    assert len(held) == len(together)


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="the memory of a process is read from /proc")
def test_512_inputs_train_within_the_documented_memory() -> None:
    measured = subprocess.run([sys.executable, "-c", PEAK_OF_TRAINING], capture_output=True, text=True, check=True)
    peak, documented = map(int, measured.stdout.split())
    assert documented / 3 < peak < documented + 30e6
