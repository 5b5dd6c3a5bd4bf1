"""Masks in NumPy's and SciPy's files: read as they were written, and nothing else is ever accepted."""

from __future__ import annotations

import tracemalloc
import zipfile
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import sparse

from tests.topologies.stored import TINY, fast, flipped, random_topology
from topologies import masks
from topologies.layer import MAX_WIDTH, Layer
from topologies.masks import load_masks, save_masks
from topologies.names import resolve
from topologies.topology import Topology


class TestMasks:
    @fast
    @given(st.integers(0, 2**32 - 1))
    def test_round_trip(self, tmp_path_factory: pytest.TempPathFactory, seed: int) -> None:
        path = tmp_path_factory.getbasetemp() / "masks.npz"
        topology = random_topology(seed)
        assert load_masks(save_masks(topology, path)) == topology

    def test_numpy_reads_the_masks(self, tmp_path: Path) -> None:
        with np.load(save_masks(TINY, tmp_path / "a.npz"), allow_pickle=False) as arrays:
            masks = [arrays[f"arr_{layer}"] for layer in range(len(arrays))]
        assert all(np.array_equal(mask, ours) for mask, ours in zip(masks, TINY.masks(), strict=True))

    @pytest.mark.parametrize("dtype", ["int8", "<i8", ">i4", "uint16", "float16", "float32", ">f8"])
    @pytest.mark.parametrize("order", ["C", "F"])
    @pytest.mark.parametrize("write", [np.savez, np.savez_compressed])
    def test_masks_that_numpy_wrote(self, tmp_path: Path, dtype: str, order: Any, write: Any) -> None:
        write(tmp_path / "a.npz", *[np.array(mask, dtype=dtype, order=order) for mask in TINY.masks()])
        assert load_masks(tmp_path / "a.npz") == TINY

    def test_eleven_layers_keep_their_order(self, tmp_path: Path) -> None:
        widths = range(1, 13)
        masks = [np.ones((a, b), int) for a, b in pairwise(widths)]
        np.savez(tmp_path / "a.npz", *masks)
        assert load_masks(tmp_path / "a.npz").widths == tuple(widths)

    @pytest.mark.parametrize(
        ("arrays", "message"),
        [
            ([np.full((2, 2), 3)], "holds 0"),
            ([np.full((2, 2), 0.5)], "holds 0"),
            ([np.full((2, 2), np.nan)], "holds 0"),
            ([np.ones((2, 2), complex)], "no matrix of numbers that numpy wrote"),
            ([np.array([["1", "0"]])], "no matrix of numbers"),
            ([np.ones(4, int)], r"arr_0.npy is no matrix of numbers but int64 of shape \(4,\)"),
            ([np.ones((2, 3), int), np.ones((2, 3), int)], "3 outputs"),
            ([np.array([[{}]])], "pickles are never loaded"),
            ([np.zeros((0, 2), int)], "neurons"),
            ([], "at least one layer"),
        ],
    )
    def test_what_is_no_mask(self, tmp_path: Path, arrays: list[Any], message: str) -> None:
        np.savez(tmp_path / "a.npz", *arrays)
        with pytest.raises(ValueError, match=message):
            load_masks(tmp_path / "a.npz")

    def test_other_names_are_layers_in_the_order_of_the_file(self, tmp_path: Path) -> None:
        wide, narrow = np.ones((2, 3), int), np.ones((3, 4), int)
        np.savez(tmp_path / "a.npz", second=wide, first=narrow)
        assert load_masks(tmp_path / "a.npz").widths == (2, 3, 4)
        np.savez(tmp_path / "b.npz", arr_1=narrow, arr_0=wide)  # numbered by numpy, whatever the order
        assert load_masks(tmp_path / "b.npz").widths == (2, 3, 4)

    @fast
    @given(st.integers(0, 2**32 - 1))
    def test_masks_of_pytorch_are_read_transposed(self, tmp_path_factory: pytest.TempPathFactory, seed: int) -> None:
        path = tmp_path_factory.getbasetemp() / "transposed.npz"
        topology = random_topology(seed)
        np.savez(path, *[mask.T for mask in topology.masks()])
        assert load_masks(path, transpose=True) == topology

    def test_a_file_that_fits_only_transposed_says_so(self, tmp_path: Path) -> None:
        np.savez(tmp_path / "a.npz", np.ones((3, 2)), np.ones((4, 3)))
        with pytest.raises(ValueError, match=r"layer 0 has 2 outputs .* as \(n_in, n_out\), .* transpose=True"):
            load_masks(tmp_path / "a.npz")
        assert load_masks(tmp_path / "a.npz", transpose=True).widths == (2, 3, 4)

    @pytest.mark.parametrize("transpose", [False, True])
    def test_one_array_of_numpy_save_is_one_layer(self, tmp_path: Path, transpose: bool) -> None:
        mask = np.array([[1, 0, 2], [0, 1, 1]], np.float32)
        np.save(tmp_path / "a.npy", mask)
        expected = Topology.from_masks([mask.T if transpose else mask])
        assert load_masks(tmp_path / "a.npy", transpose=transpose) == expected
        if not transpose:
            assert resolve(tmp_path / "a.npy") == expected

    @fast
    @given(arrays(np.float32, st.tuples(st.integers(1, 5), st.integers(1, 5)), elements=st.sampled_from([0, 1, 2])))
    def test_a_sparse_matrix_that_scipy_wrote_is_one_layer(
        self, tmp_path_factory: pytest.TempPathFactory, mask: np.ndarray
    ) -> None:
        path = tmp_path_factory.getbasetemp() / "sparse.npz"
        for kind in ("coo", "csr", "csc"):
            for made in (sparse.coo_matrix(mask), sparse.coo_array(mask)):
                sparse.save_npz(path, made.asformat(kind))
                assert load_masks(path) == Topology.from_masks([mask])
                assert load_masks(path, transpose=True) == Topology.from_masks([mask.T])

    @pytest.mark.parametrize(
        ("changed", "message"),
        [
            ({"format": np.array(b"dia")}, "format 'dia' is not read: save it as coo, csr, csc"),
            ({"format": np.array(b"coo")}, "format 'coo' is not read"),
            ({"indptr": np.array([0, 9, 3])}, "does not divide its 3 entries"),
            ({"indptr": np.array([0, 3])}, "does not divide its 3 entries"),
            ({"indices": np.array([0, 1, 7])}, "7 is out of range"),
            ({"indices": np.array([0, 1])}, "has 3 rows and 2 columns"),
            ({"indices": np.array([0.0, 1, 2])}, "whole numbers"),
            ({"shape": np.array([2, 3, 4])}, "whole numbers, and its shape is two"),
            ({"shape": np.array([2, 1 << 40])}, "between 1 and 1048576"),
            ({"data": np.array([1, 5, 1])}, "holds 0"),
        ],
    )
    def test_a_sparse_matrix_is_not_believed(
        self, tmp_path: Path, changed: dict[str, np.ndarray], message: str
    ) -> None:
        right = {
            "format": np.array(b"csr"), "shape": np.array([2, 3]), "data": np.ones(3),
            "indptr": np.array([0, 2, 3]), "indices": np.array([0, 2, 1]),
        }  # fmt: skip
        np.savez(tmp_path / "a.npz", **right)
        assert load_masks(tmp_path / "a.npz").n_edges == 3
        np.savez(tmp_path / "a.npz", **(right | changed))
        with pytest.raises(ValueError, match=message):
            load_masks(tmp_path / "a.npz")

    def test_flipped_bits_give_the_same_masks_or_an_error(self, tmp_path: Path) -> None:
        """A zip archive has bytes that mean nothing (times, systems); the masks are guarded by CRC."""
        path = tmp_path / "a.npz"
        np.savez(path, np.array([[1, 2]], np.int8))
        mask, refused = load_masks(path), 0
        for each in flipped(path, path.read_bytes()):
            try:
                assert load_masks(each) == mask
            except ValueError:
                refused += 1
        assert refused > path.stat().st_size  # one in eight; most times and names are not looked at

    @pytest.mark.parametrize("length", [0, 1, 10, 100, 200])
    def test_truncation(self, tmp_path: Path, length: int) -> None:
        path = save_masks(TINY, tmp_path / "a.npz")
        path.write_bytes(path.read_bytes()[:length])
        with pytest.raises(ValueError, match=r"not a whole \.npz file"):
            load_masks(path)


def archive_of(path: Path, raw: bytes, declared: int | None = None, method: int = zipfile.ZIP_DEFLATED) -> Path:
    """An ``.npz`` with one array of these bytes, whose size may be declared falsely."""
    with zipfile.ZipFile(path, "w", method) as archive:
        archive.writestr("arr_0.npy", raw)
        if declared is not None:
            archive.getinfo("arr_0.npy").file_size = declared
    return path


def npy(header: str, contents: bytes) -> bytes:
    text = header.encode() + b" " * (-(len(header) + 11) % 64) + b"\n"
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text + contents


class TestBombs:
    def refused(self, path: Path, match: str) -> None:
        tracemalloc.start()
        try:
            with pytest.raises(ValueError, match=match):
                load_masks(path)
            assert tracemalloc.get_traced_memory()[1] < 4 << 20
        finally:
            tracemalloc.stop()

    def test_the_limit_is_on_what_is_declared(self, tmp_path: Path) -> None:
        path = archive_of(tmp_path / "a.npz", b"", declared=masks.MAX_MASKS + 1)
        self.refused(path, "at most 268435456")

    def test_an_array_larger_than_declared_is_not_unpacked(self, tmp_path: Path) -> None:
        mask = npy("{'descr': '|i1', 'fortran_order': False, 'shape': (8192, 8192), }", bytes(8192 * 8192))
        self.refused(archive_of(tmp_path / "a.npz", mask, declared=200), "not a whole|not what it holds")

    def test_a_shape_larger_than_the_array(self, tmp_path: Path) -> None:
        mask = npy("{'descr': '|i1', 'fortran_order': False, 'shape': (1048576, 1048576), }", b"\1")
        self.refused(archive_of(tmp_path / "a.npz", mask), "not what it holds")

    @pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
    def test_compression_whose_output_cannot_be_bounded(self, tmp_path: Path, method: int) -> None:
        mask = npy("{'descr': '|i1', 'fortran_order': False, 'shape': (1, 1), }", b"\1")
        self.refused(archive_of(tmp_path / "a.npz", mask, method=method), "compressed in a way")

    @pytest.mark.parametrize("header", ["{" + "(" * 9000, "-" * 9000 + "1", "'" * 9001, "{'descr': ", "\0" * 9, "'''"])
    def test_headers_that_are_no_python(self, tmp_path: Path, header: str) -> None:
        self.refused(archive_of(tmp_path / "a.npz", npy(header, b"\1")), "a.npz")

    def test_too_large_to_export(self, tmp_path: Path) -> None:
        none = np.zeros(0, int)
        wide = Topology((Layer(MAX_WIDTH, MAX_WIDTH, none, none, np.zeros(0, bool)),))
        with pytest.raises(ValueError, match=r"use a \.safetensors file"):
            save_masks(wide, tmp_path / "a.npz")
