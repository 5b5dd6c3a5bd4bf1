"""What a plan says of a model: which layers, by what topology, and why not others."""

from __future__ import annotations

import copy
import re
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.utils import prune

import topologies.models as tm
from tests.topologies.models.small_models import Tied, mlp, mobile, transformer
from topologies import Stack, butterfly, random_regular, replace_linear
from topologies.families import find


def layers(plan: tm.Plan) -> dict[str, tuple[int, int]]:
    return {change.names[0]: (change.n_in, change.n_out) for change in plan.changes}


def reasons(plan: tm.Plan) -> dict[str, str]:
    return {name: skip.reason for skip in plan.skipped for name in skip.names}


def test_a_plan_changes_nothing_and_draws_nothing() -> None:
    model = mobile()
    before, modules = copy.deepcopy(model.state_dict()), list(model.modules())
    torch_state, numpy_state = torch.get_rng_state(), np.random.get_state()[1]
    str(tm.plan(model, density=0.3))
    assert list(model.modules()) == modules
    assert all(torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())
    assert torch.equal(torch.get_rng_state(), torch_state)
    assert (np.random.get_state()[1] == numpy_state).all()


def test_without_a_topology_each_layer_gets_what_random_regular_fits_to_its_share() -> None:
    plan = tm.plan(mlp(), density=0.3)
    assert layers(plan) == {"0": (48, 64), "2": (64, 96)}
    for change in plan.changes:
        budget = int(0.3 * change.n_in * change.n_out)
        assert change.topology == find("random_regular").fit(change.n_in, change.n_out, budget).topology()
        assert 0.8 * budget < change.topology.n_trainable <= budget
        assert change.text == find("random_regular").fit(change.n_in, change.n_out, budget).expression


def test_a_budget_is_of_every_layer_and_counts_neither_biases_nor_constants() -> None:
    plan = tm.plan(mlp(), "clos", budget=1500)
    for change in plan.changes:
        assert change.topology == find("clos").fit(change.n_in, change.n_out, 1500).topology()
        assert change.topology.n_constant > 0
    assert reasons(plan) == {"4": "its 288 dense weights are within the budget"}


def test_parameters_after_are_those_of_the_converted_model() -> None:
    for model in (mlp(), mobile(), transformer(), Tied()):
        plan = tm.plan(model, density=0.3)
        assert plan.n_parameters == sum(parameter.numel() for parameter in model.parameters())
        tm.convert(model, plan)
        assert plan.n_parameters_after == sum(parameter.numel() for parameter in model.parameters())


def test_a_diagonal_layer_at_the_end_is_within_the_budget() -> None:
    for change in tm.plan(mobile(), density=0.4, diagonal=True).changes:
        assert change.n_sparse <= 0.4 * change.n_dense
        last = change.topology.layers[-1]
        assert last.n_in == last.n_out == last.n_trainable and (last.sources == last.targets).all()
        assert change.text.endswith(", diagonal")


def test_an_expression_takes_its_sizes_from_each_layer() -> None:
    plan = tm.plan(mlp(), "butterfly(depth=8)", targets=["0", "2"])
    assert [change.topology for change in plan.changes] == [butterfly(48, 8, n_out=64), butterfly(64, 8, n_out=96)]


class TestOneLayer:
    @pytest.mark.parametrize("expression", ["butterfly(depth=8)", "monarch(block=8)", "torus(shape=(8, 8), depth=9)"])
    def test_expressions_without_sizes(self, expression: str) -> None:
        cascade = replace_linear(nn.Linear(64, 48), expression)
        assert (cascade.in_features, cascade.out_features) == (64, 48)

    @pytest.mark.parametrize("budget", [1000, np.int64(1000)])
    def test_a_budget(self, budget: int) -> None:
        cascade = replace_linear(nn.Linear(64, 48), budget)
        assert cascade.topology == find("random_regular").fit(64, 48, 1000).topology()
        for plan in (tm.plan(nn.Linear(64, 48), budget), tm.plan(nn.Linear(64, 48), budget=budget)):
            assert plan.changes[0].topology == cascade.topology

    def test_a_density_of_any_type(self) -> None:
        densities = (0.25, np.float32(0.25), np.float64(0.25))
        plans = [tm.plan(nn.Linear(64, 48), density=density) for density in densities]
        assert len({plan.changes[0].topology for plan in plans}) == 1

    @pytest.mark.parametrize(
        ("source", "message"),
        [
            ("butterfly(64, 8)", r"64 x 64 but the layer is 64 x 48.*Family\.fit.*lift.*resize"),
            ("butterfly(8)", "butterfly lacks depth"),
            ("clos", "'clos' is a family: say by a budget or a density"),
            (3, "it needs"),
            (True, "whole number"),
            (0.1, r"did you mean density=0\.1"),
            (np.float32(0.1), r"did you mean density=0\.1"),
            (None, "a NoneType is no topology"),
            (butterfly(64, 8).layers[0], "a Layer is no topology"),
            ([[[1, 2], [2, 1]]], "a list is no topology: .* Topology.from_masks"),
            (Stack((butterfly(64, 8),) * 2), "the stack holds 2 places"),
        ],
    )
    def test_what_does_not_fit_says_what_would(self, source: Any, message: str) -> None:
        with pytest.raises(ValueError, match=message):
            replace_linear(nn.Linear(64, 48), source)


class TestPatterns:
    @pytest.mark.parametrize(
        ("targets", "expected"),
        [
            ("all", {"0", "1.pointwise", "2.pointwise", "3.2", "1.depthwise", "2.depthwise"}),
            ("all-linear", {"3.2"}),
            (["pointwise"], {"1.pointwise", "2.pointwise"}),
            (["2.pointwise", "3"], {"2.pointwise", "3.2"}),
            (r"\d\.pointwise", {"1.pointwise", "2.pointwise"}),
            (r"[12]", {"1.pointwise", "1.depthwise", "2.pointwise", "2.depthwise"}),
            (("1",), {"1.pointwise", "1.depthwise"}),
        ],
    )
    def test_choose_whole_names_ends_and_what_lies_in_a_module(self, targets: object, expected: set[str]) -> None:
        plan = tm.plan(mobile(), density=0.4, targets=targets)  # type: ignore[arg-type]
        assert set(layers(plan)) | set(reasons(plan)) == expected

    @pytest.mark.parametrize("exclude", [["head", "0"], r"head|0", ["4"]])
    def test_excluded_layers_are_listed_as_such(self, exclude: object) -> None:
        model = nn.Sequential(*mlp()[:4])
        model.add_module("head", nn.Linear(96, 96))
        if exclude == ["4"]:
            with pytest.raises(ValueError, match="exclude '4' matches no layer of this model"):
                tm.plan(model, density=0.3, exclude=exclude)
            return
        plan = tm.plan(model, density=0.3, exclude=exclude)  # type: ignore[arg-type]
        assert set(layers(plan)) == {"2"}
        assert reasons(plan) == {"head": "excluded", "0": "excluded"}

    @pytest.mark.parametrize(
        ("targets", "near"),
        [(["pointwize"], "pointwise"), (r"1\.pointwis", "1.pointwise"), (["pointwise", "linearX"], "'0'")],
    )
    def test_what_matches_nothing_names_near_misses(self, targets: object, near: str) -> None:
        with pytest.raises(ValueError, match=f"matches no layer of this model; near it are .*{re.escape(near)}"):
            tm.plan(mobile(), density=0.3, targets=targets)  # type: ignore[arg-type]

    @pytest.mark.parametrize("ending", ["pointwise", "self_attn.out_proj"])
    def test_a_string_that_was_meant_as_an_ending_is_told_how_to_be_one(self, ending: str) -> None:
        model = mobile() if ending == "pointwise" else nn.Sequential(transformer())
        with pytest.raises(ValueError, match=re.escape(f'for all names that end so write ["{ending}"]')):
            tm.plan(model, density=0.3, targets=ending)
        named = {*layers(plan := tm.plan(model, density=0.3, targets=[ending])), *reasons(plan)}
        assert len(named) > 1 and all(name.endswith(f".{ending}") for name in named)

    @pytest.mark.parametrize(
        ("targets", "message"),
        [("a(", "no regular expression"), (7, "a list of names"), ([""], "a list of names"), (["norm"], "no layer")],
    )
    def test_patterns_that_are_none(self, targets: object, message: str) -> None:
        with pytest.raises(ValueError, match=message):
            tm.plan(mobile(), density=0.3, targets=targets)  # type: ignore[arg-type]


class TestReasons:
    def test_convolutions(self) -> None:
        found = reasons(tm.plan(mobile(), density=0.3))
        assert "a grouped convolution" in found["1.depthwise"]
        assert "it needs" in found["3.2"]

    def test_shared_and_tied(self) -> None:
        plan = tm.plan(Tied(), density=0.4)
        assert [change.names for change in plan.changes] == [("first", "second")]
        assert reasons(plan) == {"head": "its weight is also embedding.weight"}

    def test_parts_that_are_read_and_recurrent_layers_without_gates(self) -> None:
        model = nn.ModuleDict({"encoder": transformer(), "rnn": nn.RNN(8, 8)})
        found = reasons(tm.plan(model, density=0.4, exclude=["self_attn"]))
        part = "encoder.layers.0.self_attn.out_proj"
        assert found[part] == "excluded" and found["rnn"] == "it has no sparse form here"
        found = reasons(tm.plan(model, density=0.4, targets=[part]))
        assert found == {part: "MultiheadAttention reads its weight rather than calls it"}

    @pytest.mark.parametrize(
        ("change", "reason"),
        [
            (lambda layer: nn.utils.parametrizations.weight_norm(layer), "parametrised, normalised or pruned"),
            (lambda layer: nn.utils.parametrizations.spectral_norm(layer), "parametrised, normalised or pruned"),
            (lambda layer: prune.l1_unstructured(layer, "weight", 0.5), "pruned"),
            (lambda layer: layer.weight.register_hook(lambda gradient: gradient), "hooks of its own"),
            (lambda layer: layer.register_state_dict_post_hook(lambda *_: None), "hooks on its state_dict"),
            (lambda layer: layer.to(torch.complex64), "complex64"),
        ],
    )
    def test_unusual_weights(self, change: object, reason: str) -> None:
        model = mlp()
        change(model[0])  # type: ignore[operator]
        assert reason in reasons(tm.plan(model, density=0.3))["0"]

    def test_lazy_layers_and_classes_that_compute_otherwise(self) -> None:
        class Scaled(nn.Linear):
            def forward(self, x: torch.Tensor) -> torch.Tensor:
                return 2 * super().forward(x)

        class Named(nn.Linear):
            """Computes as its parent does."""

        plan = tm.plan(nn.Sequential(Scaled(48, 48), Named(48, 48), nn.LazyLinear(4)), density=0.3)
        assert set(layers(plan)) == {"1"}
        assert "its class Scaled computes in a way of its own" in reasons(plan)["0"]
        assert "run the model once first" in reasons(plan)["2"]

    def test_convolutions_and_single_modules_that_compute_otherwise(self) -> None:
        class Standardised(nn.Conv2d):
            def _conv_forward(self, x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None) -> torch.Tensor:
                return super()._conv_forward(x, weight / weight.std(), bias)

        model = nn.Sequential(Standardised(32, 32, 3), nn.Linear(48, 48), nn.Linear(48, 48))
        hooked = model[1].forward
        model[1].forward = lambda x: 2 * hooked(x)
        plan = tm.plan(model, density=0.3)
        assert set(layers(plan)) == {"2"}
        assert reasons(plan) == {
            "0": "its class Standardised computes in a way of its own",
            "1": "its forward was replaced, so it computes in a way of its own",
        }

    def test_frozen_layers(self) -> None:
        model = nn.ModuleList([nn.Linear(48, 48), nn.Conv2d(16, 16, 3), nn.LSTM(48, 48), nn.MultiheadAttention(48, 4)])
        for frozen in (model[0].bias, model[1].weight, model[2].weight_hh_l0, model[3].out_proj.weight):
            frozen.requires_grad_(False)
        plan = tm.plan(model, density=0.4)
        assert set(layers(plan)) == {"0"}
        why = "it is frozen, so that its edges would never be trained: unfreeze it, or give weights=fit"
        assert {reasons(plan)[name] for name in "123"} == {why}

    def test_layers_that_are_sparse_already_count_once(self) -> None:
        model = tm.convert(mobile(), density=0.4)
        plan = tm.plan(model, density=0.4)
        assert not plan.changes
        assert {name for name, reason in reasons(plan).items() if reason == "it is sparse already"} == {
            "0",
            "1.pointwise",
            "2.pointwise",
            "3.2",
        }

    def test_topologies_that_save_nothing_or_no_time(self) -> None:
        found = reasons(tm.plan(mlp(), "butterfly(depth=60)", targets=["0"]))
        assert "no fewer than its 3,072 weights" in found["0"]
        fast = tm.plan(mlp(), density=0.3, only_if_faster=True)
        assert all(change.time < 1 for change in fast.changes)
        slow = {change.names[0] for change in tm.plan(mlp(), density=0.3).changes if change.time >= 1}
        assert slow and all("it would train no faster" in reasons(fast)[name] for name in slow)


@pytest.mark.parametrize(
    ("topology", "options", "message"),
    [
        (None, {}, "how many trainable weights may random_regular have"),
        ("clos", {}, "how many trainable weights may clos have"),
        (None, {"density": 0.1, "budget": 9}, "both given"),
        (None, {"density": 1.0}, "density is 1.0"),
        (None, {"density": -0.1}, "density is -0.1"),
        (None, {"budget": 0}, "budget is 0"),
        (None, {"budget": 2.5}, "budget is 2.5"),
        ("butterfly(depth=8)", {"density": 0.1}, "density goes with a family's name"),
        ("buterfly(depth=8)", {}, "nearest is 'butterfly'"),
        ("butterfly(deph=8)", {}, "nearest is 'depth'"),
        ("nowhere.safetensors", {}, "cannot read"),
        (0.1, {}, r"0\.1 is no topology: did you mean density=0\.1"),
        (np.eye(48), {}, "a ndarray is no topology"),
        ("closs", {"density": 0.1}, "no family expression"),
        (butterfly(32, 8), {}, r"0: the topology is 32 x 32 but the layer is 48 x 64.*Family\.fit.*lift.*resize"),
        ("butterfly(32, 8)", {}, r"0: the topology is 32 x 32 but the layer is 48 x 64"),
    ],
)
def test_contradictions_and_other_sizes_are_one_clear_line(topology: object, options: dict, message: str) -> None:  # type: ignore[type-arg]
    with pytest.raises(ValueError, match=message) as caught:
        tm.plan(mlp(), topology, **options)  # type: ignore[arg-type]
    assert "\n" not in str(caught.value)


def test_a_lift_that_leaves_pairs_unconnected_warns() -> None:
    with pytest.warns(UserWarning, match=r"0: lifted so far, the topology leaves \d+\.\d% of the pairs"):
        plan = tm.plan(nn.Sequential(nn.Linear(96, 96)), random_regular(6, 6, 6, 3, 2), lift=True)
    assert "unconnected" in str(plan)
    with pytest.warns(UserWarning, match="lifted so far"):
        (change,) = tm.plan(nn.Linear(96, 96), "random_regular(6, 6, 6, 3, 2)", lift=True).changes
    assert change.text == "random_regular(6, 6, 6, 3, 2), lifted" and change.unconnected > 0


class TestTheTable:
    @pytest.mark.parametrize("columns", [20, 80, 100, 120, 300])
    def test_is_between_80_and_120_columns_wide(self, columns: int, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("COLUMNS", str(columns))
        lines = str(tm.plan(nn.ModuleDict({"of a longer name": mobile()}), density=0.3)).splitlines()
        (headings,) = [line.split() for line in lines if "shape" in line]
        assert headings == ["layer", "kind", "shape", "weights", "bytes", "topology", "depth", "time"]
        assert max(map(len, lines)) <= min(max(columns, 80), 120)

    def test_says_everything(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("COLUMNS", "120")
        plan = tm.plan(mlp(), density=0.3)
        text = str(plan)
        for change in plan.changes:
            (line,) = [line for line in text.splitlines() if f"{change.n_in} x {change.n_out}" in line]
            assert re.match(rf"\s*{change.names[0]} +Linear ", line)
            assert f" {change.topology.depth} " in line
            assert line.endswith(f"{change.time:.2f}")
        assert "3.07k → " in text and "12.3kB → " in text
        assert re.search(r"4 +Linear +random_regular has no connected 96 x 3 member", text)
        assert "2 of 3 layers are made sparse: 9,667 parameters" in text

    def test_blocks_that_are_equal_share_a_row(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("COLUMNS", "120")
        text = str(tm.plan(nn.Sequential(*(transformer() for _ in range(3))), density=0.4))
        assert "0-2.layers.0,1.linear1 (6)" in text
        assert "6), 4 matrices" in " ".join(text.split())
        odd = nn.ModuleList([nn.ModuleList(nn.Linear(48, 48) for _ in range(count)) for count in (1, 2)])
        assert "{0.0,1.0,1.1} (3)" in str(tm.plan(odd, density=0.4))

    def test_of_nothing(self) -> None:
        assert "No layer is made sparse." in str(tm.plan(nn.Sequential(nn.ReLU()), density=0.4))
        assert "(the model)" in str(tm.plan(nn.Linear(48, 48), density=0.4))
