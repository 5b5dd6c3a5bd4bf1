"""Attention beside nn.MultiheadAttention, and in the transformers that read the weights of their parts."""

from __future__ import annotations

import warnings
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import topologies.models as tm
from evaluators.reconstruction import fit
from tests.topologies.models.cascades import product, small
from topologies import clos
from topologies.models import SparseMultiheadAttention, replace_attention

OPTIONS: dict[str, dict[str, Any]] = {
    "plain": {},
    "batch first": {"batch_first": True},
    "no bias": {"bias": False},
    "keys and values of other widths": {"kdim": 10, "vdim": 7},
    "learned key and value": {"add_bias_kv": True},
    "a key of zeros": {"add_zero_attn": True, "batch_first": True},
    "all of them": {"add_zero_attn": True, "add_bias_kv": True, "kdim": 10},
}


def pair(**options: Any) -> tuple[SparseMultiheadAttention, nn.MultiheadAttention]:
    """The sparse layer, and PyTorch's with the matrices multiplied out in numpy."""
    sparse = SparseMultiheadAttention(12, 3, 60, **options, dtype=torch.float64)
    dense = nn.MultiheadAttention(12, 3, **options, dtype=torch.float64)
    for cascade in (sparse.q, sparse.k, sparse.v, sparse.out_proj):
        if cascade.bias is not None:
            nn.init.normal_(cascade.bias)
    matrices = [torch.from_numpy(product(one).T.copy()) for one in (sparse.q, sparse.k, sparse.v, sparse.out_proj)]
    with torch.no_grad():
        if dense.in_proj_weight is not None:
            dense.in_proj_weight.copy_(torch.cat(matrices[:3]))
        else:
            for name, matrix in zip("qkv", matrices[:3], strict=True):
                getattr(dense, f"{name}_proj_weight").copy_(matrix)
        dense.out_proj.weight.copy_(matrices[3])
        if dense.in_proj_bias is not None:
            dense.in_proj_bias.copy_(sparse.in_proj_bias)
            dense.out_proj.bias.copy_(sparse.out_proj.bias)
        for name in ("bias_k", "bias_v"):
            if getattr(dense, name) is not None:
                getattr(dense, name).copy_(getattr(sparse, name))
    return sparse, dense


def sequences(layer: Any, batch: tuple[int, ...] = (2,)) -> list[Tensor]:
    """Queries of length 4, and keys and values of length 5."""
    widths = (4, 12), (5, layer.kdim or 12), (5, layer.vdim or 12)
    first = layer.batch_first or not batch
    shapes = [(*batch, n, width) if first else (n, *batch, width) for n, width in widths]
    return [torch.randn(shape, dtype=torch.float64, requires_grad=True) for shape in shapes]


MASKS: dict[str, dict[str, Tensor]] = {
    "none": {},
    "one for all": {"attn_mask": torch.rand(4, 5) > 0.6},
    "added": {"attn_mask": torch.randn(4, 5, dtype=torch.float64)},
    "one for each head": {"attn_mask": torch.randn(6, 4, 5, dtype=torch.float64)},
    "padding": {"key_padding_mask": torch.tensor([[False] * 5, [False, False, True, True, True]])},
    "both": {
        "attn_mask": torch.randn(4, 5, dtype=torch.float64),
        "key_padding_mask": torch.tensor([[0.0] * 5, [0.0, 0.0, 0.0, -1.0, -torch.inf]], dtype=torch.float64),
    },
}
MASKS["one for all"]["attn_mask"][:, 0] = False


@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS.keys())
@pytest.mark.parametrize("masks", MASKS.values(), ids=MASKS.keys())
@pytest.mark.parametrize("weights", [{}, {"average_attn_weights": False}, {"need_weights": False}])
def test_equals_torch(options: dict[str, Any], masks: dict[str, Tensor], weights: dict[str, bool]) -> None:
    sparse, dense = pair(**options)
    given = sequences(dense)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # PyTorch is about to stop taking masks of two kinds
        found, expected = sparse(*given, **masks, **weights), dense(*given, **masks, **weights)
    torch.testing.assert_close(found, expected)
    ours, theirs = (torch.autograd.grad(one[0].square().sum(), given) for one in (found, expected))
    torch.testing.assert_close(ours, theirs)


@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS.keys())
def test_one_sequence_without_a_batch(options: dict[str, Any]) -> None:
    sparse, dense = pair(**options)
    given = sequences(dense, ())
    for masks in ({}, {"attn_mask": torch.randn(4, 5, dtype=torch.float64)}):
        torch.testing.assert_close(sparse(*given, **masks), dense(*given, **masks))
    padding = torch.tensor([False, False, True, False, True])
    torch.testing.assert_close(sparse(*given, padding), dense(*given, padding))


def test_dropout_and_causal_masks() -> None:
    options = {"dropout": 0.5}
    sparse, dense = pair(**options)
    x = torch.randn(6, 2, 12, dtype=torch.float64)
    causal = nn.Transformer.generate_square_subsequent_mask(6, dtype=torch.float64)
    assert not torch.equal(sparse(x, x, x)[0], sparse(x, x, x)[0])
    sparse.eval(), dense.eval()
    for need in (True, False):
        ours, theirs = (m(x, x, x, attn_mask=causal, is_causal=True, need_weights=need) for m in (sparse, dense))
        torch.testing.assert_close(ours, theirs)
    with pytest.raises(ValueError, match="is_causal is a hint"):
        sparse(x, x, x, is_causal=True)


@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS.keys())
def test_folded_and_back(options: dict[str, Any]) -> None:
    sparse, _ = pair(**options)
    folded = sparse.to_multihead_attention()
    given = sequences(folded)
    torch.testing.assert_close(folded(*given), sparse(*given))
    again = replace_attention(folded.eval(), 60)
    assert not again.training
    assert (again.kdim, again.vdim, again.batch_first, again.add_zero_attn) == (
        sparse.kdim, sparse.vdim, sparse.batch_first, sparse.add_zero_attn
    )  # fmt: skip
    ours, theirs = (dict(one.named_parameters()) for one in (again, sparse))
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[name], theirs[name]) for name in ours if "edge_weight" not in name)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"query": torch.zeros(4, 2, 11)}, "last dimension must be 12"),
        ({"query": torch.zeros(4, 12)}, r"query, key and value have shapes \(4, 12\), \(5, 2, 12\)"),
        ({"key": torch.zeros(6, 2, 12)}, "query, key and value have shapes"),
        ({"attn_mask": torch.zeros(5, 4)}, r"attn_mask has shape \(5, 4\): \(4, 5\) or \(6, 4, 5\) is wanted"),
        ({"key_padding_mask": torch.zeros(5, 2)}, r"key_padding_mask has shape \(5, 2\): \(2, 5\) is wanted"),
        ({"attn_mask": torch.zeros(4, 5, dtype=torch.int64)}, "attn_mask is torch.int64"),
    ],
)
def test_what_does_not_fit_is_refused(change: dict[str, Tensor], message: str) -> None:
    sparse = SparseMultiheadAttention(12, 3, small())
    given = {"query": torch.zeros(4, 2, 12), "key": torch.zeros(5, 2, 12), "value": torch.zeros(5, 2, 12)}
    with pytest.raises(ValueError, match=message):
        sparse(**{**given, **change})


def test_heads_and_topologies_that_do_not_fit() -> None:
    with pytest.raises(ValueError, match="embed_dim is 12 and num_heads 5"):
        SparseMultiheadAttention(12, 5, small())
    with pytest.raises(ValueError, match=r"k: the topology is 12 x 12 but the layer is 10 x 12"):
        SparseMultiheadAttention(12, 3, small(), kdim=10)
    mixed = SparseMultiheadAttention(12, 3, {"q": 60, "out*": clos(12, 3, 3, 4), "*": small()})
    assert mixed.out_proj.topology == clos(12, 3, 3, 4) and mixed.v.topology == small()


def encoder(**options: Any) -> nn.TransformerEncoder:
    layer = nn.TransformerEncoderLayer(32, 4, 64, dropout=0.0, batch_first=True, **options)
    return nn.TransformerEncoder(layer, 2)


CONVERTED: dict[str, dict[str, Any]] = {
    "everything": {},
    "attention": {"targets": ["self_attn"]},
    "the feed-forward part": {"targets": ["linear1", "linear2"]},
    "the first layer": {"targets": ["layers.0"]},
    "the second layer": {"targets": ["layers.1"]},
    "linear2 of the second layer": {"targets": ["layers.1.linear2"]},
    "attention of the second layer": {"targets": ["layers.1.self_attn"]},
}


class TestInTransformers:
    @pytest.mark.parametrize("what", CONVERTED.values(), ids=CONVERTED.keys())
    @pytest.mark.parametrize("options", [{}, {"norm_first": True}, {"activation": "gelu"}])
    @pytest.mark.parametrize("padding", [None, "at the end", "at the start"])
    def test_in_eval_without_gradients_they_give_the_numbers_of_training(
        self, what: dict[str, Any], options: dict[str, Any], padding: str | None
    ) -> None:
        model = tm.convert(encoder(**options), density=0.4, **what)
        x, mask, seen = torch.randn(3, 7, 32), None, slice(None)
        if padding:
            mask = torch.zeros(3, 7, dtype=torch.bool)
            mask[1, slice(4, None) if padding == "at the end" else slice(0, 3)] = True
            seen = ~mask
        trained = model.train()(x, src_key_padding_mask=mask)
        for mode in (torch.no_grad, torch.inference_mode):
            with mode():
                torch.testing.assert_close(model.eval()(x, src_key_padding_mask=mask)[seen], trained[seen])
        causal = nn.Transformer.generate_square_subsequent_mask(7)
        with torch.no_grad():
            found = model.eval()(x, mask=causal, is_causal=True)
        torch.testing.assert_close(found, model.train()(x, mask=causal, is_causal=True))

    def test_a_layer_by_itself_and_an_encoder_made_of_sparse_layers(self) -> None:
        layer = tm.convert(nn.TransformerEncoderLayer(32, 4, 64, dropout=0.0, batch_first=True), density=0.4)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that it will not use nested tensors
            model = nn.TransformerEncoder(layer, 2)
        x = torch.randn(3, 7, 32)
        mask = torch.zeros(3, 7, dtype=torch.bool)
        mask[1, 4:] = True
        for module in (layer, model):
            trained = module.train()(x, src_key_padding_mask=mask)
            with torch.no_grad():
                found = module.eval()(x, src_key_padding_mask=mask)
            torch.testing.assert_close(found[~mask], trained[~mask])

    def test_put_into_an_encoder_by_hand(self) -> None:
        model = encoder()
        for layer in model.layers:
            layer.self_attn = replace_attention(layer.self_attn, 400)
        x, mask = torch.randn(3, 7, 32), torch.zeros(3, 7, dtype=torch.bool)
        mask[1, 4:] = True
        trained = model.train()(x, src_key_padding_mask=mask)
        with torch.no_grad():
            found = model.eval()(x, src_key_padding_mask=mask)
        torch.testing.assert_close(found[~mask], trained[~mask])

    def test_loaded_and_folded_models_do_too(self, tmp_path: Path) -> None:
        model = tm.convert(encoder(), density=0.4, targets=["layers.1"]).eval()
        loaded = tm.load(encoder().eval(), tm.save(model, tmp_path))
        x, mask = torch.randn(3, 7, 32), torch.zeros(3, 7, dtype=torch.bool)
        mask[1, 4:] = True
        with torch.no_grad():
            expected = model(x, src_key_padding_mask=mask)
            assert torch.equal(loaded(x, src_key_padding_mask=mask), expected)
            folded = tm.fold(model)
            assert type(folded.layers[1].self_attn) is nn.MultiheadAttention
            torch.testing.assert_close(folded(x, src_key_padding_mask=mask)[~mask], expected[~mask])

    def test_a_decoder(self) -> None:
        model = tm.convert(nn.Transformer(32, 4, 1, 1, 64, 0.0, batch_first=True), density=0.4)
        assert type(model.decoder.layers[0].multihead_attn) is SparseMultiheadAttention
        x, y = torch.randn(2, 5, 32), torch.randn(2, 6, 32)
        causal = nn.Transformer.generate_square_subsequent_mask(6)
        trained = model(x, y, tgt_mask=causal)
        with torch.no_grad():
            torch.testing.assert_close(model.eval()(x, y, tgt_mask=causal), trained)
        trained.sum().backward()
        assert all(parameter.grad is not None for parameter in model.parameters())


class TestConverted:
    def test_the_plan_lists_a_layer_once_and_counts_its_parameters(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("COLUMNS", "120")
        plan = tm.plan(encoder(), density=0.4)
        assert not plan.skipped
        assert [change.path for change in plan.changes if change.kind == "Attention"] == [
            "q", "k", "v", "out_proj", "q", "k", "v", "out_proj"
        ]  # fmt: skip
        assert "layers.0,1.self_attn (2)," in str(plan) and "4 matrices" in str(plan)
        model = tm.convert(encoder(), plan)
        assert plan.n_parameters_after == sum(one.numel() for one in model.parameters())

    def test_where_it_is_left_its_out_proj_is_left_too(self) -> None:
        plan = tm.plan(encoder(), density=0.4, exclude=["layers.0.self_attn"])
        reasons = {name: skip.reason for skip in plan.skipped for name in skip.names}
        assert reasons["layers.0.self_attn"] == "excluded" and "layers.0.self_attn.out_proj" in reasons
        assert (
            "reads its weight"
            in tm.plan(encoder(), density=0.4, targets=["layers.0.self_attn.out_proj"]).skipped[0].reason
        )

    def test_from_weights(self) -> None:
        dense = nn.MultiheadAttention(12, 2)
        nn.init.normal_(dense.in_proj_bias)
        sparse = replace_attention(dense, clos(12, 3, 8, 4, diagonal=True), weights=partial(fit, steps=300))
        for found, wanted in (
            (sparse.in_proj_weight, dense.in_proj_weight),
            (sparse.out_proj.weight, dense.out_proj.weight),
        ):
            assert (found - wanted).square().sum() < 0.3 * wanted.square().sum()
        assert torch.equal(sparse.in_proj_bias, dense.in_proj_bias)
