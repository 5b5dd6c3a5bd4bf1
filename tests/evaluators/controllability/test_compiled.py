"""Uniform K compiled: the plain form's numbers, and the same bits however often and wherever it is asked."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings

from evaluators.controllability.compiled import uniform_matrix
from evaluators.controllability.model import matrix, uniform
from evaluators.proxies.registry import measure
from tests.evaluators.random_topologies import topologies
from topologies import Topology, butterfly, clos, parallel_butterfly, torus

both_forms = pytest.mark.parametrize("by_pair", [True, False], ids=["by pairs", "summed"])


@both_forms
@settings(max_examples=150, deadline=None)
@given(topology=topologies(7))
def test_it_is_the_plain_form(by_pair: bool, topology: Topology) -> None:
    *_, last = uniform(topology, by_pair)
    np.testing.assert_allclose(uniform_matrix(topology, by_pair), matrix(last), rtol=1e-12, atol=1e-14)


@both_forms
@pytest.mark.parametrize("topology", [torus((8, 4), 7), clos(32, 8, 9, 8), parallel_butterfly(32, 2, 10)], ids=str)
def test_it_is_the_plain_form_at_32(by_pair: bool, topology: Topology) -> None:
    *_, last = uniform(topology, by_pair)
    np.testing.assert_allclose(uniform_matrix(topology, by_pair), matrix(last), rtol=1e-12)


def test_another_process_finds_the_same_bits() -> None:
    program = """
from evaluators.controllability.compiled import uniform_matrix
from topologies import torus
print(*(uniform_matrix(torus((8, 4), 7), by_pair).tobytes().hex() for by_pair in (True, False)))
"""
    told = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=Path(__file__).parents[3]
    )
    here = (uniform_matrix(torus((8, 4), 7), by_pair).tobytes().hex() for by_pair in (True, False))
    assert told.stdout.split() == list(here)


def test_a_topology_too_large_for_k_is_told_so() -> None:
    huge = butterfly(1 << 14, 1)
    with pytest.raises(ValueError, match="uniform K of 16384 inputs and 16384 neurons a layer is too large"):
        measure("controllability", huge)
