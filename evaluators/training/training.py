"""How a model is trained: AdamW with decoupled weight decay under a one-cycle learning rate, in mini-batches.

Equal arguments give equal bits: one thread, fixed sizes of batches, and memory that is aligned as PyTorch aligns it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from evaluators.training.data import Part

WARM_UP = 0.3
"""Share of the steps in which the rate rises to its peak."""
FIRST, LAST = 1 / 25, 1 / 250_000
"""Learning rate of the first and of the last step, relative to the peak."""
BETA_1_AT_PEAK, BETA_1_AT_ENDS, BETA_2 = 0.85, 0.95, 0.999
"""AdamW's memories; that of the gradient is shortest where the rate is highest."""
SCORED_AT_ONCE = 1000
"""Examples in a batch that is only scored."""


@contextmanager
def alone(seed: int) -> Iterator[None]:
    """One thread, and PyTorch's global generator at a seed; both are put back afterwards."""
    threads = torch.get_num_threads()
    with torch.random.fork_rng(devices=[]):
        torch.set_num_threads(1)
        torch.manual_seed(seed)
        try:
            yield
        finally:
            torch.set_num_threads(threads)


def batch_size(examples: int) -> int:
    """The usual size of a mini-batch: a power of two from 16 to 256, so that an epoch has at least 25 if it can."""
    return int(min(256, max(16, 2 ** int(math.log2(max(1, examples / 25))))))


def one_cycle(steps: int) -> list[tuple[float, float]]:
    """The learning rate of every step relative to the peak, and beta 1: half a cosine up, half a cosine down.

    A single step is at the peak.
    """
    if steps == 1:
        return [(1.0, BETA_1_AT_PEAK)]
    top = WARM_UP * steps - 1
    found = []
    for step in range(steps):
        if step <= top:
            part, rate, beta = step / top if top > 0 else 1.0, (FIRST, 1.0), (BETA_1_AT_ENDS, BETA_1_AT_PEAK)
        else:
            part = (step - top) / (steps - 1 - top)
            rate, beta = (1.0, LAST), (BETA_1_AT_PEAK, BETA_1_AT_ENDS)
        found.append((_between(*rate, part), _between(*beta, part)))
    return found


def _between(start: float, end: float, part: float) -> float:
    return end + (start - end) * (1 + math.cos(math.pi * part)) / 2


def train(
    model: nn.Module,
    part: Part,
    epochs: int,
    rate: float,
    weight_decay: float,
    batch: int,
    draws: np.random.Generator,
) -> None:
    """Train a model in place.

    Parameters
    ----------
    model:
        Maps ``(batch, inputs)`` to ``(batch, outputs)``.
    part:
        Examples; every epoch sees them in a new order, but for those that fill no whole batch.
    epochs, rate, weight_decay:
        How long, the peak learning rate, and the decoupled weight decay of all parameters.
    batch:
        Examples in a mini-batch.
    draws:
        Shuffles.
    """
    batch = min(batch, len(part))
    per_epoch = len(part) // batch
    adam = torch.optim.AdamW(model.parameters(), rate, weight_decay=weight_decay, fused=True)
    schedule = iter(one_cycle(epochs * per_epoch))
    rows = _Rows(part, batch)
    model.train()
    for _ in range(epochs):
        order = draws.permutation(len(part))
        for step in range(per_epoch):
            now, beta = next(schedule)
            for group in adam.param_groups:
                group["lr"], group["betas"] = rate * now, (beta, BETA_2)
            x, y = rows.take(order[step * batch : (step + 1) * batch])
            adam.zero_grad(set_to_none=True)
            _loss(model(x), y).backward()  # type: ignore[no-untyped-call]
            adam.step()


def error(model: nn.Module, part: Part) -> float:
    """Share of the examples that a model gets wrong, or of the variance of quantities that it does not explain.

    Never above 1, which is what the mean of the training part explains: so nothing that diverged scores worse.
    """
    return error_and_errors(model, part)[0]


def error_and_errors(model: nn.Module, part: Part) -> tuple[float, NDArray[np.float64]]:
    """The error that :func:`error` gives, and each example's, shape ``(examples,)``, whose mean it is."""
    model.eval()
    wrong = whole = 0.0
    each = []
    with torch.no_grad():
        for start in range(0, len(part), SCORED_AT_ONCE):
            x, y = _Rows(part, min(SCORED_AT_ONCE, len(part) - start)).take(
                np.arange(start, len(part))[:SCORED_AT_ONCE]
            )
            found = model(x)
            if y.is_floating_point():
                squares = (found - y).square()
                wrong += float(squares.sum(dtype=torch.float64))
                whole += float(y.square().sum(dtype=torch.float64))
                each.append(squares.sum(dim=1, dtype=torch.float64))
            else:
                missed = found.argmax(dim=1) != y
                wrong += int(missed.sum())
                whole += len(y)
                each.append(missed.double())
    if not math.isfinite(wrong):
        return 1.0, np.ones(len(part))
    mean = min(wrong / whole, 1.0) if whole else float(wrong > 0)  # a part that is at the mean has no variance
    errors = torch.cat(each).numpy()
    return mean, errors if part.y.dtype == np.int64 else errors * (mean * len(part) / max(wrong, 1e-300))


def answers(model: nn.Module, part: Part, most: int) -> NDArray[np.float32]:
    """What a model answers to the first examples of a part, so many at most, shape ``(examples, outputs)``."""
    model.eval()
    count = min(most, len(part))
    with torch.no_grad():
        x, _ = _Rows(part, count).take(np.arange(count))
        return np.asarray(model(x).numpy(), dtype=np.float32)


def _loss(found: Tensor, wanted: Tensor) -> Tensor:
    if wanted.is_floating_point():
        return functional.mse_loss(found, wanted)
    return functional.cross_entropy(found, wanted)


class _Rows:
    """Copies examples into tensors that are made once, aligned as PyTorch aligns them: bits may depend on that."""

    def __init__(self, part: Part, count: int) -> None:
        self._part = part
        self._x = torch.empty(count, part.x.shape[1])
        self._y = torch.empty((count, *part.y.shape[1:]), dtype=_DTYPES[part.y.dtype.type])

    def take(self, places: NDArray[np.integer[Any]]) -> tuple[Tensor, Tensor]:
        """The examples at so many places as there is room for; what was taken before is overwritten."""
        np.take(self._part.x, places, axis=0, out=self._x.numpy(), mode="clip")
        np.take(self._part.y, places, axis=0, out=self._y.numpy(), mode="clip")
        return self._x, self._y


_DTYPES: dict[type, torch.dtype] = {np.float32: torch.float32, np.int64: torch.int64}
