"""What the search itself costs: the driver's time a candidate, workers that idle, and what a long run leaves behind.

The loop is the real one, on 32 x 32 and 640 trainable edges; only the evaluator is a hash of the digest, and workers
live on a simulated clock (:mod:`tests.cluster.simulated`). Times are of the driver's processor, so that other programs
disturb them little. Run with `python -m tests.benchmarks.overhead [FIGURE.png]`; `--help` says what can be left out.
"""

from __future__ import annotations

import argparse
import io
import math
import pkgutil
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any
from unittest.mock import patch

from rich.console import Console
from rich.table import Table

from cluster.in_process import InProcessPool
from evo.algorithm.nsga2 import Rules
from evo.console.progress import ProgressDisplay
from evo.experiment.loop import loop
from evo.settings import Settings
from evo.storage.records import GenerationRecord, RunEvent
from tests.benchmarks.driver import Quick, evaluator, rules, running, settings
from tests.benchmarks.long_run import long_table, tracking_table
from tests.benchmarks.problems import table
from tests.cluster.simulated import Nodes, SimulatedPool

PENDING = (1, 2, 3, 4)
CROWDS = ((2, 16), (2, 32), (4, 32), (8, 16), (8, 32), (16, 16), (16, 32), (32, 32), (100, 100), (100, 200))
"""Workers and generation sizes to try together."""
QUEUE = 6
"""Candidates for every worker that wait behind the oldest generation while that waits for its slowest member."""
LIFE = 4 * 3600.0
"""Seconds that a node of eight workers lives: of a hundred and twenty-five nodes one dies every two minutes."""
HANDING_OVER = 0.0036
"""Driver's seconds that a call of a Ray actor costs besides the loop's own."""
PARTS = {
    "evo.experiment.loop.ask": "breed",
    "evo.experiment.loop.process": "tell",
    "evo.storage.evaluations._record": "journal",
    "evo.storage.journal.Journal.append": "journal",
    "evo.storage.evaluations.Evaluations.send": "cache",
    "evo.storage.evaluations.Evaluations.answers": "cache",
    "evo.experiment.loop._note_generation": "note of a generation",
    "evo.storage.checkpoint.Checkpoints.keep": "checkpoint",
    "evo.storage.run.log_event": "watchers",
}
"""What the driver does, and which part of its bill that is."""


class Stopwatch:
    """Seconds of this thread's processor by part; where parts are nested only the inner one counts."""

    def __init__(self) -> None:
        self.seconds: defaultdict[str, float] = defaultdict(float)
        self._parts, self._since = ["the rest"], time.thread_time()

    def timed(self, part: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """The function, on the bill of a part."""

        def timed(*arguments: Any, **named: Any) -> Any:
            self.turn()
            self._parts.append(part)
            try:
                return function(*arguments, **named)
            finally:
                self.turn()
                self._parts.pop()

        return timed

    def turn(self) -> None:
        """Write what has passed on the bill of whoever is at work."""
        now = time.thread_time()
        self.seconds[self._parts[-1]] += now - self._since
        self._since = now


def cost_table(recipe: Settings, base: Rules) -> tuple[Table, float]:
    """(a) Milliseconds of the driver for one candidate, by part; the seconds of them that are breeding."""
    watch, display = Stopwatch(), ProgressDisplay(recipe, Console(file=io.StringIO()))
    pool = InProcessPool(evaluator())
    pool.submit, pool.wait = watch.timed("pool", pool.submit), watch.timed("pool", pool.wait)  # type: ignore[method-assign]
    candidates = base.offspring * recipe.loop.generations + len(base.initial_population)
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        for target, part in PARTS.items():
            stack.enter_context(patch(target, watch.timed(part, pkgutil.resolve_name(target))))
        run = stack.enter_context(running(recipe, pool, Path(name), watch.timed("watchers", display)))
        watch.turn()
        watch.seconds.clear()
        loop(run, base, 1.0)
        watch.turn()
    result = table(
        f"(a) The driver, {candidates} candidates of {base.n_in} x {base.n_out}, generation size {base.offspring}",
        "part",
        "ms a candidate",
    )
    del watch.seconds["pool"]
    for part, seconds in sorted(watch.seconds.items(), key=lambda item: -item[1]):
        result.add_row(part, f"{1e3 * seconds / candidates:.2f}")
    result.add_section()
    result.add_row("all", f"{1e3 * sum(watch.seconds.values()) / candidates:.2f}")
    return result, watch.seconds["breed"] / candidates


@dataclass(frozen=True)
class Work:
    """What became of simulated workers, from when the loop was under way until the last generation was sent."""

    busy: float
    """Share of their time at work."""
    rate: float
    """Evaluations a second."""
    driver: float
    """Share of the time that the driver computed."""


@cache
def work(
    base: Rules,
    price: float,
    workers: int,
    mean: float,
    pending: int,
    offspring: int,
    tasks: int = 10,
    life: float = LIFE,
) -> Work:
    """Run a loop on simulated workers, and watch it while each of them has so many tasks."""
    generations = max(3, tasks * workers // offspring)
    quick = Quick(price)
    pool = SimulatedPool(evaluator(), workers, mean, 0.5, Nodes(8, life), HANDING_OVER, clock=quick.clock)
    recipe = settings(max_pending_generations=pending, offspring=offspring, generations=generations + 2 * pending)
    seen: list[tuple[float, float, float]] = []

    def look(event: RunEvent) -> None:
        if isinstance(event, GenerationRecord):
            seen.append((pool.now, pool.worked, pool.driver))

    with (
        tempfile.TemporaryDirectory() as name,
        patch("evo.experiment.loop.ask", quick),
        running(recipe, pool, Path(name), look) as run,
    ):
        loop(run, replace(base, offspring=offspring), 1.0)
    first, last = seen[pending], seen[pending + generations]
    seconds, worked, driver = (after - before for before, after in zip(first, last, strict=True))
    return Work(worked / (workers * seconds), worked / mean / seconds, driver / seconds)


def busy_table(base: Rules, price: float, mean: float, crowds: Sequence[tuple[int, int]]) -> Table:
    """(b) How busy workers are, for pairs of their number and the generation size, by pending generations."""
    title = f"(b) Tasks of {mean:g} s, breeding {1e3 * price:.1f} ms a candidate: per cent of the workers busy"
    result = table(title, "workers", "generation size", *(f"{pending} pending" for pending in PENDING))
    for workers, size in crowds:
        found = [work(base, price, workers, mean, pending, size) for pending in PENDING]
        result.add_row(str(workers), str(size), *(f"{100 * one.busy:.1f}" for one in found))
    return result


def rule_table(base: Rules, price: float) -> Table:
    """(b) How busy workers are with generations of the usual size, when the pending generations follow the rule."""
    size = base.offspring
    title = f"(b) {size} offspring, 1 + {QUEUE} x workers / {size} pending generations: per cent of the workers busy"
    result = table(title, "workers", "tasks, s", "pending", "busy", "driver at work, per cent of the time")
    for workers, mean in ((10, 2.0), (100, 2.0), (1000, 60.0)):
        pending = 1 + math.ceil(QUEUE * workers / size)
        found = work(base, price, workers, mean, pending, size)
        result.add_row(str(workers), f"{mean:g}", str(pending), f"{100 * found.busy:.1f}", f"{100 * found.driver:.1f}")
    return result


def draw(base: Rules, price: float, path: Path) -> None:
    """Throughput against workers for each pending, where generations have two candidates for each worker."""
    import matplotlib.pyplot as plt

    figure, panels = plt.subplots(1, 2, figsize=(9, 4), layout="constrained")
    for panel, mean, crowds in zip(panels, (2.0, 60.0), ((10, 32, 100, 320), (10, 100, 1000)), strict=True):
        panel.plot(crowds, [workers / mean for workers in crowds], "k:", label="all busy")
        for pending in PENDING:
            rates = [work(base, price, workers, mean, pending, 2 * workers).rate for workers in crowds]
            panel.plot(crowds, rates, "o-", label=f"{pending} pending")
        panel.set(xscale="log", yscale="log", xlabel="workers", ylabel="candidates a second")
        panel.set_title(f"tasks of {mean:g} s, generation size = 2 x workers")
        panel.legend(frameon=False)
    figure.savefig(path, dpi=150)


def main() -> None:
    """Print the tables that are wanted, and draw the figure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("figure", nargs="?", type=Path, help="where to save the figure (a new folder)")
    parser.add_argument("--candidates", type=int, default=100_000, help="of the long run (default 100000)")
    parser.add_argument("--parts", default="abcd", help="which tables (default abcd)")
    options = parser.parse_args()
    console, recipe = Console(), settings(generations=20)
    base = rules(recipe)
    shares, price = cost_table(recipe, base)
    console.print(shares)
    if "b" in options.parts:
        console.print(busy_table(base, price, 2.0, CROWDS))
        console.print(busy_table(base, price, 60.0, [(1000, 2000)]))
        console.print(rule_table(base, price))
        figure = options.figure or Path(tempfile.mkdtemp()) / "throughput.png"
        draw(base, price, figure)
        console.print(f"throughput against workers: {figure}")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if "c" in options.parts or "d" in options.parts:
            console.print(long_table(base, price, options.candidates, folder))
        if "d" in options.parts:
            console.print(tracking_table(folder))


if __name__ == "__main__":
    main()
