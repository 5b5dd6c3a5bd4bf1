"""A layer's weights on their way: checkpoints, averages, casts, copies, and modules that have no memory yet."""

from __future__ import annotations

import copy
import io
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from topologies.models.cascade import SparseCascade
from topologies.testing.layers.layer import Layer, gradients, values

Weights = dict[str, Any]


def ema(decay: float) -> Callable[[list[Weights]], Weights]:
    """The running average that many recipes keep of every tensor of a state_dict."""

    def average(checkpoints: list[Weights]) -> Weights:
        running = {name: tensor.clone() for name, tensor in checkpoints[0].items()}
        for checkpoint in checkpoints[1:] * 40:
            for name, tensor in running.items():
                tensor.mul_(decay).add_(checkpoint[name], alpha=1 - decay)
        return running

    return average


AVERAGES: dict[str, Callable[[list[Weights]], Weights]] = {
    "ema 0.9": ema(0.9),
    "ema 0.9999": ema(0.9999),
    "mean": lambda all_: {name: torch.stack([one[name] for one in all_]).mean(0) for name in all_[0]},
    "sum": lambda all_: {name: sum(one[name] for one in all_ * 30) for name in all_[0]},
    "sum in halves": lambda all_: {name: sum(one[name].half() for one in all_ * 30) for name in all_[0]},
    "lerp": lambda all_: {name: torch.lerp(all_[0][name], all_[1][name], 0.3) for name in all_[0]},
    "bf16": lambda all_: {name: tensor.bfloat16() for name, tensor in all_[0].items()},
    "half": lambda all_: {name: tensor.half() for name, tensor in all_[0].items()},
    "float8": lambda all_: {name: tensor.to(torch.float8_e4m3fn).float() for name, tensor in all_[0].items()},
}


def through_a_file(module: nn.Module) -> Any:
    """Its checkpoint, as ``torch.load`` reads it by default, without unpickling anything of ours."""
    file = io.BytesIO()
    torch.save(module.state_dict(), file)
    file.seek(0)
    return torch.load(file)


def saved_whole(module: nn.Module) -> Any:
    """The module itself through a file."""
    file = io.BytesIO()
    torch.save(module, file)
    file.seek(0)
    return torch.load(file, weights_only=False)


def garbage(module: nn.Module) -> None:
    """What memory may hold when nobody has written to it, made certain."""
    for tensor in (*module.parameters(), *module.buffers()):
        tensor.data.fill_(77)


class Checkpoints(Layer):
    """What is written into and read from a ``state_dict``."""

    def test_state_dict_round_trip(self, way: str | None, tmp_path: Path) -> None:
        for bias in (True, False):
            old, new = (nn.Sequential(self.usual(way, bias=bias)) for _ in range(2))
            x = self.inputs(old[0], 2)
            assert not torch.equal(old(x), new(x))
            new.load_state_dict(through_a_file(old))
            assert torch.equal(old(x), new(x))
            new[0].reset_parameters()
            save_file(old.state_dict(), tmp_path / "model.safetensors")
            new.load_state_dict(load_file(tmp_path / "model.safetensors"))
            assert torch.equal(old(x), new(x))

    @pytest.mark.parametrize("strict", [True, False])
    def test_weights_of_another_topology_are_refused_and_change_nothing(self, way: str | None, strict: bool) -> None:
        model, other = nn.Sequential(self.usual(way)), nn.Sequential(self.renumbered(way))
        before = copy.deepcopy(model.state_dict())
        with pytest.raises(ValueError, match="another topology"):
            model.load_state_dict(other.state_dict(), strict=strict)
        assert all(torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())

    def test_the_weights_of_the_twin_are_refused(self, way: str | None) -> None:
        module = self.usual(way)
        with pytest.raises(RuntimeError, match="edge_weight"):
            module.load_state_dict(self.fold(module).state_dict())

    @pytest.mark.parametrize("decay", [None, 0.9, 0.9999])
    def test_an_averaged_model_has_the_averaged_weights(self, way: str | None, decay: float | None) -> None:
        model = nn.Sequential(self.usual(way), nn.BatchNorm1d(3))
        average = None if decay is None else get_ema_multi_avg_fn(decay)
        averaged = AveragedModel(model, multi_avg_fn=average, use_buffers=True)
        running = {name: tensor.double() for name, tensor in values(model[0]).items()}
        for step in range(20):
            model[0].reset_parameters()
            averaged.update_parameters(model)
            kept = step / (step + 1) if decay is None else decay if step else 0.0
            for name, tensor in values(model[0]).items():
                running[name] = kept * running[name] + (1 - kept) * tensor.double()
        for name, tensor in averaged.module[0].named_parameters():
            torch.testing.assert_close(tensor.double(), running[name], rtol=1e-4, atol=1e-5)
        self.assert_computes_what_its_parameters_say(averaged.module[0])
        model.load_state_dict(averaged.module.state_dict())
        for name, tensor in model[0].named_parameters():
            torch.testing.assert_close(tensor.double(), running[name], rtol=1e-4, atol=1e-5)

    @pytest.mark.parametrize("average", AVERAGES)
    def test_averaged_checkpoints_load_into_their_topology_and_into_no_other(
        self, way: str | None, average: str
    ) -> None:
        models = [nn.Sequential(self.usual(way)) for _ in range(4)]
        weights = AVERAGES[average]([model.state_dict() for model in models])
        models[0].load_state_dict(weights)
        for name, tensor in models[0].named_parameters():
            torch.testing.assert_close(tensor, weights[name].float())
        self.assert_computes_what_its_parameters_say(models[0][0])
        with pytest.raises(ValueError, match="another topology"):
            nn.Sequential(self.renumbered(way)).load_state_dict(weights)

    @pytest.mark.parametrize("casts", [["half"], ["bfloat16"], ["bfloat16", "float"], ["half", "double"], ["double"]])
    def test_a_cast_model_computes_what_its_weights_say(self, way: str | None, casts: list[str]) -> None:
        module = self.usual(way)
        for cast in casts:
            module = getattr(module, cast)()
        self.assert_computes_what_its_parameters_say(module)
        self.usual(way).load_state_dict(module.state_dict())


class Copies(Layer):
    """Whole modules that are copied, folded, moved or sent."""

    @pytest.mark.parametrize(
        "travel",
        [copy.deepcopy, lambda module: pickle.loads(pickle.dumps(module)), saved_whole],
        ids=["deepcopy", "pickle", "save"],
    )
    @pytest.mark.parametrize("has_run", [True, False])
    def test_copies_are_independent(self, way: str | None, travel: Callable[[Any], Any], has_run: bool) -> None:
        module: Any = self.usual(way)
        x = self.inputs(module, 2)
        if has_run:
            gradients(module, x)
        there = travel(module)
        before = module(x)
        assert torch.equal(there(x), before)
        assert all(
            torch.equal(one, other) for one, other in zip(gradients(module, x), gradients(there, x), strict=True)
        )
        with torch.no_grad():
            for parameter in there.parameters():
                parameter.zero_()
        assert torch.equal(module(x), before)
        assert not torch.equal(there(x), before)
        there.load_state_dict(through_a_file(module))
        assert torch.equal(there(x), before)

    def test_folds_into_the_class_of_the_twin(self, way: str | None) -> None:
        for topology in self.topologies.values():
            for bias, dtype in ((True, torch.float32), (False, torch.float64)):
                module = self.make(topology, way, bias=bias, dtype=dtype).eval()
                dense = self.fold(module)
                assert any(type(part).__module__.startswith("torch.nn") for part in dense.modules())
                assert not any(isinstance(part, SparseCascade) for part in dense.modules())
                assert not dense.training
                x = self.inputs(module, 7)
                torch.testing.assert_close(dense(x), module(x), rtol=1e-4, atol=1e-5)
                expected = self.dense_weights(module, values(module))
                assert {name for name, _ in dense.named_parameters()} == set(expected)
                places = {one.untyped_storage().data_ptr() for one in dense.parameters()}
                assert not places & {one.untyped_storage().data_ptr() for one in module.parameters() if one.numel()}

    def test_everything_moves_between_devices(self, way: str | None) -> None:
        module = self.usual(way, dtype=torch.float64)
        x, again = self.inputs(module, 7), self.inputs(module, 0)
        expected = module(x)
        elsewhere = copy.deepcopy(module).to("meta")
        assert {tensor.device.type for tensor in (*elsewhere.parameters(), *elsewhere.buffers())} == {"meta"}
        for batch in (x, again):
            found = elsewhere(batch.to("meta"))
            assert (found.shape, found.device.type) == (module(batch).shape, "meta")
        if torch.cuda.is_available():
            torch.testing.assert_close(copy.deepcopy(module).to("cuda")(x.cuda()).cpu(), expected)
        with pytest.raises(RuntimeError):
            module(x.to("meta"))
        with pytest.raises(RuntimeError, match=r"must be on one|(on|at) the same device"):
            elsewhere.float()(x.float())
        assert torch.equal(module(x), expected)


class WithoutMemory(Layer):
    """Modules that are built on the meta device, as large models are, and filled later."""

    def on_meta(self, way: str | None) -> list[nn.Sequential]:
        """One built there by its argument, one by the context."""
        topology = next(iter(self.topologies.values()))
        by_argument = nn.Sequential(self.build(topology, way, device="meta"))
        with torch.device("meta"):
            return [by_argument, nn.Sequential(self.build(topology, way))]

    def test_then_given_memory_and_first_weights(self, way: str | None) -> None:
        for model in self.on_meta(way):
            model.to_empty(device="cpu")
            garbage(model)
            model[0].reset_parameters()
            assert not any((parameter == 77).any() for parameter in model.parameters())
            self.assert_computes_what_its_parameters_say(model[0])
            nn.Sequential(self.usual(way)).load_state_dict(model.state_dict())

    def test_then_given_memory_and_a_checkpoint(self, way: str | None) -> None:
        trained = nn.Sequential(self.usual(way))
        x = self.inputs(trained[0], 2)
        for model in self.on_meta(way):
            model.to_empty(device="cpu")
            garbage(model)
            model.load_state_dict(trained.state_dict())
            assert torch.equal(model(x), trained(x))

    @pytest.mark.parametrize("first", [torch.no_grad, torch.inference_mode, torch.enable_grad])
    def test_then_given_a_checkpoints_own_tensors(self, way: str | None, first: Any) -> None:
        trained = nn.Sequential(self.usual(way))
        x = self.inputs(trained[0], 2)
        for model in self.on_meta(way):
            model.load_state_dict(trained.state_dict(), assign=True)
            with first():
                assert torch.equal(model(x), trained(x))
            model(x).sum().backward()
            assert all(isinstance(parameter.grad, Tensor) for parameter in model.parameters())

    def test_then_sharded(self, way: str | None, one_process: Any) -> None:
        from torch.distributed.fsdp import fully_shard

        alone = self.usual(way)
        x = self.inputs(alone, 2)
        for model in self.on_meta(way):
            fully_shard(model, mesh=one_process)
            model.to_empty(device="cpu")
            for module in (model[0], alone):
                torch.manual_seed(3)
                module.reset_parameters()
            torch.testing.assert_close(model(x), alone(x))
            model(x).sum().backward()
