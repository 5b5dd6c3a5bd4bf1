"""Topologies as PyTorch layers that stand in for ``torch.nn.LSTM`` and ``torch.nn.GRU``.

Every gate has a cascade over the inputs and one over the hidden state. They are multiplied out once a call, and then
PyTorch's own kernel goes through time: what is saved is parameters and what an optimizer keeps of them, not time.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, ClassVar, cast

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence

from topologies.models.cascade import SparseCascade, is_trained, refuse_other_topologies
from topologies.models.matrices import Matrix, assigned
from topologies.models.start import Fit, take_parameter, take_weight
from topologies.names import Source
from topologies.topology import Topology


class _SparseRecurrent(nn.Module):
    """What both have in common: everything but the gates and the kernel."""

    gates: ClassVar[str]
    dense: ClassVar[Callable[..., nn.RNNBase]]
    remedy: ClassVar[str]

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        topology: Source | Mapping[str, Source],
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        proj_size: int = 0,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        self.input_size, self.hidden_size, self.num_layers = input_size, hidden_size, num_layers
        self.bias, self.batch_first, self.dropout = bias, batch_first, dropout
        self.bidirectional, self.proj_size = bidirectional, proj_size
        like = self._like()
        sizes = {name: (n_in, n_out) for name, n_in, n_out in _sizes(like, self.gates)}
        chosen = assigned(topology, sizes)
        self.cascades = nn.ModuleDict({name: SparseCascade(chosen[name], False, device, dtype) for name in sizes})
        self._order = [names for of_layer in like._all_weights for names in of_layer]
        for name in self._order:
            if name.startswith("bias"):
                width = len(self.gates) * hidden_size
                self.register_parameter(name, nn.Parameter(torch.empty(width, device=device, dtype=dtype)))
        self._reset_biases()

    def reset_parameters(self) -> None:
        """Draw all weights anew: edges as :meth:`SparseCascade.reset_parameters`, biases as PyTorch does."""
        for cascade in self._cascades():
            cascade.reset_parameters()
        self._reset_biases()

    def flatten_parameters(self) -> None:
        """Nothing: there are no parameters that lie apart, but code that trains recurrent layers calls this."""

    def extra_repr(self) -> str:
        """Arguments that are not at their defaults, for ``print(model)``."""
        said = [str(self.input_size), str(self.hidden_size)]
        defaults = {"num_layers": 1, "bias": True, "batch_first": False, "dropout": 0.0, "bidirectional": False}
        for name, default in {**defaults, "proj_size": 0}.items():
            if getattr(self, name) != default:
                said.append(f"{name}={getattr(self, name)}")
        return ", ".join(said)

    def _reset_biases(self) -> None:
        bound = 1 / math.sqrt(self.hidden_size)
        for name in self._order:
            if name.startswith("bias"):
                nn.init.uniform_(getattr(self, name), -bound, bound)

    def _cascades(self) -> Iterator[SparseCascade]:
        return (cast(SparseCascade, cascade) for cascade in self.cascades.values())

    def _like(self) -> nn.RNNBase:
        """An ordinary layer of these arguments without memory, which refuses what PyTorch does not take."""
        projection = {"proj_size": self.proj_size} if self.proj_size else {}
        return type(self).dense(
            self.input_size, self.hidden_size, self.num_layers, self.bias, self.batch_first, self.dropout,
            self.bidirectional, **projection, device="meta",
        )  # fmt: skip

    def _dense(self) -> nn.RNNBase:
        """An ordinary layer of PyTorch's that computes the same."""
        like = self._like()
        for name, weight in zip(self._order, self._weights(), strict=True):
            if name.startswith("bias"):
                trained = getattr(self, name).requires_grad
            else:
                trained = any(is_trained(self.cascades[one], "edge_weight") for one in _of_gates(name, self.gates))
            setattr(like, name, nn.Parameter(weight.detach().clone(), requires_grad=trained))
        return like.train(self.training)

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *others: Any) -> None:
        """PyTorch's own, but nothing is copied where one of the cascades has another topology."""
        refuse_other_topologies(self, state_dict, prefix)
        super()._load_from_state_dict(state_dict, prefix, *others)

    def _weights(self) -> list[Tensor]:
        """All weights in PyTorch's order, the cascades multiplied out and those of the gates one below another."""
        return [
            getattr(self, name) if name.startswith("bias")
            else torch.cat([cast(SparseCascade, self.cascades[one]).dense().T for one in _of_gates(name, self.gates)])
            for name in self._order
        ]  # fmt: skip

    def _run(
        self, x: Tensor | PackedSequence, given: Sequence[Tensor] | None
    ) -> tuple[Tensor | PackedSequence, list[Tensor]]:
        """Outputs and last states; the first states are zero where none are given."""
        if isinstance(x, PackedSequence):
            data, batch_sizes, forth, back = x
            self._check(data, dims=(2,))
            batch = int(batch_sizes[0])
            states = self._states(data, batch, given, batched=True)
            if forth is not None:
                states = [state.index_select(1, forth) for state in states]
            y, *last = self._packed(data, batch_sizes, states)
            if back is not None:
                last = [state.index_select(1, back) for state in last]
            return PackedSequence(y, batch_sizes, forth, back), last
        self._check(x, dims=(2, 3))
        along = 0 if self.batch_first else 1
        batched = x.dim() == 3
        steps = x if batched else x.unsqueeze(along)
        y, *last = self._padded(steps, self._states(x, steps.shape[along], given, batched))
        return (y, last) if batched else (y.squeeze(along), [state.squeeze(1) for state in last])

    def _packed(self, x: Tensor, batch_sizes: Tensor, states: list[Tensor]) -> Sequence[Tensor]:
        raise NotImplementedError

    def _padded(self, x: Tensor, states: list[Tensor]) -> Sequence[Tensor]:
        raise NotImplementedError

    def _check(self, x: Tensor, dims: tuple[int, ...]) -> None:
        """Refuse what is no sequence, or batch of sequences, of inputs."""
        if not isinstance(x, Tensor):
            kind = type(x).__name__
            raise TypeError(f"the input is a {kind}, not a tensor; while a model is traced, {self.remedy}")
        first = next(self._cascades())
        first._check(x)
        if x.dim() not in dims:
            raise ValueError(
                f"the input has shape {tuple(x.shape)}: {' or '.join(map(str, dims))} dimensions are wanted"
            )
        if x.dtype != first.edge_weight.dtype and not torch.is_autocast_enabled(x.device.type):
            raise RuntimeError(
                f"the input is {x.dtype} and the weights are {first.edge_weight.dtype}: they must be equal"
            )

    def _states(self, x: Tensor, batch: int, given: Sequence[Tensor] | None, batched: bool) -> list[Tensor]:
        """The first states, ``(layers * directions, batch, width)`` each."""
        count = self.num_layers * (2 if self.bidirectional else 1)
        widths = [self.proj_size or self.hidden_size, self.hidden_size][: 2 if len(self.gates) == 4 else 1]
        if given is None:
            return [x.new_zeros(count, batch, width) for width in widths]
        for state, width in zip(given, widths, strict=True):
            wanted = (count, batch, width) if batched else (count, width)
            if state.shape != wanted:
                raise ValueError(f"a state has shape {tuple(state.shape)}: {wanted} is wanted")
        return [state if batched else state.unsqueeze(1) for state in given]


class SparseLSTM(_SparseRecurrent):
    """Sparse cascades in the gates of an LSTM, in place of ``nn.LSTM``, whose arguments, states and results it has.

    Parameters
    ----------
    input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional, proj_size, device, dtype:
        As for ``nn.LSTM``.
    topology:
        One for all matrices: a name without sizes such as ``"butterfly(depth=8)"``, a number of trainable edges each,
        or where all have one size a topology. Or a mapping from names of matrices, in which ``*`` stands for anything,
        to these; the first that matches counts. The names are ``ih_l0_i`` for the inputs (``ih``) of the first layer
        (``l0``) and the gate ``i``, ``f``, ``g`` or ``o``, ``hh_l0_i`` for the hidden state, ``hr_l0`` for the
        projection, and ``ih_l0_reverse_i`` backwards in time.

    Attributes
    ----------
    cascades:
        ``nn.ModuleDict`` of the matrices by their names.
    bias_ih_l0, ...:
        The biases, as in ``nn.LSTM``.

    Raises
    ------
    ValueError
        For topologies of other sizes, names that match nothing, or what ``nn.LSTM`` refuses.
    """

    gates, dense, remedy = "ifgo", nn.LSTM, "put its to_lstm() in its place"

    def forward(
        self, input: Tensor | PackedSequence, hx: tuple[Tensor, Tensor] | None = None
    ) -> tuple[Tensor | PackedSequence, tuple[Tensor, Tensor]]:
        """Outputs, and the last hidden and cell states, as ``nn.LSTM`` gives them.

        Raises
        ------
        TypeError
            When ``input`` is complex, sparse or nested, or no tensor.
        ValueError
            When ``input`` or a state has another shape than is wanted.
        """
        y, (hidden, cell) = self._run(input, hx)
        return y, (hidden, cell)

    def to_lstm(self) -> nn.LSTM:
        """An ordinary ``nn.LSTM`` that computes the same, for inference or export; it shares no memory."""
        return cast(nn.LSTM, self._dense())

    def _packed(self, x: Tensor, batch_sizes: Tensor, states: list[Tensor]) -> Sequence[Tensor]:
        return torch.lstm(
            x, batch_sizes, states, self._weights(), self.bias, self.num_layers, self.dropout, self.training,
            self.bidirectional,
        )  # fmt: skip

    def _padded(self, x: Tensor, states: list[Tensor]) -> Sequence[Tensor]:
        return torch.lstm(
            x, states, self._weights(), self.bias, self.num_layers, self.dropout, self.training, self.bidirectional,
            self.batch_first,
        )  # fmt: skip


class SparseGRU(_SparseRecurrent):
    """Sparse cascades in the gates of a GRU, in place of ``nn.GRU``, whose arguments, states and results it has.

    Everything is as for :class:`SparseLSTM`, but for the gates, which are ``r``, ``z`` and ``n``, and the projection,
    which a GRU has not.
    """

    gates, dense, remedy = "rzn", nn.GRU, "put its to_gru() in its place"

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        topology: Source | Mapping[str, Source],
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__(
            input_size, hidden_size, topology, num_layers, bias, batch_first, dropout, bidirectional, 0, device, dtype
        )

    def forward(
        self, input: Tensor | PackedSequence, hx: Tensor | None = None
    ) -> tuple[Tensor | PackedSequence, Tensor]:
        """Outputs and the last hidden states, as ``nn.GRU`` gives them; raises as :meth:`SparseLSTM.forward`."""
        y, (hidden,) = self._run(input, None if hx is None else [hx])
        return y, hidden

    def to_gru(self) -> nn.GRU:
        """An ordinary ``nn.GRU`` that computes the same, for inference or export; it shares no memory."""
        return cast(nn.GRU, self._dense())

    def _packed(self, x: Tensor, batch_sizes: Tensor, states: list[Tensor]) -> Sequence[Tensor]:
        return torch.gru(
            x, batch_sizes, states[0], self._weights(), self.bias, self.num_layers, self.dropout, self.training,
            self.bidirectional,
        )  # fmt: skip

    def _padded(self, x: Tensor, states: list[Tensor]) -> Sequence[Tensor]:
        return torch.gru(
            x, states[0], self._weights(), self.bias, self.num_layers, self.dropout, self.training, self.bidirectional,
            self.batch_first,
        )  # fmt: skip


def recurrent_matrices(dense: nn.LSTM | nn.GRU) -> tuple[Matrix, ...]:
    """The matrices of a dense layer that become cascades: each gate's, those of inputs and states apart."""
    gates = (SparseLSTM if isinstance(dense, nn.LSTM) else SparseGRU).gates
    return tuple(
        Matrix(f"cascades.{name}", n_in, n_out, n_in * n_out, is_folded=True)
        for name, n_in, n_out in _sizes(dense, gates)
    )


def replace_recurrent(
    dense: nn.LSTM | nn.GRU, topology: Source | Mapping[str, Source], *, weights: Fit | None = None
) -> SparseLSTM | SparseGRU:
    """A sparse layer to put where ``dense`` is: the same arguments, device, dtype and mode, and copies of its biases.

    The topology is as for :class:`SparseLSTM`; the edges start, and what is raised is, as for :func:`replace_linear`.
    """
    sort = SparseLSTM if isinstance(dense, nn.LSTM) else SparseGRU
    like = next(dense.parameters())
    sparse = sort(
        dense.input_size, dense.hidden_size, topology, dense.num_layers, dense.bias, dense.batch_first, dense.dropout,
        dense.bidirectional, **({"proj_size": dense.proj_size} if dense.proj_size else {}),
        device=like.device, dtype=like.dtype,
    )  # fmt: skip
    for name in sparse._order:
        old = getattr(dense, name)
        if name.startswith("bias"):
            take_parameter(getattr(sparse, name), old, not old.requires_grad)
            continue
        names = _of_gates(name, sort.gates)
        for one, part in zip(names, old.chunk(len(names)), strict=True):
            take_weight(cast(SparseCascade, sparse.cascades[one]), part, not old.requires_grad, weights)
    return sparse.train(dense.training)


def topologies_by_name(topologies: Mapping[str, Topology]) -> dict[str, Topology]:
    """Topologies by where their cascades stand in the layer, as the layer's argument."""
    return {path.removeprefix("cascades."): topology for path, topology in topologies.items()}


def _sizes(dense: nn.RNNBase, gates: str) -> Iterator[tuple[str, int, int]]:
    """Name, inputs and outputs of every matrix of a dense layer."""
    for name in (name for of_layer in dense._all_weights for name in of_layer):
        if name.startswith("weight"):
            names = _of_gates(name, gates)
            n_out, n_in = getattr(dense, name).shape
            yield from ((one, n_in, n_out // len(names)) for one in names)


def _short(name: str) -> str:
    return name.removeprefix("weight_")


def _of_gates(name: str, gates: str) -> list[str]:
    """The matrices that one of PyTorch's weights holds one below another; a projection has no gates."""
    short = _short(name)
    return [short] if short.startswith("hr") else [f"{short}_{gate}" for gate in gates]
