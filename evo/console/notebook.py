"""A search in a notebook: a bar while it runs."""

from __future__ import annotations

import time
from html import escape
from types import TracebackType
from typing import Any

from rich.console import Console

from evo.console.progress import ProgressDisplay
from evo.settings import Settings

UPDATE_SECONDS = 0.5
"""The bar is drawn again at most this often."""


def progress_display(settings: Settings) -> ProgressDisplay:
    """What shows the progress of a search: a bar in a notebook or at a terminal, and lines elsewhere."""
    console = Console(highlight=False)
    return NotebookProgress(settings, console) if console.is_jupyter else ProgressDisplay(settings, console)


class NotebookProgress(ProgressDisplay):
    """A watcher that shows a bar below the cell that runs a search."""

    def __init__(self, settings: Settings, console: Console) -> None:
        from IPython.display import HTML, display

        self._html, self._drawn = HTML, 0.0
        self._output: Any = display(HTML("starting ..."), display_id=True)
        super().__init__(settings, console)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        super().__exit__(kind, error, trace)
        if kind is None:
            self._draw(1.0, "finished")

    def _show(self, share: float, words: str) -> None:
        """Draw the bar again, unless that was done a moment ago."""
        now = time.monotonic()
        if now - self._drawn > UPDATE_SECONDS:
            self._drawn = now
            self._draw(share, words)

    def _draw(self, share: float, words: str) -> None:
        bar = f'<progress value="{share:.3f}" max="1"></progress>'
        self._output.update(self._html(f"{bar} {share:.0%} {escape(words)}"))

    def _say(self, text: str) -> None:
        """Nothing: the bar says enough."""

    def _say_quietly(self, always: bool = False) -> None:
        """Nothing, too."""
