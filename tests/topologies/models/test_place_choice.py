"""A stack in a model: every place goes to the next linear layer of its size, or nothing is changed."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

import topologies.models as tm
from topologies import SparseCascade, Stack, butterfly, clos

STACK = Stack((clos(16, 4, 6, 4, n_out=12), butterfly(12, 3), butterfly(12, 4)))


def perceptron() -> nn.Sequential:
    """A perceptron as a user has one, of the searched sizes."""
    layers = [nn.Linear(16, 12), nn.ReLU(), nn.Linear(12, 12), nn.ReLU(), nn.Linear(12, 12), nn.ReLU()]
    return nn.Sequential(*layers, nn.Linear(12, 5))


@pytest.mark.parametrize("source", ["stack", "file", "folder"])
def test_every_place_finds_its_layer_in_order(source: str, tmp_path: Path) -> None:
    path = STACK.save(tmp_path / "champion.safetensors")
    given = {"stack": STACK, "file": str(path), "folder": tmp_path}[source]
    model = tm.convert(perceptron(), given)
    layers = [model[place] for place in (0, 2, 4)]
    assert all(isinstance(layer, SparseCascade) for layer in layers)
    assert tuple(layer.topology for layer in layers) == STACK.places
    assert isinstance(model[6], nn.Linear)
    model(torch.ones(2, 16)).sum().backward()
    assert all(layer.edge_weight.grad is not None for layer in layers)


def test_a_converted_model_is_saved_and_loaded(tmp_path: Path) -> None:
    model = tm.convert(perceptron(), STACK)
    tm.save(model, tmp_path / "model")
    again = perceptron()
    tm.load(again, tmp_path / "model")
    x = torch.randn(3, 16)
    assert torch.equal(model(x), again(x))


def test_the_plan_says_which_place_goes_where_and_why_the_head_is_left() -> None:
    text = str(tm.plan(perceptron(), STACK))
    assert all(f"place {number} of 3" in text for number in (1, 2, 3))
    assert "all 3 places of the stack went to" in " ".join(text.split())


def test_layers_of_other_sizes_between_are_left_as_they_are() -> None:
    model = nn.Sequential(nn.Linear(20, 16), *perceptron())
    tm.convert(model, STACK)
    assert isinstance(model[0], nn.Linear) and isinstance(model[1], SparseCascade)


def test_a_place_without_a_layer_is_one_line_and_changes_nothing() -> None:
    model = perceptron()[:4]
    with pytest.raises(ValueError, match=r"place 3 of the stack's 3 finds no layer of 12 x 12") as caught:
        tm.convert(model, STACK)
    assert "\n" not in str(caught.value) and isinstance(model[0], nn.Linear)
    with pytest.raises(ValueError, match=r"place 1 .*0: it is 12 x 12, and the stack's place 1 is 16 x 12"):
        tm.plan(nn.Sequential(nn.Linear(12, 12)), STACK)
    for options in ({"density": 0.1}, {"budget": 20}, {"lift": True}):
        with pytest.raises(ValueError, match="density, budget and lift are for one topology"):
            tm.plan(perceptron(), STACK, **options)  # type: ignore[arg-type]


def test_only_chosen_layers_take_places() -> None:
    model = tm.convert(perceptron(), Stack((butterfly(12, 3),)), exclude=["2"])
    assert isinstance(model[2], nn.Linear) and isinstance(model[4], SparseCascade)
