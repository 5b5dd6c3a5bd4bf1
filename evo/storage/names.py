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

BETWEEN_PLACES = "; "
"""Between the expressions of the members at a model's places, where they are not all the same."""
REORDERED = {family: f"reordered_{family}" for family in (PARALLEL_BUTTERFLY, "butterfly", "clos", "monarch")}
"""The families whose best members are tried with re-ordered inputs too, and the names under which they are tuned."""

PATCHES = "patches"
LOCAL_BUTTERFLY = "local_butterfly"

OF_SPACE = {
    PATCHES: "patches",
    LOCAL_BUTTERFLY: "re-ordered local butterfly",
    **{name: f"re-ordered {BASELINES[family]}" for family, name in REORDERED.items()},
}
"""What is tuned beside the families where inputs have places, and what the rows are called."""

ROWS = {**BASELINES, **OF_SPACE}
"""The rows of the final table of all that is tuned."""

GIVEN_BASELINE = "given baseline"
EVOLVED = "evolved champion"
RANDOM_SEARCH = "random search"
GROWTH_RULE = "growth rule"
EVOLVED_LAW = "evolved law"
BEST_FOUNDER = "best founder"
SHUFFLED = "shuffled champion"
DENSE = "dense layers"
"""The other rows of the final table. The best founder is of the members of the initial population whose family has no
row of its own, as those that the recipe names; the shuffled champion is the control of its wiring
(:func:`topologies.shuffle.shuffled`); the dense layers are those that cascades stand in for, of many times their
weights."""

UNSEARCHED = (*ROWS.values(), GROWTH_RULE, EVOLVED_LAW, BEST_FOUNDER)
"""The rows of topologies that need no search: hand-derived ones, the rules', and the best that the search was given. A
given baseline is not among them, for it may be the champion of another search."""

OWN = "own"
"""The family of the topologies that a recipe names."""
LAW = "evolved"
"""The family of what the evolved law gives, in which there is nothing to tune but the wiring."""

FOUNDER_ERRORS = "founders"
"""The phase in which the best founder is looked for among scores that are known."""

RETRAINED = "retraining"
"""The phase in which the best of a search on data are trained afresh, on the validation part."""

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
    of_rows = (make("") for make in (validation, final_validation, searched, test))
    grown = (beyond("", step) for step in range(1, GRID_STEPS + 1))
    return phase.startswith((*of_rows, *grown, FOUNDER_ERRORS, RETRAINED))
