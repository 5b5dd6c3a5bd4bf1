"""The rival that is compiled as well: masked dense layers in JAX, all targets and steps in one program.

``jit`` of ``vmap`` over targets of ``scan`` over steps, gradients by autodiff, Adam written out. Tried on one core and
not faster: the transposed product, the product from the right, sums of elementwise products, a loop over targets,
unrolled steps, masks on the gradients alone, 512-bit vectors. Adam on the edges alone, with the dense layers gathered
from them, is up to 15 % faster on butterflies, where the kernel is ten times as fast, and not elsewhere. Copying the
transposed factors is faster for low rank and slower for Clos: both ``PRODUCTS`` run, and the faster counts.
"""

from __future__ import annotations

import os

os.environ["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"
os.environ["JAX_PLATFORMS"] = "cpu"

import time
from collections.abc import Callable
from functools import reduce
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from evaluators.reconstruction.schedule import EPSILON, Schedule
from tests.benchmarks import afternoon
from topologies.topology import Topology

Array = jax.Array
Product = Callable[[Array, Array], Array]


@jax.custom_vjp
def copying_product(a: Array, b: Array) -> Array:
    """A matrix product whose gradients copy the transposed factors first: XLA multiplies those by slower code."""
    return a @ b


def _copying_gradients(factors: tuple[Array, Array], arriving: Array) -> tuple[Array, Array]:
    a, b = jax.lax.optimization_barrier((factors[0].T, factors[1].T))
    return arriving @ b, a @ arriving


copying_product.defvjp(lambda a, b: (a @ b, (a, b)), _copying_gradients)

PRODUCTS: tuple[Product, ...] = (jnp.matmul, copying_product)


def compiled(
    topology: Topology,
    weights: NDArray[np.float32],
    targets: NDArray[np.float32],
    peak: float,
    schedule: Schedule,
    product: Product = jnp.matmul,
) -> tuple[Callable[[], NDArray[np.float32]], float]:
    """A run that returns the least squared error of each target, and the seconds its compilation took.

    Arguments as ``evaluators.reconstruction.cpu.train``'s, with one peak learning rate for all targets.
    """
    trainable = [jnp.asarray(mask == 1, jnp.float32) for mask in topology.masks()]
    constant = [jnp.asarray(mask == 2, jnp.float32) if (mask == 2).any() else None for mask in topology.masks()]
    steps = np.arange(1, len(schedule.rates) + 1)
    pace = np.float32(peak) * schedule.rates / (1 - schedule.beta_1**steps).astype(np.float32)
    correction = np.sqrt(1 - schedule.beta_2**steps).astype(np.float32)

    def error(weights: list[Array], target: Array) -> Array:
        layers = [
            weight * mask if ones is None else weight * mask + ones
            for weight, mask, ones in zip(weights, trainable, constant, strict=True)
        ]
        return jnp.square(reduce(product, layers) - target).sum()

    def train(start: list[Array], target: Array) -> Array:
        def step(state: Any, at: tuple[Array, Array]) -> tuple[Any, None]:
            weights, means, squares, best = state
            now, gradients = jax.value_and_grad(error)(weights, target)
            means = [schedule.beta_1 * m + (1 - schedule.beta_1) * g for m, g in zip(means, gradients, strict=True)]
            squares = [
                schedule.beta_2 * v + (1 - schedule.beta_2) * g * g for v, g in zip(squares, gradients, strict=True)
            ]
            weights = [
                w - at[0] * m / (jnp.sqrt(v) / at[1] + EPSILON) for w, m, v in zip(weights, means, squares, strict=True)
            ]
            return (weights, means, squares, jnp.minimum(best, now)), None

        zeros = [jnp.zeros_like(weight) for weight in start]
        return jax.lax.scan(step, (start, zeros, zeros, jnp.float32(jnp.inf)), (pace, correction))[0][-1]

    arguments = jax.device_put(([dense.numpy() for dense in afternoon.dense_layers(topology, weights)], targets))
    begin = time.perf_counter()
    program = jax.jit(jax.vmap(train)).lower(*arguments).compile()
    return lambda: np.asarray(program(*arguments)), time.perf_counter() - begin
