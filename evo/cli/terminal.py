"""The terminal that every command writes to, and what it shows while a command works."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from rich.console import Console

from evo.console import interrupts

if TYPE_CHECKING:
    from evo.storage.records import RunEvent

console = Console(highlight=False)
status = console.status("loading ...")
"""A line that lives while a command loads what it needs and, where it has no other display, while it works."""


class WarningHandler(logging.Handler):
    """Prints warnings above the progress bar, if there is one."""

    def emit(self, record: logging.LogRecord) -> None:
        console.print(self.format(record), style="yellow", markup=False, soft_wrap=True)


def keep_stdout_for_results(as_json: bool) -> None:
    """Show everything on standard error where a program reads the results; else on standard output, as ever."""
    if console.stderr is not as_json:
        status.stop()
        console.stderr = as_json
        status.start()


def begin(words: str | None = None, *, say: bool = False) -> None:
    """Have signals stop the work that begins now, and show what it is; None where it has a display of its own.

    Where there is no terminal the words are printed if ``say`` is set, as of work that takes more than a moment.
    """
    interrupts.begin()
    if say and not console.is_terminal:
        console.print(f"{words} ...")
    if words is None:
        status.stop()
    else:
        status.update(f"{words} ...")


def say_phase(event: RunEvent) -> None:
    """Print the name of a phase when it begins; no other event is shown."""
    from evo.storage.records import PhaseStarted

    if isinstance(event, PhaseStarted):
        console.print(f"[dim]{event.phase} ...[/dim]")
        status.update(f"{event.phase} ...")
