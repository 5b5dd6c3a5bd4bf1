"""Parameter groups: every trainable parameter once, cascades at their own rate, only edges and matrices decaying."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import topologies.models as tm
from tests.topologies.models.small_models import Tied, mobile, transformer


def by_parameter(groups: list[dict]) -> dict[int, dict]:  # type: ignore[type-arg]
    return {id(parameter): group for group in groups for parameter in group["params"]}


@pytest.mark.parametrize("build", [mobile, transformer, Tied])
def test_every_parameter_is_in_one_group(build: type[nn.Module]) -> None:
    model = tm.convert(build(), density=0.4)
    groups = tm.parameter_groups(model, lr=0.01, weight_decay=0.1)
    members = [id(parameter) for group in groups for parameter in group["params"]]
    assert sorted(members) == sorted(map(id, model.parameters()))
    torch.optim.AdamW(groups)


def test_cascades_have_their_own_rate_and_only_edges_and_matrices_decay() -> None:
    model = tm.convert(mobile(), density=0.4)
    given = by_parameter(
        tm.parameter_groups(model, 0.01, 0.1, cascade_lr=0.05, cascade_weight_decay=0.3),
    )

    def rates(parameter: nn.Parameter) -> tuple[float, float]:
        group = given[id(parameter)]
        return group["lr"], group["weight_decay"]

    assert rates(model[1].pointwise.cascade.edge_weight) == (0.05, 0.3)
    assert rates(model[3][2].edge_weight) == (0.05, 0.3)
    assert rates(model[3][2].bias) == (0.05, 0.0)
    assert rates(model[0].cascade.edge_weight) == (0.05, 0.3)
    assert rates(model[0].depthwise.weight) == rates(model[1].depthwise.weight) == (0.01, 0.1)
    assert rates(model[1].norm.weight) == (0.01, 0.0)


def test_by_default_cascades_learn_three_times_as_fast_and_decay_as_fast() -> None:
    groups = {group["name"]: group for group in tm.parameter_groups(tm.convert(mobile(), density=0.4), 0.01, 0.3)}
    edges, weights = groups["edges"], groups["weights"]
    assert edges["lr"] == pytest.approx(3 * weights["lr"])
    assert edges["lr"] * edges["weight_decay"] == pytest.approx(weights["lr"] * weights["weight_decay"])


def test_frozen_parameters_and_empty_groups_are_left_out() -> None:
    model = tm.convert(nn.Sequential(nn.Linear(48, 48, bias=False)), density=0.4)
    (only,) = tm.parameter_groups(model, 0.01)
    assert only["name"] == "edges"
    model[0].edge_weight.requires_grad_(False)
    assert tm.parameter_groups(model, 0.01) == []


def test_an_edge_weight_that_is_shared_or_reparametrised_is_still_one_of_cascades() -> None:
    model = tm.convert(nn.Sequential(nn.Linear(48, 48), nn.Linear(48, 48)), density=0.4)
    model[1].edge_weight = model[0].edge_weight
    nn.utils.parametrizations.weight_norm(model[0], "edge_weight")
    groups = {group["name"]: group["params"] for group in tm.parameter_groups(model, 0.01)}
    assert set(groups) == {"edges", "biases of cascades"}
    assert len(groups["biases of cascades"]) == 2


@pytest.mark.parametrize("name", ["lr", "weight_decay", "cascade_lr", "cascade_weight_decay"])
@pytest.mark.parametrize("value", [-1.0, float("nan")])
def test_negative_rates_are_refused(name: str, value: float) -> None:
    with pytest.raises(ValueError, match=f"{name} is {value}"):
        tm.parameter_groups(mobile(), **{"lr": 0.01, name: value})
