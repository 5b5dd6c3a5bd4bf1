"""A run that is under way: its recipe, folder, journal and evaluations, opened and closed together."""

from __future__ import annotations

import hashlib
import platform
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from importlib.metadata import version
from pathlib import Path

from cluster.in_process import InProcessPool
from cluster.pool import Pool, canary
from evaluators.task import Evaluator
from evo.evaluations import Evaluations
from evo.journal import Journal, Record
from evo.log import log_file, log_record
from evo.settings import ClusterSettings, Settings

JOURNAL = "journal.jsonl"
CHAMPION = "champion.safetensors"

Watcher = Callable[[Record], None]
"""Is shown every record of the journal as it is written, and a record of kind "phase" before each phase.

Watchers see; nothing they do influences a search.
"""


_Name = tuple[str, str | None, int | None]


def _name(record: Record) -> _Name:
    """What a record that is not a score is about."""
    return (record["kind"], record.get("phase"), record.get("number"))


@dataclass(frozen=True)
class Run:
    """What the phases of a search share."""

    settings: Settings
    folder: Path
    journal: Journal
    evaluations: Evaluations
    show: Watcher
    notes: dict[_Name, Record]
    """Records that are not scores, by name."""

    def note(self, record: Record) -> None:
        """Journal and show a record that is not a score; one that an earlier process wrote is only shown."""
        name = _name(record)
        if name not in self.notes:
            self.journal.append([{**record, "time": time.time()}])
            self.notes[name] = self.journal.records[-1]
        self.show(self.notes[name])

    def end(self, status: str, why: str = "") -> None:
        """Journal and show how this process left the run; only the last word counts, and it is not said twice."""
        last = self.journal.records[-1]
        if (last["kind"], last.get("status")) != ("end", status):
            self.journal.append([{"kind": "end", "status": status, "why": why, "time": time.time()}])
        self.show(self.journal.records[-1])


@contextmanager
def open_run(settings: Settings, evaluator: Evaluator | None, folder: Path | None, watcher: Watcher) -> Iterator[Run]:
    """Open a run, new or begun before; however the block is left, the journal says how.

    Raises
    ------
    ValueError
        When the folder cannot be written, holds another recipe's run, or the pool cannot start.
    """
    evaluator = evaluator or named_evaluator(settings.evaluator)
    folder = folder or new_folder(settings)
    with (
        _without_trace(folder),
        open_pool(settings.cluster, evaluator) as pool,
        Journal(folder / JOURNAL, _header(settings, evaluator)) as journal,
        log_file(folder),
    ):
        begun = journal.records[0]["settings"]
        if begun != outcome_settings(settings):
            raise ValueError(f"{folder} holds a run of another recipe: choose another folder")

        def show(record: Record) -> None:
            log_record(record)
            watcher(record)

        show({**journal.records[0], "folder": str(folder), "workers": pool.size})
        evaluations = Evaluations(journal, pool, settings.seed, show)
        notes = {_name(record): record for record in journal.records if record["kind"] != "score"}
        run = Run(settings, folder, journal, evaluations, show, notes)
        try:
            yield run
        except BaseException as error:
            stopped = isinstance(error, KeyboardInterrupt | SystemExit)
            run.end("KILLED" if stopped else "FAILED", str(error))
            raise
        run.end("FINISHED")


@contextmanager
def _without_trace(folder: Path) -> Iterator[None]:
    """Remove the folder again if the run never came to have a journal."""
    try:
        yield
    finally:
        if not any(folder.iterdir()):
            folder.rmdir()


@contextmanager
def open_pool(settings: ClusterSettings, evaluator: Evaluator) -> Iterator[Pool]:
    """The pool that a recipe asks for; Ray is started or joined, and left again."""
    if settings.pool == "in-process":
        yield InProcessPool(evaluator)
        return
    from cluster.ray_session import session

    with session(settings.address, settings.workers):
        from cluster.ray_pool import RayPool, Share

        pool = RayPool(evaluator, settings.workers, Share(settings.cores_per_worker, settings.gpus_per_worker))
        try:
            yield pool
        finally:
            pool.close()


def named_evaluator(name: str) -> Evaluator:
    """The evaluator that a recipe names as ``package.module:Class``, made without arguments.

    Raises
    ------
    ValueError
        When there is no such module or class, or it has no ``evaluate``.
    """
    module, _, class_name = name.partition(":")
    if "" not in sys.path and str(Path.cwd()) not in sys.path:
        sys.path.append(str(Path.cwd()))  # where a user's own module is; workers look there too
    try:
        evaluator: Evaluator = getattr(import_module(module), class_name)()
    except (ImportError, AttributeError, TypeError) as error:
        raise ValueError(f"evaluator {name!r}: {error}") from None
    if not callable(getattr(evaluator, "evaluate", None)):
        raise ValueError(f"evaluator {name!r} has no method `evaluate(topology, fidelity, stream, seed)`")
    return evaluator


def new_folder(settings: Settings) -> Path:
    """A new folder for a run of this recipe; names sort by recipe, then by time."""
    size = f"{settings.n_in}x{settings.n_out}"
    stem = f"{settings.name}-{size}-b{settings.budget}-s{settings.seed}-{time.strftime('%Y%m%d-%H%M%S')}"
    try:
        settings.runs.mkdir(parents=True, exist_ok=True)
        for name in (stem, *(f"{stem}-{count}" for count in range(2, 100))):
            folder = settings.runs / name
            if not folder.exists():
                folder.mkdir()
                return folder.resolve()
    except OSError as error:
        raise ValueError(f"the runs folder {settings.runs} cannot be written: {error.strerror}") from None
    raise ValueError(f"{settings.runs} has a hundred runs called {stem}")


def outcome_settings(settings: Settings) -> Record:
    """The settings that decide a result: all but where it is computed, kept and tracked."""
    return settings.model_dump(mode="json", exclude={"runs", "cluster", "tracking"})


def _header(settings: Settings, evaluator: Evaluator) -> Record:
    proof = canary(evaluator)
    packages = ("evofabric", "numpy", "numba", "torch", "ray", "deap", "optuna", "mlflow")
    return {
        "kind": "header",
        "settings": outcome_settings(settings),
        "tracking": settings.tracking.model_dump(mode="json"),
        "evaluator": f"{type(evaluator).__module__}:{type(evaluator).__name__}",
        "canary": hashlib.sha256(repr(proof).encode()).hexdigest()[:16],
        "machine": f"{platform.machine()} {platform.system()}",
        "python": platform.python_version(),
        "packages": {name: version(name) for name in packages},
        "time": time.time(),
    }
