"""What the page's charts draw, as plain values: candidates, the best so far, hand-derived members, populations."""

from __future__ import annotations

from collections.abc import Sequence
from math import isfinite
from typing import Any

import numpy as np

from evo.algorithm.nsga2 import Policy
from evo.report.figures import best_members, error_range, family_name, staircase
from evo.report.palette import BASELINE, EVOLUTION, RANDOM_SEARCH, family_colour
from evo.report.words import error_name
from evo.storage.history import History
from evo.storage.names import ROWS
from evo.storage.populations import populations
from evo.storage.records import ScoreRecord
from topologies.order import heights
from topologies.stack import AnyTopology
from topologies.topology import Topology

MOST_EDGES = 20_000
"""A topology of more edges is not drawn by the page, only in the picture beside it."""


def course(history: History) -> dict[str, Any]:
    """The course of a search for the page's script, as JSON has it. Errors are search errors, None where it failed."""
    evolved, sampled = (history.scores(policy.value) for policy in Policy)
    members = best_members(history)
    generations = history.generations(Policy.EVOLUTION)
    baseline = generations[0].baseline if generations else None
    families = list(dict.fromkeys(one.origin.family for one in evolved))
    return {
        "error": f"search error ({error_name(history.searched_by)})",
        "candidates": [_candidate(one, families) for one in evolved],
        "sampled": [[one.number, one.n_edges, _error(one)] for one in sampled],
        "families": [{"name": family_name(one), "colour": family_colour(one)} for one in families],
        "members": [
            {
                "name": ROWS[family],
                "label": one.origin.label,
                "colour": family_colour(family),
                "edges": one.n_edges,
                "error": _error(one),
            }
            for family, one in members.items()
        ],
        "best": [
            {
                "name": policy.value,
                "colour": colour,
                "points": [[one.candidates, one.best] for one in history.generations(policy) if one.best is not None],
            }
            for policy, colour in ((Policy.EVOLUTION, EVOLUTION), (Policy.RANDOM, RANDOM_SEARCH))
        ],
        "baseline": {"name": history.baseline, "colour": BASELINE, "error": baseline},
        "initial": generations[0].candidates if generations else 0,
        "range": error_range([one.error for one in (*evolved, *sampled, *members.values())], baseline),
        "front": list(zip(*staircase(evolved), strict=True)),
        "champion": history.champion.number if history.champion else None,
        "populations": populations(history),
    }


def drawn(topology: AnyTopology) -> list[dict[str, Any]]:
    """The places of a topology for the page's script: widths, and for every layer its edges by kind.

    An edge is the heights of its two neurons as they are drawn. Empty for a topology of more than :data:`MOST_EDGES`.
    """
    if topology.n_edges > MOST_EDGES:
        return []
    return [_place(place) for place in topology.places]


def _place(topology: Topology) -> dict[str, Any]:
    columns = heights(topology)
    layers = []
    for left, right, layer in zip(columns, columns[1:], topology.layers, strict=False):
        ends = np.column_stack([left[layer.sources], right[layer.targets]])
        layers.append({"trainable": ends[layer.trainable].tolist(), "constant": ends[~layer.trainable].tolist()})
    return {"widths": list(topology.widths), "layers": layers}


def _candidate(one: ScoreRecord, families: Sequence[str]) -> list[Any]:
    origin = one.origin
    about = [origin.generation, families.index(origin.family), origin.operator, list(origin.parents)]
    return [one.number, one.n_edges, _error(one), one.n_trainable, one.depth, *about]


def _error(one: ScoreRecord) -> float | None:
    return float(f"{one.error:.6g}") if isfinite(one.error) else None
