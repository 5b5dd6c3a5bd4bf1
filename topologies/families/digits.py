"""Neurons as numbers in a mixed radix system, and the layers that change their digits.

Butterfly, hypercube, torus, Monarch and RadiX-Net join a neuron with itself and with neurons whose numbers
differ from its own in one digit; they differ only in which digit, and by how much.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache
from math import log2, prod

import numpy as np
from numpy.typing import NDArray

from topologies.layer import Layer

Numbers = NDArray[np.int64]


def radices(n: int, radix: int = 2) -> tuple[int, ...]:
    """The radices whose product is ``n``, each as near to ``radix`` as ``n`` allows, lowest digit first.

    Each is the largest divisor of what remains that is at most ``radix``; where there is none, the smallest
    prime. So 48 = 2 * 2 * 2 * 2 * 3, 32 = 4 * 4 * 2 by radix 4, and a prime is its own radix.
    """
    found: list[int] = []
    while n > 1:
        small = [divisor for divisor in divisors(n) if divisor <= radix]
        found.append(small[-1] if small else divisors(n)[0])
        n //= found[-1]
    return tuple(found)


@lru_cache(maxsize=1024)
def divisors(n: int) -> tuple[int, ...]:
    """Divisors of ``n`` from 2 to ``n``, ascending."""
    low = [divisor for divisor in range(1, int(n**0.5) + 1) if n % divisor == 0]
    return tuple(sorted({*low, *(n // divisor for divisor in low)} - {1}))


def factorizations(n: int, largest: int | None = None) -> Iterator[tuple[int, ...]]:
    """Every way to write ``n`` as a product of numbers from 2, in descending order: (8,), (4, 2), (2, 2, 2)."""
    if n == 1:
        yield ()
        return
    for first in reversed(divisors(n)):
        if first <= (largest or n):
            yield from ((first, *rest) for rest in factorizations(n // first, first))


def log_product(system: Sequence[int], depth: int) -> float:
    """The base-2 logarithm of the product of the radices of so many layers, which take the digits in turn."""
    rounds, rest = divmod(depth, len(system))
    return rounds * log2(prod(system)) + log2(prod(system[:rest]))


def strides(system: Sequence[int]) -> list[int]:
    """The place value of every digit, lowest first: the product of the radices before it."""
    return [prod(system[:place]) for place in range(len(system))]


def moved(n: int, stride: int, radix: int, by: int) -> Numbers:
    """For each of ``n`` neurons, the one whose digit at ``stride`` is ``by`` further round; shape ``(n,)``."""
    neurons = np.arange(n)
    digit = neurons // stride % radix
    return neurons + ((digit + by) % radix - digit) * stride


def square_layer(others: Sequence[Numbers], skip: bool) -> Layer:
    """The layer that joins neuron ``i`` with itself and with ``others[k][i]`` for every ``k``.

    The self edge is the constant one where ``skip`` is set (paper, VII-A).
    """
    neurons = np.arange(others[0].size)
    trainable = np.ones((len(others) + 1, neurons.size), dtype=np.bool_)
    trainable[0] = not skip
    sources = np.concatenate((neurons, *others))
    return Layer(neurons.size, neurons.size, sources, np.tile(neurons, len(others) + 1), trainable.ravel())


def digit_layers(system: Sequence[int], skip: bool) -> list[Layer]:
    """For every digit, the layer that joins neurons which agree in all digits except possibly that one."""
    return [
        square_layer([moved(prod(system), stride, radix, by) for by in range(1, radix)], skip)
        for stride, radix in zip(strides(system), system, strict=True)
    ]
