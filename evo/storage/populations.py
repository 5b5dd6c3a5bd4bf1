"""Who survived each generation of a search, found again from its journal."""

from __future__ import annotations

from itertools import groupby

from evo.algorithm.level import levelled
from evo.algorithm.nsga2 import Policy
from evo.algorithm.selection import Rank, comparable, surviving
from evo.storage.history import History
from evo.storage.records import ScoreRecord


def populations(history: History) -> list[list[int]]:
    """The numbers of the candidates that survived each generation of evolution, generation 0 first.

    Only generations that were processed count.
    """
    wanted, count = history.settings["objectives"], history.settings["loop"]["population"]
    processed = len(history.generations(Policy.EVOLUTION))
    found: list[list[int]] = []
    population: list[ScoreRecord] = []
    for generation, members in groupby(history.scores(Policy.EVOLUTION.value), lambda one: one.origin.generation):
        if generation is None or generation >= processed:
            break
        everyone = [*population, *members]
        errors = levelled([one.score.errors if one.score else () for one in everyone])
        ranks = [
            Rank(comparable(error, [one.measures.get(name, float("inf")) for name in wanted]), one.depth)
            for error, one in zip(errors, everyone, strict=True)
        ]
        population = [everyone[place] for place in surviving(ranks, count)]
        found.append([one.number for one in population])
    return found
