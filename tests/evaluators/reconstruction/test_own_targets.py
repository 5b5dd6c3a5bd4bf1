"""Matrices of one's own as targets: read, turned, normalised, and split so that nothing is mixed."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from evaluators import Fidelity, MatrixReconstruction, OwnTargets, Split
from topologies import Topology, dense, low_rank

DRAW = np.random.default_rng(0)
SIX = {f"blocks.{number}.mlp.fc1.weight": DRAW.normal(size=(9, 6)) for number in range(6)}
"""As PyTorch keeps the weights of layers of 6 inputs and 9 outputs."""


@pytest.fixture
def layers(tmp_path: Path) -> str:
    """A file of a model's weights, of several sizes and in half precision."""
    others = {"blocks.0.mlp.fc2.weight": torch.ones(6, 9), "blocks.0.mlp.fc1.bias": torch.ones(9)}
    tensors = {name: torch.from_numpy(matrix).to(torch.bfloat16) for name, matrix in SIX.items()}
    save_file({**tensors, **others}, tmp_path / "layers.safetensors")
    return str(tmp_path / "layers.safetensors")


def test_weights_are_turned_normalised_and_found_by_pattern(layers: str) -> None:
    own = OwnTargets.read(f"{layers}:blocks.*.mlp.fc1.weight")
    assert (own.n_in, own.n_out, own.holds_out) == (6, 9, True)
    found = np.concatenate(list(own.matrices.values()))
    assert np.square(found, dtype=np.float64).mean(axis=(1, 2)) == pytest.approx(np.ones(6), rel=1e-5)
    for matrix in SIX.values():
        assert min(np.abs(one - matrix.T / np.sqrt(np.square(matrix).mean())).max() for one in found) < 0.02
    turned = OwnTargets.read(f"{layers}:blocks.*.mlp.fc1.weight", transpose=False)
    assert (turned.n_in, turned.n_out) == (9, 6)


def test_tensors_are_taken_as_arrays_are_and_complex_ones_keep_no_real_part(tmp_path: Path) -> None:
    half = {name: torch.from_numpy(matrix).bfloat16() for name, matrix in SIX.items()}
    expected = OwnTargets.of({name: matrix.float().numpy() for name, matrix in half.items()})
    assert OwnTargets.of(half).fingerprint == expected.fingerprint
    save_file({"a": torch.ones(3, 2, dtype=torch.complex64)}, tmp_path / "complex.safetensors")
    with pytest.raises(ValueError, match="a is complex64"):
        OwnTargets.read(str(tmp_path / "complex.safetensors"))


def test_several_are_split_and_no_one_is_in_two_splits() -> None:
    for count in (3, 4, 8, 41):
        given = {str(number): np.full((2, 3), 1.0) + np.eye(2, 3) * number for number in range(count)}
        own = OwnTargets.of(given)
        found = [matrix.tobytes() for matrices in own.matrices.values() for matrix in matrices]
        assert len(found) == len(set(found)) == count
        assert [len(own.matrices[split]) for split in (Split.VALIDATION, Split.TEST)] == [max(1, count // 4)] * 2
        assert "for test" in str(own)


def test_equal_matrices_are_one_so_that_nothing_is_tested_on_what_it_was_searched_with() -> None:
    tied = {f"{name}.tied": matrix for name, matrix in SIX.items()}
    assert OwnTargets.of({**tied, **SIX}).fingerprint == OwnTargets.of(SIX).fingerprint
    assert not OwnTargets.of({"a": np.eye(3), "b": np.eye(3), "c": 2 * np.eye(3)}).holds_out


def test_one_is_fitted_as_it_is_and_said_so() -> None:
    own = OwnTargets.of({"only": DRAW.normal(size=(5, 4))})
    assert not own.holds_out and "nothing is held out" in str(own)
    assert len({own.target(7, split).tobytes() for split in Split}) == 1


def test_numpy_files_hold_inputs_by_outputs(tmp_path: Path) -> None:
    np.savez(tmp_path / "mine.npz", **{name.replace(".", "_"): matrix.T for name, matrix in SIX.items()})
    own = OwnTargets.read(str(tmp_path / "mine.npz"))
    assert (own.n_in, own.n_out) == (6, 9)
    assert OwnTargets.read(f"{tmp_path / 'mine.npz'}:*_0_*").holds_out is False


def test_one_sparse_layer_leaves_the_energy_of_the_entries_that_it_has_not() -> None:
    own, mask = OwnTargets.of(SIX), (DRAW.random((9, 6)) < 0.6).astype(int)
    for split in Split:
        score = MatrixReconstruction(own).evaluate(Topology.from_masks([mask]), Fidelity(3, 400, (0.1, 0.3)), split, 0)
        goals = [own.target(index, split) for index in range(3)]
        left = [np.square(goal[mask == 0]).sum() / np.square(goal).sum() for goal in goals]
        assert score.errors == pytest.approx(left, rel=1e-3)


def test_where_there_are_fewer_than_wanted_they_come_round_again_from_other_weights() -> None:
    task = MatrixReconstruction(OwnTargets.of({"only": DRAW.normal(size=(5, 4))}))
    errors = task.evaluate(low_rank(5, 4, 1), Fidelity(3, 20, (0.1,)), Split.TEST, 0).errors
    assert len(set(errors)) == 3
    sent = pickle.loads(pickle.dumps(task))
    assert sent.evaluate(low_rank(5, 4, 1), Fidelity(3, 20, (0.1,)), Split.TEST, 0).errors == errors
    assert sent.identity == task.identity != MatrixReconstruction().identity


def test_a_topology_of_another_size_is_refused() -> None:
    with pytest.raises(ValueError, match="the topology is 4 x 4 and the targets are 9 x 6"):
        MatrixReconstruction(OwnTargets.of(SIX)).evaluate(dense(4, 4), Fidelity(1, 2, (0.1,)), Split.SEARCH, 0)


BAD: dict[str, tuple[dict[str, Any], str]] = {
    "two": ({"a": np.ones((2, 2)), "b": np.eye(2)}, "two matrices, a and b: three or more"),
    "two sizes": ({"a": np.ones((2, 3)), "b": np.ones((3, 2))}, r"several sizes, inputs x outputs: 2 x 3 \(1\), 3 x 2"),
    "zeros": ({"a": np.zeros((2, 2))}, "a is zero everywhere"),
    "NaN": ({"a": np.full((2, 2), np.nan)}, "a holds what is not a finite number"),
    "a kernel": ({"conv": np.ones((2, 2, 3, 3))}, r"conv is float64 of shape \(2, 2, 3, 3\)"),
    "text": ({"a": np.array([["x"]])}, "a is <U1"),
}


@pytest.mark.parametrize("name", BAD)
def test_what_cannot_be_fitted_is_one_line(name: str) -> None:
    given, told = BAD[name]
    with pytest.raises(ValueError, match=told):
        OwnTargets.of(given)


def test_files_that_are_not_read_are_named_with_what_is(layers: str, tmp_path: Path) -> None:
    (tmp_path / "broken.npz").write_text("1,2")
    (tmp_path / "broken.safetensors").write_text("1,2")
    np.savez(tmp_path / "objects.npz", a=np.array([[{}]]))
    for name, told in {
        f"{layers}:block.*": r"no array is called 'block\.\*'; the file holds blocks\.0",
        layers: "of shape",
        str(tmp_path / "weights.pt"): r"read from \.safetensors files",
        str(tmp_path / "none.npz"): "there is no file",
        str(tmp_path / "broken.npz"): "broken.npz",
        str(tmp_path / "objects.npz"): "objects.npz",
        str(tmp_path / "broken.safetensors"): "cannot be read",
    }.items():
        with pytest.raises(ValueError, match=told) as caught:
            OwnTargets.read(name)
        assert "\n" not in str(caught.value) and str(caught.value).startswith('targets = "')
