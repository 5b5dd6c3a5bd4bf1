"""The networks of studies beside PyTorch's own layers, and their evaluator."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import nn

from evaluators import Data, Fidelity, Split, TrainedAccuracy
from evaluators.training.layers import LAYERS, parameters_of
from evaluators.training.models import cascade, layers_of, sparse
from evaluators.training.networks import NETWORKS, MobileNet, RowByRow
from evaluators.training.varied import TrainedNetworks
from topologies.families.blocks import dense, low_rank
from topologies.models.cascade import SparseCascade
from topologies.names import at_places
from topologies.stack import Stack

FIDELITY = Fidelity(2, 2, (0.01, 0.03))


def stack(network: str, inputs: int, width: int, layers: int = 2) -> Stack:
    sizes = NETWORKS[network].sizes(inputs, width, layers)
    return at_places("random_regular(width=1, depth=1, fan_in=3, skip=False)", sizes)


@pytest.mark.parametrize(("kind", "ordinary"), [("gru", nn.GRU), ("lstm", nn.LSTM)])
@pytest.mark.parametrize("layer", LAYERS)
def test_a_recurrent_network_is_pytorchs_own(kind: str, ordinary: type[nn.RNNBase], layer: str) -> None:
    found = layers_of(stack(kind, 36, 8), 0, LAYERS[layer])
    network = NETWORKS[kind].make(found, 5)
    assert isinstance(network, RowByRow)
    twin, half = ordinary(6, 8, batch_first=True), len(found) // 2
    matrices = [torch.cat([one.dense().T for one in part]) for part in (found[:half], found[half:])]
    with torch.no_grad():
        for own, given in zip(twin.parameters(), [*matrices, *network.biases], strict=True):
            own.copy_(given)
        x = torch.randn(4, 36)
        last = twin(x.view(4, 6, 6))[0][:, -1]
        torch.testing.assert_close(network(x), network.head(last), rtol=1e-5, atol=1e-5)


def test_mobilenet_is_convolutions() -> None:
    found = layers_of(stack("mobilenet", 8 * 8 * 3, 4), 0)
    network = NETWORKS["mobilenet"].make(found, 5).eval()
    assert isinstance(network, MobileNet)
    image = torch.randn(2, 8, 8, 3)
    with torch.no_grad():
        x = network.first(image.permute(0, 3, 1, 2))
        for block, layer in zip(network.blocks, found, strict=True):
            pointwise = nn.Conv2d(layer.in_features, layer.out_features, 1, bias=False)
            pointwise.weight.copy_(layer.dense().T[:, :, None, None])
            x = block.norms[0](block.depthwise(x)).relu()
            x = block.norms[1](pointwise(x)).relu()
        torch.testing.assert_close(network(image.flatten(1)), network.head(x.mean((2, 3))), rtol=1e-4, atol=1e-5)
    assert [layer.out_features for layer in found] == [8, 16, 16, 32, 32, 64, 64, 64, 64, 64, 64, 128, 128]


@pytest.mark.parametrize("layer", LAYERS)
def test_layers_of_equal_parameters(layer: str) -> None:
    (topology, *_) = stack("perceptron", 24, 16).places
    made = LAYERS[layer](topology)
    count = sum(one.numel() for name, one in made.named_parameters() if name != "bias")
    assert parameters_of(layer, topology) == count <= topology.n_trainable
    assert made.dense().shape == (24, 16)


def test_dense_xavier_starts_within_the_bound_of_a_dense_layer() -> None:
    (topology, *_) = stack("perceptron", 240, 160).places
    weight = LAYERS["dense_xavier"](topology).edge_weight
    bound = math.sqrt(6 / (240 + 160))
    assert bound * 0.9 < float(weight.abs().max()) <= bound
    assert float(LAYERS["cascade"](topology).edge_weight.abs().max()) > 3 * bound


def test_a_layer_of_all_edges_is_trained_as_the_dense_layer_that_it_is() -> None:
    topology = dense(240, 160)
    made, twin = sparse(topology), cascade(topology)
    assert isinstance(made, nn.Linear) and isinstance(sparse(low_rank(8, 8, 8)), SparseCascade)
    bound = math.sqrt(6 / (240 + 160))
    for weight in (made.weight.detach(), twin.edge_weight.detach()):
        assert bound * 0.99 < float(weight.abs().max()) <= bound
    assert not made.bias.any() and (twin.bias is None or not twin.bias.any())
    with torch.no_grad():
        twin.edge_weight.copy_(made.weight.flatten())
    x = torch.from_numpy(np.random.default_rng(0).normal(size=(5, 240)).astype(np.float32))
    torch.testing.assert_close(made(x), twin(x), rtol=1e-5, atol=1e-4)
    torch.testing.assert_close(made.dense(), twin.dense())
    of_made, of_twin = (torch.autograd.grad(one(x).square().sum(), next(one.parameters())) for one in (made, twin))
    torch.testing.assert_close(of_made[0].flatten(), of_twin[0], rtol=1e-5, atol=1e-4)


def test_a_variant_scores_as_training_with_its_layers_does_at_any_depth() -> None:
    draw = np.random.default_rng(0)
    data = Data.of(draw.normal(size=(200, 16)), draw.integers(3, size=200))
    networks = TrainedNetworks(data, "perceptron")
    for layers in (1, 3):
        topology = stack("perceptron", 16, 8, layers)
        found = {name: networks.variant(name).evaluate(topology, FIDELITY, Split.TEST, 1) for name in LAYERS}
        assert found["cascade"] == TrainedAccuracy(data, [8] * layers).evaluate(topology, FIDELITY, Split.TEST, 1)
        assert len({one.errors for one in found.values()}) == len(LAYERS)


def test_what_is_not_there_is_said() -> None:
    data = Data.of(np.eye(200), np.arange(200) / 7)
    with pytest.raises(ValueError, match="network = 'cnn': one of perceptron"):
        TrainedNetworks(data, "cnn")
    with pytest.raises(ValueError, match="layer = 'dense': one of cascade"):
        TrainedNetworks(data, "gru").variant("dense")
    with pytest.raises(ValueError, match="200 inputs: square images are wanted"):
        NETWORKS["gru"].sizes(200, 8, 1)
    with pytest.raises(ValueError, match="square images of 3 colours"):
        NETWORKS["mobilenet"].sizes(200, 8, 1)
