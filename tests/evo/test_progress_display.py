"""What a search says of its progress where there is no terminal, or one on which no line can live."""

from __future__ import annotations

import io
import re
from pathlib import Path

import pytest
from rich.console import Console

import evo.console.progress
from evo.console.progress import ProgressDisplay
from evo.experiment.search import search
from tests.fakes import HashEvaluator, recipe


@pytest.mark.parametrize("is_terminal", [False, True], ids=["no terminal", "a dumb one"])
def test_what_was_planned_and_not_needed_is_not_waited_for(
    is_terminal: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(evo.console.progress, "QUIET_SECONDS", 0.0)
    monkeypatch.setenv("TERM", "dumb")
    settings, console = recipe(), Console(file=(said := io.StringIO()), width=120, force_terminal=is_terminal)
    with ProgressDisplay(settings, console) as display:
        search(settings, HashEvaluator(), folder=tmp_path / "run", watcher=display)
    shares = [int(share) for share in re.findall(r"^ *(\d+)%", said.getvalue(), re.MULTILINE)]
    assert shares == sorted(shares) and shares[-1] == 100
