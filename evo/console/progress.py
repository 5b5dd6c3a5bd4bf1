"""What a person sees while a search runs: one line that lives, or plain lines where no terminal can show one."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from types import TracebackType
from typing import Any

from rich.console import Console, RenderableType
from rich.markup import escape
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from evaluators.task import Split
from evo.experiment.pace import dense_work, usual_seconds
from evo.experiment.plan import Phase, plan
from evo.report.numbers import significant
from evo.settings import Settings
from evo.storage.names import DENSE
from evo.storage.records import GenerationRecord, PhaseStarted, RunEvent, RunOpened, ScoreRecord

QUIET_SECONDS = 15.0
"""Without a line that lives, one is written at most this often."""


class ProgressDisplay:
    """A watcher (:data:`evo.storage.run.Watcher`) that shows candidates, best against baseline, and the time left."""

    def __init__(self, settings: Settings, console: Console, phases: Sequence[Phase] | None = None) -> None:
        """``phases`` are those of a comparison, which leaves no folder; by default those of the recipe's search."""
        self._console, self._leaves_folder = console, phases is None
        self._per_step, self._settings = usual_seconds(settings), settings
        phases = plan(settings) if phases is None else phases
        work = [phase.seconds(self._per_step) for phase in phases]
        before = next((number for number, phase in enumerate(phases) if phase.split is Split.TEST), len(phases))
        self._total, self._last = max(sum(work), 1.0), sum(work[before:])
        self._is_tested = False
        self._words: dict[str, str] = {"phase": "starting workers", "candidates": "", "best": ""}
        self._announced = False
        self._done = self._known = 0.0  # work; known is what the journal held
        self._started = self._spoke = time.monotonic()
        self._bar = Progress(
            TextColumn("[bold]{task.fields[phase]}"),
            BarColumn(bar_width=24),
            TextColumn("{task.percentage:3.0f} %"),
            TextColumn("{task.fields[candidates]}"),
            TextColumn("{task.fields[best]}"),
            TextColumn("left"),
            TimeRemainingColumn(compact=True),
            console=console,
            transient=True,
            disable=not console.is_interactive,
            speed_estimate_period=60,
        )
        self._task = self._bar.add_task("search", total=self._total, **self._fields())

    def __enter__(self) -> ProgressDisplay:
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.stop()

    def __call__(self, event: RunEvent) -> None:
        """Take notice of an event."""
        match event:
            case RunOpened(_, folder, workers):
                self._say(f"{workers} workers ready" + f"; results in {escape(str(folder))}" * self._leaves_folder)
            case PhaseStarted(phase):
                if not self._announced:
                    self._announced, self._known, self._started = True, self._done, time.monotonic()
                    self._bar.reset(self._task, completed=int(self._known))
                self._words |= {"phase": phase, "candidates": "", "best": ""}
                self._say_quietly(always=True)
            case ScoreRecord():
                if event.split is Split.TEST and not self._is_tested:  # what else was planned was not needed
                    self._is_tested, self._total = True, min(self._total, max(self._done + self._last, 1.0))
                cost = event.fidelity.cost
                if event.entry and event.race:
                    cost += event.fidelity.promoted(event.race.targets, event.entry).cost
                work = dense_work(self._settings) if event.phase.endswith(DENSE) else 1.0
                self._done += cost * work * self._per_step[event.split]
                if event.phase != self._words["phase"]:  # finalists of a row, which begin with no word
                    self._words |= {"phase": event.phase, "candidates": "", "best": ""}
                self._say_quietly()
                if event.failure and self._announced:  # not one that the journal knew
                    self._say(f"[yellow]{event.phase} {event.number} failed: {escape(event.failure)}")
            case GenerationRecord():
                self._words |= {
                    "candidates": f"{event.candidates} candidates",
                    "best": f"best {significant(event.best) or 'none yet'}, baseline {significant(event.baseline)}",
                }
                self._say_quietly()
        if self._announced:
            self._show(min(1.0, self._done / self._total), ", ".join(word for word in self._words.values() if word))

    def _show(self, share: float, words: str) -> None:
        """Show how much is done; a bar has a place for every word."""
        self._bar.update(self._task, total=self._total, completed=share * self._total, **self._fields())

    def _fields(self) -> dict[str, Any]:
        return dict(self._words)

    def _say(self, text: str) -> None:
        self._console.print(text, highlight=False, soft_wrap=True)

    def _say_quietly(self, always: bool = False) -> None:
        now = time.monotonic()
        if self._console.is_interactive or not self._announced or not (always or now - self._spoke > QUIET_SECONDS):
            return
        self._spoke = now
        share, gained = min(1.0, self._done / self._total), (self._done - self._known) / self._total
        left = f", about {(now - self._started) * (1 - share) / gained:.0f} s left" if gained > 0.02 else ""
        words = ", ".join(word for word in self._words.values() if word)
        self._say(f"{share:4.0%}  {words}{left}")


class ExpectedTime(Progress):
    """A bar for one piece of work of which only the time is known that it took before."""

    def __init__(self, words: str, seconds: float, console: Console) -> None:
        columns = (TextColumn("[bold]{task.description}"), BarColumn(bar_width=24))
        left = (TextColumn("{task.percentage:3.0f} %"), TimeRemainingColumn(compact=True))
        self._seconds, self._began = seconds, time.monotonic()
        super().__init__(*columns, *left, console=console, transient=True, disable=not console.is_interactive)
        self.add_task(words, total=seconds)

    def get_renderables(self) -> Iterable[RenderableType]:
        """What is shown now; called several times a second."""
        for task in self.task_ids:
            self.update(task, completed=min(time.monotonic() - self._began, 0.99 * self._seconds))
        return super().get_renderables()
