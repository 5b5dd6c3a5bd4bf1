"""Threads for kernels that let go of Python's lock: as many as PyTorch uses, made again after a fork.

Numba's own parallel loops kill forked workers of a data loader under one of its threading layers and abort under
another when two threads enter at once.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import torch

_pools: dict[int, ThreadPoolExecutor] = {}
os.register_at_fork(after_in_child=_pools.clear)


def in_parallel(run: Callable[[int, int], None], count: int, size: int) -> None:
    """``run(first, last)`` for consecutive ranges of ``size`` (the last may be shorter) that make up ``count``.

    The ranges do not depend on the number of threads, which is :func:`torch.get_num_threads`. The caller's own thread
    runs everything where that is one. What a range raises is raised here.
    """
    ranges = [(first, min(first + size, count)) for first in range(0, count, size)]
    threads = min(torch.get_num_threads(), len(ranges))
    if threads < 2:
        for first, last in ranges:
            run(first, last)
        return
    if threads not in _pools:
        _pools[threads] = ThreadPoolExecutor(threads, thread_name_prefix="evofabric-kernel")
    for done in [_pools[threads].submit(run, *one) for one in ranges]:
        done.result()
