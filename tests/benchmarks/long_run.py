"""What a hundred thousand candidates leave behind: memory, files, the time to go on, and what MLflow takes."""

from __future__ import annotations

import math
import multiprocessing
import resource
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any
from unittest.mock import patch

from rich.table import Table

import evo.storage.checkpoint
from cluster.in_process import InProcessPool
from evo.algorithm.nsga2 import Rules
from evo.experiment.loop import loop
from evo.settings import Settings
from evo.storage.header import JOURNAL
from evo.storage.history import History
from evo.storage.records import GenerationRecord, PhaseStarted, RunEvent
from evo.tracking.background import PERIOD, SHARE
from evo.tracking.store import Store
from tests.benchmarks.driver import Quick, evaluator, running, settings
from tests.benchmarks.problems import table


def alone(function: Callable[..., Any], *arguments: Any) -> Any:
    """Call a function in a process of its own, whose memory is its alone."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as processes:
        return processes.submit(function, *arguments).result()


def drive(recipe: Settings, base: Rules, folder: Path, keep: bool = False) -> tuple[float, float, float]:
    """Run, or resume, a loop: MiB of memory at most before and after, and seconds of the driver without breeding.

    The checkpoint is made after the last generation. A tracker keeps the records that it is shown; so do
    we if asked to.
    """
    kept: list[RunEvent] = []

    def look(event: RunEvent) -> None:
        if keep:
            kept.append(event)
        if isinstance(event, PhaseStarted):  # what comes before this is shown again, not new
            evo.storage.checkpoint.PERIOD = math.inf
        elif isinstance(event, GenerationRecord) and event.number == recipe.loop.generations:
            evo.storage.checkpoint.PERIOD = 0.0

    quick, before, since = Quick(0.0), _peak(), time.thread_time()
    with patch("evo.experiment.loop.ask", quick), running(recipe, InProcessPool(evaluator()), folder, look) as run:
        loop(run, base, 1.0)
    return before, _peak(), quick.clock() - since


def _peak() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def long_table(base: Rules, price: float, candidates: int, folder: Path) -> Table:
    """(c) What many candidates leave behind, and how long it takes to go on from there."""
    recipe = settings(generations=candidates // base.offspring)
    before, peak, _ = alone(drive, recipe, base, folder)
    checkpoint = next(folder.glob("checkpoint-*"))
    _, resumed, from_checkpoint = alone(drive, recipe, base, folder)
    _, tracked, _ = alone(drive, recipe, base, folder, True)
    checkpoint_size = checkpoint.stat().st_size
    checkpoint.unlink()
    _, replayed, replay = alone(drive, recipe, base, folder)
    result = table(f"(c) After {candidates} candidates", "", "")
    result.add_row("memory of the driver, MiB at most", f"{peak:.0f}, of which {before:.0f} at the start")
    result.add_row("... when resumed; with a tracker", f"{resumed:.0f}; {tracked:.0f}")
    result.add_row("... when replayed", f"{replayed:.0f}")
    result.add_row("journal, MiB", f"{(folder / JOURNAL).stat().st_size / 2**20:.0f}")
    result.add_row("checkpoint, MiB", f"{checkpoint_size / 2**20:.1f}")
    result.add_row("seconds to resume from the checkpoint", f"{from_checkpoint:.1f}")
    result.add_row(
        "seconds to replay everything", f"{replay + price * candidates:.0f}, of which {price * candidates:.0f} breeding"
    )
    return result


def tracking_table(folder: Path) -> Table:
    """(d) What the tracker's thread takes for an update, and of the time, after ever more candidates."""
    records = History.of(folder).records
    result = table("(d) MLflow", "records", "first filing, s", "one more generation, s", "per cent of the time")
    size = settings().loop.offspring + 1
    for count in (10**power for power in range(3, 7)):
        if count > len(records):
            break
        with tempfile.TemporaryDirectory() as name:
            store, start = Store(None, "overhead", Path(name)), time.thread_time()
            store.show(History(folder, records[: count - size]))
            first, start = time.thread_time() - start, time.thread_time()
            store.show(History(folder, records[:count]))
            again = time.thread_time() - start
        share = again / (again + max(PERIOD, again / SHARE))
        result.add_row(str(count), f"{first:.2f}", f"{again:.3f}", f"{100 * share:.2f}")
    return result
