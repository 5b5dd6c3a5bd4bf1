"""Layers that are compiled, traced and exported."""

from __future__ import annotations

import io
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch._dynamo.testing import CompileCounterWithBackend

from topologies.testing.layers.layer import Layer, assert_close, gradients, ramp

BATCHES = (5, 2, 200, 64, 1)
HOME = Path(__file__).parents[3]

IN_A_FRESH_PROCESS = """
import sys
import topologies
import torch
for file in sys.argv[1:]:
    found = [torch.export.load(file + ".pt2").module()(x) for x in torch.load(file + ".inputs")]
    torch.save(found, file + ".outputs")
"""


def batch() -> tuple[dict[int, Any]]:
    """The first dimension of the only input may be of any size."""
    return ({0: torch.export.Dim("batch")},)


class Programs(Layer):
    """What ``torch.compile``, ``torch.export`` and the older tracers make of a layer."""

    def graphs(self, layer: nn.Module, batches: list[Tensor], run: Callable[[nn.Module, Tensor], Any]) -> int:
        """How many graphs are compiled for these batches, after a look that all give the layer's own numbers."""
        torch._dynamo.reset()
        counter = CompileCounterWithBackend("aot_eager")
        compiled = torch.compile(layer, backend=counter, fullgraph=True)
        for x in batches:
            assert_close(run(compiled, x), run(layer, x))
        return counter.frame_count

    def test_compiled_whole_into_no_more_graphs_than_the_twin(self, way: str | None) -> None:
        module = self.usual(way)
        batches = [self.inputs(module, rows) for rows in BATCHES]
        found, allowed = (self.graphs(layer, batches, gradients) for layer in (module, self.fold(module)))
        assert found <= allowed

    @pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
    def test_compiled_for_use(self, way: str | None, mode: Any) -> None:
        module = self.usual(way)
        with mode():
            assert self.graphs(module, [self.inputs(module, 64)], lambda layer, x: layer(x)) == 1

    def test_compiled_under_autocast(self, way: str | None) -> None:
        """Gradients are asked for after it, as PyTorch wants it: within, it makes products of dense matrices rough."""
        module = self.usual(way)

        def run(layer: nn.Module, x: Tensor) -> list[Tensor]:
            x = x.detach().requires_grad_()
            with torch.autocast("cpu", dtype=torch.bfloat16):
                y = layer(x)
            return [y.detach(), *torch.autograd.grad(y, [x, *module.parameters()], ramp(y))]

        assert self.graphs(module, [self.inputs(module, 64)], run) == 1

    @pytest.mark.parametrize(("rows", "strict"), [(2, True), (300, False)])
    def test_an_exported_program_serves_batches_of_any_size(self, way: str | None, rows: int, strict: bool) -> None:
        module = self.usual(way)
        program = torch.export.export(module, (self.inputs(module, rows),), dynamic_shapes=batch(), strict=strict)
        file = io.BytesIO()
        torch.export.save(program, file)
        file.seek(0)
        loaded = torch.export.load(file).module()
        for other in BATCHES:
            x = self.inputs(module, other)
            assert_close(loaded(x), module(x))

    def test_an_exported_program_runs_in_a_process_that_knows_only_the_package(self, tmp_path: Path) -> None:
        expected = {}
        for way in self.ways:
            module, file = self.usual(way), str(tmp_path / (way or "own choice"))
            batches = [self.inputs(module, rows) for rows in BATCHES]
            program = torch.export.export(module, (batches[0],), dynamic_shapes=batch())
            torch.export.save(program, file + ".pt2")
            torch.save(batches, file + ".inputs")
            expected[file] = [module(x).detach() for x in batches]
        subprocess.run([sys.executable, "-c", IN_A_FRESH_PROCESS, *expected], cwd=HOME, check=True, timeout=300)
        for file, outputs in expected.items():
            assert_close([one.detach() for one in torch.load(file + ".outputs")], outputs)

    @pytest.mark.parametrize("rows", [2, 300])
    def test_a_trace_serves_batches_of_any_size(self, way: str | None, rows: int) -> None:
        module = self.usual(way)
        traced = torch.jit.trace(module, self.inputs(module, rows), check_trace=False)
        for other in BATCHES:
            x = self.inputs(module, other)
            assert_close(traced(x), module(x))

    @pytest.mark.parametrize("compiler", [torch.fx.symbolic_trace, torch.jit.script])
    def test_who_cannot_compile_it_is_told_what_to_do_instead(self, way: str | None, compiler: Any) -> None:
        module = self.usual(way)
        for wrap in (lambda layer: layer, nn.Sequential):
            with pytest.raises(TypeError, match=r"put its to_\w+\(\) in its place"):
                compiler(wrap(module))
            x = self.inputs(module, 2)
            assert_close(compiler(wrap(self.fold(module)))(x), module(x))
