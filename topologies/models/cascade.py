"""A topology as a PyTorch layer that stands in for ``torch.nn.Linear``.

>>> model.head = SparseCascade("champion.safetensors")

Hidden neurons are linear, so a cascade is one matrix, and there are two ways to apply it:

* layer by layer, one sparse product (``embedding_bag`` over columns, the fastest plain PyTorch form for arbitrary
  fan-in) each: the cost is one multiply-accumulate per edge and row;
* *folded*: the layers first multiply out to a dense matrix, then one dense product. Folding costs as much as
  ``n_in`` rows do, but a multiply-accumulate of a dense product is about sixteen times cheaper than a sparse one.

A batch takes the cheaper way; for small layers and large batches that is folding, by a factor of 2 to 4.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from topologies.initialise import initial_weights
from topologies.packing import pack
from topologies.topology import Topology

_SPARSE_COST = 16
"""Time of a sparse multiply-accumulate over that of a dense one, measured on a CPU at widths 32 to 1024."""


class SparseCascade(nn.Module):
    """The sparse cascade of a topology in place of a dense ``nn.Linear(n_in, n_out)`` (III, figure 1).

    Maps ``(..., n_in)`` to ``(..., n_out)``: ``x @ W_1 @ ... @ W_L + bias``, where ``W_l`` is zero at absent edges,
    1 at constant ones and a parameter at trainable ones. First derivatives only: PyTorch cannot differentiate
    ``embedding_bag`` twice.

    Parameters
    ----------
    topology:
        The edges; or, as text or a path, a topology file or a family expression such as ``"clos(32, 8, 9, 8)"``.
    bias:
        Whether a bias is added to the outputs; it starts at zero.
    device, dtype:
        Where and as what to keep the parameters, as for ``nn.Linear``.

    Attributes
    ----------
    edge_weight:
        Parameter of shape ``(n_trainable,)``: layer after layer, each in order of (target, source).
    bias:
        Parameter of shape ``(n_out,)``, or None.

    ``load_state_dict`` raises ValueError for weights saved from another topology, or from the same one under
    another numbering of its hidden neurons.
    """

    bias: nn.Parameter | None
    constants: Tensor  # (n_edges,): 1 at constant edges, 0 where a trainable weight goes
    places: Tensor  # (n_trainable,): the edge that each trainable weight belongs to
    sources: Tensor  # (n_edges,): the neuron each edge comes from
    starts: Tensor  # (neurons but inputs,): each neuron's first edge, counted within its layer
    fingerprint: Tensor  # (32,) uint8: the topology in the state_dict

    def __init__(
        self,
        topology: Topology | str | Path,
        bias: bool = True,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        self.topology = topology if isinstance(topology, Topology) else _resolve(topology)
        self.in_features, self.out_features = self.topology.n_in, self.topology.n_out
        layers = self.topology.layers
        trainable = np.concatenate([layer.trainable for layer in layers])

        def buffer(name: str, values: Any, dtype: torch.dtype | None = torch.int64, persistent: bool = False) -> None:
            self.register_buffer(name, torch.tensor(values, device=device, dtype=dtype), persistent)

        buffer("constants", np.where(trainable, 0.0, 1.0), dtype or torch.get_default_dtype())
        buffer("places", np.flatnonzero(trainable))
        buffer("sources", np.concatenate([layer.sources for layer in layers]))
        buffer("starts", np.concatenate([np.cumsum(layer.fan_in) - layer.fan_in for layer in layers]))
        buffer("fingerprint", list(_fingerprint(self.topology)), torch.uint8, persistent=True)
        self.edge_weight = nn.Parameter(torch.empty(self.topology.n_trainable, device=device, dtype=dtype))
        self.bias = nn.Parameter(torch.empty(self.out_features, device=device, dtype=dtype)) if bias else None
        self.reset_parameters()
        self.register_load_state_dict_pre_hook(_refuse_other_topology)  # type: ignore[no-untyped-call]

    def reset_parameters(self, generator: np.random.Generator | None = None) -> None:
        """Draw the weights anew (:func:`topologies.initialise.initial_weights`) and set the bias to zero.

        Without a generator the draw follows PyTorch's global one, so ``torch.manual_seed`` repeats it.
        """
        if generator is None:
            generator = np.random.default_rng(int(torch.randint(2**63 - 1, (), device="cpu")))
        drawn = initial_weights(self.topology, generator)
        trainable = [weights[layer.trainable] for weights, layer in zip(drawn, self.topology.layers, strict=True)]
        with torch.no_grad():
            self.edge_weight.copy_(torch.from_numpy(np.concatenate(trainable)))
            if self.bias is not None:
                self.bias.zero_()

    def forward(self, x: Tensor) -> Tensor:
        """Apply the cascade: ``(..., n_in)`` to ``(..., n_out)``.

        Raises
        ------
        ValueError
            When the last dimension of ``x`` is not ``n_in``.
        """
        if x.shape[-1:] != (self.in_features,):
            raise ValueError(f"the input has shape {tuple(x.shape)}: its last dimension must be {self.in_features}")
        rows = x.numel() // self.in_features
        if rows == 0 or self._folding_pays(rows):  # embedding_bag takes no empty batch
            return functional.linear(x, self.weight, self.bias)
        outputs = self._carry(*_autocast(x.reshape(rows, self.in_features).T, self._all_weights()))
        if self.bias is not None:
            outputs = outputs + self.bias.to(outputs.dtype)[:, None]
        return outputs.T.contiguous().view(*x.shape[:-1], self.out_features)

    def dense(self) -> Tensor:
        """The matrix that the cascade multiplies by, ``(n_in, n_out)``: exact, since hidden neurons are linear."""
        identity = torch.eye(self.in_features, device=self.edge_weight.device, dtype=self.edge_weight.dtype)
        return self._carry(identity, self._all_weights()).T

    @property
    def weight(self) -> Tensor:
        """The same matrix as ``nn.Linear`` keeps it, ``(n_out, n_in)``, for code that reads a layer's weight.

        Computed at every access. Gradients flow through it to the trainable edges; assigning to it fails.
        """
        return self.dense().T

    def to_linear(self) -> nn.Linear:
        """An ordinary ``nn.Linear`` that computes the same, for inference or export; it shares no memory."""
        linear = nn.Linear(self.in_features, self.out_features, bias=self.bias is not None, device="meta")
        linear.weight = nn.Parameter(self.weight.detach())
        if self.bias is not None:
            linear.bias = nn.Parameter(self.bias.detach().clone())
        return linear.train(self.training)

    def extra_repr(self) -> str:
        """Sizes, for ``print(model)``."""
        sizes = f"in_features={self.in_features}, out_features={self.out_features}, depth={self.topology.depth}"
        edges = f"trainable={self.topology.n_trainable}, constant={self.topology.n_constant}"
        return f"{sizes}, {edges}, bias={self.bias is not None}"

    def _folding_pays(self, rows: int) -> bool:
        """Whether ``rows`` rows are cheaper through one dense matrix, the making of it included."""
        folding = self.in_features * self.topology.n_edges
        dense = rows * self.in_features * self.out_features / _SPARSE_COST
        return folding + dense < rows * self.topology.n_edges

    def _all_weights(self) -> Tensor:
        """Weights of all edges, constants included, ``(n_edges,)``."""
        return self.constants.index_copy(0, self.places, self.edge_weight)

    def _carry(self, columns: Tensor, weights: Tensor) -> Tensor:
        """Columns of values ``(n_in, batch)`` through every layer: ``(n_out, batch)``.

        ``embedding_bag`` sums, for every neuron, the weighted rows that its edges name.
        """
        columns = columns.contiguous()  # embedding_bag is up to four times slower on a transposed view
        edges = [layer.n_edges for layer in self.topology.layers]
        sources, per_edge = torch.split(self.sources, edges), torch.split(weights, edges)
        starts = torch.split(self.starts, [layer.n_out for layer in self.topology.layers])
        for source, start, weight in zip(sources, starts, per_edge, strict=True):
            columns = functional.embedding_bag(source, columns, start, mode="sum", per_sample_weights=weight)
        return columns


def replace_linear(linear: nn.Linear, topology: Topology | str | Path) -> SparseCascade:
    """A cascade to put where ``linear`` is: the same sizes, device, dtype and mode, and a copy of its bias.

    >>> model.head = replace_linear(model.head, "champion.safetensors")

    The edges start from a fresh draw: the dense weights do not carry over.

    Raises
    ------
    ValueError
        When the topology has other sizes than ``linear``.
    """
    topology = topology if isinstance(topology, Topology) else _resolve(topology)
    wanted, given = (linear.in_features, linear.out_features), (topology.n_in, topology.n_out)
    if wanted != given:
        raise ValueError(
            f"the topology is {given[0]} x {given[1]} but the layer is {wanted[0]} x {wanted[1]}: "
            "build the topology at the layer's sizes, or crop a larger one"
        )
    cascade = SparseCascade(topology, linear.bias is not None, linear.weight.device, linear.weight.dtype)
    if cascade.bias is not None:
        with torch.no_grad():
            cascade.bias.copy_(linear.bias)
    return cascade.train(linear.training)


def _autocast(*tensors: Tensor) -> tuple[Tensor, ...]:
    """Cast as autocast does for ``nn.Linear``; it does not know of ``embedding_bag``. Doubles stay what they are."""
    device = tensors[0].device.type
    if not (torch.amp.is_autocast_available(device) and torch.is_autocast_enabled(device)):
        return tensors
    dtype = torch.get_autocast_dtype(device)
    return tuple(tensor if tensor.dtype == torch.float64 else tensor.to(dtype) for tensor in tensors)


def _resolve(source: str | Path) -> Topology:
    from topologies.names import resolve

    return resolve(source)


def _fingerprint(topology: Topology) -> bytes:
    """32 bytes for the edges under this numbering, which is what the order of the weights depends on."""
    return hashlib.sha256(pack(topology)).digest()


def _refuse_other_topology(module: SparseCascade, state: dict[str, Tensor], prefix: str, *_: Any) -> None:
    """Before anything is copied: are these weights of the same edges? A missing fingerprint is PyTorch's to report."""
    saved = state.get(prefix + "fingerprint")
    if saved is not None and bytes(saved.tolist()) != _fingerprint(module.topology):
        raise ValueError(
            f"these weights were saved from another topology than this {module.topology!r}: "
            "build the SparseCascade from the topology they were trained with"
        )
