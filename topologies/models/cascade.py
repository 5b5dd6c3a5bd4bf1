"""A topology as a PyTorch layer that stands in for ``torch.nn.Linear``.

>>> model.head = SparseCascade("champion.safetensors")

How it is computed is the business of :mod:`topologies.kernel`: by compiled kernels on a CPU, and otherwise as batched
dense products, as one dense product of the multiplied-out layers, or layer by layer in plain PyTorch.
"""

from __future__ import annotations

import weakref
from os import PathLike
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn

from topologies.initialise import initial_weights
from topologies.kernel.op import cascade, folded
from topologies.kernel.way import WAYS, Way
from topologies.kernel.wiring import Wiring
from topologies.models.computed import INSTEAD, computed
from topologies.models.fingerprint import check_fingerprint, fingerprint
from topologies.stack import Stack
from topologies.topology import Topology

_REAL = "a SparseCascade computes with real floating-point numbers"
_FIXED = "put its to_linear() in its place"


class SparseCascade(nn.Module):
    """The sparse cascade of a topology in place of a dense ``nn.Linear(n_in, n_out)`` (III, figure 1).

    Maps ``(..., n_in)`` to ``(..., n_out)``: ``x @ W_1 @ ... @ W_L + bias``, where ``W_l`` is zero at absent edges,
    1 at constant ones and a parameter at trainable ones. It can be differentiated any number of times, backwards and
    forwards.

    Parameters
    ----------
    topology:
        The edges; or, as text or a path, a topology file or a family expression such as ``"clos(32, 8, 9, 8)"``.
    bias:
        Whether a bias is added to the outputs; it starts at zero.
    device, dtype:
        Where and as what to keep the parameters, as for ``nn.Linear``.
    way:
        How to compute it: ``"fused"`` or ``"one_row"`` (compiled for many rows or for one), ``"blocks"`` (layers that
        fall apart into equal blocks), ``"folded"`` (layers multiplied out first) or ``"plain"``. A way that is not to
        be had is replaced by the plain one: compiled kernels take float32 and half precision on a CPU. By default what
        takes the least time, a function of topology, dtype, device and rows (:func:`topologies.kernel.way.choose`).

    Attributes
    ----------
    edge_weight:
        Parameter of shape ``(n_trainable,)``: layer after layer, each in order of (target, source). It has one
        dimension, so recipes that decay what has two leave it alone, optimisers for matrices (Muon) refuse it, and
        counters of operations that look for matrix products see nothing of the layer-by-layer form.
    bias:
        Parameter of shape ``(n_out,)``, or None.

    There are no buffers: the edges are no part of a ``state_dict``, and nothing that averages, casts, empties or loads
    a module can change them.

    Its checkpoints hold the topology's fingerprint as 256 signs, which averages, sums and casts of a ``state_dict``
    keep. ``load_state_dict`` raises ValueError for weights of another topology, or of the same one under another
    numbering of its hidden neurons. Checkpoints of version 0.1 load, also where they were cast; one whose fingerprint
    was averaged (it had whole numbers) is refused.

    Raises
    ------
    TypeError
        For a ``dtype`` that is not a real floating-point one.
    ValueError
        For a ``way`` that is none of these.
    """

    bias: nn.Parameter | None

    def __init__(
        self,
        topology: Topology | Stack | str | PathLike[str],
        bias: bool = True,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
        way: Way | None = None,
    ) -> None:
        super().__init__()
        if dtype is not None and not dtype.is_floating_point:
            raise TypeError(f"the dtype is {dtype}: {_REAL}")
        if way not in (None, *WAYS):
            raise ValueError(f"way is {way!r}: it is None or one of {', '.join(WAYS)}")
        if not isinstance(topology, Topology):
            from topologies.names import resolve

            topology = resolve(topology)
        self.way, self._wiring, self._topology = way, Wiring.of(topology), weakref.ref(topology)
        self.in_features, self.out_features, self.depth = topology.n_in, topology.n_out, topology.depth
        self.edge_weight = nn.Parameter(torch.empty(topology.n_trainable, device=device, dtype=dtype))
        self.bias = nn.Parameter(torch.empty(self.out_features, device=device, dtype=dtype)) if bias else None
        self.reset_parameters()

    @property
    def topology(self) -> Topology:
        """The edges. The layer keeps them in fewer bytes, so this is made anew where nobody else holds it."""
        topology = self._topology()
        if topology is None:
            topology = self._wiring.topology()
            self._topology = weakref.ref(topology)
        return topology

    def reset_parameters(self, generator: np.random.Generator | None = None) -> None:
        """Draw the weights anew (:func:`topologies.initialise.initial_weights`) and set the bias to zero.

        Without a generator the draw follows PyTorch's global one, so ``torch.manual_seed`` repeats it.
        """
        if generator is None:
            generator = np.random.default_rng(int(torch.randint(2**63 - 1, (), device="cpu")))
        topology = self.topology
        drawn = initial_weights(topology, generator)
        trainable = [weights[layer.trainable] for weights, layer in zip(drawn, topology.layers, strict=True)]
        with torch.no_grad():
            self.edge_weight.copy_(_like(torch.from_numpy(np.concatenate(trainable)), self.edge_weight))
            if self.bias is not None:
                self.bias.zero_()

    def forward(self, input: Tensor) -> Tensor:
        """Apply the cascade: ``(..., n_in)`` to ``(..., n_out)``.

        Raises
        ------
        TypeError
            When ``input`` is complex, sparse or nested, or no tensor, as while ``torch.fx`` traces.
        ValueError
            When the last dimension of ``input`` is not ``n_in``.
        """
        self._check(input)
        outputs = cascade(input.reshape(-1, self.in_features), self.edge_weight, self.bias, self._wiring, self.way)
        return outputs.view(*input.shape[:-1], self.out_features)

    def dense(self) -> Tensor:
        """The matrix that the cascade multiplies by, ``(n_in, n_out)``: exact, since hidden neurons are linear."""
        return folded(self.edge_weight, self._wiring).T

    @property
    def weight(self) -> Tensor:
        """The same matrix as ``nn.Linear`` keeps it, ``(n_out, n_in)``, for code that reads a layer's weight.

        Computed at every access, and gradients flow through it to the trainable edges. To write into it raises
        RuntimeError and to assign to it AttributeError: ``edge_weight`` is what to initialise, tie, reparametrise or
        prune.
        """
        return computed(folded(self.edge_weight, self._wiring))

    @weight.setter
    def weight(self, value: Tensor) -> None:
        raise AttributeError(INSTEAD)

    def register_parameter(self, name: str, param: nn.Parameter | None) -> None:
        """As for any module, but AttributeError for ``weight``, which is computed."""
        if name == "weight":
            raise AttributeError(INSTEAD)
        super().register_parameter(name, param)

    def get_extra_state(self) -> Tensor:
        """The topology's fingerprint as it stands in a ``state_dict``, 256 signs: made anew, never kept."""
        return fingerprint(self.topology)

    def set_extra_state(self, state: Tensor) -> None:
        """Raise ValueError where the weights that come with this fingerprint belong to another topology."""
        check_fingerprint(self.topology, state)

    def to_linear(self) -> nn.Linear:
        """An ordinary ``nn.Linear`` that computes the same, for inference or export; it shares no memory.

        What is frozen here is frozen there.
        """
        linear = nn.Linear(self.in_features, self.out_features, bias=self.bias is not None, device="meta")
        matrix = folded(self.edge_weight, self._wiring).detach().contiguous()
        linear.weight = nn.Parameter(matrix, is_trained(self, "edge_weight"))
        if self.bias is not None:
            linear.bias = nn.Parameter(self.bias.detach().clone(), is_trained(self, "bias"))
        return linear.train(self.training)

    def extra_repr(self) -> str:
        """Sizes, for ``print(model)``."""
        sizes = f"in_features={self.in_features}, out_features={self.out_features}, depth={self.depth}"
        edges = f"trainable={self.edge_weight.numel()}, constant={self._wiring.edges.constant_sources.size}"
        return f"{sizes}, {edges}, bias={self.bias is not None}"

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_topology": _nothing}

    def __prepare_scriptable__(self) -> nn.Module:
        raise TypeError(f"TorchScript cannot compile a SparseCascade: {_FIXED}")

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *others: Any) -> None:
        """PyTorch's own, but nothing is copied from another topology's weights, and release 0.1 is understood."""
        saved = prefix + "_extra_state"
        if prefix + "fingerprint" in state_dict:
            state_dict[saved] = state_dict.pop(prefix + "fingerprint")
        if saved in state_dict:
            self.set_extra_state(state_dict[saved])
        super()._load_from_state_dict(state_dict, prefix, *others)

    def _check(self, x: Tensor) -> None:
        """Refuse what some ways of computing take and others do not."""
        if not isinstance(x, Tensor):
            raise TypeError(f"the input is a {type(x).__name__}, not a tensor; while a model is traced, {_FIXED}")
        if x.is_nested or x.layout is not torch.strided:
            raise TypeError(
                f"the input is {'nested' if x.is_nested else 'sparse'}: a SparseCascade takes dense tensors"
            )
        if x.is_complex() or self.edge_weight.is_complex():
            raise TypeError(f"the {'input is' if x.is_complex() else 'weights are'} complex: {_REAL}")
        if x.shape[-1:] != (self.in_features,):
            raise ValueError(f"the input has shape {tuple(x.shape)}: its last dimension must be {self.in_features}")


def is_trained(module: nn.Module, name: str) -> bool:
    """Whether any parameter with this in its name, or in that of what it is computed from, is trained.

    What is computed, as a pruned or parametrised weight is, does not say so by itself where gradients are off.
    """
    return any(parameter.requires_grad for path, parameter in module.named_parameters() if name in path)


def refuse_other_topologies(module: nn.Module, state_dict: dict[str, Any], prefix: str) -> None:
    """Raise ValueError where the weights that a layer is to load belong to other topologies than its cascades'.

    A layer of several parts asks before any of them has copied its own.
    """
    for path, part in module.named_modules():
        saved = f"{prefix}{path}._extra_state"
        if isinstance(part, SparseCascade) and saved in state_dict:
            part.set_extra_state(state_dict[saved])


def _nothing() -> None:
    """What a reference gives whose topology is gone."""


def _like(whole: Tensor, parameter: Tensor) -> Tensor:
    """The same values, each process holding its part where the parameter is sharded (FSDP2); the first one's count."""
    if not hasattr(parameter, "device_mesh"):
        return whole
    from torch.distributed.tensor import DTensor, distribute_tensor

    sharded = cast(DTensor, parameter)
    return distribute_tensor(whole.to(sharded.device), sharded.device_mesh, sharded.placements)
