"""Recurrent layers beside nn.LSTM and nn.GRU with the matrices that they multiply out to."""

from __future__ import annotations

import copy
import re
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence, pack_sequence

import topologies.models as tm
from evaluators.reconstruction import fit
from tests.topologies.models.cascades import product, small
from topologies import clos
from topologies.models import SparseGRU, SparseLSTM

SORTS = [(SparseLSTM, nn.LSTM), (SparseGRU, nn.GRU)]
both = pytest.mark.parametrize(("sort", "dense"), SORTS, ids=["LSTM", "GRU"])

OPTIONS: dict[str, dict[str, Any]] = {
    "plain": {},
    "batch first": {"batch_first": True},
    "two layers": {"num_layers": 2},
    "both ways": {"bidirectional": True},
    "two layers, both ways, no bias": {"num_layers": 2, "bidirectional": True, "bias": False},
    "projected": {"proj_size": 6},
    "projected, two layers, both ways": {"proj_size": 6, "num_layers": 2, "bidirectional": True},
}


def by_hand(sparse: Any, dense: type[nn.Module], **options: Any) -> nn.Module:
    """PyTorch's layer with the matrices multiplied out in numpy, gate below gate."""
    like: Any = dense(sparse.input_size, sparse.hidden_size, **options).double()
    with torch.no_grad():
        for name, weight in like.named_parameters():
            if name.startswith("bias"):
                weight.copy_(getattr(sparse, name))
                continue
            short = name.removeprefix("weight_")
            cascades = [
                one for own, one in sparse.cascades.items() if re.fullmatch(rf"{short}(_[{sparse.gates}])?", own)
            ]
            weight.copy_(torch.cat([torch.from_numpy(product(one).T.copy()) for one in cascades]))
    return like


def layers(sort: Any, dense: Any, **options: Any) -> tuple[Any, Any]:
    sparse = sort(10, 12, "clos(ingress=2, middle=3, egress=2)", dtype=torch.float64, **options)
    return sparse, by_hand(sparse, dense, **options)


def flat(found: Any) -> list[Tensor]:
    y, states = found
    return [y.data if isinstance(y, PackedSequence) else y, *(states if isinstance(states, tuple) else (states,))]


def states(sort: Any, layer: Any, *batch: int) -> Any:
    count = layer.num_layers * (2 if layer.bidirectional else 1)
    hidden = torch.randn(count, *batch, getattr(layer, "proj_size", 0) or layer.hidden_size, dtype=torch.float64)
    cell = torch.randn(count, *batch, layer.hidden_size, dtype=torch.float64)
    return (hidden, cell) if sort is SparseLSTM else hidden


@both
@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS.keys())
@pytest.mark.parametrize("with_states", [False, True])
def test_equals_torch_in_outputs_states_and_gradients(
    sort: Any, dense: Any, options: dict[str, Any], with_states: bool
) -> None:
    if sort is SparseGRU and "proj_size" in options:
        with pytest.raises((TypeError, ValueError)):
            sort(10, 12, 30, **options)
        return
    sparse, like = layers(sort, dense, **options)
    for shape, batch in (((4, 3, 10), ((4 if sparse.batch_first else 3),)), ((5, 10), ())):
        x = torch.randn(shape, dtype=torch.float64, requires_grad=True)
        given = states(sort, like, *batch) if with_states else None
        found, expected = flat(sparse(x, given)), flat(like(x, given))
        for one, other in zip(found, expected, strict=True):
            torch.testing.assert_close(one, other)
        gradients = [torch.autograd.grad(sum(one.square().sum() for one in all_), x)[0] for all_ in (found, expected)]
        torch.testing.assert_close(*gradients)
    for one, other in zip(flat(sparse._dense()(x, given)), flat(sparse(x, given)), strict=True):
        torch.testing.assert_close(one, other)
    sparse(x, given)[0].sum().backward()
    assert all(parameter.grad is not None for parameter in sparse.parameters())


@both
@pytest.mark.parametrize("enforce_sorted", [True, False])
@pytest.mark.parametrize("with_states", [False, True])
def test_packed_sequences(sort: Any, dense: Any, enforce_sorted: bool, with_states: bool) -> None:
    lengths = (5, 4, 2) if enforce_sorted else (2, 5, 4)
    packed = pack_sequence([torch.randn(n, 10, dtype=torch.float64) for n in lengths], enforce_sorted)
    for projected in ({}, {"proj_size": 6}) if sort is SparseLSTM else ({},):
        sparse, like = layers(sort, dense, num_layers=2, bidirectional=True, **projected)
        given = states(sort, like, 3) if with_states else None
        found, expected = sparse(packed, given), like(packed, given)
        for one, other in zip(flat(found), flat(expected), strict=True):
            torch.testing.assert_close(one, other)
        ours, theirs = (nn.utils.rnn.pad_packed_sequence(one[0]) for one in (found, expected))
        torch.testing.assert_close(ours, theirs)


@both
def test_dropout_is_between_layers_and_in_training_only(sort: Any, dense: Any) -> None:
    sparse, like = layers(sort, dense, num_layers=2, dropout=0.5)
    x = torch.randn(6, 3, 10, dtype=torch.float64)
    found = []
    for layer in (sparse, like):
        torch.manual_seed(7)
        found.append(layer(x)[0])
        assert not torch.equal(layer(x)[0], found[-1])
    torch.testing.assert_close(*found)
    torch.testing.assert_close(sparse.eval()(x)[0], like.eval()(x)[0])
    with pytest.warns(UserWarning, match="dropout"):
        sort(10, 12, 60, dropout=0.5)


@both
def test_in_float32_it_is_torchs_fast_kernel(sort: Any, dense: Any) -> None:
    sparse = sort(12, 12, small())
    x = torch.randn(5, 3, 12, requires_grad=True)
    like = sparse._dense()
    for one, other in zip(flat(sparse(x)), flat(like(x)), strict=True):
        torch.testing.assert_close(one, other)
    ours, theirs = (torch.autograd.grad(layer(x)[0].square().sum(), x)[0] for layer in (sparse, like))
    torch.testing.assert_close(ours, theirs)


class TestTopologies:
    def test_a_topology_each(self) -> None:
        sparse = SparseLSTM(10, 12, {"ih_l0_f": clos(10, 2, 2, 3, 12), "ih*": 60, "*": small()}, num_layers=1)
        assert sparse.cascades["ih_l0_f"].topology == clos(10, 2, 2, 3, 12)
        assert sparse.cascades["ih_l0_i"].topology.n_trainable <= 60
        assert {sparse.cascades[f"hh_l0_{gate}"].topology for gate in "ifgo"} == {small()}
        assert sum(one.numel() for one in sparse.parameters()) == 2 * 48 + sum(
            cascade.topology.n_trainable for cascade in sparse.cascades.values()
        )

    @pytest.mark.parametrize(
        ("topology", "message"),
        [
            (small(), "ih_l0_r: the topology is 12 x 12 but the layer is 10 x 12"),
            ({"hh*": small()}, "no topology is given for ih_l0_r: the names of the matrices are ih_l0_r, ih_l0_z"),
            ({"*": 60, "hh_l1*": 60}, "'hh_l1.*' is the name of no matrix"),
            (2, "ih_l0_r: .*needs"),
        ],
    )
    def test_wrong_ones_are_one_line(self, topology: Any, message: str) -> None:
        with pytest.raises(ValueError, match=message) as caught:
            SparseGRU(10, 12, topology)
        assert "\n" not in str(caught.value)


@both
@pytest.mark.parametrize(
    ("x", "hx", "message"),
    [
        (torch.zeros(5, 3, 11), None, "last dimension must be 12"),
        (torch.zeros(12), None, r"the input has shape \(12,\): 2 or 3 dimensions"),
        (torch.zeros(5, 3, 12), torch.zeros(1, 2, 12), r"a state has shape \(1, 2, 12\): \(1, 3, 12\) is wanted"),
        (torch.zeros(5, 12), torch.zeros(1, 1, 12), r"a state has shape \(1, 1, 12\): \(1, 12\) is wanted"),
    ],
)
def test_shapes_that_do_not_fit_are_refused(sort: Any, dense: Any, x: Tensor, hx: Any, message: str) -> None:
    given = (hx, hx) if hx is not None and sort is SparseLSTM else hx
    with pytest.raises(ValueError, match=message):
        sort(12, 12, small())(x, given)


class Tagger(nn.Module):
    def __init__(self, dense: Any) -> None:
        super().__init__()
        self.embedding = nn.Embedding(20, 24)
        self.rnn = dense(24, 32, num_layers=2, bidirectional=True, batch_first=True)
        self.head = nn.Linear(64, 5)

    def forward(self, tokens: Tensor) -> Tensor:
        self.rnn.flatten_parameters()
        return self.head(self.rnn(self.embedding(tokens))[0])


class TestConverted:
    @both
    def test_planned_converted_saved_loaded_and_folded(self, sort: Any, dense: Any, tmp_path: Path) -> None:
        model = Tagger(dense).eval()
        bias = model.rnn.bias_hh_l1_reverse.detach().clone()
        plan = tm.plan(model, density=0.4)
        assert {change.kind for change in plan.changes if change.names == ("rnn",)} == {dense.__name__}
        assert "1 of 2 layers are made sparse" in str(plan)
        tm.convert(model, plan)
        assert type(model.rnn) is sort and not model.rnn.training
        assert torch.equal(model.rnn.bias_hh_l1_reverse, bias)
        assert plan.n_parameters_after == sum(one.numel() for one in model.parameters())
        tokens = torch.randint(20, (3, 7))
        loaded = tm.load(Tagger(dense).eval(), tm.save(model, tmp_path))
        assert torch.equal(loaded(tokens), model(tokens))
        folded = tm.fold(model)
        assert type(folded.rnn) is dense
        torch.testing.assert_close(folded(tokens), model(tokens))
        groups = {group["name"]: group["params"] for group in tm.parameter_groups(model, 0.01)}
        assert len(groups["edges"]) == len(plan.changes)
        assert any(one is model.rnn.bias_ih_l0 for one in groups["biases of cascades"])
        assert sum(map(len, groups.values())) == len(list(model.parameters()))

    @both
    def test_several_topologies_of_another_model_are_refused(self, sort: Any, dense: Any, tmp_path: Path) -> None:
        folder = tm.save(tm.convert(Tagger(dense), density=0.4, targets=["rnn"]), tmp_path)
        other = tm.convert(Tagger(dense), density=0.5, targets=["rnn"])
        before = copy.deepcopy(other.state_dict())
        with pytest.raises(ValueError, match=r"rnn.cascades.ih_l0_\w: the saved layer has another topology"):
            tm.load(other, folder)
        with pytest.raises(ValueError, match=r"the saved layer stands for a .*, the model's is a RNN"):
            tm.load(Tagger(nn.RNN), folder)
        assert all(torch.equal(before[name], tensor) for name, tensor in other.state_dict().items())

    def test_it_is_not_faster_and_the_plan_says_so(self) -> None:
        plan = tm.plan(Tagger(nn.LSTM), density=0.4)
        assert all(change.time > 1 for change in plan.changes if change.kind == "LSTM")
        fast = tm.plan(Tagger(nn.LSTM), density=0.4, only_if_faster=True)
        assert "it would train no faster" in next(skip.reason for skip in fast.skipped if skip.names == ("rnn",))

    def test_a_matrix_without_a_topology_leaves_the_layer_as_it_is(self) -> None:
        (skip,) = tm.plan(nn.LSTM(2, 32), density=0.1).skipped
        assert skip.kind == "LSTM" and "it needs" in skip.reason
        with pytest.raises(ValueError, match="no layer can be made sparse"):
            tm.convert(nn.LSTM(2, 32), density=0.1)

    @both
    def test_from_weights(self, sort: Any, dense: Any) -> None:
        layer = dense(12, 12)
        topology = clos(12, 3, 8, 4, diagonal=True)
        sparse = tm.replace_recurrent(layer, topology, weights=partial(fit, steps=300))
        for kind in ("ih", "hh"):
            matrix = torch.cat([sparse.cascades[f"{kind}_l0_{gate}"].weight for gate in sort.gates])
            wanted = getattr(layer, f"weight_{kind}_l0")
            assert (matrix - wanted).square().sum() < 0.3 * wanted.square().sum()

    def test_frozen_weights_stay_frozen(self) -> None:
        layer = nn.LSTM(12, 12)
        layer.weight_hh_l0.requires_grad_(False)
        layer.bias_ih_l0.requires_grad_(False)
        sparse = tm.replace_recurrent(layer, small())
        assert not sparse.cascades["hh_l0_f"].edge_weight.requires_grad
        assert sparse.cascades["ih_l0_f"].edge_weight.requires_grad
        back = sparse.to_lstm()
        frozen = {name for name, one in back.named_parameters() if not one.requires_grad}
        assert frozen == {"weight_hh_l0", "bias_ih_l0"}
