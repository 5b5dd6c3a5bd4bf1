"""The colours that stand for families and for ways to search: no two of them are alike, in any picture."""

from __future__ import annotations

from evo.algorithm.individual import SAMPLED
from evo.storage.names import OWN

EVOLUTION, RANDOM_SEARCH, BASELINE = "#1f6fb2", "#9a7a2f", "#e8853d"
"""Of evolution, of random search, and of the topology to beat: most often the parallel butterfly, so as that."""

SERIES = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#5f6b75", "#1f2a33")
"""Of things side by side that are no families: Okabe and Ito's colours, told apart with every kind of colour vision."""
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
"""Their marks, so that colour is not all that tells them apart."""

FAMILIES = {
    "parallel_butterfly": BASELINE,
    "butterfly": "#2a9d8f",
    "clos": "#4f5fd6",
    "hypercube": "#8c564b",
    "torus": "#7a8b2f",
    "random_regular": "#8e5bb0",
    "expander": "#d81b60",
    "bernoulli": "#17a9d6",
    "low_rank": "#a8a000",
    "dense": "#4d5a66",
    "monarch": "#e377c2",
    "radix_net": "#1b7f3b",
    "evolved": "#ff5a36",
    "patches": "#f0b400",
    "local_butterfly": "#78c832",
    "reordered_parallel_butterfly": "#a63c00",
    "reordered_butterfly": "#00625c",
    "reordered_clos": "#2b2f8f",
    "reordered_monarch": "#96306b",
    OWN: "#d62728",
    SAMPLED: "#8a96a1",
    "random": "#74b9ff",
    "perturbed": "#f4978e",
}
"""Of every family that candidates descend from, that is tuned, or that a study draws from."""

_OTHER = "#5f6b75"


def family_colour(family: str) -> str:
    """The colour of a family; grey of one that is not ours."""
    return FAMILIES.get(family, _OTHER)
