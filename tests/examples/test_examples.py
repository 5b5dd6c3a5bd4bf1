"""The scripts and notebooks that people copy, run as they stand here."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
HOME = HERE.parents[1]
SAYS = {
    "train_with_a_mask.py": "of the test digits are right",
    "evaluator.py": "Result(evolved champion",
    "on_ray.py": "the same on any number of workers",
    "convert_a_model.py": "largest difference when folded",
}


def run(folder: Path, *line: str) -> str:
    """What a Python program says in a folder."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    path = {"PYTHONPATH": str(HOME), "MLFLOW_TRACKING_URI": ""}
    done = subprocess.run(
        [sys.executable, *line], cwd=folder, env=environment | path, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("name", [pytest.param(one, marks=pytest.mark.ray) if "ray" in one else one for one in SAYS])
def test_a_script_does_what_it_says(name: str, tmp_path: Path) -> None:
    assert SAYS[name] in run(tmp_path, str(HERE / name))
    assert len((HERE / name).read_text(encoding="utf-8").splitlines()) < 45


def test_every_script_and_notebook_is_run() -> None:
    assert {path.name for path in HERE.glob("*.py")} - {"test_examples.py"} == set(SAYS)
    assert {path.name for path in HERE.glob("*.ipynb")} == {"search.ipynb", "use_the_mask.ipynb"}


def test_the_notebooks_can_be_followed(tmp_path: Path) -> None:
    """One after the other in one folder, as the second uses what the first has found; no notebook is needed."""
    for name in ("search.ipynb", "use_the_mask.ipynb"):
        book = json.loads((HERE / name).read_text(encoding="utf-8"))
        assert book["nbformat"] == 4
        cells = ["".join(cell["source"]) for cell in book["cells"] if cell["cell_type"] == "code"]
        assert cells and not any(cell.get("outputs") for cell in book["cells"])
        run(tmp_path, "-c", "\n".join(cells))
