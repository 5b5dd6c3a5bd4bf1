"""The cheap score against the error that it stands for."""

from __future__ import annotations

from scipy.stats import spearmanr

from evaluators import Fidelity, MatrixReconstruction, Split, default_score
from topologies.families import FAMILIES, members


def test_the_cheap_score_ranks_members_of_all_families_as_the_error_does() -> None:
    found = [one for family in FAMILIES for one in members(family, 12, 12, 80)[:4]]
    topologies = [one.topology() for one in found]
    fidelity = Fidelity(16, 2000, (0.3, 0.6, 1.2))
    errors = [MatrixReconstruction().evaluate(one, fidelity, Split.TEST, 1).error for one in topologies]
    correlation = spearmanr([default_score(one) for one in topologies], errors).statistic
    assert len(topologies) > 20 and correlation > 0.95
