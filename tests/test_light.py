"""A light installation: numpy, torch, safetensors and rich load a mask and train with it."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from pathlib import Path

HOME = Path(__file__).parents[1]
EXTRAS = ("numba", "llvmlite", "scipy", "ray", "deap", "moocore", "sklearn", "optuna", "mlflow", "pandas")
EXTRAS += ("pydantic", "typer", "matplotlib")
BLOCKED = f"""
import sys

class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {EXTRAS}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)

sys.meta_path.insert(0, Blocked())
"""
USE = """
import torch
import topologies
import topologies.models as tm
from evaluators import Score

file = topologies.butterfly(8, 3).save("mask.safetensors")
assert topologies.load(file).is_connected
layer, x = topologies.SparseCascade(file), torch.randn(5, 8)
layer(x).sum().backward()
assert layer.edge_weight.grad.abs().sum() > 0
torch.testing.assert_close(layer(x), layer.to_linear()(x))
model = torch.nn.Sequential(torch.nn.Linear(64, 64), torch.nn.ReLU(), torch.nn.Linear(64, 10))
print(tm.plan(model, density=0.3))
tm.convert(model, density=0.3)
model(torch.randn(3, 64)).sum().backward()
tm.save(model, "model")
print(tm.fold(model)(torch.randn(2, 64)).shape)
"""


def run_light(program: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """A program where no library is that a light installation does not bring."""
    return subprocess.run(
        [sys.executable, "-c", BLOCKED + program], cwd=folder, capture_output=True, text=True, timeout=120
    )


def test_a_mask_is_loaded_and_a_model_converted_and_the_slow_way_is_said_once(tmp_path: Path) -> None:
    done = run_light(USE, tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith("torch.Size([2, 10])\n")
    assert done.stderr == (
        "sparse layers are computed in plain PyTorch, several times slower, because: numba is not installed "
        "(pip install 'evofabric[fast]')\n"
    )


def test_what_needs_more_says_in_a_line_what_to_install(tmp_path: Path) -> None:
    program = """
for statement in (
    "from evo import search",
    "from evaluators import Capacity",
    "import topologies; topologies.lift(topologies.butterfly(4, 2), 2)",
    "import evofabric; evofabric.main()",
):
    try:
        exec(statement)
    except ModuleNotFoundError as error:
        print(error, file=sys.stderr)
"""
    done = run_light(program, tmp_path)
    said = done.stderr.splitlines()
    who = (
        "evo.search needs ",
        "evaluators.Capacity needs scipy",
        "lift needs scipy",
        "evofabric: evofabric needs typer",
    )
    assert done.returncode == 2 and len(said) == len(who)
    for line, words in zip(said, who, strict=True):
        assert line.startswith(words) and line.endswith(", which is not installed: pip install 'evofabric[search]'")


def test_a_fit_needs_the_compiled_kernels_alone(tmp_path: Path) -> None:
    program = """
from evaluators.reconstruction import fit
try:
    fit("butterfly(4, 2)", [[1.0] * 4] * 4)
except ModuleNotFoundError as error:
    print(error)
"""
    told = run_light(program, tmp_path).stdout
    assert told.startswith("evaluators.reconstruction.fit needs ")
    assert told.endswith(", which is not installed: pip install 'evofabric[fast]'\n")


def test_every_library_is_in_one_list_and_developers_have_all() -> None:
    project = tomllib.loads((HOME / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"]
    assert "evofabric[search]" in extras["dev"] and "evofabric[fast]" in extras["search"]
    named = [line.partition(">")[0].partition("[")[0] for line in project["dependencies"]]
    assert named == ["numpy", "torch", "safetensors", "rich"]
