"""Where evaluators run: in this process, or in Ray actors here or on many nodes. Knows nothing of evolution."""

from cluster.in_process import InProcessPool
from cluster.pool import Pool

__all__ = ["InProcessPool", "Pool"]
