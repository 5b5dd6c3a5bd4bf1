"""The code of the README and the guide, run as it stands there."""

from __future__ import annotations

import textwrap
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
import typer

import topologies.models as tm
from evo.cli import app
from evo.experiment.search import search
from tests.fakes import recipe
from topologies import SparseCascade, random_regular

HOME = Path(__file__).parents[1]


def block(word: str) -> str:
    """The indented block of the README or the guide that holds a word."""
    pages = ("README.md", "GUIDE.md")
    paragraphs = [one for page in pages for one in (HOME / page).read_text(encoding="utf-8").split("\n\n")]
    (found,) = [one for one in paragraphs if one.startswith("    ") and word in one]
    return textwrap.dedent(found)


def test_the_evaluator_of_the_readme_scores_a_search(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mine.py").write_text(block("class Mine"), encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    result = search(recipe(evaluator="mine:Mine", runs=str(tmp_path / "runs")))
    assert result.table.first.errors and len(set(result.table.first.errors)) > 1
    assert abs(result.table.first.error.mean - result.champion.depth) < 0.5


def test_a_whole_model_as_in_the_readme(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    random_regular(8, 8, 12, 5, 4).save(tmp_path / "champion.safetensors")
    names: dict[str, Any] = {name: mixer() for name in ("model", "other_model", "fresh_model")}
    exec(block("tm.load").replace("density=0.1", "density=0.3"), names)
    x = torch.randn(2, 48)
    assert {type(block.mlp[0]) for block in names["model"].blocks} == {SparseCascade}
    assert {block.mlp[0].topology.depth for block in names["other_model"].blocks} == {5}
    assert type(names["model"].head) is torch.nn.Linear
    assert torch.equal(names["fresh_model"](x), names["model"](x))
    torch.testing.assert_close(names["dense"](x), names["model"](x))
    assert {group["name"] for group in names["optimizer"].param_groups} >= {"edges", "weights"}


def test_every_kind_of_layer_as_in_the_readme() -> None:
    names: dict[str, Any] = {"torch": torch}
    exec(block("SparseConv2d(16"), names)
    assert names["images"].shape == (2, 32, 8, 8)
    assert names["y"].shape == (2, 7, 64) and names["weights"].shape == (2, 7, 7)


def test_weights_are_fitted_as_in_the_readme() -> None:
    model = mixer()
    names: dict[str, Any] = {"torch": torch, "tm": tm, "model": model}
    dense = model.head.weight.detach().clone()
    exec(block("weights=fit").replace("weights=fit", "weights=partial(fit, steps=50)"), names | {"partial": partial})
    assert type(model.blocks[0].mlp[0]) is SparseCascade
    assert torch.equal(model.head.weight, dense)


def mixer() -> torch.nn.Module:
    """A model with the names that the README's patterns are about."""

    class Block(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.mlp = torch.nn.Sequential(torch.nn.Linear(48, 64), torch.nn.GELU(), torch.nn.Linear(64, 48))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x + self.mlp(x)

    class Model(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.blocks = torch.nn.Sequential(Block(), Block())
            self.head = torch.nn.Linear(48, 5)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.head(self.blocks(x))

    return Model()


def test_the_commands_and_options_of_the_readme_are_there() -> None:
    lines = [line.split("#")[0].split() for line in block("evofabric families").splitlines()]
    assert len(lines) > 10
    there = typer.main.get_command(app).commands  # type: ignore[attr-defined]
    for _, name, *words in lines:
        assert name in there, name
        options = {option for parameter in there[name].params for option in parameter.opts}
        assert [word for word in words if word.startswith("--") and word not in options] == [], name
