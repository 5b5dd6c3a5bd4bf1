"""Topology files: what is written is read back, and nothing else is ever accepted."""

from __future__ import annotations

import hashlib
import json
import os
import pickle
import re
import tracemalloc
import zipfile
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from safetensors.numpy import save_file
from scipy import sparse

from topologies import butterfly, files, masks
from topologies.canonical import renumber
from topologies.files import load, read, save
from topologies.masks import load_masks, save_masks
from topologies.names import resolve
from topologies.provenance import Provenance
from topologies.topology import MAX_WIDTH, Layer, Topology

fast = settings(max_examples=30, deadline=None)

TINY = Topology.from_masks([[[1, 2, 0], [0, 1, 1]], [[2, 1], [1, 0], [0, 2]]])


def random_topology(seed: int) -> Topology:
    """Any widths and kinds, neurons without edges and layers without edges included."""
    generator = np.random.default_rng(seed)
    widths = generator.integers(1, 9, size=generator.integers(2, 6))
    shares = [generator.dirichlet((1, 1, 1)) for _ in widths[1:]]
    return Topology.from_masks(
        [generator.choice(3, size=(a, b), p=p) for (a, b), p in zip(pairwise(widths), shares, strict=True)]
    )


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)
provenances = st.builds(
    Provenance,
    recipe=json_values,
    seed=st.none() | st.integers(0, 2**64),
    scores=st.dictionaries(st.text(), json_values, max_size=3),
    parents=st.lists(st.text(), max_size=2),
    package_version=st.none() | st.text(),
    extra=st.dictionaries(st.text(min_size=20), json_values, max_size=2),
)


class TestRoundTrip:
    @fast
    @given(st.integers(0, 2**32 - 1), provenances)
    def test_topology_and_provenance_come_back(
        self, tmp_path_factory: pytest.TempPathFactory, seed: int, provenance: Provenance
    ) -> None:
        path = tmp_path_factory.getbasetemp() / "round-trip.safetensors"
        topology = random_topology(seed)
        assert save(topology, path, provenance) == path
        assert read(path) == (topology, provenance)
        assert load(path).digest == topology.digest

    def test_saving_what_was_read_gives_the_same_bytes(self, tmp_path: Path) -> None:
        first = save(TINY, tmp_path / "a", Provenance(seed=3, scores={"b": 0.1, "a": 1e-300}, extra={"host": "x"}))
        topology, provenance = read(first)
        assert save(topology, tmp_path / "b", provenance).read_bytes() == first.read_bytes()

    def test_the_order_in_which_things_were_named_does_not_show(self, tmp_path: Path) -> None:
        names = [("a", 1), ("b", 2)]
        files = [
            save(TINY, tmp_path / str(turn), Provenance(scores=dict(names[::turn]), extra=dict(names[::turn])))
            for turn in (1, -1)
        ]
        assert files[0].read_bytes() == files[1].read_bytes()

    def test_the_numbering_of_hidden_neurons_is_kept(self, tmp_path: Path) -> None:
        other = renumber(TINY, [np.array([2, 0, 1])])
        assert other != TINY
        assert load(save(other, tmp_path / "a")) == other

    def test_topology_save_writes_the_file(self, tmp_path: Path) -> None:
        assert load(TINY.save(tmp_path / "a")) == TINY

    def test_a_stranger_reads_it_by_the_documented_lines(self, tmp_path: Path) -> None:
        """The lines of the module's docstring, run as they stand there, with safetensors alone."""
        path = save(random_topology(4), tmp_path / "champion.safetensors")
        code = re.search(r"alone::\n\n(.*?)\n\nwith ``TENSORS = (\(.*?\))``", files.__doc__ or "", re.DOTALL)
        assert code is not None
        lines = re.sub("^    ", "", code[1], flags=re.MULTILINE).replace("champion.safetensors", str(path))
        names: dict[str, Any] = {"json": json, "np": np, "safetensors": safetensors}
        exec(f"TENSORS = {code[2]}\n{lines}", names)
        assert Topology.from_masks(names["masks"]) == load(path)

    def test_the_bytes_are_those_of_release_0_1(self, tmp_path: Path) -> None:
        """Twelve layers, so that 10 does not stand before 2; the checksum is of all else in the file."""
        deep = butterfly(16, 12)
        data = save(deep, tmp_path / "a", Provenance(package_version="0.1.0")).read_bytes()
        assert hashlib.sha256(data).hexdigest() == "7fd95315fe9a234745e8c7ae14cc278f9808b131d3c3d3abeef095703dbc5584"
        assert load(tmp_path / "a") == deep

    def test_the_metadata_say_what_is_documented(self, tmp_path: Path) -> None:
        path = save(TINY, tmp_path / "a", Provenance(seed=7))
        with safetensors.safe_open(path, framework="numpy") as file:
            about = file.metadata()
        assert about["format"] == "evofabric topology"
        assert about["version"] == "1"
        assert about["digest"] == TINY.digest
        assert json.loads(about["provenance"])["seed"] == 7
        zeroed = path.read_bytes().replace(about["checksum"].encode(), b"0" * 64)
        assert about["checksum"] == hashlib.sha256(zeroed).hexdigest()


def flipped(path: Path, data: bytes) -> Iterator[Path]:
    """The file at ``path`` with each bit of ``data`` flipped in turn, and whole again in the end."""
    path.write_bytes(data)
    with path.open("r+b", buffering=0) as file:
        for place, byte in enumerate(data):
            for bit in range(8):
                os.pwrite(file.fileno(), bytes([byte ^ 1 << bit]), place)
                yield path
            os.pwrite(file.fileno(), bytes([byte]), place)


class TestDamage:
    @pytest.fixture
    def whole(self, tmp_path: Path) -> bytes:
        return save(Topology.from_masks([[[1, 2]]]), tmp_path / "whole", Provenance(package_version="1")).read_bytes()

    def test_every_single_flipped_bit_is_refused(self, tmp_path: Path, whole: bytes) -> None:
        for path in flipped(tmp_path / "flipped", whole):
            with pytest.raises(ValueError) as refusal:
                load(path)
            assert str(path) in str(refusal.value) and "\n" not in str(refusal.value)
        assert load(path).widths == (1, 2)

    @pytest.mark.parametrize("place", [-1, -20, 120, 400])
    def test_damage_is_called_damage(self, tmp_path: Path, whole: bytes, place: int) -> None:
        damaged = bytearray(whole)
        damaged[place] ^= 1
        (tmp_path / "a").write_bytes(damaged)
        with pytest.raises(ValueError, match="damaged"):
            load(tmp_path / "a")

    def test_every_truncation_is_refused(self, tmp_path: Path, whole: bytes) -> None:
        path = tmp_path / "short"
        path.write_bytes(whole)
        for length in reversed(range(len(whole))):
            os.truncate(path, length)
            with pytest.raises(ValueError, match="short"):
                load(path)

    @pytest.mark.parametrize("more", [b"\0", b" ", b"{}", b"\0" * 4096])
    def test_appended_bytes_are_refused(self, tmp_path: Path, whole: bytes, more: bytes) -> None:
        path = tmp_path / "long"
        path.write_bytes(whole + more)
        with pytest.raises(ValueError, match="extended"):
            load(path)


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


class TestOtherFiles:
    def test_a_pickle_is_never_loaded(self, tmp_path: Path) -> None:
        class Trap:
            def __reduce__(self) -> tuple[Any, ...]:
                return (os.mkdir, (str(tmp_path / "sprung"),))

        path = tmp_path / "a.safetensors"
        for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
            path.write_bytes(pickle.dumps(Trap(), protocol))
            with pytest.raises(ValueError, match="pickle" if protocol >= 2 else "another kind"):
                load(path)
            with pytest.raises(ValueError):
                load_masks(path)
        assert not (tmp_path / "sprung").exists()

    @pytest.mark.parametrize("about", [None, {"format": "pt"}, {"version": "3"}, {"format": "evofabric topology"}])
    def test_someone_elses_safetensors(self, tmp_path: Path, about: dict[str, str] | None) -> None:
        save_file({"weight": np.zeros((2, 2), np.float32)}, tmp_path / "model", about)
        with pytest.raises(ValueError, match="a safetensors file, but without an evofabric topology") as refusal:
            load(tmp_path / "model")
        assert "damaged" not in str(refusal.value)

    def test_masks_are_not_a_topology_file(self, tmp_path: Path) -> None:
        with pytest.raises(ValueError, match="archive of masks"):
            load(save_masks(TINY, tmp_path / "a.npz"))

    def test_nothing_there(self, tmp_path: Path) -> None:
        for reader in (load, load_masks):
            with pytest.raises(FileNotFoundError, match=r"missing.*there is no such file"):
                reader(tmp_path / "missing")
        with pytest.raises(FileNotFoundError, match="there is no folder"):
            save(TINY, tmp_path / "nowhere" / "a")

    def test_what_is_no_regular_file(self, tmp_path: Path) -> None:
        os.mkfifo(tmp_path / "pipe")  # opening it would wait for ever
        for path in (tmp_path, tmp_path / "pipe", Path("/dev/zero")):
            with pytest.raises(ValueError, match="not a regular file"):
                load(path)

    @fast
    @given(st.binary(max_size=300))
    def test_noise(self, tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
        path = tmp_path_factory.getbasetemp() / "noise"
        path.write_bytes(data)
        for reader in (load, load_masks):
            with pytest.raises(ValueError, match="noise"):
                reader(path)


class TestWriting:
    def test_an_interrupted_write_leaves_the_old_file_alone(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        path = save(TINY, tmp_path / "a")

        def full(_: int) -> None:
            raise OSError("no space left on device")

        monkeypatch.setattr(os, "fsync", full)
        for writer in (save, save_masks):
            with pytest.raises(OSError, match="no space"):
                writer(random_topology(1), path)
        assert [each.name for each in tmp_path.iterdir()] == ["a"]
        assert load(path) == TINY

    def test_the_file_is_synced_before_it_is_seen(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        seen: list[bool] = []
        monkeypatch.setattr(os, "fsync", lambda _: seen.append((tmp_path / "a").exists()))
        save(TINY, tmp_path / "a")
        assert seen == [False]

    def test_who_reads_while_it_is_replaced_sees_one_of_the_two_whole(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        path, new = save(TINY, tmp_path / "a"), save(random_topology(1), tmp_path / "new")
        open_of_library = files.safe_open

        def replaced_before_the_library_opens_it(*arguments: Any, **named: Any) -> Any:
            if new.exists():
                new.replace(path)
            return open_of_library(*arguments, **named)

        monkeypatch.setattr(files, "safe_open", replaced_before_the_library_opens_it)
        assert load(path) == random_topology(1)

    def test_others_may_read_it_as_any_other_file(self, tmp_path: Path) -> None:
        (tmp_path / "plain").touch()
        assert save(TINY, tmp_path / "a").stat().st_mode == (tmp_path / "plain").stat().st_mode


class TestProvenance:
    @pytest.mark.parametrize("value", [float("nan"), float("inf"), np.zeros(2), object(), b"bytes"])
    def test_what_json_cannot_hold_is_refused_at_once(self, value: Any) -> None:
        with pytest.raises(ValueError, match="scores cannot be written as JSON"):
            Provenance(scores={"error": value})

    def test_extra_names_do_not_shadow_fields(self) -> None:
        with pytest.raises(ValueError, match="seed is a field of its own"):
            Provenance(extra={"seed": 3})

    def test_parents_are_digests(self) -> None:
        assert Provenance(parents=[TINY.digest]).parents == (TINY.digest,)
        with pytest.raises(ValueError, match="sequence of digests"):
            Provenance(parents=TINY.digest)

    def test_it_does_not_change_with_what_it_was_made_from(self) -> None:
        scores = {"error": [0.1, 0.2]}
        provenance = Provenance(scores=scores)
        scores["error"].append(0.3)
        assert provenance.scores == {"error": [0.1, 0.2]}


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
