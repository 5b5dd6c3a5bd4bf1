"""Models saved to a folder and built again from it; damaged, foreign and unfinished folders."""

from __future__ import annotations

import json
import os
import pickle
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import nn

import topologies.models as tm
from tests.topologies.models.small_models import INPUTS, Tied, mlp, mobile, transformer
from topologies import files, load, random_regular
from topologies.models import checkpoint

HOME = Path(__file__).parents[3]


def weights(folder: Path) -> tuple[dict[str, torch.Tensor], dict[str, str]]:
    """The tensors and the metadata of a saved model, as a stranger reads them."""
    with safe_open(folder / "model.safetensors", "pt") as file:
        return {name: file.get_tensor(name) for name in file.keys()}, file.metadata()  # noqa: SIM118


def same(model: nn.Module, other: nn.Module) -> bool:
    one, two = model.state_dict(), other.state_dict()
    return one.keys() == two.keys() and all(torch.equal(one[name], two[name]) for name in one)


@pytest.mark.parametrize("build", [mlp, mobile, transformer])
def test_a_fresh_dense_model_becomes_the_saved_one(build: Callable[[], nn.Module], tmp_path: Path) -> None:
    model = tm.convert(build(), density=0.4)
    model.train()(torch.randn(INPUTS[build]))  # moves the statistics of norms
    assert tm.save(model, tmp_path / "deep" / "sparse") == tmp_path / "deep" / "sparse"
    fresh = build()
    assert tm.load(fresh, tmp_path / "deep" / "sparse") is fresh
    assert same(model, fresh)
    x = torch.randn(INPUTS[build])
    assert torch.equal(fresh.eval()(x), model.eval()(x))
    assert not list((tmp_path / "deep" / "sparse").glob(".*"))


def test_in_a_fresh_process(tmp_path: Path) -> None:
    model = tm.convert(mobile(), density=0.4).eval()
    x = torch.randn(INPUTS[mobile])
    tm.save(model, tmp_path / "sparse")
    save_file({"x": x, "y": model(x).detach()}, tmp_path / "data")
    program = f"""
import torch, topologies.models as tm
from safetensors.torch import load_file
from tests.topologies.models.small_models import mobile
data = load_file({str(tmp_path / "data")!r})
y = tm.load(mobile(), {str(tmp_path / "sparse")!r}).eval()(data["x"])
assert torch.allclose(y, data["y"], atol=1e-6), "other numbers"
"""
    subprocess.run([sys.executable, "-c", program], check=True, cwd=HOME)


def test_the_files_are_what_the_format_says(tmp_path: Path) -> None:
    model = tm.convert(mlp(), density=0.4)
    tm.save(model, tmp_path)
    tensors, about = weights(tmp_path)
    assert (about["format"], about["version"]) == ("evofabric model", "1")
    layers = {entry["names"][0]: entry for entry in json.loads(about["layers"])}
    assert {name: entry["kind"] for name, entry in layers.items()} == {"0": "Linear", "2": "Linear"}
    for name, entry in layers.items():
        topology = load(tmp_path / "topologies" / f"{entry['topology']}.safetensors")
        assert topology == model[int(name)].topology
        assert tensors[f"{name}.edge_weight"].shape == (topology.n_trainable,)
    assert tensors.keys() == model.state_dict().keys()


def test_shared_tensors_are_saved_once_and_loaded_at_all_their_places(tmp_path: Path) -> None:
    model = tm.convert(Tied(), density=0.4)
    tm.save(model, tmp_path)
    tensors, about = weights(tmp_path)
    assert json.loads(about["shared"])["head.weight"] == "embedding.weight"
    assert "head.weight" not in tensors and "second.edge_weight" not in tensors
    fresh = tm.load(Tied(), tmp_path)
    assert same(model, fresh)
    assert fresh.first is fresh.second and fresh.head.weight is fresh.embedding.weight
    apart = Tied()
    apart.head.weight = nn.Parameter(torch.zeros(50, 32))
    tm.load(apart, tmp_path)
    assert torch.equal(apart.head.weight, model.embedding.weight)


def test_views_of_one_memory_are_saved_apart(tmp_path: Path) -> None:
    class Views(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            whole = torch.arange(12.0)
            self.register_buffer("one", whole[:6])
            self.register_buffer("other", whole[3:])

    tm.save(Views(), tmp_path)
    fresh = Views()
    fresh.one.zero_()
    assert torch.equal(tm.load(fresh, tmp_path).one, torch.arange(6.0))


def test_a_converted_model_of_the_same_topologies_loads_too(tmp_path: Path) -> None:
    model = tm.convert(mlp(), density=0.4)
    tm.save(model, tmp_path)
    other = tm.convert(mlp(), density=0.4)
    sparse = other[0]
    tm.load(other, tmp_path)
    assert same(model, other) and other[0] is sparse


def test_a_layer_that_is_the_model(tmp_path: Path) -> None:
    sparse = tm.convert(nn.Linear(48, 48), density=0.4)
    tm.save(sparse, tmp_path)
    assert same(tm.load(nn.Linear(48, 48), tmp_path), sparse)


def test_dtypes_and_what_is_frozen_are_those_of_the_fresh_model(tmp_path: Path) -> None:
    model = tm.convert(mlp(), density=0.4)
    tm.save(model, tmp_path)
    fresh = mlp().double()
    fresh[0].weight.requires_grad_(False)
    tm.load(fresh, tmp_path)
    assert fresh[0].edge_weight.dtype == torch.float64 and not fresh[0].edge_weight.requires_grad
    torch.testing.assert_close(fresh[0].edge_weight.float(), model[0].edge_weight, check_dtype=False)


class TestSavingAgain:
    def test_replaces_the_checkpoint_and_its_topologies(self, tmp_path: Path) -> None:
        tm.save(tm.convert(mlp(), density=0.4), tmp_path)
        (tmp_path / "topologies" / "mine.safetensors").write_bytes(b"not ours")
        model = tm.convert(mlp(), density=0.3)
        tm.save(model, tmp_path)
        assert same(tm.load(mlp(), tmp_path), model)
        assert len(list((tmp_path / "topologies").iterdir())) == 3  # two of the model, and the user's file

    def test_mends_a_topology_that_was_damaged(self, tmp_path: Path) -> None:
        model = tm.convert(mlp(), density=0.4)
        tm.save(model, tmp_path)
        first = next((tmp_path / "topologies").iterdir())
        os.truncate(first, first.stat().st_size - 1)
        tm.save(model, tmp_path)
        assert same(tm.load(mlp(), tmp_path), model)

    def test_leaves_topologies_that_are_there_and_whole(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """What takes long in writing one is its digest."""
        model = tm.convert(mlp(), density=0.4)
        tm.save(model, tmp_path)
        monkeypatch.delattr(files, "save")
        nn.init.ones_(model[0].edge_weight)
        tm.save(model, tmp_path)
        assert same(tm.load(mlp(), tmp_path), model)

    @pytest.mark.parametrize("fails", ["topology", "weights", "move"])
    def test_what_interrupts_it_leaves_the_checkpoint_that_was_there(
        self, fails: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        model = tm.convert(mlp(), density=0.4)
        tm.save(model, tmp_path)

        def full(*_: Any) -> None:
            raise OSError(28, "No space left on device")

        def half(tensors: Any, path: Path, about: Any) -> None:
            path.write_bytes(b"half")
            full()

        with monkeypatch.context() as patch:
            if fails == "topology":
                patch.setattr(files, "write_whole", full)
            elif fails == "weights":
                patch.setattr(checkpoint, "save_file", half)
            else:
                patch.setattr(Path, "replace", full)
            with pytest.raises(OSError, match="No space left"):
                tm.save(tm.convert(mlp(), density=0.3), tmp_path)
        assert not list(tmp_path.rglob(".*"))
        assert same(tm.load(mlp(), tmp_path), model)

    def test_killed_while_writing(self, tmp_path: Path) -> None:
        """A process that dies between the topologies and the weights."""
        model = tm.convert(mlp(), density=0.4)
        tm.save(model, tmp_path)
        program = f"""
import os, topologies.models as tm
from topologies.models import checkpoint
from tests.topologies.models.small_models import mlp
checkpoint.save_file = lambda tensors, path, about: (path.write_bytes(b"half"), os._exit(9))
tm.save(tm.convert(mlp(), density=0.3), {str(tmp_path)!r})
"""
        assert subprocess.run([sys.executable, "-c", program], cwd=HOME, check=False).returncode == 9
        assert same(tm.load(mlp(), tmp_path), model)
        tm.save(model, tmp_path)
        assert len(list((tmp_path / "topologies").iterdir())) == 2


class TestRefused:
    """Each in one line, with the model as it was."""

    def refused(self, model: nn.Module, folder: Path, message: str) -> None:
        modules, before = list(model.modules()), {name: one.clone() for name, one in model.state_dict().items()}
        with pytest.raises(ValueError, match=message) as caught:
            tm.load(model, folder)
        assert "\n" not in str(caught.value)
        assert list(model.modules()) == modules
        assert all(torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())

    def test_another_topology_by_the_layers_name(self, tmp_path: Path) -> None:
        model = tm.convert(mlp(), density=0.4)
        tm.save(model, tmp_path)
        other = tm.convert(mlp(), tm.plan(mlp(), density=0.4, targets=["0"]))
        other[2] = tm.SparseCascade(random_regular(64, 96, 96, 4, 5))
        self.refused(other, tmp_path, r"^2: the saved layer has another topology, .* than the model's")

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            (
                lambda model: model.__setitem__(0, nn.Linear(40, 64)),
                r"0: the saved layer is 48 x 64, the model's 40 x 64",
            ),
            (lambda model: model.__setitem__(0, nn.ReLU()), "0: the saved layer stands for a Linear, .* a ReLU"),
            (lambda model: model.__delitem__(slice(2, 5)), "2: the saved model has a sparse layer here"),
            (lambda model: model.append(nn.Linear(3, 2)), r"has no 5.bias, which the model has \(2 tensors"),
            (lambda model: model.__delitem__(4), r"has 4.bias, which the model has not"),
            (lambda model: model.__setitem__(4, nn.Linear(96, 2)), r"4.weight is \(3, 96\) in .*, \(2, 96\) in the"),
            (lambda model: model.to("meta"), "the model has no memory"),
        ],
    )
    def test_another_model(self, change: Callable[[nn.Sequential], Any], message: str, tmp_path: Path) -> None:
        tm.save(tm.convert(mlp(), density=0.4), tmp_path)
        model = mlp()
        change(model)
        if "memory" in message:
            with pytest.raises(ValueError, match=message):
                tm.load(model, tmp_path)
        else:
            self.refused(model, tmp_path, message)

    def test_a_model_that_is_sparse_where_the_saved_one_is_dense(self, tmp_path: Path) -> None:
        tm.save(tm.convert(mlp(), density=0.4, targets=["0"]), tmp_path)
        self.refused(
            tm.convert(mlp(), density=0.4), tmp_path, "2: the model's layer is sparse, the saved one was dense"
        )

    def test_folders_without_a_model(self, tmp_path: Path) -> None:
        self.refused(mlp(), tmp_path / "nowhere", "nowhere holds no saved model: there is no model.safetensors in it")
        self.refused(mlp(), tmp_path, "holds no saved model")
        save_file({"x": torch.zeros(1)}, tmp_path / "model.safetensors")
        self.refused(mlp(), tmp_path, "not of a model that was saved here")
        (tmp_path / "model.safetensors").write_bytes(pickle.dumps({"x": 1}))
        self.refused(mlp(), tmp_path, "damaged or another kind of file")

    @pytest.mark.parametrize(
        ("about", "message"),
        [
            ({"version": "2"}, "of version '2': this evofabric reads '1'"),
            ({"layers": "["}, "does not say which layers are sparse"),
            ({"layers": '[{"names": [], "kind": "Linear", "topology": "00"}]'}, "does not say which layers"),
            ({"layers": '[{"names": ["0"], "kind": "Linear", "topology": "../../x"}]'}, "does not say which layers"),
            ({"shared": "[]"}, "does not say which layers are sparse"),
        ],
    )
    def test_other_metadata(self, about: dict[str, str], message: str, tmp_path: Path) -> None:
        tm.save(tm.convert(mlp(), density=0.4), tmp_path)
        tensors, there = weights(tmp_path)
        save_file(tensors, tmp_path / "model.safetensors", {**there, **about})
        self.refused(mlp(), tmp_path, message)

    def test_a_kind_that_is_not_known(self, tmp_path: Path) -> None:
        tm.save(tm.convert(mlp(), density=0.4), tmp_path)
        tensors, there = weights(tmp_path)
        there["layers"] = there["layers"].replace('"Linear"', '"Future"')
        save_file(tensors, tmp_path / "model.safetensors", there)
        self.refused(mlp(), tmp_path, "0 stands for a 'Future', which this evofabric does not know")

    def test_damaged_folders(self, tmp_path: Path) -> None:
        tm.save(tm.convert(mlp(), density=0.4), tmp_path)
        first, second = sorted((tmp_path / "topologies").iterdir())
        whole = first.read_bytes()
        first.write_bytes(whole[:-1])
        self.refused(mlp(), tmp_path, first.name)
        first.write_bytes(second.read_bytes())
        self.refused(mlp(), tmp_path, "holds another topology than its name says")
        first.unlink()
        self.refused(mlp(), tmp_path, "is incomplete: .*no such file")
        first.write_bytes(whole)
        file = tmp_path / "model.safetensors"
        os.truncate(file, file.stat().st_size - 4)
        self.refused(mlp(), tmp_path, "damaged or another kind of file")

    def test_what_cannot_be_saved(self, tmp_path: Path) -> None:
        class Extra(nn.Module):
            def get_extra_state(self) -> dict[str, int]:
                return {"a": 1}

            def set_extra_state(self, state: dict[str, int]) -> None:
                """Nothing to do."""

        with pytest.raises(ValueError, match=r"0\._extra_state of the model's state is a dict: only tensors"):
            tm.save(nn.Sequential(Extra()), tmp_path)
        with pytest.raises(ValueError, match=r"0\.weight has no memory"):
            tm.save(mlp().to("meta"), tmp_path)
        (tmp_path / "file").write_text("")
        with pytest.raises(OSError, match="file"):
            tm.save(mlp(), tmp_path / "file")
        assert [path.name for path in tmp_path.iterdir()] == ["file"]
