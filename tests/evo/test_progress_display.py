"""What a search says of its progress where there is no terminal."""

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


def test_what_was_planned_and_not_needed_is_not_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(evo.console.progress, "QUIET_SECONDS", 0.0)
    settings, console = recipe(), Console(file=(said := io.StringIO()), width=120)
    with ProgressDisplay(settings, console) as display:
        search(settings, HashEvaluator(), folder=tmp_path / "run", watcher=display)
    shares = [int(share) for share in re.findall(r"^ *(\d+)%", said.getvalue(), re.MULTILINE)]
    assert shares == sorted(shares) and shares[-1] == 100
