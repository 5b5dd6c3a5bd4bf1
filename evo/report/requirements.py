"""How topologies stand to the four requirements of the paper (section VII-E): met or not, and the number behind."""

from __future__ import annotations

from dataclasses import dataclass

from evaluators.proxies.graph_measures import Requirements, bandwidth, requirements
from topologies.expression import is_expression
from topologies.growth import Growth, growth
from topologies.topology import Topology

_EVEN = 1e-9
"""Unfairness that is rounding."""


@dataclass(frozen=True)
class Standing:
    """One requirement: the number behind it, what that number is, and whether it is met, None where nobody can tell."""

    requirement: str
    number: str
    meaning: str
    is_met: bool | None


def standings(topology: Topology, name: str) -> tuple[Standing, ...]:
    """A topology and the four requirements, in the paper's order.

    That depth and bandwidth do not depend on the number of parameters is said of the line of a family, so that it
    takes ``name`` to be an expression; of a file bandwidth is judged by itself, and depth is not.
    """
    found = requirements(topology)
    grown = growth(name) if is_expression(name) else None
    return (
        Standing("skip connections (VII-A)", f"{found.skips:.0%}", "of the neurons with two edges", found.skips == 1),
        Standing("no variance of K (VII-B)", f"{found.unfairness:.3f}", "unfairness", found.unfairness < _EVEN),
        _depth(found, grown),
        _bandwidth(found, grown),
    )


def _depth(found: Requirements, grown: Growth | None) -> Standing:
    requirement, meaning = "constant depth (VII-C)", "the depth"
    if grown is None:
        return Standing(requirement, f"{found.depth}", f"{meaning}; a matter of its family", None)
    depths = (grown.least.depth, found.depth, grown.doubled.depth)
    meaning += f", and with {grown.doubled.n_trainable} trained edges"
    return Standing(requirement, f"{found.depth}, {grown.doubled.depth}", meaning, len(set(depths)) == 1)


def _bandwidth(found: Requirements, grown: Growth | None) -> Standing:
    requirement, meaning = "high bandwidth (VII-D)", f"of {found.full_bandwidth} paths without a common neuron"
    if grown is None:
        return Standing(requirement, f"{found.bandwidth}", meaning, found.bandwidth == found.full_bandwidth)
    least = bandwidth(grown.least)
    meaning += f", and with {grown.least.n_trainable} trained edges"
    is_met = min(found.bandwidth, least) == found.full_bandwidth
    return Standing(requirement, f"{found.bandwidth}, {least}", meaning, is_met)
