"""Topology files that someone made to deceive: every contradiction is found, and nothing large is built before."""

from __future__ import annotations

import hashlib
import json
import os
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.topologies.stored import TINY
from topologies import files
from topologies.files import load, read, save
from topologies.layer import MAX_WIDTH, Layer
from topologies.provenance import Provenance
from topologies.topology import Topology


def forge(
    path: Path,
    payload: bytes | None = None,
    about: dict[str, Any] | None = None,
    entries: Callable[[dict[str, Any]], None] = lambda _: None,
    topology: Topology = TINY,
) -> Path:
    """A topology's file with other contents and a checksum that fits them, made from the documentation alone."""
    data = save(topology, path).read_bytes()
    start = 8 + int.from_bytes(data[:8], "little")
    header = json.loads(data[8:start])
    header["__metadata__"] |= {"checksum": "0" * 64} | (about or {})
    entries(header)
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    data = len(text).to_bytes(8, "little") + text + (data[start:] if payload is None else payload)
    path.write_bytes(data.replace(b"0" * 64, hashlib.sha256(data).hexdigest().encode(), 1))
    return path


def payload_of(topology: Topology) -> bytes:
    ends = [array for layer in topology.layers for array in (layer.sources, layer.targets)]
    kinds = [layer.trainable for layer in topology.layers]
    return b"".join(array.astype("<i4").tobytes() for array in ends) + b"".join(kind.tobytes() for kind in kinds)


class TestForgeries:
    """Files whose checksum fits: only their contents are wrong."""

    def test_the_forger_writes_good_files_otherwise(self, tmp_path: Path) -> None:
        assert load(forge(tmp_path / "same")) == TINY
        assert load(forge(tmp_path / "same", payload=payload_of(TINY))) == TINY

    def test_an_index_out_of_range(self, tmp_path: Path) -> None:
        payload = bytearray(payload_of(TINY))
        payload[0] = 9
        with pytest.raises(ValueError, match="source index 9 is out of range"):
            load(forge(tmp_path / "a", payload=bytes(payload)))

    def test_a_negative_index(self, tmp_path: Path) -> None:
        payload = b"\xff" * 4 + payload_of(TINY)[4:]
        with pytest.raises(ValueError, match="source index -1 is out of range"):
            load(forge(tmp_path / "a", payload=payload))

    def test_an_edge_given_twice(self, tmp_path: Path) -> None:
        sources, rest = np.frombuffer(payload_of(TINY)[:16], "<i4"), payload_of(TINY)[32:]
        payload = np.repeat(sources[:1], 4).tobytes() + np.zeros(4, "<i4").tobytes() + rest
        with pytest.raises(ValueError, match="given twice"):
            load(forge(tmp_path / "a", payload=payload))

    @pytest.mark.parametrize("kind", ["U32", "F32", "BF16"])
    def test_ends_of_another_type(self, tmp_path: Path, kind: str) -> None:
        def change(header: dict[str, Any]) -> None:
            header["layers.0.targets"]["dtype"] = kind
            header["layers.0.targets"]["shape"][0] *= 2 if kind == "BF16" else 1

        with pytest.raises(ValueError, match="layer 0 is not of int32"):
            load(forge(tmp_path / "a", entries=change))

    def test_another_topology_under_this_digest(self, tmp_path: Path) -> None:
        payload = bytearray(payload_of(TINY))
        payload[-1] ^= 1  # the last edge changes its kind
        with pytest.raises(ValueError, match="digest"):
            load(forge(tmp_path / "a", payload=bytes(payload)))

    def test_a_kind_that_is_neither_zero_nor_one(self, tmp_path: Path) -> None:
        payload = bytearray(payload_of(TINY))
        kinds = TINY.n_edges
        payload[-kinds] = 2 if payload[-kinds] else pytest.fail("the first edge is trainable")
        with pytest.raises(ValueError, match="laid out"):
            load(forge(tmp_path / "a", payload=bytes(payload)))

    def test_edges_in_another_order(self, tmp_path: Path) -> None:
        layer = TINY.layers[0]
        order = np.arange(layer.n_edges)[::-1]
        parts = [layer.sources[order], layer.targets[order], TINY.layers[1].sources, TINY.layers[1].targets]
        kinds = layer.trainable[order].tobytes() + TINY.layers[1].trainable.tobytes()
        payload = b"".join(part.astype("<i4").tobytes() for part in parts) + kinds
        with pytest.raises(ValueError, match="laid out"):
            load(forge(tmp_path / "a", payload=payload))

    @pytest.mark.parametrize("about", [{"note": "more"}, {"widths": "[2, 3, 2]"}], ids=["an extra key", "spaces"])
    def test_another_spelling_of_the_header(self, tmp_path: Path, about: dict[str, Any]) -> None:
        with pytest.raises(ValueError, match="laid out"):
            load(forge(tmp_path / "a", about=about))

    @pytest.mark.parametrize("version", ["2", "", "1.0"])
    def test_an_unknown_version(self, tmp_path: Path, version: Any) -> None:
        with pytest.raises(ValueError, match=r"reads 'evofabric topology version 1'"):
            load(forge(tmp_path / "a", about={"version": version}))

    @pytest.mark.parametrize(
        "widths", ["[2,3]", "[2,3,2,2]", "[2,0,2]", "[2,3.0,2]", "[2,true,2]", "[]", "{}", "7", "["]
    )
    def test_widths_that_are_not_the_layers(self, tmp_path: Path, widths: str) -> None:
        with pytest.raises(ValueError, match=str(tmp_path)):
            load(forge(tmp_path / "a", about={"widths": widths}))

    def test_true_is_no_width(self, tmp_path: Path) -> None:
        with pytest.raises(ValueError, match="whole numbers"):
            load(forge(tmp_path / "a", about={"widths": "[true,1]"}, topology=Topology.from_masks([[[1]]])))

    @pytest.mark.parametrize("name", ["checksum", "format", "version", "widths", "digest", "provenance"])
    @pytest.mark.parametrize("value", [None, 5, [], {}])
    def test_metadata_that_are_not_strings(self, tmp_path: Path, name: str, value: Any) -> None:
        with pytest.raises(ValueError, match="header is damaged"):
            load(forge(tmp_path / "a", about={name: value}))

    @pytest.mark.parametrize("text", ["[]", "{", '{"seed":NaN}', '{"parents":3}', '{"extra":1}', "[" * 50_000])
    def test_a_provenance_that_is_none(self, tmp_path: Path, text: str) -> None:
        with pytest.raises(ValueError, match=str(tmp_path)):
            load(forge(tmp_path / "a", about={"provenance": text}))

    def test_a_provenance_of_a_later_release_is_read(self, tmp_path: Path) -> None:
        text = '{"hosts":["a","b"],"seed":1}'
        _, provenance = read(forge(tmp_path / "a", about={"provenance": text}))
        assert provenance == Provenance(seed=1, package_version=None, extra={"hosts": ["a", "b"]})

    @pytest.mark.parametrize(
        "shape", [[2**31 - 1], [2**62], [-1], [1.5], [], "4", None, [[4]]], ids=lambda shape: f"{shape}"
    )
    def test_absurd_numbers_of_edges(self, tmp_path: Path, shape: Any) -> None:
        def change(header: dict[str, Any]) -> None:
            header["layers.0.sources"]["shape"] = shape

        with pytest.raises(ValueError, match=r"declares|damaged"):
            load(forge(tmp_path / "a", entries=change))


class TestAbsurdSizes:
    """What a file declares costs nothing before it is believed."""

    @pytest.mark.parametrize(
        "data",
        [
            b"\xff" * 8 + b"{}",
            (1 << 33).to_bytes(8, "little") + b"{}",
            files.MAX_HEADER.to_bytes(8, "little") + b"{}",
        ],
    )
    def test_a_header_longer_than_the_file(self, tmp_path: Path, data: bytes) -> None:
        assert peak_of_refusing(tmp_path / "a", data) < 1 << 20

    def test_many_wide_layers_in_a_small_file(self, tmp_path: Path) -> None:
        """A million neurons a layer are a few bytes in the header, but gigabytes once something is kept for each."""
        widths = [MAX_WIDTH - 1] * 300

        def no_edges(header: dict[str, Any]) -> None:
            for name in [name for name in header if name.startswith("layers")]:
                del header[name]

        path = forge(tmp_path / "a", b"", {"widths": json.dumps(widths)}, no_edges)
        assert peak_of_refusing(path, path.read_bytes(), match="neurons") < 1 << 20

    def test_a_header_above_the_limit_in_a_file_that_has_it(self, tmp_path: Path) -> None:
        path = tmp_path / "a"
        path.write_bytes((64 << 20).to_bytes(8, "little") + b"{")
        os.truncate(path, 65 << 20)
        with pytest.raises(ValueError, match="does not begin like one"):
            load(path)

    def test_a_huge_file_of_zeros(self, tmp_path: Path) -> None:
        """As large as the limit and all but empty on disk: nothing but the header is read."""
        path = forge(tmp_path / "a")
        os.truncate(path, files.MAX_FILE)
        tracemalloc.start()
        with pytest.raises(ValueError, match="extended"):
            load(path)
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
        tracemalloc.stop()

    def test_what_could_not_be_read_is_not_written(self, tmp_path: Path) -> None:
        empty = Topology((Layer(1 << 17, 1, np.zeros(0, int), np.zeros(0, int), np.zeros(0, bool)),))
        with pytest.raises(ValueError, match="neurons"):
            save(empty, tmp_path / "a")
        with pytest.raises(ValueError, match="shorter provenance"):
            save(TINY, tmp_path / "a", Provenance(recipe="x" * files.MAX_HEADER))
        assert list(tmp_path.iterdir()) == []


def peak_of_refusing(path: Path, data: bytes, match: str | None = None) -> int:
    """Most bytes that Python held at once while the file was refused."""
    path.write_bytes(data)
    tracemalloc.start()
    try:
        with pytest.raises(ValueError, match=match):
            load(path)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
