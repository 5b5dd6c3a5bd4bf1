"""PyTorch modules that run a topology in a model, and whole models converted to them.

>>> import topologies.models as tm
>>> model = tm.convert(model, density=0.1)
"""

from topologies.models.attention import SparseMultiheadAttention, replace_attention
from topologies.models.cascade import SparseCascade
from topologies.models.changes import Plan
from topologies.models.checkpoint import load, save
from topologies.models.circulant import BlockCirculantLinear
from topologies.models.convert import convert
from topologies.models.fold import fold
from topologies.models.groups import parameter_groups
from topologies.models.hashed import HashedLinear
from topologies.models.plan import plan
from topologies.models.pointwise import SparseConv1x1
from topologies.models.recurrent import SparseGRU, SparseLSTM, replace_recurrent
from topologies.models.replace import replace_conv1d, replace_conv1x1, replace_linear
from topologies.models.separable import SparseConv2d, replace_conv2d

__all__ = [
    "BlockCirculantLinear",
    "HashedLinear",
    "Plan",
    "SparseCascade",
    "SparseConv1x1",
    "SparseConv2d",
    "SparseGRU",
    "SparseLSTM",
    "SparseMultiheadAttention",
    "convert",
    "fold",
    "load",
    "parameter_groups",
    "plan",
    "replace_attention",
    "replace_conv1d",
    "replace_conv1x1",
    "replace_conv2d",
    "replace_linear",
    "replace_recurrent",
    "save",
]
