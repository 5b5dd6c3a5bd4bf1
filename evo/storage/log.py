"""A run's log: what happened and when, in plain lines, for whoever looks into a run afterwards."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from evo.storage.records import EndRecord, GenerationRecord, PhaseStarted, RunEvent, RunOpened, ScoreRecord, TableRecord

LOG = "log.txt"
PACKAGES = ("evo", "cluster", "evaluators", "topologies")
"""Whose log a person may want to see."""
_log = logging.getLogger(__name__)


class _LogFile(logging.FileHandler):
    """Loses what it cannot write: that the disk is full is for others to say."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802
        """Nothing."""

    def close(self) -> None:
        """Close the file, whole or not."""
        with suppress(OSError):
            super().close()


@contextmanager
def log_file(folder: Path) -> Iterator[None]:
    """Append what our packages log, warnings and tracebacks included, to ``log.txt`` in a run's folder."""
    handler = _LogFile(folder / LOG, encoding="utf-8")
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    _log.setLevel(logging.INFO)
    loggers = [logging.getLogger(name) for name in PACKAGES]
    for logger in loggers:
        logger.addHandler(handler)
    try:
        yield
    finally:
        for logger in loggers:
            logger.removeHandler(handler)
        handler.close()


def log_event(event: RunEvent) -> None:
    """Log what an event says, except the scores, which the journal holds: of these only the failures."""
    match event:
        case RunOpened(header, _, workers):
            _log.info("%s workers, evaluator %s on %s", workers, header.evaluator, header.backend)
            _log.info("settings %s", header.settings)
        case PhaseStarted(phase):
            _log.info("phase: %s", phase)
        case ScoreRecord() if event.failure:
            _log.info("%s %s (%s) failed: %s", event.phase, event.number, event.digest, event.failure)
        case GenerationRecord():
            _log.info(
                "%s: generation %s processed, %s candidates, best %s, baseline %s",
                event.phase,
                event.number,
                event.candidates,
                event.best,
                event.baseline,
            )
        case TableRecord():
            _log.info("result digest %s", event.digest)
        case EndRecord():
            _log.info("%s %s", event.status, event.why, exc_info=event.status == "FAILED")
