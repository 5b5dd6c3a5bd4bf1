"""A run's log: what happened and when, in plain lines, for whoever looks into a run afterwards."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from evo.storage.journal import Record

LOG = "log.txt"
PACKAGES = ("evo", "cluster", "evaluators", "topologies")
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


def log_record(record: Record) -> None:
    """Log what a record says, except the scores, which the journal holds: of these only the failures."""
    match record["kind"]:
        case "header":
            _log.info("%s workers, evaluator %s on %s", *(record[k] for k in ("workers", "evaluator", "backend")))
            _log.info("settings %s", record["settings"])
        case "phase":
            _log.info("phase: %s", record["phase"])
        case "score" if record["failure"]:
            _log.info("%s %s (%s) failed: %s", *(record[k] for k in ("phase", "number", "digest", "failure")))
        case "brood":
            _log.info(
                "%s: brood %s told, %s births, best %s, baseline %s",
                *(record[k] for k in ("phase", "number", "births", "best", "baseline")),
            )
        case "table":
            _log.info("result digest %s", record["digest"])
        case "end":
            _log.info("%s %s", record["status"], record["why"], exc_info=record["status"] == "FAILED")
