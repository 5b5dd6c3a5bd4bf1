"""What the evolved family is worth where no rule was evolved: `python -m tests.benchmarks.rules`.

At each row of ``held_out.csv`` every member of every hand-derived family is screened by a cheap reconstruction, the
best are ranked again with more care on the validation targets, where their learning rate is chosen too, and the best
of those is compared with the evolved topology, tuned alike, on test targets. Rows are appended to ``rules.csv`` as they
are measured, cheap ones first, and those that are there are not measured again: ``--seconds 600`` measures as many as
ten minutes allow, ``--seconds 0`` only sums up. After a change of the law ``--again`` first measures the evolved
topologies of the rows that are there anew. ``--steps 2000`` prints instead what comes of the rows that are there when
the evolved topologies and the best members are trained for so long.
"""

from __future__ import annotations

import argparse
import csv
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import product
from pathlib import Path

import numpy as np

from evaluators import MatrixReconstruction
from evaluators.task import Fidelity, Score, Split
from topologies.expression import parse
from topologies.families import FAMILIES, HAND_DERIVED, members

HERE = Path(__file__).parent
HELD_OUT, MEASURED = HERE / "held_out.csv", HERE / "rules.csv"
SEED = 21
SCREEN = Fidelity(2, 300, (1.2,))
RANK = Fidelity(4, 700, (0.6, 1.2, 2.4, 4.8))
TEST_TARGETS = 8
FINALISTS = 4
"""Members, of all hand-derived families together and of random regular, that are ranked with care."""
_COLUMNS = ("n_in", "n_out", "budget", "evolved", "hand_derived", "random_regular", "member", "regular_member",
            "edges", "member_edges", "depth", "member_depth", "screened", "seconds")  # fmt: skip


def rows(path: Path) -> list[dict[str, str]]:
    """The rows of a table; none where there is no such file."""
    if not path.is_file():
        return []
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def held_out() -> Iterator[tuple[int, int, int]]:
    """Inputs, outputs and budget of every row, the cheap ones first."""
    for row in rows(HELD_OUT):
        yield int(row["n_in"]), int(row["n_out"]), int(row["budget"])


def error(expression: str, fidelity: Fidelity, split: Split) -> Score:
    """The score of a member."""
    return MatrixReconstruction().evaluate(parse(expression), fidelity, split, SEED)


def tested(expressions: Sequence[str], fidelity: Fidelity = RANK) -> tuple[float, str]:
    """Test error of the member that is best on the validation targets."""
    ranked = [(error(one, fidelity, Split.VALIDATION), one) for one in expressions]
    score, best = min(ranked, key=lambda one: one[0].error)
    return error(best, fidelity.promoted(TEST_TARGETS, score), Split.TEST).error, best


def trained_longer(row: dict[str, str], steps: int) -> dict[str, str]:
    """A measured row with the evolved topology and the best of each kind trained for so many steps instead."""
    fidelity = replace(RANK, steps=steps)
    evolved = FAMILIES["evolved"].fit(*(int(row[name]) for name in _COLUMNS[:3])).expression
    of = {"evolved": evolved, "hand_derived": row["member"], "random_regular": row["regular_member"]}
    return row | {name: str(tested([one], fidelity)[0]) if one else "nan" for name, one in of.items()}


def measure(n_in: int, n_out: int, budget: int) -> dict[str, object]:
    """One row."""
    start = time.perf_counter()
    screened: dict[str, float] = {}
    for family in HAND_DERIVED:
        for member in members(family, n_in, n_out, budget):
            screened[member.expression] = error(member.expression, SCREEN, Split.SEARCH).error
    ranked = sorted(screened, key=screened.__getitem__)
    regular = [one for one in ranked if one.startswith("random_regular(")][:FINALISTS]
    best, member = tested(ranked[:FINALISTS])
    control, of_control = tested(regular) if regular else (float("nan"), "")
    other = parse(member)
    found = {"n_in": n_in, "n_out": n_out, "budget": budget, **of_law(n_in, n_out, budget), "hand_derived": best}
    found |= {"random_regular": control, "member": member, "regular_member": of_control}
    found |= {"member_edges": other.n_edges, "member_depth": other.depth, "screened": len(screened)}
    return found | {"seconds": round(time.perf_counter() - start, 1)}


def of_law(n_in: int, n_out: int, budget: int) -> dict[str, object]:
    """The columns of the evolved topology."""
    member = FAMILIES["evolved"].fit(n_in, n_out, budget)
    own, _ = tested([member.expression])
    topology = member.topology()
    return {"evolved": own, "edges": topology.n_edges, "depth": topology.depth}


def summary(found: Sequence[dict[str, str]]) -> Iterator[str]:
    """Geometric means of the ratios with 95 % bootstrap intervals over the rows, over all rows and the rectangles.

    Errors come first, then their odds, ``e / (1 - e)``: where errors are near 1 these compare what is captured.
    """
    for of_odds, other in product((False, True), ("hand_derived", "random_regular")):
        for name, some in (("all", found), ("rectangles", [row for row in found if row["n_in"] != row["n_out"]])):
            errors = np.array([[float(row["evolved"]), float(row[other])] for row in some]).reshape(-1, 2).T
            ours, theirs = errors / (1 - errors) if of_odds else errors
            ratios = ours / theirs
            ratios = ratios[np.isfinite(ratios)]
            if ratios.size:
                draws = np.random.default_rng(0).integers(ratios.size, size=(4000, ratios.size))
                low, high = np.exp(np.quantile(np.log(ratios)[draws].mean(axis=1), [0.025, 0.975]))
                yield (
                    f"{'odds' if of_odds else 'errors'} over {other}, {name} ({ratios.size}): "
                    f"{np.exp(np.log(ratios).mean()):.3f} ({low:.3f} to {high:.3f}), between {ratios.min():.3f} and "
                    f"{ratios.max():.3f}, above 1 at {int((ratios > 1).sum())}"
                )


def main() -> None:
    """Measure what is not measured yet, as long as there is time, and sum up."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=600.0, help="no row is begun after so many (600)")
    parser.add_argument("--again", action="store_true", help="measure the evolved topologies of known rows anew")
    parser.add_argument("--steps", type=int, help="train what is in the rows that are there for so many steps")
    given = parser.parse_args()
    if given.steps is not None:
        longer = []
        for row in rows(MEASURED):
            longer.append(trained_longer(row, given.steps))
            print(*(longer[-1][name] for name in _COLUMNS[:6]), flush=True)
        print(*summary(longer), sep="\n")
        return
    if given.again:
        fresh = [row | of_law(*(int(row[name]) for name in _COLUMNS[:3])) for row in rows(MEASURED)]
        with MEASURED.open("w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, _COLUMNS, lineterminator="\n")
            writer.writeheader()
            writer.writerows(fresh)
    until = time.monotonic() + given.seconds
    known = {tuple(int(row[name]) for name in _COLUMNS[:3]) for row in rows(MEASURED)}
    for case in held_out():
        if case not in known and time.monotonic() < until:
            row = measure(*case)
            fresh = not MEASURED.is_file()
            with MEASURED.open("a", encoding="utf-8", newline="") as file:
                writer = csv.DictWriter(file, _COLUMNS, lineterminator="\n")
                if fresh:
                    writer.writeheader()
                writer.writerow(row)
            print(*row.values(), flush=True)
    for line in summary(rows(MEASURED)):
        print(line)


if __name__ == "__main__":
    main()
