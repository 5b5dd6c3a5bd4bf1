"""What every layer with a topology promises; a new layer is tested by a class that inherits all of it."""

from __future__ import annotations

from tests.contracts.layers.derivatives import Derivatives
from tests.contracts.layers.numbers import Numbers
from tests.contracts.layers.precision import Precision
from tests.contracts.layers.programs import Programs
from tests.contracts.layers.training import Company, Training
from tests.contracts.layers.weights import Checkpoints, Copies, WithoutMemory


class LayerContract(Numbers, Derivatives, Precision, Checkpoints, Copies, WithoutMemory, Programs, Training, Company):
    """The whole contract: beside its dense twin a layer behaves as one of PyTorch's own."""
