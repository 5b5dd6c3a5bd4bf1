"""The scripts and notebooks that people copy, run as they stand here."""

from __future__ import annotations

import json
import runpy
from pathlib import Path

import pytest

HERE = Path(__file__).parent
SAYS = {
    "train_with_a_mask.py": "of the test digits are right",
    "evaluator.py": "Result(evolved champion",
    "on_ray.py": "the same on any number of workers",
    "convert_a_model.py": "largest difference when folded",
}


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run in an empty folder, as a script without arguments."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", ["script"])
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)


@pytest.mark.parametrize("name", [pytest.param(one, marks=pytest.mark.ray) if "ray" in one else one for one in SAYS])
def test_a_script_does_what_it_says(
    name: str, request: pytest.FixtureRequest, capsys: pytest.CaptureFixture[str]
) -> None:
    if "ray" in name:
        request.getfixturevalue("local_ray")
    runpy.run_path(str(HERE / name), run_name="__main__")
    assert SAYS[name] in capsys.readouterr().out
    assert len((HERE / name).read_text(encoding="utf-8").splitlines()) < 45


def test_every_script_and_notebook_is_run() -> None:
    assert {path.name for path in HERE.glob("*.py")} - {"test_examples.py"} == set(SAYS)
    assert {path.name for path in HERE.glob("*.ipynb")} == {"search.ipynb", "use_the_mask.ipynb"}


def test_the_notebooks_can_be_followed() -> None:
    """One after the other in one folder, as the second uses what the first has found; no notebook is needed."""
    for name in ("search.ipynb", "use_the_mask.ipynb"):
        book = json.loads((HERE / name).read_text(encoding="utf-8"))
        assert book["nbformat"] == 4
        cells = ["".join(cell["source"]) for cell in book["cells"] if cell["cell_type"] == "code"]
        assert cells and not any(cell.get("outputs") for cell in book["cells"])
        names: dict[str, object] = {"__name__": "__main__"}
        for cell in cells:
            exec(cell, names)
