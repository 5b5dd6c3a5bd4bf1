"""The ancestors of a champion as a graph like those of version control: a row each, the youngest on top, and lanes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from evo.algorithm.nsga2 import Policy
from evo.storage.history import History
from evo.storage.records import ScoreRecord


@dataclass(frozen=True)
class Ancestor:
    """A row of the graph: a candidate in its lane, and the rows of its parents, the first parent first."""

    record: ScoreRecord
    lane: int
    parents: tuple[int, ...]
    change: float | None
    """Its error less its first parent's; None where it has none, or one of both failed."""


def ancestry(history: History, candidate: ScoreRecord) -> list[Ancestor]:
    """A candidate and all that it descends from by any parent, the youngest first; every first parent is below it.

    Lane 0 is the line of first parents. A second parent opens a lane of its own, in which its first parents follow
    until they meet a lane that is there already.
    """
    by_number = {one.number: one for one in history.scores(Policy.EVOLUTION.value)}
    waiting, found = [candidate.number], set[int]()
    while waiting:
        number = waiting.pop()
        if number not in found:
            found.add(number)
            waiting.extend(by_number[number].origin.parents)
    order = sorted(found, reverse=True)
    rows, lanes = {number: row for row, number in enumerate(order)}, _lanes(order, by_number)
    return [
        Ancestor(
            by_number[number],
            lanes[number],
            tuple(rows[parent] for parent in dict.fromkeys(by_number[number].origin.parents)),
            _change(by_number[number], by_number),
        )
        for number in order
    ]


def _lanes(order: Sequence[int], by_number: Mapping[int, ScoreRecord]) -> dict[int, int]:
    """A lane for every number; ``order`` begins with the youngest, so children come before their parents.

    A lane is free again below the last ancestor in it.
    """
    lanes, free_below = {order[0]: 0}, dict[int, int]()
    for row, number in enumerate(order):
        for place, parent in enumerate(by_number[number].origin.parents):
            if parent in lanes:
                continue
            own = lanes[number]
            lane = (
                own if place == 0 else next(lane for lane in range(1, len(order) + 1) if free_below.get(lane, 0) <= row)
            )
            lanes[parent] = lane
            free_below[lane] = order.index(parent) + 1
    return lanes


def _change(record: ScoreRecord, by_number: Mapping[int, ScoreRecord]) -> float | None:
    if not record.origin.parents:
        return None
    parent = by_number[record.origin.parents[0]]
    return record.error - parent.error if record.score and parent.score else None
