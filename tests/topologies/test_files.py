"""Topology files: what is written is read back, and nothing else is ever accepted."""

from __future__ import annotations

import hashlib
import json
import os
import pickle
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import save_file

from tests.topologies.stored import TINY, fast, flipped, random_topology
from topologies import butterfly, files
from topologies.canonical import renumber
from topologies.files import load, read, save
from topologies.masks import load_masks, save_masks
from topologies.provenance import Provenance
from topologies.topology import Topology

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
