"""The sparse 1 × 1 convolution beside nn.Conv2d with the same matrix."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from tests.topologies.models.cascades import product, small
from topologies import clos
from topologies.kernel.way import Way
from topologies.models import SparseConv1x1, replace_conv1x1


def dense(sparse: SparseConv1x1, x: Tensor, **options: Any) -> Tensor:
    """What torch's own convolution gives for the matrix, multiplied out in numpy."""
    kernel = torch.from_numpy(product(sparse.cascade).T.copy()).to(x.dtype)[:, :, None, None]
    return functional.conv2d(x, kernel, sparse.bias, **options)


@pytest.mark.parametrize("stride", [1, 2, (3, 1)])
@pytest.mark.parametrize("padding", [0, 1, (2, 0)])
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("shape", [(2, 12, 7, 9), (1, 12, 1, 1), (12, 8, 5), (0, 12, 4, 4), (3, 12, 20, 20)])
def test_equals_conv2d(stride: Any, padding: Any, bias: bool, shape: tuple[int, ...]) -> None:
    sparse = SparseConv1x1(small(), stride, padding, bias=bias, dtype=torch.float64)
    if sparse.bias is not None:
        nn.init.normal_(sparse.bias)
    x = torch.randn(shape, dtype=torch.float64, requires_grad=True)
    y = sparse(x)
    torch.testing.assert_close(y, dense(sparse, x, stride=stride, padding=padding))
    torch.testing.assert_close(sparse.to_conv2d()(x), y)
    y.sum().backward()
    assert sparse.cascade.edge_weight.grad is not None


@pytest.mark.parametrize("mode", ["zeros", "reflect", "replicate", "circular"])
@pytest.mark.parametrize("padding", ["same", "valid", 1, (0, 2)])
def test_every_padding_of_conv2d(mode: str, padding: Any) -> None:
    conv = nn.Conv2d(12, 12, 1, 1, padding, padding_mode=mode)  # type: ignore[arg-type]
    sparse = replace_conv1x1(conv, small())
    twin = copy.deepcopy(conv)
    with torch.no_grad():
        twin.weight.copy_(sparse.weight)
    x = torch.randn(2, 12, 6, 5)
    torch.testing.assert_close(sparse(x), twin(x))
    torch.testing.assert_close(sparse.to_conv2d()(x), twin(x))


def test_gradients_are_those_of_the_convolution() -> None:
    sparse = SparseConv1x1(small(), 2, 1, dtype=torch.float64)
    conv = sparse.to_conv2d()
    x = torch.randn(2, 12, 5, 6, dtype=torch.float64, requires_grad=True)
    again = x.detach().clone().requires_grad_()
    sparse(x).square().sum().backward()
    conv(again).square().sum().backward()
    torch.testing.assert_close(x.grad, again.grad)
    torch.testing.assert_close(sparse.bias.grad, conv.bias.grad)


@pytest.mark.parametrize("n", [1, 2])
@pytest.mark.parametrize("stride", [1, 2])
def test_outputs_have_the_memory_format_that_conv2d_gives(n: int, stride: int) -> None:
    sparse = SparseConv1x1(small(), stride)
    x = torch.randn(n, 12, 6, 8)
    for given in (x, x.to(memory_format=torch.channels_last)):
        assert sparse(given).stride() == sparse.to_conv2d()(given).stride()
    sparse(x).view(n, -1)  # what models do behind a convolution


def test_replacing_keeps_bias_dtype_mode_and_strides() -> None:
    conv = nn.Conv2d(12, 20, 1, 2, 1, dtype=torch.float64).eval()
    conv.weight.requires_grad_(False)
    sparse = replace_conv1x1(conv, "clos(ingress=3, middle=3, egress=4)")
    assert sparse.cascade.topology == clos(12, 3, 3, 4, 20)
    assert (sparse.stride, sparse.padding, sparse.training) == ((2, 2), (1, 1), False)
    assert torch.equal(sparse.bias, conv.bias) and sparse.bias is not conv.bias
    assert not sparse.cascade.edge_weight.requires_grad and sparse.bias.requires_grad
    assert replace_conv1x1(nn.Conv2d(12, 12, 1, bias=False), small()).bias is None
    with pytest.raises(ValueError, match=r"12 x 12 but the layer is 12 x 20"):
        replace_conv1x1(conv, small())


@pytest.mark.parametrize("shape", [(12,), (2, 12), (2, 11, 4, 4), (4, 4, 12), (1, 2, 12, 3, 3)])
def test_what_is_no_image_of_these_channels_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"the input has shape .*\(N, 12, H, W\)"):
        SparseConv1x1(small())(torch.zeros(shape))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"stride": 0}, "stride is 0"),
        ({"stride": (1, 2, 3)}, "stride is"),
        ({"padding": -1}, "padding is -1"),
        ({"padding": "full"}, "padding is 'full'"),
        ({"padding_mode": "mirror"}, "one of zeros, reflect, replicate, circular"),
    ],
)
def test_inadmissible_arguments(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        SparseConv1x1(small(), **options)


def test_it_travels_and_its_checkpoint_knows_its_topology() -> None:
    sparse = SparseConv1x1(small())
    x = torch.randn(2, 12, 3, 3)
    for twin in (copy.deepcopy(sparse), pickle.loads(pickle.dumps(sparse))):
        assert torch.equal(twin(x), sparse(x))
    other = SparseConv1x1(small())
    other.load_state_dict(sparse.state_dict())
    assert torch.equal(other(x), sparse(x))
    with pytest.raises(ValueError, match="another topology"):
        SparseConv1x1(clos(12, 3, 4, 3)).load_state_dict({**sparse.state_dict()})


def test_the_weight_is_computed() -> None:
    sparse = SparseConv1x1(small())
    assert sparse.weight.shape == (12, 12, 1, 1)
    with pytest.raises(RuntimeError, match="initialise edge_weight"), torch.no_grad():
        nn.init.kaiming_normal_(sparse.weight)
    assert "stride=(1, 1)" in repr(sparse)


def test_autocast_gives_the_dtype_that_conv2d_gives() -> None:
    sparse = SparseConv1x1(small())
    x = torch.randn(2, 12, 4, 4)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        y, reference = sparse(x), sparse.to_conv2d()(x)
    assert y.dtype == reference.dtype
    torch.testing.assert_close(y, reference, rtol=0.05, atol=0.05)


@pytest.mark.parametrize("way", [None, "one_row"])
def test_one_image_of_one_pixel(way: Way | None) -> None:
    module = SparseConv1x1(small())
    module.cascade.way = way
    x = torch.randn(1, 12, 1, 1, requires_grad=True)
    y, expected = module(x), module.to_conv2d()(x)
    torch.testing.assert_close(y, expected)
    found, right = (torch.autograd.grad(one.square().sum(), x)[0] for one in (y, expected))
    torch.testing.assert_close(found, right)
