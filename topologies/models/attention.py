"""Topologies as a PyTorch layer that stands in for ``torch.nn.MultiheadAttention``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from topologies.models.cascade import SparseCascade, is_trained, refuse_other_topologies
from topologies.models.computed import computed
from topologies.models.matrices import Matrix, assigned
from topologies.models.start import Fit, take_parameter, take_weight
from topologies.names import Source


class SparseMultiheadAttention(nn.Module):
    """Attention whose queries, keys, values and outputs are made by sparse cascades, in place of PyTorch's.

    It has the arguments and results of ``nn.MultiheadAttention`` and stands in ``nn.TransformerEncoderLayer``,
    ``nn.TransformerDecoderLayer`` and what is made of them. In eval mode those read the weights of their parts, where
    those are PyTorch's own; of this one they see that it has none to be read together, and call it.

    Parameters
    ----------
    embed_dim, num_heads, dropout, bias, add_bias_kv, add_zero_attn, kdim, vdim, batch_first, device, dtype:
        As for ``nn.MultiheadAttention``.
    topology:
        One for all matrices, or a mapping from ``q``, ``k``, ``v`` and ``out_proj``, in which ``*`` stands for
        anything, to several; as for :class:`SparseLSTM`.

    Attributes
    ----------
    q, k, v, out_proj:
        The :class:`SparseCascade` of each matrix, with its bias.
    bias_k, bias_v:
        Parameters of shape ``(1, 1, embed_dim)`` with ``add_bias_kv``, else None.

    Raises
    ------
    ValueError
        For topologies of other sizes, names that match nothing, or heads that do not divide ``embed_dim``.
    """

    q: SparseCascade
    k: SparseCascade
    v: SparseCascade
    out_proj: SparseCascade
    bias_k: nn.Parameter | None
    bias_v: nn.Parameter | None

    _qkv_same_embed_dim: ClassVar[bool] = False
    """What keeps ``nn.TransformerEncoderLayer`` from computing with the weights itself: it wants them in one tensor."""

    def __init__(
        self,
        embed_dim: int,
        num_heads: int,
        topology: Source | Mapping[str, Source],
        dropout: float = 0.0,
        bias: bool = True,
        add_bias_kv: bool = False,
        add_zero_attn: bool = False,
        kdim: int | None = None,
        vdim: int | None = None,
        batch_first: bool = False,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        if embed_dim < 1 or num_heads < 1 or embed_dim % num_heads:
            raise ValueError(f"embed_dim is {embed_dim} and num_heads {num_heads}: heads must divide it")
        self.embed_dim, self.num_heads, self.head_dim = embed_dim, num_heads, embed_dim // num_heads
        self.kdim, self.vdim = kdim or embed_dim, vdim or embed_dim
        self.dropout, self.add_zero_attn, self.batch_first = dropout, add_zero_attn, batch_first
        chosen = assigned(topology, _sizes(embed_dim, self.kdim, self.vdim))
        for name in chosen:
            self.add_module(name, SparseCascade(chosen[name], bias, device, dtype))
        for name in ("bias_k", "bias_v"):
            extra = torch.empty(1, 1, embed_dim, device=device, dtype=dtype) if add_bias_kv else None
            self.register_parameter(name, None if extra is None else nn.Parameter(extra))
        self._reset_extra()

    def forward(
        self,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        key_padding_mask: Tensor | None = None,
        need_weights: bool = True,
        attn_mask: Tensor | None = None,
        average_attn_weights: bool = True,
        is_causal: bool = False,
    ) -> tuple[Tensor, Tensor | None]:
        """Outputs, and the weights of attention where they are needed, as ``nn.MultiheadAttention`` gives them.

        Raises
        ------
        TypeError
            When an input is complex, sparse or nested, or no tensor.
        ValueError
            When shapes or masks do not fit; or when ``is_causal`` comes without the ``attn_mask`` that it is a hint of.
        """
        for tensor, cascade in ((query, self.q), (key, self.k), (value, self.v)):
            cascade._check(tensor)
        if query.dim() not in (2, 3) or key.dim() != query.dim() or value.shape[:-1] != key.shape[:-1]:
            shapes = ", ".join(str(tuple(one.shape)) for one in (query, key, value))
            raise ValueError(f"query, key and value have shapes {shapes}: two dimensions each, or three, must fit")
        if is_causal and attn_mask is None:
            raise ValueError("is_causal is a hint that attn_mask is causal: give the mask, too")
        batched = query.dim() == 3
        heads = [self._heads(cascade(x), batched) for cascade, x in ((self.q, query), (self.k, key), (self.v, value))]
        mask = self._mask(attn_mask, key_padding_mask, heads[0], heads[1].shape[2], batched)
        q, (k, v, mask) = heads[0], self._with_extra(heads[1], heads[2], mask)
        dropout = self.dropout if self.training else 0.0
        weights = None
        if need_weights:
            scores = (q * self.head_dim**-0.5) @ k.mT
            weights = functional.softmax(scores if mask is None else scores + mask, dim=-1)
            weights = functional.dropout(weights, dropout)
            y = weights @ v
            weights = weights.mean(dim=1) if average_attn_weights else weights
        else:
            y = functional.scaled_dot_product_attention(q, k, v, mask, dropout)
        y = self.out_proj(y.transpose(1, 2).flatten(2))
        if not batched:
            return y.squeeze(0), None if weights is None else weights.squeeze(0)
        return y if self.batch_first else y.transpose(0, 1), weights

    @property
    def in_proj_weight(self) -> Tensor:
        """The matrices of q, k and v one below another where they have one size, for code that reads them: computed.

        ``nn.TransformerEncoder`` asks for it before it decides to leave the layer to itself.
        """
        return computed(torch.cat([one.dense().T for one in (self.q, self.k, self.v)]))

    @property
    def in_proj_bias(self) -> Tensor | None:
        """The biases of q, k and v one after another, or None."""
        biases: list[Tensor] = [one.bias for one in (self.q, self.k, self.v) if one.bias is not None]
        return torch.cat(biases) if biases else None

    def reset_parameters(self) -> None:
        """Draw the weights anew, as :meth:`SparseCascade.reset_parameters` does."""
        for cascade in (self.q, self.k, self.v, self.out_proj):
            cascade.reset_parameters()
        self._reset_extra()

    def to_multihead_attention(self) -> nn.MultiheadAttention:
        """An ordinary ``nn.MultiheadAttention`` that computes the same, for inference or export."""
        like = nn.MultiheadAttention(
            self.embed_dim, self.num_heads, self.dropout, self.q.bias is not None, self.bias_k is not None,
            self.add_zero_attn, self.kdim, self.vdim, self.batch_first, device="meta",
        )  # fmt: skip
        matrices = [one.dense().T.detach() for one in (self.q, self.k, self.v)]
        trained = [is_trained(one, "edge_weight") for one in (self.q, self.k, self.v)]
        if like.in_proj_weight is not None:
            like.in_proj_weight = nn.Parameter(torch.cat(matrices), requires_grad=any(trained))
        else:
            for name, matrix, learns in zip("qkv", matrices, trained, strict=True):
                setattr(like, f"{name}_proj_weight", nn.Parameter(matrix.contiguous(), requires_grad=learns))
        if self.in_proj_bias is not None:
            learns = any(is_trained(one, "bias") for one in (self.q, self.k, self.v))
            like.in_proj_bias = nn.Parameter(self.in_proj_bias.detach(), requires_grad=learns)
        out = self.out_proj.to_linear()
        like.out_proj.weight, like.out_proj.bias = out.weight, out.bias
        for name, extra in (("bias_k", self.bias_k), ("bias_v", self.bias_v)):
            if extra is not None:
                setattr(like, name, nn.Parameter(extra.detach().clone(), requires_grad=extra.requires_grad))
        return like.train(self.training)

    def extra_repr(self) -> str:
        """What the cascades do not say, for ``print(model)``."""
        return f"{self.embed_dim}, {self.num_heads}, batch_first={self.batch_first}"

    def _reset_extra(self) -> None:
        for extra in (self.bias_k, self.bias_v):
            if extra is not None:
                nn.init.xavier_normal_(extra)

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *others: Any) -> None:
        """PyTorch's own, but nothing is copied where one of the cascades has another topology."""
        refuse_other_topologies(self, state_dict, prefix)
        super()._load_from_state_dict(state_dict, prefix, *others)

    def _heads(self, x: Tensor, batched: bool) -> Tensor:
        """``(batch, heads, length, width of a head)``."""
        if not batched:
            x = x.unsqueeze(0)
        elif not self.batch_first:
            x = x.transpose(0, 1)
        return x.unflatten(-1, (self.num_heads, self.head_dim)).transpose(1, 2)  # type: ignore[no-untyped-call, no-any-return]

    def _mask(
        self, attn_mask: Tensor | None, padding: Tensor | None, q: Tensor, n_keys: int, batched: bool
    ) -> Tensor | None:
        """What is added to the scores, minus infinity where a key is not to be seen; both masks as one."""
        batch, heads, n_queries, _ = q.shape
        total = None
        if attn_mask is not None:
            shapes = [(n_queries, n_keys), (batch * heads, n_queries, n_keys)]
            if tuple(attn_mask.shape) not in shapes:
                raise ValueError(f"attn_mask has shape {tuple(attn_mask.shape)}: {shapes[0]} or {shapes[1]} is wanted")
            total = _added(attn_mask, q.dtype, "attn_mask")
            total = total.view(batch, heads, n_queries, n_keys) if total.dim() == 3 else total
        if padding is not None:
            wanted = (batch, n_keys) if batched else (n_keys,)
            if tuple(padding.shape) != wanted:
                raise ValueError(f"key_padding_mask has shape {tuple(padding.shape)}: {wanted} is wanted")
            hidden = _added(padding, q.dtype, "key_padding_mask").view(batch, 1, 1, n_keys)
            total = hidden if total is None else total + hidden
        return total

    def _with_extra(self, k: Tensor, v: Tensor, mask: Tensor | None) -> tuple[Tensor, Tensor, Tensor | None]:
        """With the keys and values that every query sees beside those given: learned ones, and zeros."""
        batch, heads, _, width = k.shape
        extra = 0
        if self.bias_k is not None and self.bias_v is not None:
            shape = batch, heads, 1, width
            k = torch.cat([k, self.bias_k.to(k.dtype).view(1, *shape[1:]).expand(shape)], dim=2)
            v = torch.cat([v, self.bias_v.to(v.dtype).view(1, *shape[1:]).expand(shape)], dim=2)
            extra += 1
        if self.add_zero_attn:
            k, v = (functional.pad(one, (0, 0, 0, 1)) for one in (k, v))
            extra += 1
        return k, v, functional.pad(mask, (0, extra)) if mask is not None and extra else mask


def attention_matrices(dense: nn.MultiheadAttention) -> tuple[Matrix, ...]:
    """The matrices of a dense layer that become cascades."""
    sizes = _sizes(dense.embed_dim, dense.kdim or dense.embed_dim, dense.vdim or dense.embed_dim)
    return tuple(Matrix(name, n_in, n_out, n_in * n_out) for name, (n_in, n_out) in sizes.items())


def attention_parameters(dense: nn.MultiheadAttention) -> set[str]:
    """The names of a dense layer's parameters, those that are None included."""
    extra = {"bias_k", "bias_v"} if dense.bias_k is not None else set[str]()
    own = {"in_proj_weight", "in_proj_bias", *(f"{name}_proj_weight" for name in "qkv")}
    return own | extra | {"out_proj.weight", "out_proj.bias"}


def replace_attention(
    dense: nn.MultiheadAttention, topology: Source | Mapping[str, Source], *, weights: Fit | None = None
) -> SparseMultiheadAttention:
    """A sparse layer to put where ``dense`` is: the same arguments, device, dtype and mode, and copies of its biases.

    The topology is as for :class:`SparseMultiheadAttention`; the edges start, and what is raised is, as for
    :func:`replace_linear`.
    """
    out = dense.out_proj
    sparse = SparseMultiheadAttention(
        dense.embed_dim, dense.num_heads, topology, dense.dropout, dense.in_proj_bias is not None,
        dense.bias_k is not None, dense.add_zero_attn, dense.kdim, dense.vdim, dense.batch_first,
        out.weight.device, out.weight.dtype,
    )  # fmt: skip
    whole = dense.in_proj_weight
    three = [getattr(dense, f"{name}_proj_weight") for name in "qkv"] if whole is None else whole.chunk(3)
    biases = [None] * 3 if dense.in_proj_bias is None else dense.in_proj_bias.chunk(3)
    for name, matrix, bias in zip("qkv", three, biases, strict=True):
        cascade: SparseCascade = getattr(sparse, name)
        take_weight(cascade, matrix, not (matrix if whole is None else whole).requires_grad, weights)
        take_parameter(cascade.bias, bias, dense.in_proj_bias is not None and not dense.in_proj_bias.requires_grad)
    take_weight(sparse.out_proj, out.weight, not out.weight.requires_grad, weights)
    take_parameter(sparse.out_proj.bias, out.bias, out.bias is not None and not out.bias.requires_grad)
    for name in ("bias_k", "bias_v"):
        old = getattr(dense, name)
        take_parameter(getattr(sparse, name), old, old is not None and not old.requires_grad)
    return sparse.train(dense.training)


def _sizes(embed_dim: int, kdim: int, vdim: int) -> dict[str, tuple[int, int]]:
    """Inputs and outputs of every matrix."""
    inputs = {"q": embed_dim, "k": kdim, "v": vdim, "out_proj": embed_dim}
    return {name: (n_in, embed_dim) for name, n_in in inputs.items()}


def _added(mask: Tensor, dtype: torch.dtype, name: str) -> Tensor:
    """A mask as what is added to scores: true, of truth values, is what is hidden."""
    if mask.dtype == torch.bool:
        return torch.zeros(mask.shape, dtype=dtype, device=mask.device).masked_fill(mask, float("-inf"))
    if not mask.is_floating_point():
        raise ValueError(f"{name} is {mask.dtype}: truth values or real numbers are wanted")
    return mask.to(dtype)
