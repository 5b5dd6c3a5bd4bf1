"""How near `Family.fit` comes to the best member of each family, and how long it and the lists of members take.

Run with `python -m tests.benchmarks.fit`; takes some minutes.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from functools import cache

from rich.console import Console
from rich.table import Table

from evaluators import MatrixReconstruction
from evaluators.task import Fidelity, Split
from tests.benchmarks.problems import geometric_mean, table
from topologies.expression import parse
from topologies.families import FAMILIES, members

FIDELITY = Fidelity(4, 300, (0.6, 1.2, 2.4))
CHOSEN_ON = {(32, 32): (160, 320, 480, 640, 800, 960), (24, 40): (160, 192, 320, 480, 600, 768, 900)}
FRESH = {(32, 32): (240, 400, 560, 720), (24, 40): (240, 400, 540, 700), (36, 36): (500, 800), (48, 20): (350, 650)}
"""Sizes and budgets that the weights of the families' handicaps were chosen on, and others."""
TOLD_APART = 0.02
"""Errors below this differ by more between two sets of targets than between neighbouring members."""
LARGE = (
    (784, 10, 1960),
    (784, 100, 19_600),
    (784, 256, 50_176),
    (768, 3072, 589_824),
    (2048, 1000, 512_000),
    (4096, 4096, 4_194_304),
    (3840, 2520, 2_400_000),
)


@cache
def error(expression: str) -> float:
    """Of a member, on the targets of the search."""
    return MatrixReconstruction().evaluate(parse(expression), FIDELITY, Split.SEARCH, 0).error


def quality_table(title: str, recipes: Mapping[tuple[int, int], Sequence[int]]) -> Table:
    """Error of what fit chooses over that of the best member."""
    headings = ("budgets", "mean ratio", "worst ratio", "least use", "the worst is", "its best")
    result = table(f"Error of fit's choice over the best member's, {title}", "family", *headings)
    for name, family in FAMILIES.items():
        rows = []
        for (n_in, n_out), budgets in recipes.items():
            for budget in budgets:
                listed = members(name, n_in, n_out, budget)
                if not listed:
                    continue
                best, chosen = (
                    min((error(one.expression), one.expression) for one in listed),
                    family.fit(n_in, n_out, budget),
                )
                if best[0] > TOLD_APART:
                    rows.append(
                        (error(chosen.expression) / best[0], chosen.n_trainable / budget, chosen.expression, best[1])
                    )
        if rows:
            ratios, uses = [row[0] for row in rows], [row[1] for row in rows]
            worst = max(rows)
            result.add_row(
                name, str(len(rows)), f"{geometric_mean(ratios):.3f}", f"{worst[0]:.3f}", f"{min(uses):.2f}", *worst[2:]
            )
    return result


def speed_table() -> Table:
    """Seconds to list the candidates of all families, and milliseconds of the slowest fits that succeed and fail."""
    headings = ("members", "listing, s", "slowest fit, ms", "of", "slowest refusal, ms", "of")
    result = table("Listing and fitting without building", "size and budget", *headings)
    for recipe in LARGE:
        fits: dict[bool, tuple[float, str]] = {True: (0.0, ""), False: (0.0, "")}
        for name, family in FAMILIES.items():
            start = time.perf_counter()
            try:
                family.fit(*recipe)
                fitted = True
            except ValueError:
                fitted = False
            fits[fitted] = max(fits[fitted], (1e3 * (time.perf_counter() - start), name))
        start = time.perf_counter()
        listed = sum(len(members(name, *recipe)) for name in FAMILIES)
        seconds = time.perf_counter() - start
        cells = [cell for took, name in fits.values() for cell in (f"{took:.0f}", name)]
        result.add_row(" ".join(map(str, recipe)), str(listed), f"{seconds:.1f}", *cells)
    return result


if __name__ == "__main__":
    console = Console(width=160)
    console.print(speed_table())
    console.print(quality_table("where its weights were chosen", CHOSEN_ON))
    console.print(quality_table("elsewhere", FRESH))
