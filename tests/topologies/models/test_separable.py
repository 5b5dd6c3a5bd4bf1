"""The separable convolution beside nn.Conv2d with the kernel that it multiplies out to."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

import topologies.models as tm
from evaluators.reconstruction import fit
from tests.topologies.models.cascades import product, small
from topologies import clos, dense
from topologies.models import SparseConv2d, replace_conv2d


def by_hand(sparse: SparseConv2d, x: Tensor, **options: Any) -> Tensor:
    """What torch gives for the kernel, multiplied out in numpy: filters of a channel side by side in the cascade."""
    filters, n = sparse.depthwise.weight.detach().numpy()[:, 0], sparse.multiplier
    mixing = product(sparse.cascade)
    kernel = np.zeros((sparse.out_channels, sparse.in_channels, *filters.shape[1:]))
    for place, one in enumerate(filters):
        kernel[:, place // n] += mixing[place][:, None, None] * one
    return functional.conv2d(x, torch.from_numpy(kernel).to(x.dtype), sparse.bias, **options)


@pytest.mark.parametrize("multiplier", [1, 3])
@pytest.mark.parametrize("kernel", [3, (1, 5), 2])
@pytest.mark.parametrize(
    "options", [{}, {"stride": 2, "padding": 1}, {"stride": (3, 1), "padding": (0, 2), "dilation": (2, 1)}]
)
@pytest.mark.parametrize("shape", [(2, 7, 9), (1, 5, 5), (8, 5), (0, 8, 6)])
def test_equals_conv2d(multiplier: int, kernel: Any, options: dict[str, Any], shape: tuple[int, ...]) -> None:
    channels = 12 // multiplier
    sparse = SparseConv2d(channels, 12, kernel, small(), multiplier, dtype=torch.float64, **options)
    nn.init.normal_(sparse.bias)
    x = torch.randn(*shape[:-2], channels, *shape[-2:], dtype=torch.float64)
    y = sparse(x)
    torch.testing.assert_close(y, by_hand(sparse, x, **options))
    torch.testing.assert_close(sparse.to_conv2d()(x), y)


@pytest.mark.parametrize("mode", ["zeros", "reflect", "replicate", "circular"])
@pytest.mark.parametrize("padding", ["same", "valid", 1, (0, 2)])
def test_every_padding_of_conv2d(mode: str, padding: Any) -> None:
    conv = nn.Conv2d(12, 12, 3, 1, padding, padding_mode=mode)  # type: ignore[arg-type]
    sparse, twin = replace_conv2d(conv, small()), copy.deepcopy(conv)
    with torch.no_grad():
        twin.weight.copy_(sparse.weight)
    x = torch.randn(2, 12, 6, 5)
    torch.testing.assert_close(sparse(x), twin(x))
    torch.testing.assert_close(sparse.to_conv2d()(x), twin(x))


def test_parameters_are_as_many_as_the_paper_counts() -> None:
    sparse = SparseConv2d(6, 20, 5, clos(12, 3, 3, 4, 20), 2, bias=False)
    assert sum(one.numel() for one in sparse.parameters()) == 5 * 5 * 6 * 2 + clos(12, 3, 3, 4, 20).n_trainable


def test_the_memory_format_is_kept_and_the_weight_is_computed() -> None:
    sparse = SparseConv2d(12, 12, 3, small(), padding=1)
    x = torch.randn(2, 12, 6, 8)
    for given in (x, x.to(memory_format=torch.channels_last)):
        assert sparse(given).stride() == sparse.to_conv2d()(given).stride()
    assert sparse.weight.shape == (12, 12, 3, 3)
    with pytest.raises(RuntimeError, match="initialise edge_weight"), torch.no_grad():
        nn.init.kaiming_normal_(sparse.weight)


def test_replacing_keeps_what_the_convolution_was() -> None:
    conv = nn.Conv2d(6, 20, 3, 2, 1, 2, dtype=torch.float64).eval()
    conv.weight.requires_grad_(False)
    sparse = replace_conv2d(conv, clos(12, 3, 3, 4, 20))
    assert (sparse.multiplier, sparse.kernel_size, sparse.stride, sparse.padding) == (2, (3, 3), (2, 2), (1, 1))
    assert (sparse.dilation, sparse.training) == ((2, 2), False)
    assert torch.equal(sparse.bias, conv.bias) and sparse.bias.requires_grad
    assert not sparse.depthwise.weight.requires_grad and not sparse.cascade.edge_weight.requires_grad
    assert replace_conv2d(conv, "clos(ingress=3, middle=3, egress=4)").multiplier == 1
    with pytest.raises(ValueError, match="12 x 12 but the layer is 12 x 20"):
        replace_conv2d(conv, small())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"groups": 4}, "groups is 4: a SparseConv2d has one"),
        ({"multiplier": 0}, "multiplier is 0"),
        ({"multiplier": 2}, "12 x 12 but the layer is 24 x 12"),
        ({"padding_mode": "mirror"}, "one of zeros, reflect, replicate, circular"),
        ({"padding": "full"}, "padding"),
    ],
)
def test_inadmissible_arguments(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        SparseConv2d(12, 12, 3, small(), **options)


@pytest.mark.parametrize("shape", [(12,), (2, 12), (2, 11, 4, 4), (1, 2, 12, 3, 3)])
def test_what_is_no_image_of_these_channels_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"the input has shape .*\(N, 12, H, W\)"):
        SparseConv2d(12, 12, 3, small())(torch.zeros(shape))


def net() -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(3, 16, 7, 2, 3), nn.ReLU(), nn.Conv2d(16, 32, 3, bias=False), nn.Conv2d(32, 32, 3, groups=4)
    )


class TestConverted:
    @pytest.mark.parametrize("density", [0.1, 0.25, 0.5])
    def test_a_density_counts_filters_and_edges_and_is_used_up_by_filters_enough(self, density: float) -> None:
        plan = tm.plan(net(), density=density)
        for change in plan.changes:
            assert 0.75 * density * change.n_dense < change.n_sparse <= density * change.n_dense
        model = tm.convert(net(), plan)
        assert plan.n_parameters_after == sum(one.numel() for one in model.parameters())
        assert type(model[0]) is SparseConv2d and type(model[2]) is SparseConv2d
        assert type(model[3]) is nn.Conv2d
        assert model(torch.randn(2, 3, 16, 16)).shape == net()(torch.randn(2, 3, 16, 16)).shape

    def test_what_is_too_little_for_the_filters_is_said(self) -> None:
        (skip,) = tm.plan(nn.Conv2d(64, 4, 3), density=0.2).skipped
        assert skip.reason == "460 weights are fewer than its filters and its diagonal layer have"
        (skip,) = tm.plan(nn.Conv2d(64, 2, 2), "butterfly(depth=60)").skipped
        assert "and the filters' 256 are no fewer than its 512 weights" in skip.reason

    def test_saved_and_loaded_and_folded(self, tmp_path: Any) -> None:
        model = tm.convert(net(), density=0.5)
        loaded = tm.load(net(), tm.save(model, tmp_path))
        x = torch.randn(2, 3, 16, 16)
        assert torch.equal(loaded(x), model(x))
        torch.testing.assert_close(tm.fold(model)(x), model(x))
        assert [type(one) for one in tm.fold(model)] == [type(one) for one in net()]
        with pytest.raises(ValueError, match=r"0: the saved layer is \d+ x 16, the model's 4 x 16"):
            tm.load(nn.Sequential(nn.Conv2d(4, 16, 7, 2, 3), *net()[1:]), tmp_path)
        with pytest.raises(ValueError, match="0: the saved layer stands for a Conv2d, the model's is a Linear"):
            tm.load(nn.Sequential(nn.Linear(3, 16), *net()[1:]), tmp_path)


class TestFromWeights:
    def test_with_all_filters_and_all_edges_it_is_the_convolution(self) -> None:
        conv = nn.Conv2d(4, 6, 3, padding=1)
        sparse = replace_conv2d(conv, dense(36, 6), weights=lambda topology, matrix: Exact(matrix))
        x = torch.randn(2, 4, 5, 5)
        torch.testing.assert_close(sparse(x), conv(x))

    def test_its_error_is_what_the_filters_lose_and_what_the_cascade_loses(self) -> None:
        conv, topology = nn.Conv2d(8, 16, 3), clos(16, 4, 4, 4, 16)
        found = []

        def noted(topology: Any, matrix: Any) -> Any:
            found.append((np.square(matrix).sum(), fit(topology, matrix, steps=100)))
            return found[-1][1]

        sparse = replace_conv2d(conv, topology, weights=noted)
        lost = float((sparse.weight - conv.weight).square().sum() / conv.weight.square().sum())
        ((energy, fitted),) = found
        separable = energy / float(conv.weight.square().sum())  # the share that two filters a channel keep
        assert lost == pytest.approx(1 - separable + separable * fitted.error, rel=1e-3)

    def test_nothing_to_fit_without_memory(self) -> None:
        with pytest.raises(ValueError, match="no memory"):
            replace_conv2d(nn.Conv2d(12, 12, 3, device="meta"), small(), weights=fit)


class Exact:
    """The fit of one layer of all edges, which are in order of (target, source)."""

    def __init__(self, matrix: Any) -> None:
        self.weights = np.ascontiguousarray(matrix.T).ravel()
