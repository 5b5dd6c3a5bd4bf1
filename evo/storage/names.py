"""Names that stand in journals: the rows of the final table, and the phases of a run."""

from __future__ import annotations

PARALLEL_BUTTERFLY = "parallel_butterfly"
"""The family whose tuned member is the hand-derived answer (paper, VII-E), and the baseline wherever it has one."""

BASELINES = {
    PARALLEL_BUTTERFLY: "parallel butterfly",
    "butterfly": "butterfly",
    "clos": "Clos",
    "hypercube": "hypercube",
    "torus": "torus",
    "monarch": "Monarch",
    "radix_net": "RadiX-Net",
    "random_regular": "random regular",
}
"""The families that are tuned, and what their rows of the final table are called."""

GIVEN_BASELINE = "given baseline"
EVOLVED = "evolved champion"
RANDOM_SEARCH = "random search"
GROWTH_RULE = "growth rule"
"""The other rows of the final table."""

GRID_STEPS = 3
"""Steps that a grid of learning rates and weight decays may grow, at most."""

BASELINE_ERROR = "baseline"
"""The phase in which the baseline is scored as a candidate is."""


def tuning(family: str) -> str:
    """The phase in which a family's members are tried."""
    return f"tune {family}"


def validation(row: str) -> str:
    """The phase in which the finalists for a row are ranked on the validation targets."""
    return f"validation: {row}"


def final_validation(row: str) -> str:
    """The phase in which the best third of them is ranked again, on more validation targets."""
    return f"final validation: {row}"


def beyond(row: str, step: int) -> str:
    """The phase in which the best third is tried at learning rates and weight decays beyond the grid, step by step."""
    return f"beyond the grid {step}: {row}"


def test(row: str) -> str:
    """The phase in which a row's topology is scored on the test targets."""
    return f"test: {row}"


def searched(row: str) -> str:
    """The phase in which a row's topology is scored as candidates are, where finalists are ranked otherwise."""
    return f"search error: {row}"


def is_of_the_end(phase: str) -> bool:
    """Whether a phase comes after the search itself, and so anew when the search is extended."""
    return phase.startswith(("validation: ", "beyond the grid ", "final validation: ", "search error: ", "test: "))
