"""Tracking while a search runs: a watcher that hands records to a thread, which files them in MLflow.

A search never waits for MLflow, nor ends because of it: what cannot be filed now is filed later, at the latest by
:func:`evo.tracking.store.track`.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from pathlib import Path
from threading import Event, Thread
from types import TracebackType

from evo.run_settings import RunSettings
from evo.storage.history import History
from evo.storage.records import PhaseStarted, Record, RunEvent, RunOpened
from evo.tracking.client import reason, tracking_uri
from evo.tracking.store import Store

PERIOD = 2.0
"""Seconds between two updates while a search runs."""
SHARE = 0.01
"""Of the time at most, so that a long search is not slowed down by its own records."""
PAUSES = (2.0, 120.0)
"""Seconds until a failed update is tried again: the first time, and at most (every time twice as long)."""
CLOSING = 60.0
"""Seconds that the end of a search waits for what is left to file."""

_log = logging.getLogger(__name__)


class Tracker:
    """A watcher (:data:`evo.storage.run.Watcher`) of one search that keeps its MLflow run up to date in a thread.

    >>> with Tracker(settings) as tracker:
    ...     search(settings, watcher=tracker)

    ``show`` is how its history is filed, by default as a search's. A server that cannot be reached is one warning;
    filing is tried again, ever less often, until it succeeds. ``is_interrupted`` says whether Ctrl-C cut its end short,
    and ``has_filed`` whether all was filed.
    """

    def __init__(self, settings: RunSettings, show: Callable[[Store, History], str] = Store.show) -> None:
        self._show = show
        self._uri, self._experiment = tracking_uri(settings.tracking.uri), settings.tracking.experiment
        self._folder = Path()
        self._records: list[Record] = []
        self._news, self._closing, self._done = Event(), Event(), Event()
        self._warned = self.is_interrupted = False
        self._thread = Thread(target=self._work, name="tracking", daemon=True)

    def __enter__(self) -> Tracker:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __call__(self, event: RunEvent) -> None:
        """Take notice of an event; returns at once."""
        match event:
            case PhaseStarted():
                return
            case RunOpened(header, folder):
                self._records.append(header)
                self._folder = folder.resolve()
                self._thread.start()
            case _:
                self._records.append(event)
        self._news.set()

    @property
    def has_filed(self) -> bool:
        """Whether MLflow has all of the run."""
        return self._done.is_set()

    def close(self, timeout: float = CLOSING) -> None:
        """File what is left. Where that fails, is interrupted, or takes ``timeout`` seconds, say how to catch up."""
        if not self._records:
            return
        self._closing.set()
        self._news.set()
        try:
            self._thread.join(min(3.0, timeout))
            if self._thread.is_alive() and timeout > 3.0:
                _log.warning("writing the last records to MLflow; Ctrl-C leaves them for later")
                self._thread.join(timeout - 3.0)
        except KeyboardInterrupt:  # the search itself has ended, and its result is still to be told
            self.is_interrupted = True
        if not self.has_filed:
            _log.warning('MLflow lacks a part of this run; catch up with: evofabric track "%s"', self._folder)

    def _work(self) -> None:
        store, (pause, longest) = None, PAUSES
        while True:
            self._news.wait()
            self._news.clear()
            last, start = self._closing.is_set(), time.monotonic()
            try:
                history = History(self._folder, tuple(self._records))
                store = store or Store(self._uri, self._experiment, self._folder.parent)
                self._show(store, history)
            except Exception as error:
                store = None  # whatever went wrong, begin anew: filing twice changes nothing
                self._warn(error)
                if last:
                    return
                self._closing.wait(pause)
                pause = min(2 * pause, longest)
                self._news.set()
                continue
            if self._warned:
                _log.warning("MLflow answers again; tracking has caught up")
            self._warned, pause = False, PAUSES[0]
            if last or history.status != "RUNNING":
                self._done.set()
                return
            self._closing.wait(max(PERIOD, (time.monotonic() - start) / SHARE))

    def _warn(self, error: Exception) -> None:
        if not self._warned:
            where = self._uri or self._folder.parent
            _log.warning("no tracking for now, the search goes on: MLflow in %s: %s", where, reason(error))
        self._warned = True
