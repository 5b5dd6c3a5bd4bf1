"""What a layer computes, for whatever inputs: outputs and first gradients beside the dense twin's."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from topologies.testing.layers.layer import ROWS, Layer, assert_close, gradients, ramp
from topologies.topology import Topology


def strided(x: Tensor) -> Tensor:
    """The same numbers with a gap after each."""
    return torch.stack([x, x.new_full(x.shape, torch.nan)], dim=-1)[..., 0]


def turned(x: Tensor) -> Tensor:
    """The same numbers, the first dimension innermost in memory."""
    backwards = tuple(reversed(range(x.dim())))
    return x.permute(backwards).contiguous().permute(backwards)


def shifted(x: Tensor) -> Tensor:
    """The same numbers where no vector is aligned."""
    return torch.cat([x.new_zeros(1), x.flatten()])[1:].view(x.shape)


def expanded(x: Tensor) -> Tensor:
    """The first example again and again, in memory once."""
    return x[:1].expand(x.shape)


LAYOUTS = (strided, turned, shifted, expanded)


def _choices(count: int) -> list[tuple[bool, ...]]:
    """Every choice among so many tensors or, of more than five, none, all, each alone and all but each."""
    if count <= 5:
        return list(itertools.product((False, True), repeat=count))
    alone = [tuple(place == one for place in range(count)) for one in range(count)]
    return [(False,) * count, (True,) * count, *alone, *(tuple(not one for one in choice) for choice in alone)]


class Numbers(Layer):
    """Outputs and first gradients."""

    @pytest.mark.parametrize(
        ("rows", "dtype"), [*((rows, torch.float32) for rows in ROWS), (1, torch.float64), (33, torch.float64)]
    )
    def test_outputs_and_gradients_are_the_twins(
        self, way: str | None, topology: Topology, rows: int, dtype: torch.dtype
    ) -> None:
        self.assert_equals_the_twin(self.make(topology, way, dtype=dtype), rows)

    def test_without_a_bias(self, way: str | None) -> None:
        module = self.usual(way, bias=False)
        assert not any("bias" in name for name, _ in module.named_parameters())
        for rows in ROWS:
            self.assert_equals_the_twin(module, rows)

    def assert_equals_the_twin(self, module: nn.Module, rows: int) -> None:
        """In its outputs, and in the gradients of the inputs and of all parameters."""
        parameters = dict(module.named_parameters())
        x = self.inputs(module, rows).requires_grad_()
        y, expected = module(x), self.twin(module)(parameters, x)
        assert_close(y, expected)
        wanted = [x, *parameters.values()]
        assert_close(
            torch.autograd.grad(y, wanted, ramp(y)),
            torch.autograd.grad(expected, wanted, ramp(y), materialize_grads=True),
        )

    def test_any_batch_shape(self, way: str | None) -> None:
        module = self.usual(way)
        dense = self.fold(module)
        for batch in self.batches:
            x = self.inputs(module, *batch)
            y = module(x)
            assert_close(y, dense(x))
            assert y.is_contiguous()
            assert_close(gradients(module, x)[0], gradients(dense, x)[0])

    @pytest.mark.parametrize("rows", [1, 7, 200])
    def test_any_layout_in_memory(self, way: str | None, rows: int) -> None:
        module = self.usual(way)
        for of_inputs, of_slopes in itertools.product((Tensor.contiguous, *LAYOUTS), repeat=2):
            x = of_inputs(self.inputs(module, rows))
            slope = of_slopes(torch.randn_like(module(x)))
            assert_close(gradients(module, x, slope), gradients(module, x.contiguous(), slope.contiguous()))

    @pytest.mark.parametrize("rows", [1, 33])
    def test_frozen_parameters_and_inputs_have_no_gradient_and_others_the_same(
        self, way: str | None, rows: int
    ) -> None:
        module = self.usual(way)
        x = self.inputs(module, rows)
        expected = gradients(module, x)
        for wanted in _choices(len(expected)):
            tensors = [x.detach().clone(), *module.parameters()]
            for tensor, is_wanted in zip(tensors, wanted, strict=True):
                tensor.requires_grad_(is_wanted).grad = None
            y = module(tensors[0])
            assert y.requires_grad == any(wanted)
            if any(wanted):
                y.backward(ramp(y))
            for tensor, is_wanted, gradient in zip(tensors, wanted, expected, strict=True):
                assert (tensor.grad is not None) == is_wanted
                if is_wanted:
                    assert_close(tensor.grad, gradient)

    @pytest.mark.parametrize("rows", ROWS)
    def test_in_use_it_gives_the_numbers_of_training(self, way: str | None, rows: int) -> None:
        module = self.usual(way)
        x = self.inputs(module, rows)
        trained = module(x.requires_grad_())
        assert trained.requires_grad
        found = []
        for mode in (torch.no_grad, torch.inference_mode):
            with mode():
                found.append(module(x).clone())
        found.append(module.eval()(x))
        found.append(module.requires_grad_(False)(x.detach()))
        assert not found[-1].requires_grad
        for y in found:
            assert torch.equal(y, trained) if self.same_bits else torch.allclose(y, trained, rtol=1e-5, atol=1e-6)

    @pytest.mark.parametrize("rows", [1, 7, 200])
    def test_the_tensors_of_others_stay_as_they_are(self, way: str | None, rows: int) -> None:
        """Nothing that came in or went out is written to by a later call, or shares memory with what is kept."""
        module = self.usual(way)
        x, again = self.inputs(module, rows).requires_grad_(), self.inputs(module, rows)
        y = module(x)
        slope = torch.randn_like(y)
        held = [x, slope, y, *torch.autograd.grad(y, [x, *module.parameters()], slope, retain_graph=True)]
        before = [tensor.detach().clone() for tensor in held]
        gradients(module, again)
        module.zero_grad()
        for _ in range(2):
            y.backward(slope, retain_graph=True)
        assert all(torch.equal(tensor, copy) for tensor, copy in zip(held, before, strict=True))
        for tensor, once in zip([x, *module.parameters()], held[3:], strict=True):
            assert_close(tensor.grad, 2 * once)
        places = [tensor.untyped_storage().data_ptr() for tensor in (*held, *module.parameters()) if tensor.numel()]
        assert len(set(places)) == len(places)

    @pytest.mark.parametrize("rows", [1, 33])
    def test_batches_between_forward_and_backward(self, way: str | None, rows: int) -> None:
        module = self.usual(way)
        batches = [self.inputs(module, rows).requires_grad_() for _ in range(3)]
        outputs = [module(x) for x in batches]
        for x, y in zip(batches, outputs, strict=True):
            found = torch.autograd.grad(y, [x, *module.parameters()], ramp(y))
            assert_close(list(found), gradients(module, x))

    @pytest.mark.parametrize("rows", [1, 33])
    def test_outputs_may_be_changed_before_backward_and_changed_inputs_are_noticed(
        self, way: str | None, rows: int
    ) -> None:
        module = self.usual(way)
        x = self.inputs(module, rows).requires_grad_()
        expected = gradients(module, x)
        y = module(x)
        slope = ramp(y)
        y.mul_(2)
        assert_close(list(torch.autograd.grad(y, [x, *module.parameters()], slope / 2)), expected)

        def change_the_input(y: Tensor, x: Tensor) -> None:
            x.add_(1)

        def change_the_weights(y: Tensor, x: Tensor) -> None:
            with torch.no_grad():
                for parameter in module.parameters():
                    parameter.add_(1)

        for change in (change_the_input, change_the_weights):
            first = self.inputs(module, rows).requires_grad_()
            x = first * 1
            y = module(x)
            given = [first, *module.parameters()]
            right = torch.autograd.grad(y, given, slope, retain_graph=True)
            change(y, x)
            try:
                found = torch.autograd.grad(y, given, slope)
            except RuntimeError as error:
                assert "modified by an inplace operation" in str(error)
            else:  # what was changed had been copied
                assert_close(found, right)

    @pytest.mark.parametrize("bad", [torch.inf, torch.nan])
    def test_a_bad_example_spoils_no_other(self, way: str | None, bad: float) -> None:
        module = self.usual(way)
        for rows in (2, 7, 65):
            x = self.inputs(module, rows)
            spoiled = x.clone()
            spoiled[1] = bad
            others = torch.arange(rows) != 1
            y = module(spoiled)
            assert_close(y[others], module(x)[others])
            assert not y[1].isfinite().any()
            slope = torch.where(y.isfinite(), ramp(y), bad)
            assert_close(gradients(module, x, slope)[0][others], gradients(module, x, ramp(y))[0][others])

    @pytest.mark.parametrize("rows", ROWS)
    def test_equal_calls_give_equal_bits(self, way: str | None, rows: int) -> None:
        module = self.usual(way)
        x = self.inputs(module, rows)
        first, *others = ([module(x), *gradients(module, x)] for _ in range(5))
        for other in others:
            assert all(torch.equal(one, again) for one, again in zip(first, other, strict=True))

    def test_the_number_of_threads_changes_no_bit(self, way: str | None) -> None:
        if way not in self.repeatable:
            pytest.skip("this way adds up in PyTorch's order, which depends on the number of threads")
        for topology, rows in itertools.product(self.topologies.values(), (1, 64, 65, 200, 1000)):
            module = self.make(topology, way)
            x = self.inputs(module, rows)
            found = []
            for threads in (1, 2, 3):
                torch.set_num_threads(threads)
                found.append([module(x), *gradients(module, x)])
            for other in found[1:]:
                assert all(torch.equal(one, again) for one, again in zip(found[0], other, strict=True)), (
                    topology,
                    rows,
                )

    def test_who_gives_an_input_of_another_kind_is_told(self, way: str | None) -> None:
        module = self.usual(way)
        changes: list[tuple[Callable[[Tensor], Any], str]] = [
            (lambda x: x.to(torch.complex64), "complex"),
            (Tensor.to_sparse, "sparse"),
            (Tensor.to_sparse_csr, "sparse"),
            (lambda x: torch.nested.nested_tensor([x, x], layout=torch.strided), "nested"),
            (lambda x: torch.nested.nested_tensor([x, x], layout=torch.jagged), "nested"),
            (Tensor.numpy, "not a tensor"),
        ]
        for (change, kind), rows in itertools.product(changes, (1, 2, 200)):
            with pytest.raises(TypeError, match=kind):
                module(change(self.inputs(module, rows)))

    @pytest.mark.parametrize("rows", [1, 2, 200])
    def test_an_input_of_another_dtype_is_refused_as_by_the_twin(self, way: str | None, rows: int) -> None:
        for ours, other in itertools.permutations((torch.float32, torch.float64, torch.bfloat16), 2):
            module = self.usual(way, dtype=ours)
            for layer in (self.fold(module), module):
                with pytest.raises((RuntimeError, ValueError)):
                    layer(self.inputs(module, rows).to(other))

    @pytest.mark.parametrize("dtype", [torch.complex64, torch.complex128, torch.int64, torch.bool])
    def test_weights_are_real(self, way: str | None, dtype: torch.dtype) -> None:
        with pytest.raises(TypeError, match="real floating-point"):
            self.usual(way, dtype=dtype)

    def test_weights_that_became_complex_are_refused(self, way: str | None) -> None:
        module: nn.Module = self.usual(way)
        batches = [self.inputs(module, rows) for rows in (1, 2, 200)]
        module.to(torch.complex64)
        for x in batches:
            with pytest.raises(TypeError, match="the weights are complex"):
                module(x)
