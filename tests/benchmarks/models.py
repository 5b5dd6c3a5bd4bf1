"""Whole models made sparse: sizes before and after, and whether everything that is done with a model still works.

Run with `python -m tests.benchmarks.models`, which needs `pip install evofabric[bench]`; takes a few minutes.
"""

from __future__ import annotations

import os

os.environ |= {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}

import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import torch
from rich.console import Console
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

import topologies.models as tm
from tests.benchmarks.problems import table

DENSITY = 0.1
BATCH = 2


def mlp() -> nn.Module:
    """784-1024-1024-10."""
    return nn.Sequential(
        nn.Linear(784, 1024), nn.ReLU(), nn.Linear(1024, 1024), nn.ReLU(), nn.Linear(1024, 10)
    )  # fmt: skip


def of_timm(name: str) -> Callable[[], nn.Module]:
    """A model of timm, with first weights of its own."""

    def build() -> nn.Module:
        import timm

        return timm.create_model(name)  # type: ignore[no-any-return]

    return build


MODELS: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...], list[str]]] = {
    "MLP 784-1024-1024-10": (mlp, (784,), ["4"]),
    "MobileNet v2": (of_timm("mobilenetv2_100"), (3, 224, 224), ["classifier"]),
    "ViT-S/16": (of_timm("vit_small_patch16_224"), (3, 224, 224), ["head"]),
    "ConvNeXt-T": (of_timm("convnext_tiny"), (3, 224, 224), ["head"]),
}
"""How each model is built, its inputs, and its last layer, which stays dense."""


def size(folder: Path) -> int:
    """Bytes of all files in a folder."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def gradients(model: nn.Module, x: Tensor) -> str:
    """Parameters that have a gradient after a backward pass, of all."""
    model.train()(x).square().sum().backward()
    parameters = list(model.parameters())
    return f"{sum(one.grad is not None for one in parameters)} of {len(parameters)}"


def reload(name: str, folder: Path) -> None:
    """In a fresh process: the largest difference of what the saved model computes there."""
    data = load_file(folder / "data")
    model = tm.load(MODELS[name][0](), folder / "sparse").eval()
    with torch.no_grad():
        print(float((model(data["x"]) - data["y"]).abs().max() / data["y"].abs().max()))


def through_onnx(folded: nn.Module, x: Tensor, file: Path) -> Tensor:
    """What onnxruntime computes of a folded model, exported for batches of any size."""
    import onnxruntime

    batch = torch.export.Dim("batch", min=1, max=64)
    torch.onnx.export(
        folded, (torch.cat([x, x, x]),), str(file), dynamo=True, dynamic_shapes=({0: batch},), verbose=False
    )
    session = onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
    return torch.from_numpy(session.run(None, {session.get_inputs()[0].name: x.numpy()})[0])


def row(name: str) -> list[str]:
    """What becomes of one model."""
    build, shape, head = MODELS[name]
    torch.manual_seed(0)
    model = build()
    x = torch.randn(BATCH, *shape)
    plan = tm.plan(model, density=DENSITY, exclude=head)
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        tm.save(model, folder / "dense")
        tm.convert(model, plan)
        found = gradients(model, x)
        tm.save(model, folder / "sparse")
        with torch.no_grad():
            y = model.eval()(x)
        folded = tm.fold(model)

        def error(z: Tensor) -> str:
            return f"{float((z - y).abs().max() / y.abs().max()):.0e}"

        save_file({"x": x, "y": y}, folder / "data")
        program = "import sys; from pathlib import Path; from tests.benchmarks.models import reload;"
        again = subprocess.run(
            [sys.executable, "-c", f"{program} reload(sys.argv[1], Path(sys.argv[2]))", name, str(folder)],
            capture_output=True, text=True, check=True,
        )  # fmt: skip
        with torch.no_grad():
            of_fold = folded(x)
        layers = f"{len(plan.changes)} of {len(plan.changes) + len(plan.skipped)}"
        return [
            layers,
            f"{plan.n_parameters:,} → {plan.n_parameters_after:,}",
            f"{size(folder / 'dense') / 1e6:.1f} → {size(folder / 'sparse') / 1e6:.1f}",
            found,
            f"{float(again.stdout.split()[-1]):.0e}",
            error(of_fold),
            error(through_onnx(folded, x, folder / "model.onnx")),
        ]


def models_table(console: Console) -> None:
    """A row for each model, printed as they come; differences are relative to the largest output."""
    headings = ("layers", "parameters", "MB on disk", "with a gradient", "saved and loaded", "folded", "ONNX")
    result = table(f"Models at a density of {DENSITY}", "model", *headings)
    for name in MODELS:
        result.add_row(name, *row(name))
    console.print(result)


if __name__ == "__main__":
    torch.set_num_threads(1)
    models_table(Console(width=160))
