"""The terminal that every command writes to, and what it shows while a command works."""

from __future__ import annotations

import logging
from dataclasses import dataclass

from rich.console import Console

from evo.console import interrupts

console = Console(highlight=False)
status = console.status("loading ...")
"""A line that lives while a command loads what it needs and, where it has no other display, while it works."""


@dataclass
class Wordiness:
    """How much a command says, which its options ``-q`` and ``-v`` set before it begins."""

    quiet: bool = False
    """Whether results and warnings are shown alone."""
    verbose: bool = False
    """Whether what goes to a run's log is shown too, and of a mistake the place where it was found."""


wordiness = Wordiness()


def be_quiet() -> None:
    """Show results and warnings alone."""
    wordiness.quiet = True
    status.stop()


def be_verbose() -> None:
    """Show what is logged, too."""
    from evo.storage.log import PACKAGES  # only here, for it takes a moment

    wordiness.verbose = True
    for name in PACKAGES:
        logging.getLogger(name).setLevel(logging.INFO)
    for handler in logging.getLogger().handlers:
        handler.setLevel(logging.INFO)


def progress_console() -> Console:
    """The console for what goes on while a command works: one that shows nothing where that is not wanted."""
    return Console(quiet=True) if wordiness.quiet else console


class WarningHandler(logging.Handler):
    """Prints warnings, and what else is logged where that is wanted, above the progress bar, if there is one."""

    def emit(self, record: logging.LogRecord) -> None:
        style = "yellow" if record.levelno >= logging.WARNING else "dim"
        console.print(self.format(record), style=style, markup=False, soft_wrap=True)


def keep_stdout_for_results(as_json: bool) -> None:
    """Show everything on standard error where a program reads the results; else on standard output, as ever."""
    if console.stderr is not as_json:
        status.stop()
        console.stderr = as_json
        if not wordiness.quiet:
            status.start()


def begin(words: str | None = None, *, say: bool = False) -> None:
    """Have signals stop the work that begins now, and show what it is; None where it has a display of its own.

    Where there is no terminal on which a line can live, the words are printed if ``say`` is set, as of work that takes
    more than a moment.
    """
    interrupts.begin()
    if words is None:
        status.stop()
    else:
        tell(words, say=say)


def tell(words: str, *, say: bool = True) -> None:
    """Show what is done from now on, as :func:`begin` does."""
    if wordiness.quiet:
        return
    if say and not console.is_interactive:
        console.print(f"{words} ...")
    status.update(f"{words} ...")
