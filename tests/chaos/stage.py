"""Where a round takes place: a folder, a search that is started and resumed in it, and what must be true at the end."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from evo.storage.header import JOURNAL
from evo.storage.journal import read
from evo.storage.records import EndRecord, GenerationRecord, Record, ScoreRecord, TableRecord
from tests.chaos import evaluator
from tests.chaos.evaluator import DIARY, ONCE
from tests.chaos.steps import durable

REPOSITORY = Path(__file__).resolve().parents[2]
RECIPE = Path(__file__).with_name("recipe.toml")
IN_THREADS: Mapping[str, Any] = {"pool": "in-process"}

STOPPED, FAILED, KILLED = 130, 2, -signal.SIGKILL
"""How a driver ends that was asked to stop, that could not go on, and that was killed."""

NOISE = ("Traceback", "Logging error", "Exception ignored", "(raylet)", "\x1b")
"""What nobody should see who runs a search."""


@dataclass(frozen=True)
class Calm:
    """The undisturbed run."""

    digest: str
    records: list[Record]
    evaluations: int
    seconds: float


class Home:
    """A process that has loaded the packages, and becomes driver after driver (:func:`tests.chaos.driver.serve`)."""

    def __init__(self) -> None:
        clean = {name: value for name, value in os.environ.items() if not name.startswith(("RAY_", "MLFLOW_"))}
        threads = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.chaos.driver"],
            cwd=REPOSITORY,
            env={**clean, **threads, "PYTHONPATH": str(REPOSITORY), "COLUMNS": "500"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def run(self, asked: Mapping[str, Any], patience: float, beside: Callable[[], None]) -> int:
        """Have a driver, and wait for its end; its exit code."""
        assert self._process.stdin and self._process.stdout
        print(json.dumps(asked), file=self._process.stdin, flush=True)
        driver, deadline = int(self._process.stdout.readline()), time.monotonic() + patience
        try:
            while not select.select([self._process.stdout], [], [], 0.01)[0] and time.monotonic() < deadline:
                beside()
            late = time.monotonic() >= deadline
        finally:
            with suppress(ProcessLookupError):
                os.killpg(driver, signal.SIGKILL)  # with workers that it left behind
            code = int(self._process.stdout.readline())
        assert not late, f"a driver hangs: {asked}"
        return code

    def close(self) -> None:
        """Let it go."""
        assert self._process.stdin
        self._process.stdin.close()
        self._process.wait(60)


@dataclass
class Stage:
    """A folder with the runs of one round, which are one search."""

    folder: Path
    home: Home
    calm: Calm | None
    cluster: Mapping[str, Any] = field(default_factory=lambda: IN_THREADS)
    tracked: bool = False
    checkpoints: bool = True
    once: Mapping[str, int] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)
    options: Sequence[str] = ()
    runs: Path = field(init=False)
    diary: Path = field(init=False)
    output: list[str] = field(default_factory=list)
    codes: list[int] = field(default_factory=list)
    beside: Callable[[], None] = lambda: None
    """Called over and over while a driver runs."""

    def __post_init__(self) -> None:
        self.folder.mkdir(parents=True)
        self.runs, self.diary = self.folder / "runs", self.folder / "diary"

    @property
    def run(self) -> Path:
        """The folder of the search."""
        (found,) = self.runs.glob(f"*/{JOURNAL}")
        return found.parent

    @property
    def records(self) -> list[Record]:
        """The journal; none before it was begun."""
        found = list(self.runs.glob(f"*/{JOURNAL}"))
        return read(found[0])[0] if found else []

    @property
    def said(self) -> str:
        """What the driver has said so far."""
        return (self.folder / f"said-{len(self.codes)}").read_text(errors="replace")

    @property
    def patience(self) -> float:
        """Seconds that any driver may take."""
        return 120 + 20 * (self.calm.seconds if self.calm else 0)

    def drive(
        self, step: str = "", place: int = 1, moments: Sequence[tuple[int, float, str]] = (), arguments: str = ""
    ) -> int:
        """Start or resume the search and wait for the driver's end; its exit code."""
        begun = any(self.runs.glob(f"*/{JOURNAL}"))
        command = ["resume", str(self.run), *arguments.split()] if begun else self._search()
        plan = {"cluster": dict(self.cluster), "tracked": self.tracked, "checkpoints": self.checkpoints}
        said = self.folder / f"said-{len(self.codes)}"
        asked = {
            "arguments": command,
            "plan": {**plan, "step": step, "place": place, "moments": moments},
            "environment": {DIARY: str(self.diary), ONCE: json.dumps(self.once), **self.environment},
            "said": str(said),
        }
        code = self.home.run(asked, self.patience, self.beside)
        self.codes.append(code)
        self.output.append(said.read_text(errors="replace"))
        with suppress(ValueError):  # of a journal that is damaged
            evaluator.note("durable", self.diary, keys=durable(self.records))
        return code

    def finish(self) -> None:
        """Resume until the search is finished, and see that it is the undisturbed one."""
        if not self.codes or self.codes[-1]:
            assert self.drive() == 0, self.story()
        assert has_ended(self.records, "FINISHED"), self.story()
        assert self.calm is None or self.digest == self.calm.digest, f"another digest\n{self.story()}"
        assert not self.repeated, f"evaluated again: {self.repeated}\n{self.story()}"
        noise = [word for word in NOISE if any(word in text for text in self.output)]
        assert not noise, f"noise on the terminal: {noise}\n{self.story()}"

    @property
    def digest(self) -> str:
        """The search's result digest."""
        return next(one.digest for one in self.records if isinstance(one, TableRecord))

    @property
    def repeated(self) -> Counter[str]:
        """Evaluations that were begun although their scores were on disk."""
        known, again = set[str](), Counter[str]()
        for one in self.notes("began", "durable", "lost"):
            if one["what"] == "durable":
                known |= {str(key) for key in one["keys"]}
            elif one["what"] == "lost":
                known -= {str(key) for key in one["keys"]}
            elif str(one["key"]) in known:
                again[str(one["key"])] += 1
        return again

    @property
    def fallen(self) -> list[dict[str, Any]]:
        """The faults that fell, as the diary tells."""
        return self.notes("fell")

    def notes(self, *what: str) -> list[dict[str, Any]]:
        """The lines of the diary that are about something."""
        return evaluator.notes(*what, diary=self.diary)

    @property
    def left(self) -> int:
        """Evaluations that are still to be made."""
        return (self.calm.evaluations if self.calm else 0) - len(durable(self.records))

    def place(self) -> str:
        """Where the search is, in words."""
        last = next((one for one in reversed(self.records) if isinstance(one, ScoreRecord | GenerationRecord)), None)
        if last is None:
            return "nothing is known yet"
        generation = last.origin.generation if isinstance(last, ScoreRecord) else None
        phase = last.phase if generation is None else f"{last.phase} {generation}"
        return f"{phase}, {len(durable(self.records))} known"

    def story(self) -> str:
        """What the drivers said, for whoever looks for a mistake."""
        said = [f"--- exit code {code}\n{text}" for code, text in zip(self.codes, self.output, strict=False)]
        return "\n".join([f"in {self.folder}: {self.fallen}", *said])

    def _search(self) -> list[str]:
        self.runs.mkdir(exist_ok=True)
        return ["search", str(RECIPE), "--set", f"runs={self.runs}", *self.options]


def has_ended(records: Sequence[Record], status: str) -> bool:
    """Whether the last record says that the run ended so."""
    return bool(records) and isinstance(records[-1], EndRecord) and records[-1].status == status


def calm(folder: Path, home: Home, environment: Mapping[str, str] | None = None) -> Calm:
    """Run the search undisturbed."""
    stage, start = Stage(folder, home, None, environment=environment or {}), time.monotonic()
    assert stage.drive() == 0, stage.story()
    seconds = time.monotonic() - start
    stage.finish()
    return Calm(stage.digest, stage.records, len(stage.notes("began")), seconds)
