"""Whole models made sparse: sizes before and after, and whether everything that is done with a model still works.

Run with `python -m tests.benchmarks.models [MODEL ...]`, which needs `pip install evofabric[bench]`; takes minutes
for all models. With `--sizes` it measures parameters, products and the time of a training step instead, dense and at
two densities.
"""

from __future__ import annotations

import os

os.environ |= {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from rich.console import Console
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

import topologies.models as tm
from tests.benchmarks.problems import table
from topologies.models.targets import Patterns

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


class Encoder(nn.Module):
    """``nn.TransformerEncoder`` of the size of BERT's small sister, over vectors."""

    def __init__(self) -> None:
        super().__init__()
        layer = nn.TransformerEncoderLayer(512, 8, 2048, dropout=0.0, batch_first=True)
        self.encoder = nn.TransformerEncoder(layer, 4, enable_nested_tensor=False)
        self.head = nn.Linear(512, 512)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.encoder(x))  # type: ignore[no-any-return]


class Recurrent(nn.Module):
    """A language model of two layers of LSTM over vectors that stand for 96 characters."""

    def __init__(self) -> None:
        super().__init__()
        self.rnn = nn.LSTM(256, 512, num_layers=2, batch_first=True)
        self.head = nn.Linear(512, 96)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.rnn(x)[0])  # type: ignore[no-any-return]


MODELS: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...], Patterns]] = {
    "MLP 784-1024-1024-10": (mlp, (784,), ["4"]),
    "ResNet-18": (of_timm("resnet18"), (3, 224, 224), "conv1|fc"),
    "MobileNet v1": (of_timm("mobilenetv1_100"), (3, 224, 224), ["conv_stem", "classifier"]),
    "MobileNet v2": (of_timm("mobilenetv2_100"), (3, 224, 224), ["conv_stem", "classifier"]),
    "ViT-S/16": (of_timm("vit_small_patch16_224"), (3, 224, 224), ["patch_embed", "head"]),
    "ConvNeXt-T": (of_timm("convnext_tiny"), (3, 224, 224), ["stem", "head"]),
    "LSTM, two layers": (Recurrent, (64, 256), ["head"]),
    "nn.TransformerEncoder": (Encoder, (64, 512), ["head"]),
}
"""How each model is built, its inputs, and its first and last layers, which stay dense."""


def products(model: nn.Module, shape: tuple[int, ...]) -> float:
    """Multiplications of a forward pass of one example, in the layers that hold weights, as the layers are used.

    A recurrent layer of cascades multiplies as a dense one does, once its matrices are made.
    """
    total = 0.0

    def count(module: nn.Module, given: tuple[Tensor, ...], y: Tensor | tuple[Tensor, ...]) -> None:
        nonlocal total
        x, out = given[0], y[0] if isinstance(y, tuple) else y
        if isinstance(module, nn.Conv2d):
            total += out.numel() * module.weight[0].numel()
        elif isinstance(module, tm.SparseConv1x1 | tm.SparseConv2d):
            total += module.cascade.edge_weight.numel() * out.numel() / module.out_channels
        elif isinstance(module, tm.SparseCascade):
            total += module.edge_weight.numel() * x.numel() / module.in_features
        elif isinstance(module, nn.Linear):
            total += x.numel() * module.out_features
        elif isinstance(module, nn.LSTM | tm.SparseLSTM):
            whole = module if isinstance(module, nn.LSTM) else module.to_lstm()
            weights = sum(one.numel() for name, one in whole.named_parameters() if "weight" in name)
            total += weights * x.numel() / x.shape[-1]
        elif isinstance(module, nn.MultiheadAttention):
            total += x.numel() * 4 * module.embed_dim

    inner = {part for one in model.modules() if isinstance(one, nn.MultiheadAttention) for part in one.children()}
    hooks = [one.register_forward_hook(count) for one in model.modules() if one not in inner]
    with torch.no_grad():
        model.eval()(torch.zeros(1, *shape))
    for hook in hooks:
        hook.remove()
    return total


def sparse_layers(plan: tm.Plan) -> str:
    """Layers that are made sparse, of those that might be; one of several matrices counts once."""
    there = len({one for change in plan.changes for one in change.names})
    return f"{there} of {there + len(plan.skipped)}"


def sizes_table(console: Console, names: Sequence[str], repeats: int = 3) -> None:
    """Parameters, products and time of a training step, dense and at two densities; a line is printed as it comes."""
    headings = ("layers", "parameters, M", "products, M", "ms a step", "over dense")
    result = table("Training steps of 512 vectors, 16 sequences or 4 images", "model", *headings)
    for name in names:
        build, shape, kept = MODELS[name]
        x, models, layers = torch.randn((512, 16, 4)[len(shape) - 1], *shape), {}, {}
        for density in (None, 0.1, 0.25):
            torch.manual_seed(0)
            model, label = build(), "dense" if density is None else f"{density:.0%}"
            plan = tm.plan(model, density=density or 0.1, exclude=kept)
            models[label] = model if density is None else tm.convert(model, plan)
            layers[label] = "" if density is None else sparse_layers(plan)
        counts = {label: products(model, shape) for label, model in models.items()}
        taken = {label: [_step(model.train(), x) for _ in range(1)] for label, model in models.items()}
        for _ in range(repeats):
            for label, model in models.items():
                taken[label].append(_step(model, x))
        dense = min(taken["dense"][1:])
        for label, model in models.items():
            best = min(taken[label][1:])
            size = sum(one.numel() for one in model.parameters()) / 1e6
            cells = (
                layers[label],
                f"{size:.2f}",
                f"{counts[label] / 1e6:.0f}",
                f"{1e3 * best:.0f}",
                f"{best / dense:.2f}",
            )
            result.add_row(f"{name}, {label}", *cells)
            print(name, label, *cells, sep=" | ", flush=True)
    console.print(result)


def _step(model: nn.Module, x: Tensor) -> float:
    """Seconds of this process in a forward and a backward pass."""
    model.zero_grad()
    start = time.process_time()
    model(x).square().mean().backward()
    return time.process_time() - start


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
        try:
            exported = error(through_onnx(folded, x, folder / "model.onnx"))
        except Exception as problem:  # whatever the exporter or onnxruntime says is this cell's content
            exported = str(problem).strip().splitlines()[0]
        return [
            sparse_layers(plan),
            f"{plan.n_parameters:,} → {plan.n_parameters_after:,}",
            f"{size(folder / 'dense') / 1e6:.1f} → {size(folder / 'sparse') / 1e6:.1f}",
            found,
            f"{float(again.stdout.split()[-1]):.0e}",
            error(of_fold),
            exported,
        ]


def models_table(console: Console, names: Sequence[str]) -> None:
    """A row for each model, printed as they come; differences are relative to the largest output."""
    headings = ("layers", "parameters", "MB on disk", "with a gradient", "saved and loaded", "folded", "ONNX")
    result = table(f"Models at a density of {DENSITY}", "model", *headings)
    for name in names:
        cells = row(name)
        result.add_row(name, *cells)
        print(name, *cells, sep=" | ", flush=True)
    console.print(result)


if __name__ == "__main__":
    torch.set_num_threads(1)
    parser = argparse.ArgumentParser()
    parser.add_argument("models", nargs="*", default=list(MODELS), metavar="MODEL", help=", ".join(MODELS))
    parser.add_argument("--sizes", action="store_true")
    given = parser.parse_args()
    unknown = set(given.models) - set(MODELS)
    if unknown:
        parser.error(f"{', '.join(unknown)}: the models are {', '.join(MODELS)}")
    (sizes_table if given.sizes else models_table)(Console(width=160), given.models)
